// Structured logs, one JSON object a line, in the shape of controller-runtime's
// zap encoder: {"level":"info","ts":"...","msg":"...","k":"v"}.
//
//   log.info("applied", {{"revision", rev}, {"objects", 12}});
//
// Safe from any thread: a line is written with one write(2).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace sluice::base {

class Masks;

enum class LogLevel { trace, debug, info, error };
Result<LogLevel> parse_log_level(std::string_view name);

using LogValue = std::variant<std::string, std::int64_t, double, bool>;
struct LogField {
  std::string key;
  LogValue value;
  LogField(std::string k, std::string v) : key(std::move(k)), value(std::move(v)) {}
  LogField(std::string k, std::string_view v) : key(std::move(k)), value(std::string(v)) {}
  LogField(std::string k, const char* v) : key(std::move(k)), value(std::string(v)) {}
  LogField(std::string k, bool v) : key(std::move(k)), value(v) {}
  LogField(std::string k, double v) : key(std::move(k)), value(v) {}
  template <class I>
    requires(std::is_integral_v<I> && !std::is_same_v<I, bool>)
  LogField(std::string k, I v) : key(std::move(k)), value(static_cast<std::int64_t>(v)) {}
};

// Cheap to copy; a child made by with() carries its fields on every line.
class Logger {
 public:
  // Writes to file descriptor `fd` (2 is where containers expect logs).
  explicit Logger(LogLevel level = LogLevel::info, int fd = 2, bool console = false);
  static Logger discard();

  Logger with(std::vector<LogField> fields) const;
  // A child whose messages and fields, but for those of with(), pass through `masks`, which may grow meanwhile.
  Logger masked(std::shared_ptr<const Masks> masks) const;

  void trace(std::string_view message, const std::vector<LogField>& fields = {}) const;
  void debug(std::string_view message, const std::vector<LogField>& fields = {}) const;
  void info(std::string_view message, const std::vector<LogField>& fields = {}) const;
  // `error` is added as the field "error".
  void error(std::string_view message, const Error& error, const std::vector<LogField>& fields = {}) const;
  void error(std::string_view message, const std::vector<LogField>& fields = {}) const;
  bool enabled(LogLevel level) const noexcept;

 private:
  void write(LogLevel level, std::string_view message, const std::vector<LogField>& fields) const;
  struct Sink;
  std::shared_ptr<const Sink> sink_;
  std::shared_ptr<const std::vector<LogField>> fields_;
  std::shared_ptr<const Masks> masks_;  // null: nothing is masked
};

}  // namespace sluice::base
