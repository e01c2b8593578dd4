#include "journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "doc/json.hpp"

namespace sluice::notification {

namespace {

// Past this size the file is begun anew once it is read: some ten thousand notes.
constexpr off_t kMaxSize = 2 << 20;

std::string key_of(std::string_view event_uid, std::string_view alert_uid) {
  return std::string(event_uid) + "/" + std::string(alert_uid);
}

// A regular file of ours, in a folder where others may write too.
int open_own_file(const std::string& path, std::string& why) {
  const int file = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (file < 0) {
    why = std::strerror(errno);
    return -1;
  }
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid()) return file;
  ::close(file);
  why = "it is not a regular file of this user";
  return -1;
}

}  // namespace

Journal::Journal(const std::string& path, const base::Logger& log) {
  if (path.empty()) return;
  std::string why;
  file_ = open_own_file(path, why);
  if (file_ < 0) {
    log.info("deliveries are not noted locally", {{"path", path}, {"why", why}});
    return;
  }
  load(log);
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

void Journal::load(const base::Logger& log) {
  std::string text(static_cast<std::size_t>(2 * kMaxSize), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::pread(file_, text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // its writer was killed half-way
    take_in(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  if (static_cast<off_t>(size) > kMaxSize && ::ftruncate(file_, 0) != 0) {
    log.info("the local notes of deliveries cannot be begun anew", {{"why", std::strerror(errno)}});
  }
}

void Journal::take_in(std::string_view line) {
  const auto note = doc::parse_json(line);
  if (!note || !note->is_object()) return;
  const auto alert = doc::find_string(*note, {"alert"});
  // As it would stand on the Event.
  doc::Json event = doc::Json::object();
  event["metadata"]["annotations"][mark_key(alert)] = doc::find_string(*note, {"mark"});
  if (const auto mark = read_mark(event, alert)) notes_[key_of(doc::find_string(*note, {"event"}), alert)] = *mark;
}

void Journal::note(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark) {
  if (file_ < 0) return;
  doc::Json note = doc::Json::object();
  note["event"] = event_uid;
  note["alert"] = alert_uid;
  note["mark"] = print_mark(mark);
  // One write, so that lines of several writers do not mix. One that fails is
  // one hint less.
  const std::string line = doc::print_json(note) + "\n";
  [[maybe_unused]] const ssize_t written = ::write(file_, line.data(), line.size());
  notes_[key_of(event_uid, alert_uid)] = mark;
}

const DeliveryMark* Journal::find(std::string_view event_uid, std::string_view alert_uid) const {
  const auto it = notes_.find(key_of(event_uid, alert_uid));
  return it == notes_.end() ? nullptr : &it->second;
}

void Journal::forget(std::string_view event_uid, std::string_view alert_uid) {
  notes_.erase(key_of(event_uid, alert_uid));
}

}  // namespace sluice::notification
