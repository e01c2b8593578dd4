#include "journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "doc/json.hpp"

namespace sluice::notification_controller {

namespace {

std::string line_of(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark) {
  doc::Json note = doc::Json::object();
  note["event"] = event_uid;
  note["alert"] = alert_uid;
  note["mark"] = print_mark(mark);
  return doc::print_json(note) + "\n";
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

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

Journal::Journal(const std::string& path, const base::Logger& log) : log_(log), path_(path) {
  if (path.empty()) return;
  std::string why;
  file_ = open_own_file(path, why);
  if (file_ < 0) {
    log.info("deliveries are not noted locally", {{"path", path}, {"why", why}});
    return;
  }
  load();
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

void Journal::load() {
  struct stat status {};
  if (::fstat(file_, &status) != 0) return;
  size_ = static_cast<std::size_t>(status.st_size);
  const std::size_t skipped = size_ > 2 * kMaxSize ? size_ - 2 * kMaxSize : 0;
  std::string text(size_ - skipped, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::pread(file_, text.data() + size, text.size() - size, static_cast<off_t>(skipped + size));
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
  keep_newest();
  if (size_ > kMaxSize) begin_anew();
}

void Journal::keep_newest() {
  if (notes_.size() <= kMaxNotes) return;
  std::vector<std::uint64_t> numbers;
  for (const auto& [key, note] : notes_) numbers.push_back(note.number);
  const auto oldest = numbers.end() - static_cast<std::ptrdiff_t>(kMaxNotes);
  std::nth_element(numbers.begin(), oldest, numbers.end());
  std::erase_if(notes_, [oldest = *oldest](const auto& item) { return item.second.number < oldest; });
}

// In another file that takes its place, so that a kill meanwhile leaves the one or the other.
void Journal::begin_anew() {
  keep_newest();
  std::map<std::uint64_t, const Note*> in_order;
  for (const auto& [key, note] : notes_) in_order.emplace(note.number, &note);
  std::string text;
  for (const auto& [number, note] : in_order) text += line_of(note->event_uid, note->alert_uid, note->mark);
  const std::string path = path_ + ".new";
  ::unlink(path.c_str());
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  const int file = ::open(path.c_str(), kFlags, 0600);
  if (file >= 0 && write_all(file, text) && ::rename(path.c_str(), path_.c_str()) == 0) {
    ::close(file_);
    file_ = file;
    size_ = text.size();
    return;
  }
  log_.info("the local notes of deliveries cannot be begun anew", {{"why", std::strerror(errno)}});
  if (file >= 0) ::close(file);
  // Better none than a disk that fills up.
  if (::ftruncate(file_, 0) == 0) size_ = 0;
}

void Journal::take_in(std::string_view line) {
  const auto note = doc::parse_json(line);
  if (!note || !note->is_object()) return;
  const auto alert = doc::find_string(*note, {"alert"});
  // As it would stand on the Event.
  doc::Json event = doc::Json::object();
  event["metadata"]["annotations"][mark_key(alert)] = doc::find_string(*note, {"mark"});
  if (const auto mark = read_mark(event, alert)) keep(doc::find_string(*note, {"event"}), alert, *mark);
}

void Journal::keep(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark) {
  notes_[key_of(event_uid, alert_uid)] = {std::string(event_uid), std::string(alert_uid), mark, ++numbers_};
}

void Journal::note(std::string_view event_uid, std::string_view alert_uid, const DeliveryMark& mark) {
  if (file_ < 0) return;
  // One write, so that lines of several writers do not mix. One that fails is
  // one hint less.
  const std::string line = line_of(event_uid, alert_uid, mark);
  const ssize_t written = ::write(file_, line.data(), line.size());
  if (written > 0) size_ += static_cast<std::size_t>(written);
  keep(event_uid, alert_uid, mark);
  if (size_ > kMaxSize) begin_anew();
}

const DeliveryMark* Journal::find(std::string_view event_uid, std::string_view alert_uid) const {
  const auto it = notes_.find(key_of(event_uid, alert_uid));
  return it == notes_.end() ? nullptr : &it->second.mark;
}

void Journal::forget(std::string_view event_uid, std::string_view alert_uid) {
  notes_.erase(key_of(event_uid, alert_uid));
}

}  // namespace sluice::notification_controller
