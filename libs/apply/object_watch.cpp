#include "apply/object_watch.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "kube/reflector.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

bool is_final(const base::Error& error) {
  switch (error.kind) {
    case ErrorKind::forbidden:
    case ErrorKind::unauthorized:
    case ErrorKind::not_found:
    case ErrorKind::unsupported:
    case ErrorKind::invalid: return true;
    default: return false;
  }
}

// A list and a watch of one name.
class OneObject final : public kube::ReflectorSink {
 public:
  explicit OneObject(std::function<bool(const Json*)> seen) : tell_(std::move(seen)) {}

  void list_began(const std::string&, kube::ListMark, bool) override { listed_ = false; }
  void list_ended(const std::string&, kube::ListMark) override {
    if (!listed_) tell(nullptr);
  }
  void seen(Json object) override {
    listed_ = true;
    tell(&object);
  }
  // Its conditions are not known, but that it is there, and which one it is.
  void seen_unreadable(Json metadata) override { seen(std::move(metadata)); }
  void removed(Json) override { tell(nullptr); }
  void not_served(bool) override {}
  bool is_satisfied() const override { return done_; }

 private:
  void tell(const Json* object) {
    if (!done_) done_ = tell_(object);
  }
  std::function<bool(const Json*)> tell_;
  bool listed_ = false;
  bool done_ = false;
};

constexpr std::chrono::milliseconds kFirstPause{500};
constexpr std::chrono::milliseconds kMaxPause{2000};
constexpr auto longer(std::chrono::milliseconds pause) { return std::min(pause * 2, kMaxPause); }

// The object may be there and readable for all that: rights to list and watch are others than to get, and
// some servers of their own do not list by name.
bool may_get_instead(const base::Error& error) {
  return error.kind == ErrorKind::forbidden || error.kind == ErrorKind::unsupported || error.kind == ErrorKind::invalid;
}

rt::Task<Result<void>> watch_object(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                    std::function<bool(const Json*)> seen) {
  OneObject sink(std::move(seen));
  kube::ReflectorOptions options;
  options.resource = std::move(resource);
  options.namespace_ = key.namespace_;
  options.field_selector = "metadata.name=" + key.name;
  options.max_pause = std::chrono::seconds(30);
  options.is_final = is_final;
  kube::Reflector reflector(std::move(client), base::system_clock(), base::Logger::discard(), std::move(options), sink);
  auto followed = co_await reflector.run();
  co_return followed;
}

rt::Task<Result<void>> poll_object(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                   std::function<bool(const Json*)> seen) {
  std::string version;  // seen last
  for (auto pause = kFirstPause;; pause = longer(pause)) {
    auto reading = client->get(resource, key);
    auto now = co_await std::move(reading);
    if (now && api::resource_version_of(*now) != version) {
      version = std::string(api::resource_version_of(*now));
      if (seen(&*now)) co_return Result<void>();
    } else if (!now && now.error().kind == ErrorKind::not_found) {
      version.clear();
      if (seen(nullptr)) co_return Result<void>();
    } else if (!now && is_final(now.error())) {
      co_return base::unexpected(std::move(now).error());
    }
    co_await rt::sleep_for(pause);
  }
}

// As it is while it is not gone.
Departure still_there(const Json& object) {
  Departure departure{Departure::State::there, {}};
  std::vector<std::string> finalizers;
  const auto* listed = doc::find(object, {"metadata", "finalizers"});
  if (listed != nullptr && listed->is_array()) {
    for (const Json& one : *listed) finalizers.push_back(one.is_string() ? one.get<std::string>() : one.dump());
  }
  if (!api::is_being_deleted(object)) {
    departure.why = "it is there, and not being deleted";
  } else if (finalizers.empty()) {
    departure.why = "it is being deleted";
  } else {
    departure.why = fmt::format("it is being deleted, and its finalizers hold it: {}", fmt::join(finalizers, ", "));
  }
  return departure;
}

Departure unknown(const base::Error& error) {
  return {Departure::State::unknown, "whether it is gone is not known: " + error.message};
}

// Under the version that it was applied with, or any that is served.
rt::Task<Result<kube::Resource>> locate(std::shared_ptr<kube::RestMapper> mapper, api::GroupVersionKind kind) {
  auto found = co_await mapper->resource_for(kind);
  if (found || found.error().kind != ErrorKind::not_found) co_return found;
  auto other = co_await mapper->resource_for_group_kind(kind.group, kind.kind);
  co_return other;
}

// Ends only when it is gone; `last` says what was known before.
rt::Task<Result<void>> until_gone(std::shared_ptr<kube::Client> client, std::shared_ptr<kube::RestMapper> mapper,
                                  api::GroupVersionKind kind, api::ObjectKey key, std::string uid,
                                  std::shared_ptr<Departure> last) {
  const std::function<bool(const Json*)> is_gone = [uid, last](const Json* object) {
    if (object == nullptr || (!uid.empty() && api::uid_of(*object) != uid)) return true;
    *last = still_there(*object);
    return false;
  };
  for (auto pause = kFirstPause;; pause = longer(pause)) {
    auto resource = co_await locate(mapper, kind);
    if (!resource && resource.error().kind == ErrorKind::not_found) co_return Result<void>();  // with all of its kind
    if (resource) {
      if (!resource->namespaced) key.namespace_.clear();
      auto followed = co_await follow_object(client, *resource, key, is_gone);
      if (followed) co_return followed;
      if (followed.error().kind == ErrorKind::not_found) mapper->doubt({kind.group, kind.kind});
      *last = unknown(followed.error());
    } else {
      *last = unknown(resource.error());
    }
    co_await rt::sleep_for(pause);
  }
}

}  // namespace

rt::Task<Result<void>> follow_object(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                     std::function<bool(const Json*)> seen) {
  auto watched = co_await watch_object(client, resource, key, seen);
  if (watched || !may_get_instead(watched.error())) co_return watched;
  auto polled = co_await poll_object(std::move(client), std::move(resource), std::move(key), std::move(seen));
  co_return polled;
}

rt::Task<Departure> await_gone(std::shared_ptr<kube::Client> client, std::shared_ptr<kube::RestMapper> mapper,
                               api::GroupVersionKind kind, api::ObjectKey key, std::string uid,
                               std::chrono::nanoseconds limit) {
  auto last = std::make_shared<Departure>(Departure{Departure::State::unknown, "whether it is gone is not known"});
  rt::Task<Result<void>> task =
      until_gone(std::move(client), std::move(mapper), std::move(kind), std::move(key), std::move(uid), last);
  auto waiting = rt::with_timeout(std::move(task), limit, "the end of the object");
  auto waited = co_await std::move(waiting);
  if (waited) co_return Departure{Departure::State::gone, {}};
  co_return *last;
}

}  // namespace sluice::apply
