// What brings a Kustomization back before its interval has passed.
#include <utility>

#include "api/names.hpp"
#include "concern.hpp"
#include "dependencies.hpp"
#include "kustomization_reconciler.hpp"
#include "sources/dependencies.hpp"

namespace sluice::kustomize_controller {

namespace {

constexpr const char* kBySource = "source";
constexpr const char* kByDependency = "dependsOn";
constexpr const char* kByConfig = "substituteFrom";
constexpr std::size_t kReadAtOnce = 256;  // objects, most of which rest, in one turn of the loop

std::vector<std::string> configs_of(const doc::Json& object) {
  std::vector<std::string> names;
  const auto* list = doc::find(object, {"spec", "postBuild", "substituteFrom"});
  if (list == nullptr || !list->is_array()) return names;
  for (const auto& ref : *list) {
    const api::ObjectKey key{std::string(api::namespace_of(object)), std::string(doc::find_string(ref, {"name"}))};
    names.push_back(sources::source_id(std::string(doc::find_string(ref, {"kind"})), key));
  }
  return names;
}

bool is_suspended(const doc::Json& object) {
  const auto* suspend = doc::find(object, {"spec", "suspend"});
  return suspend != nullptr && suspend->is_boolean() && suspend->get<bool>();
}

}  // namespace

void KustomizationReconciler::attach(controller::Controller& controller) {
  controller_ = &controller;
  controller::WatchCache& cache = controller.cache();
  cache.add_index(kBySource, sources::source_of);
  cache.add_index(kByDependency, sources::dependencies_of);
  cache.add_index(kByConfig, configs_of);
  controller.watch(cache, [&cache](const controller::Object& before, const controller::Object& now) {
    if (!before || !now || !matters_to_dependents(*before, *now)) return std::vector<api::ObjectKey>();
    return cache.keys_by_index(kByDependency, api::key_of(*now).str());
  });
  controller.watch(cache, [this](const controller::Object& before, const controller::Object& now) {
    std::vector<api::ObjectKey> keys;
    if (!before || awaited_.empty()) return keys;
    const auto waiting = awaited_.find(api::key_of(*before));
    if (waiting == awaited_.end() || (now && !decides_claims(*before, *now))) return keys;
    keys.assign(waiting->second.begin(), waiting->second.end());
    return keys;
  });
  const auto weak = weak_from_this();
  services_.live->on_vanished = [vanished = vanished_](const api::ObjectKey& owner, const api::ObjectId& id,
                                                       std::uint64_t desired) {
    vanished->note_gone(owner, id, desired, base::system_clock().steady());
  };
  services_.sources->on_artifact = [weak](const std::string& source, const std::string& artifact) {
    if (const auto self = weak.lock()) self->wake_for_artifact(source, artifact);
  };
  services_.sources->on_definitions = [weak] {
    if (const auto self = weak.lock()) self->wake_for_definitions();
  };
  services_.sources->on_config = [weak](const std::string& config) {
    if (const auto self = weak.lock()) self->wake_for_config(config);
  };
  services_.live->on_drift = [weak](const api::ObjectKey& owner, const api::ObjectId& id) {
    if (const auto self = weak.lock()) self->wake_for_drift(owner, id);
  };
  services_.live->on_blindness = [weak](const kube::Resource& resource, const std::string& why) {
    const auto self = weak.lock();
    if (!self) return;
    self->services_.metrics.set("sluice_kustomize_drift_unseen",
                                "1 while the objects of a kind cannot be watched, so that drift goes unseen.",
                                {{"group", resource.group}, {"kind", resource.kind}}, why.empty() ? 0 : 1);
  };
}

std::vector<api::ObjectKey> KustomizationReconciler::who_lacks(const std::string& source,
                                                               const std::string& artifact) const {
  std::vector<api::ObjectKey> keys = controller_->cache().keys_by_index(kBySource, source);
  std::erase_if(keys, [&](const api::ObjectKey& key) { return !uptake_.is_news(key, artifact); });
  return keys;
}

void KustomizationReconciler::wake_for_artifact(const std::string& source, const std::string& artifact) {
  const std::vector<api::ObjectKey> keys = who_lacks(source, artifact);
  if (keys.size() >= kWorthSorting) {
    services_.runtime.spawn("sort by concern", wake_by_concern(weak_from_this(), source, artifact),
                            rt::AtShutdown::cancel);
    return;
  }
  for (const api::ObjectKey& key : keys) supersede(key, source);
}

void KustomizationReconciler::supersede(const api::ObjectKey& key, const std::string& trigger) {
  triggers_[key] = trigger;
  controller_->supersede(key);
}

// The manifest of the artifact that the source of one of its users has now, if it is that one; null else.
rt::Task<std::shared_ptr<const artifact::Tree>> KustomizationReconciler::tree_of(api::ObjectKey user,
                                                                                 std::string artifact) {
  const auto object = controller_->cache().find(user);
  if (!object) co_return nullptr;
  const auto parsed = api::parse_kustomization(*object);
  if (!parsed) co_return nullptr;
  const api::CrossNamespaceSourceReference ref = parsed->spec.source_ref;
  const api::ObjectKey source_key = api::resolve(ref, user.namespace_);
  auto finding = services_.sources->find(ref, source_key);
  const auto source = co_await std::move(finding);
  if (!source) co_return nullptr;
  const auto now = api::artifact_of(**source);
  if (!now || !*now || sources::artifact_id(**now) != artifact) co_return nullptr;
  auto fetching =
      rt::with_timeout(services_.fetcher->fetch(**now, source_key.namespace_), kSortingLimit, "the artifact");
  auto tree = co_await std::move(fetching);
  co_return tree ? *tree : nullptr;
}

bool KustomizationReconciler::has_arrived(const api::ObjectKey& key, const std::string& artifact) const {
  const auto object = controller_->cache().find(key);
  if (!object) return true;
  const std::string_view applied = doc::find_string(*object, {"status", "lastAppliedRevision"});
  // artifact_id() ends in the revision.
  return !applied.empty() && artifact.ends_with(applied) && api::conditions_of(*object).is_true(api::condition::kReady);
}

// Returns when all are Ready at the artifact, and soon in any case.
rt::Task<void> KustomizationReconciler::await_arrival(std::vector<api::ObjectKey> keys, std::string artifact) {
  const auto until = std::chrono::steady_clock::now() + kHeadStart;
  for (;;) {
    while (!keys.empty() && has_arrived(keys.back(), artifact)) keys.pop_back();
    if (keys.empty() || std::chrono::steady_clock::now() >= until) co_return;
    co_await rt::sleep_for(kHeadStartLook);
  }
}

rt::Task<void> KustomizationReconciler::wake_by_concern(std::weak_ptr<KustomizationReconciler> weak, std::string source,
                                                        std::string artifact) {
  const auto self = weak.lock();
  if (!self) co_return;
  std::vector<api::ObjectKey> keys = self->who_lacks(source, artifact);
  if (keys.empty()) co_return;
  auto fetching = self->tree_of(keys.front(), artifact);
  const auto tree = co_await std::move(fetching);
  // Meanwhile some have come to see it by themselves.
  keys = self->who_lacks(source, artifact);
  if (!tree || !tree->manifest().is_complete()) {
    for (const api::ObjectKey& key : keys) self->supersede(key, source);
    co_return;
  }
  auto readers = std::make_shared<std::vector<Reader>>();
  for (const api::ObjectKey& key : keys) {
    const auto object = self->controller_->cache().find(key);
    if (!object) continue;
    // A run may be at an artifact that it has not built yet: an older build says nothing of where it will end.
    auto last = self->renders_.last(key);
    if (last && !self->uptake_.has_taken(key, last->artifact_digest)) last.reset();
    readers->push_back(make_reader(*object, std::move(last)));
    if (readers->size() % kReadAtOnce == 0) co_await rt::sleep_for(std::chrono::nanoseconds(0));
  }
  auto sort = [readers, tree](std::stop_token) {
    return base::Result<Concern>(sort_by_concern(*readers, tree->manifest()));
  };
  auto sorting = rt::run_blocking(self->services_.runtime, std::move(sort));
  const base::Result<Concern> concern = co_await std::move(sorting);
  if (!concern) {
    for (const api::ObjectKey& key : keys) self->supersede(key, source);
    co_return;
  }
  for (const api::ObjectKey& key : concern->now) {
    if (self->uptake_.is_news(key, artifact)) self->supersede(key, source);
  }
  // The others would share the server with them, and tell nobody anything that could not wait.
  auto waiting = self->await_arrival(concern->now, artifact);
  co_await std::move(waiting);
  for (const api::ObjectKey& key : concern->later) {
    if (self->uptake_.is_news(key, artifact)) self->controller_->enqueue_at_leisure(key);
  }
}

void KustomizationReconciler::wake_for_definitions() {
  defined_ = services_.clock.steady();
  for (const api::ObjectKey& key : unserved_) controller_->enqueue(key);
}

void KustomizationReconciler::wake_for_config(const std::string& config) {
  for (const api::ObjectKey& key : controller_->cache().keys_by_index(kByConfig, config)) supersede(key, config);
}

void KustomizationReconciler::wake_for_drift(const api::ObjectKey& owner, const api::ObjectId& id) {
  const auto object = controller_->cache().find(owner);
  if (!object || api::is_being_deleted(*object) || is_suspended(*object)) return;
  services_.metrics.count("sluice_kustomize_drift_total", "Objects found changed or deleted by somebody else.",
                          {{"kind", id.kind}});
  const base::Duration delay = pacer_.seen(owner, id, services_.clock.steady());
  if (delay == base::Duration::zero()) {
    controller_->enqueue(owner);
  } else {
    controller_->enqueue_after(owner, delay);
  }
}

void KustomizationReconciler::forget(const api::ObjectKey& key) {
  renders_.forget(key);
  pacer_.forget(key);
  verifications_.forget(key);
  uptake_.forget(key);
  triggers_.erase(key);
  vanished_->forget(key);
  for (auto& [holder, waiting] : awaited_) waiting.erase(key);
  unserved_.erase(key);
  held_since_.erase(key);
}

}  // namespace sluice::kustomize_controller
