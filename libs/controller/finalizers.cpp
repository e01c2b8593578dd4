#include "controller/finalizers.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "api/object_meta.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

namespace {

constexpr int kMaxConflicts = 8;
constexpr auto kConflictPause = std::chrono::milliseconds(20);

}  // namespace

rt::Task<base::Result<doc::Json>> change_finalizer(std::shared_ptr<kube::Client> client, kube::Resource resource,
                                                   doc::Json object, std::string finalizer, FinalizerChange change,
                                                   std::string field_manager,
                                                   std::function<bool(const doc::Json& now)> may) {
  const std::string uid(api::uid_of(object));
  for (int attempt = 0;; ++attempt) {
    const auto meta = api::read_meta(object);
    if (meta.uid != uid) co_return base::unexpected(base::ErrorKind::not_found, meta.key().str() + " was replaced");
    const bool wanted = change == FinalizerChange::add;
    if (meta.has_finalizer(finalizer) == wanted) co_return object;
    auto list = meta.finalizers;
    if (wanted) {
      list.push_back(finalizer);
    } else {
      std::erase(list, finalizer);
    }
    doc::Json patch = doc::Json::object();
    patch["metadata"]["resourceVersion"] = meta.resource_version;
    patch["metadata"]["finalizers"] = list;
    kube::PatchOptions options;
    options.field_manager = field_manager;
    auto asking = client->patch(resource, meta.key(), kube::PatchType::merge, std::move(patch), options);
    auto answer = co_await std::move(asking);
    if (answer) co_return answer;
    if (answer.error().kind != base::ErrorKind::conflict || attempt == kMaxConflicts) {
      co_return base::unexpected(
          std::move(answer).error().with_context("changing the finalizers of " + meta.key().str()));
    }
    co_await rt::sleep_for(kConflictPause * attempt);
    auto asking_again = client->get(resource, meta.key());
    auto again = co_await std::move(asking_again);
    SLUICE_CO_TRY(object, std::move(again));
    if (may && api::uid_of(object) == uid && !may(object)) co_return base::unexpected(std::move(answer).error());
  }
}

}  // namespace sluice::controller
