// A local note of each delivery, for the instant until its Event says so. Runs
// on the loop; writes of a hundred bytes to the page cache.
//
// A hint, not a memory: it narrows what a killed process leaves in doubt from a
// request to the API server to one write(2). Without the file, or on another
// node, all works as before but for that instant. Only the newest notes are of use, so
// the file is begun anew with those when it has grown.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "delivery_mark.hpp"

namespace sluice::notification_controller {

class Journal {
 public:
  // Notes nothing, and knows of nothing.
  Journal() = default;
  // The file is begun anew past this size, in bytes, with at most so many notes.
  static constexpr std::size_t kMaxSize = 2 << 20;
  static constexpr std::size_t kMaxNotes = 2'000;

  // Reads what an earlier process left, the newest notes of it. Says in the log why it cannot
  // be used, if so. Processes may share a file: what it holds is told apart by uids. Who
  // begins it anew leaves the old one to the other, whose later notes are lost then.
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
  struct Note {
    std::string event_uid;
    std::string alert_uid;
    DeliveryMark mark;
    std::uint64_t number = 0;  // grows
  };
  void load();
  void take_in(std::string_view line);
  void keep(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark);
  void keep_newest();
  void begin_anew();

  std::map<std::string, Note> notes_;
  std::uint64_t numbers_ = 0;
  base::Logger log_ = base::Logger::discard();
  std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;  // of the file
};

}  // namespace sluice::notification_controller
