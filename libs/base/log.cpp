#include "base/log.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/masks.hpp"

namespace sluice::base {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::trace: return "trace";
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::error: return "error";
  }
  return "info";
}

// Log lines may hold bytes from outside: what is no UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string mask_with(const Masks* masks, std::string_view text) {
  return masks == nullptr ? std::string(text) : masks->apply(std::string(text));
}

std::string to_text(const LogValue& value, const Masks* masks) {
  if (const auto* text = std::get_if<std::string>(&value)) return json_string(mask_with(masks, *text));
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return nlohmann::json(*real).dump();
  return std::get<bool>(value) ? "true" : "false";
}

void append_fields(std::string& line, const std::vector<LogField>& fields, bool console, const Masks* masks) {
  for (const LogField& field : fields) {
    if (console) {
      line += fmt::format(" {}={}", field.key, to_text(field.value, masks));
    } else {
      line += fmt::format(",{}:{}", json_string(field.key), to_text(field.value, masks));
    }
  }
}

constexpr int kPatienceMs = 1000;

// On a console too a line is one line, and moves no cursor.
std::string plain(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return out;
}

void write_whole(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      // Somebody made the terminal or pipe that we share non-blocking. Half a line is worse than a wait.
      pollfd writable{fd, POLLOUT, 0};
      if (::poll(&writable, 1, kPatienceMs) > 0 || errno == EINTR) continue;
    }
    if (written <= 0) return;  // nowhere left to complain to
    line.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view name) {
  for (const LogLevel level : {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::error}) {
    if (level_name(level) == name) return level;
  }
  return unexpected(ErrorKind::invalid, fmt::format("unknown log level '{}'; one of trace, debug, info, error", name));
}

struct Logger::Sink {
  LogLevel level;
  int fd;
  bool console;
};

Logger::Logger(LogLevel level, int fd, bool console)
    : sink_(std::make_shared<const Sink>(Sink{level, fd, console})),
      fields_(std::make_shared<const std::vector<LogField>>()) {}

Logger Logger::discard() { return Logger(LogLevel::error, -1); }

Logger Logger::with(std::vector<LogField> fields) const {
  Logger child = *this;
  std::vector<LogField> all = *fields_;
  for (LogField& field : fields) all.push_back(std::move(field));
  child.fields_ = std::make_shared<const std::vector<LogField>>(std::move(all));
  return child;
}

Logger Logger::masked(std::shared_ptr<const Masks> masks) const {
  Logger child = *this;
  child.masks_ = std::move(masks);
  return child;
}

bool Logger::enabled(LogLevel level) const noexcept { return sink_->fd >= 0 && level >= sink_->level; }

void Logger::trace(std::string_view message, const std::vector<LogField>& fields) const {
  write(LogLevel::trace, message, fields);
}
void Logger::debug(std::string_view message, const std::vector<LogField>& fields) const {
  write(LogLevel::debug, message, fields);
}
void Logger::info(std::string_view message, const std::vector<LogField>& fields) const {
  write(LogLevel::info, message, fields);
}
void Logger::error(std::string_view message, const std::vector<LogField>& fields) const {
  write(LogLevel::error, message, fields);
}
void Logger::error(std::string_view message, const Error& error, const std::vector<LogField>& fields) const {
  std::vector<LogField> all = fields;
  all.emplace_back("error", error.message);
  write(LogLevel::error, message, all);
}

void Logger::write(LogLevel level, std::string_view message, const std::vector<LogField>& fields) const {
  if (!enabled(level)) return;
  const TimePoint now = system_clock().now();
  std::string stamp = format_micro_time(now);
  stamp.erase(stamp.size() - 4, 3);  // milliseconds are enough for a log
  const std::string told = mask_with(masks_.get(), message);
  std::string line;
  if (sink_->console) {
    line = fmt::format("{} {:5} {}", stamp, level_name(level), plain(told));
  } else {
    line = fmt::format(R"({{"level":"{}","ts":"{}","msg":{})", level_name(level), stamp, json_string(told));
  }
  // Those of with() name what it is about: kind, namespace, name.
  append_fields(line, *fields_, sink_->console, nullptr);
  append_fields(line, fields, sink_->console, masks_.get());
  line += sink_->console ? "\n" : "}\n";
  write_whole(sink_->fd, line);
}

}  // namespace sluice::base
