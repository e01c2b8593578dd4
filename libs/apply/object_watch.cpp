#include "apply/object_watch.hpp"

#include <algorithm>
#include <utility>

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::milliseconds kMinPause{200};
constexpr std::chrono::milliseconds kMaxPause{30'000};

bool is_final(ErrorKind kind) {
  return kind == ErrorKind::forbidden || kind == ErrorKind::unauthorized || kind == ErrorKind::not_found ||
         kind == ErrorKind::unsupported || kind == ErrorKind::invalid;
}

// One list and one watch; true when `seen` has said true.
rt::Task<Result<bool>> follow_once(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                   std::function<bool(const Json*)> seen) {
  const std::string by_name = "metadata.name=" + key.name;
  kube::ListOptions list;
  list.namespace_ = key.namespace_;
  list.field_selector = by_name;
  auto listed = co_await client->list(resource, list);
  SLUICE_CO_TRY(const kube::ObjectList now, std::move(listed));
  if (seen(now.items.empty() ? nullptr : &now.items.front())) co_return true;
  kube::WatchOptions options;
  options.namespace_ = key.namespace_;
  options.field_selector = by_name;
  options.resource_version = now.resource_version;
  auto opened = co_await client->watch(resource, options);
  SLUICE_CO_TRY(const std::unique_ptr<kube::Watch> watch, std::move(opened));
  for (;;) {
    auto next = co_await watch->next();
    SLUICE_CO_TRY(const auto event, std::move(next));
    if (!event) co_return false;
    if (event->type == kube::WatchEventType::bookmark) continue;
    if (seen(event->type == kube::WatchEventType::deleted ? nullptr : &event->object)) co_return true;
  }
}

}  // namespace

rt::Task<Result<void>> follow_object(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                     std::function<bool(const Json*)> seen) {
  std::chrono::milliseconds pause = kMinPause;
  for (;;) {
    auto done = co_await follow_once(client, resource, key, seen);
    if (done && *done) co_return Result<void>();
    if (!done && is_final(done.error().kind)) co_return base::unexpected(std::move(done).error());
    co_await rt::sleep_for(pause);
    pause = std::min(pause * 2, kMaxPause);
  }
}

rt::Task<Result<void>> await_gone(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                  std::string uid) {
  std::function<bool(const Json*)> is_gone = [uid](const Json* object) {
    return object == nullptr || (!uid.empty() && api::uid_of(*object) != uid);
  };
  auto followed = co_await follow_object(std::move(client), std::move(resource), std::move(key), std::move(is_gone));
  co_return followed;
}

}  // namespace sluice::apply
