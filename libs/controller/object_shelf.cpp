#include "controller/object_shelf.hpp"

#include <utility>

namespace sluice::controller {

namespace {

// To read the text of more than this again would hold up the loop.
constexpr std::size_t kMostValues = 4096;

// Counts the values in `json`; stops past `most`.
void count_values(const doc::Json& json, std::size_t most, std::size_t& count) {
  if (++count > most || !json.is_structured()) return;
  for (const doc::Json& value : json) {
    if (count > most) return;
    count_values(value, most, count);
  }
}

bool may_rest(const doc::Json& object) {
  std::size_t count = 0;
  count_values(object, kMostValues, count);
  return count <= kMostValues;
}

}  // namespace

Object ObjectShelf::tree_of(const Entry& entry) {
  if (entry.tree) return entry.tree;
  if (auto lent = entry.lent.lock()) return lent;
  // It was made from a tree, so it can be read.
  return std::make_shared<const doc::Json>(doc::parse_json(entry.text).value());
}

void ObjectShelf::warm(Entry& entry) {
  if (entry.is_warm) {
    warm_.splice(warm_.begin(), warm_, entry.place);
    return;
  }
  if (entry.tree) return;
  entry.tree = tree_of(entry);
  entry.lent.reset();
  --resting_;
  line_up(entry);
}

void ObjectShelf::line_up(Entry& entry) {
  entry.place = warm_.insert(warm_.begin(), &entry);
  entry.is_warm = true;
  cool();
}

void ObjectShelf::step_out(Entry& entry) {
  if (entry.is_warm) warm_.erase(entry.place);
  if (!entry.tree) --resting_;
}

// The text of one that has not changed since it last rested is still there. What is too large to rest
// is not asked about again.
void ObjectShelf::cool() {
  while (warm_.size() > whole_) {
    Entry& entry = *warm_.back();
    warm_.pop_back();
    entry.is_warm = false;
    if (entry.text.empty()) {
      if (!may_rest(*entry.tree)) continue;
      entry.text = doc::print_json(*entry.tree);
      entry.text.shrink_to_fit();
    }
    entry.lent = entry.tree;
    entry.tree.reset();
    ++resting_;
  }
}

Object ObjectShelf::find(const api::ObjectKey& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  warm(found->second);
  return tree_of(found->second);
}

Object ObjectShelf::look(const api::ObjectKey& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : tree_of(found->second);
}

void ObjectShelf::put(const api::ObjectKey& key, Object object, kube::ListMark mark) {
  const auto [place, is_new] = entries_.try_emplace(key);
  Entry& entry = place->second;
  if (!is_new) step_out(entry);
  entry = Entry{};
  entry.tree = std::move(object);
  entry.mark = mark;
  line_up(entry);
}

void ObjectShelf::erase(const api::ObjectKey& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  step_out(found->second);
  entries_.erase(found);
}

std::optional<kube::ListMark> ObjectShelf::mark(const api::ObjectKey& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  return found->second.mark;
}

void ObjectShelf::set_mark(const api::ObjectKey& key, kube::ListMark mark) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) found->second.mark = mark;
}

std::vector<api::ObjectKey> ObjectShelf::keys() const {
  std::vector<api::ObjectKey> keys;
  keys.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) keys.push_back(key);
  return keys;
}

}  // namespace sluice::controller
