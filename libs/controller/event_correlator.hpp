// Decides what a new event becomes: an Event of its own, or one more count of
// an earlier one. Pure but for its memory; private to this library.
//
// As client-go's EventCorrelator (tools/record/events_cache.go): equal events
// count up, where "equal" takes in the revision that they are about (event_news.hpp), other than
// there: whoever was away must not find one of four commits. From the tenth different thing on that an object says for
// one reason, with less than ten minutes between them, they are combined. Other than there a combined event keeps its
// annotations, those of the latest. Its spam filter is left out on purpose: alerts are made from Events here, so none
// may be dropped in silence, and the queue's backoff paces objects that fail.
#pragma once

#include <cstddef>
#include <list>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "doc/json.hpp"

namespace sluice::controller {

// A map of bounded size that forgets what was used longest ago.
template <class Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t limit) : limit_(limit) {}
  Value* find(const std::string& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->second;
  }
  Value& put(const std::string& key, Value value) {
    erase(key);
    order_.emplace_front(key, std::move(value));
    entries_[key] = order_.begin();
    if (order_.size() > limit_) erase(order_.back().first);
    return order_.front().second;
  }
  void erase(const std::string& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return;
    const auto position = it->second;
    entries_.erase(it);
    order_.erase(position);
  }
  std::size_t size() const noexcept { return order_.size(); }

 private:
  using Order = std::list<std::pair<std::string, Value>>;
  std::size_t limit_;
  Order order_;
  std::unordered_map<std::string, typename Order::iterator> entries_;
};

class EventCorrelator {
 public:
  static constexpr std::size_t kMemory = 4096;
  static constexpr std::size_t kMaxSimilar = 10;
  static constexpr base::Duration kWindow = std::chrono::minutes(10);

  struct Decision {
    std::string key;                 // for forget()
    doc::Json event;                 // whole; to create
    std::optional<doc::Json> patch;  // to merge into the event of that name instead
  };

  explicit EventCorrelator(const base::Clock& clock) : clock_(clock) {}
  // `event` is a core/v1 Event with count 1.
  Decision observe(doc::Json event);
  // The event behind `key` is no more on the server; the next one is new.
  void forget(const std::string& key) { counted_.erase(key); }

 private:
  struct Similar {
    std::set<std::string> news;  // digests of message and kNewsAnnotations
    base::TimePoint last{};
  };
  struct Counted {
    std::string name;
    std::int64_t count = 0;
    base::TimePoint last{};
    std::vector<std::string> annotations;  // keys that the event has on the server
  };
  const base::Clock& clock_;
  RecentMap<Similar> similar_{kMemory};
  RecentMap<Counted> counted_{kMemory};
};

}  // namespace sluice::controller
