#include "chronicle.hpp"

#include <utility>

namespace sluice::notification_controller {

namespace {

api::ObjectKey object_of(const doc::Json& event) {
  return {std::string(doc::find_string(event, {"involvedObject", "namespace"})),
          std::string(doc::find_string(event, {"involvedObject", "name"}))};
}

}  // namespace

void Chronicle::take_in(const doc::Json& event) {
  const api::ObjectKey object = object_of(event);
  if (object.namespace_ != api::namespace_of(event)) return;
  forget(event);  // it may have changed sides
  objects_[api::key_of(event)] = object;
  Entry entry;
  entry.event = api::key_of(event);
  entry.object_uid = doc::find_string(event, {"involvedObject", "uid"});
  entry.telling = read_telling(event);
  Books& books = books_[object];
  Book& book = entry.telling.ready_since ? books.late_words : books.emitters_words;
  api::ObjectKey key = entry.event;
  book.insert_or_assign(std::move(key), std::move(entry));
}

void Chronicle::forget(const doc::Json& event) {
  const api::ObjectKey key = api::key_of(event);
  const auto object = objects_.find(key);
  if (object == objects_.end()) return;
  const auto books = books_.find(object->second);
  objects_.erase(object);
  if (books == books_.end()) return;
  books->second.late_words.erase(key);
  books->second.emitters_words.erase(key);
  if (books->second.late_words.empty() && books->second.emitters_words.empty()) books_.erase(books);
}

bool Chronicle::is_about_another(const Entry& entry, const InvolvedObject& object) {
  return !entry.object_uid.empty() && !object.uid.empty() && entry.object_uid != object.uid;
}

void Chronicle::collect(const Book& book, const InvolvedObject& object, Entries& into) {
  for (const auto& [key, entry] : book) {
    if (!is_about_another(entry, object)) into.push_back(&entry);
  }
}

const Chronicle::Books* Chronicle::find(const InvolvedObject& object) const {
  const auto books = books_.find({object.namespace_, object.name});
  return books == books_.end() ? nullptr : &books->second;
}

Chronicle::Entries Chronicle::about(const InvolvedObject& object) const {
  Entries found;
  if (const Books* books = find(object)) {
    collect(books->late_words, object, found);
    collect(books->emitters_words, object, found);
  }
  return found;
}

Chronicle::Entries Chronicle::about_name_of(const InvolvedObject& object) const {
  InvolvedObject any = object;
  any.uid.clear();
  return about(any);
}

Chronicle::Entries Chronicle::late_words_about(const InvolvedObject& object) const {
  Entries found;
  if (const Books* books = find(object)) collect(books->late_words, object, found);
  return found;
}

Chronicle::Entries Chronicle::emitters_words_about(const InvolvedObject& object) const {
  Entries found;
  if (const Books* books = find(object)) collect(books->emitters_words, object, found);
  return found;
}

}  // namespace sluice::notification_controller
