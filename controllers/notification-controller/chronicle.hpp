// What was told of each object: the Events about it, cut down to what is compared. Runs on
// the loop; kept current from the Events of one kind as they come and go.
//
// Holds no texts, so that thousands of Events about one object cost little to keep and
// to look through. Late words are kept apart: each Event is held against them, and there
// are few.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"
#include "occurrence.hpp"
#include "state_news.hpp"

namespace sluice::notification_controller {

class Chronicle {
 public:
  struct Entry {
    api::ObjectKey event;
    std::string object_uid;  // "" where the Event does not say
    Telling telling;
  };
  // It names another uid than the object has.
  static bool is_about_another(const Entry& entry, const InvolvedObject& object);
  // Valid until the next change.
  using Entries = std::vector<const Entry*>;

  // Of an Event that is new or changed. One that speaks for another namespace is not taken in.
  void take_in(const doc::Json& event);
  void forget(const doc::Json& event);

  // All about one object of this identity, in no order. One of the same name may have been
  // there before: what names another uid is not about it.
  Entries about(const InvolvedObject& object) const;
  // The same with what is about others of its name: receivers know names, and no uids.
  Entries about_name_of(const InvolvedObject& object) const;
  Entries late_words_about(const InvolvedObject& object) const;
  Entries emitters_words_about(const InvolvedObject& object) const;
  std::size_t objects() const noexcept { return books_.size(); }

 private:
  using Book = std::unordered_map<api::ObjectKey, Entry>;
  struct Books {
    Book late_words;
    Book emitters_words;
  };
  static void collect(const Book& book, const InvolvedObject& object, Entries& into);
  const Books* find(const InvolvedObject& object) const;

  std::unordered_map<api::ObjectKey, Books> books_;             // by object
  std::unordered_map<api::ObjectKey, api::ObjectKey> objects_;  // by Event
};

}  // namespace sluice::notification_controller
