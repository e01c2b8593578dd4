#include "kube/detail/watch_stream.hpp"

#include <fmt/format.h>

#include "kube/detail/glance.hpp"
#include "kube/detail/status.hpp"

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;

namespace {

// etcd's limit is 1.5 MiB an object; anything much larger is told by a list, by its metadata.
constexpr std::size_t kMaxLine = 16U << 20U;
constexpr std::size_t kKept = 64U << 10U;  // of the buffer, when a large event has been read

class LineWatch final : public Watch {
 public:
  LineWatch(std::unique_ptr<http::ResponseStream> stream, std::chrono::nanoseconds idle, ParseOnPool pool, Knows knows)
      : stream_(std::move(stream)), idle_(idle), pool_(std::move(pool)), knows_(std::move(knows)) {}

  rt::Task<Result<std::optional<WatchEvent>>> next() override {
    while (true) {
      const std::size_t end = buffer_.find('\n', scanned_);
      if (end != std::string::npos) {
        const std::string_view line = std::string_view(buffer_).substr(start_, end - start_);
        start_ = scanned_ = end + 1;
        auto parsing = parse(line);
        auto event = co_await std::move(parsing);
        if (!event) co_return base::unexpected(std::move(event).error());
        co_return std::optional<WatchEvent>(*std::move(event));
      }
      buffer_.erase(0, start_);
      start_ = 0;
      scanned_ = buffer_.size();
      if (buffer_.size() > kMaxLine) co_return base::unexpected(ErrorKind::too_large, "watch: an event of over 16 MiB");
      if (buffer_.size() < kKept && buffer_.capacity() > 2 * kKept) buffer_.shrink_to_fit();
      auto piece = co_await stream_->read_some(idle_);
      if (!piece) {
        base::Error error = std::move(piece).error();
        error.kind = ErrorKind::unavailable;  // silence for that long means that the connection is dead
        co_return base::unexpected(std::move(error).with_context("watch"));
      }
      if (piece->empty() && buffer_.find_first_not_of("\r\n") != std::string::npos) {
        co_return base::unexpected(ErrorKind::unavailable, "watch: the connection ended within an event");
      }
      if (piece->empty()) co_return std::optional<WatchEvent>();
      buffer_ += *piece;
    }
  }

 private:
  // The line is in the buffer, which stays as it is until the next call.
  rt::Task<Result<WatchEvent>> parse(std::string_view line) {
    if (line.size() < pool_.from) {
      if (auto known = pass_over(line)) co_return *std::move(known);
      co_return parse_watch_line(line);
    }
    auto copy = std::make_shared<const std::string>(line);
    auto work = [copy = std::move(copy)](std::stop_token) { return parse_watch_line(*copy); };
    auto parsing = rt::run_blocking(pool_.runtime, pool_.owner, std::move(work));
    auto event = co_await std::move(parsing);
    co_return event;
  }

  std::optional<WatchEvent> pass_over(std::string_view line) const {
    if (!knows_) return std::nullopt;
    const auto glance = glance_at(line);
    if (!glance || (glance->type != "ADDED" && glance->type != "MODIFIED")) return std::nullopt;
    const api::ObjectKey key{std::string(glance->namespace_), std::string(glance->name)};
    if (!knows_(key, glance->uid, glance->resource_version)) return std::nullopt;
    WatchEvent event;
    event.type = WatchEventType::modified;
    event.object["metadata"]["resourceVersion"] = glance->resource_version;
    event.is_known = true;
    return event;
  }

  std::unique_ptr<http::ResponseStream> stream_;
  std::chrono::nanoseconds idle_;
  ParseOnPool pool_;
  Knows knows_;
  std::string buffer_;
  std::size_t start_ = 0;    // of the next line
  std::size_t scanned_ = 0;  // no line end before this
};

}  // namespace

Result<WatchEvent> parse_watch_line(std::string_view line) {
  auto document = doc::parse_json(line);
  if (!document || !document->is_object()) {
    return base::unexpected(ErrorKind::unavailable, fmt::format("watch: not an event: {}", line.substr(0, 120)));
  }
  const std::string type(doc::find_string(*document, {"type"}));
  const auto object = document->find("object");
  if (object == document->end() || !object->is_object()) {
    return base::unexpected(ErrorKind::unavailable, "watch: an event without an object");
  }
  if (type == "ERROR") return base::unexpected(error_of(*object));
  WatchEvent event;
  if (type == "ADDED") {
    event.type = WatchEventType::added;
  } else if (type == "MODIFIED") {
    event.type = WatchEventType::modified;
  } else if (type == "DELETED") {
    event.type = WatchEventType::deleted;
  } else if (type == "BOOKMARK") {
    event.type = WatchEventType::bookmark;
  } else {
    return base::unexpected(ErrorKind::unavailable, fmt::format("watch: an event of unknown type '{}'", type));
  }
  event.object = std::move(*object);
  return event;
}

std::unique_ptr<Watch> make_watch(std::unique_ptr<http::ResponseStream> stream, std::chrono::nanoseconds idle,
                                  ParseOnPool pool, Knows knows) {
  return std::make_unique<LineWatch>(std::move(stream), idle, std::move(pool), std::move(knows));
}

}  // namespace sluice::kube::detail
