// A local note of each delivery, for the instant until its Event says so. Runs
// on the loop; writes of a hundred bytes to the page cache.
//
// A hint, not a memory: it narrows what a killed process leaves in doubt from a
// request to the API server to one write(2). Without the file, or on another
// node, all works as before but for that instant.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "delivery_mark.hpp"

namespace sluice::notification {

class Journal {
 public:
  // Notes nothing, and knows of nothing.
  Journal() = default;
  // Reads what an earlier process left. Says in the log why it cannot be used, if
  // so. Several processes may share a file: what it holds is told apart by uids.
  Journal(const std::string& path, const base::Logger& log);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  void note(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark);
  // The last note of this process or of one before; null if there is none.
  const DeliveryMark* find(std::string_view event_uid, std::string_view alert_uid) const;
  // The Event says it now.
  void forget(std::string_view event_uid, std::string_view alert_uid);

 private:
  void load(const base::Logger& log);
  void take_in(std::string_view line);

  std::map<std::string, DeliveryMark> notes_;
  int file_ = -1;
};

}  // namespace sluice::notification
