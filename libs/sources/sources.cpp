#include "sources/sources.hpp"

#include <utility>

#include "api/names.hpp"

namespace sluice::sources {

using base::Result;
using controller::Object;

namespace {

// Keeps the cache alive for as long as it runs.
rt::Task<void> run_cache(std::shared_ptr<controller::WatchCache> cache) { co_await cache->run(); }

// Of a source only its identity, artifact and conditions are of interest.
void cut_source(doc::Json& object) {
  object.erase("spec");
  if (auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    metadata->erase("annotations");
    metadata->erase("labels");
  }
  if (auto status = object.find("status"); status != object.end() && status->is_object()) {
    doc::Json kept = doc::Json::object();
    for (const char* field : {"artifact", "conditions"}) {
      if (auto found = status->find(field); found != status->end()) kept[field] = std::move(*found);
    }
    *status = std::move(kept);
  }
}

void cut_definition(doc::Json& object) {
  auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return;
  metadata->erase("annotations");
  metadata->erase("labels");
}

std::string digest_of(const Object& object) {
  return object ? std::string(doc::find_string(*object, {"status", "artifact", "digest"})) : std::string();
}
std::string revision_of(const Object& object) {
  return object ? std::string(doc::find_string(*object, {"status", "artifact", "revision"})) : std::string();
}

}  // namespace

std::string source_id(const std::string& kind, const api::ObjectKey& key) { return kind + "/" + key.str(); }

std::vector<std::string> source_of(const doc::Json& object) {
  std::string space(doc::find_string(object, {"spec", "sourceRef", "namespace"}));
  if (space.empty()) space = api::namespace_of(object);
  const std::string kind(doc::find_string(object, {"spec", "sourceRef", "kind"}));
  return {source_id(kind, {std::move(space), std::string(doc::find_string(object, {"spec", "sourceRef", "name"}))})};
}

void Sources::start() {
  if (std::exchange(started_, true)) return;
  services_.mapper->on_change([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->on_definitions) self->on_definitions();
  });
  services_.mapper->follow_definitions(services_.runtime, services_.log);
}

void Sources::note(const std::string& kind, const Object& before, const Object& now) {
  if (!now || !on_artifact) return;
  const std::string digest = digest_of(now);
  if (digest.empty()) return;
  if (digest == digest_of(before) && revision_of(now) == revision_of(before)) return;
  on_artifact(source_id(kind, api::key_of(*now)), digest + revision_of(now));
}

void Sources::watch_kind(const kube::Resource& resource) {
  auto& cache = kinds_[{resource.group, resource.kind}];
  // Under another version it may be served no more.
  if (cache && (cache->resource() == resource || !cache->last_error())) return;
  controller::WatchCacheOptions options;
  options.resource = resource;
  options.namespace_ = services_.namespace_;
  options.transform = cut_source;
  options.mapper = services_.mapper;
  cache =
      std::make_shared<controller::WatchCache>(services_.client, services_.clock, services_.log, std::move(options));
  controller::CacheHandlers handlers;
  const std::string kind = resource.kind;
  handlers.added = [weak = weak_from_this(), kind](const Object& now) {
    if (const auto self = weak.lock()) self->note(kind, nullptr, now);
  };
  handlers.updated = [weak = weak_from_this(), kind](const Object& before, const Object& now) {
    if (const auto self = weak.lock()) self->note(kind, before, now);
  };
  cache->subscribe(std::move(handlers));
  services_.runtime.spawn("sources " + resource.plural, run_cache(cache), rt::AtShutdown::cancel);
}

void Sources::watch_configs(const std::string& label_selector) {
  if (!configs_.empty()) return;
  for (const kube::Resource& resource : {kube::Resource{"", "v1", "ConfigMap", "configmaps", true},
                                         kube::Resource{"", "v1", "Secret", "secrets", true}}) {
    controller::WatchCacheOptions options;
    options.resource = resource;
    options.namespace_ = services_.namespace_;
    options.label_selector = label_selector;
    options.metadata_only = true;
    options.transform = cut_definition;
    auto cache =
        std::make_shared<controller::WatchCache>(services_.client, services_.clock, services_.log, std::move(options));
    configs_[resource.kind] = cache;
    auto tell = [weak = weak_from_this(), kind = resource.kind](const Object& object) {
      const auto self = weak.lock();
      // What is there from the start was read, or will be, by the runs at the start.
      if (!self || !self->on_config || !self->configs_[kind]->has_synced()) return;
      self->on_config(source_id(kind, api::key_of(*object)));
    };
    controller::CacheHandlers handlers;
    handlers.added = tell;
    handlers.updated = [tell](const Object&, const Object& now) { tell(now); };
    handlers.deleted = tell;
    cache->subscribe(std::move(handlers));
    services_.runtime.spawn("configs " + resource.plural, run_cache(cache), rt::AtShutdown::cancel);
  }
}

rt::Task<Result<Object>> Sources::read(kube::Resource resource, api::ObjectKey key) {
  const auto client = services_.client->on_behalf_of(key.namespace_);
  auto answer = co_await client->get(std::move(resource), std::move(key));
  SLUICE_CO_TRY(doc::Json object, std::move(answer));
  cut_source(object);
  co_return std::make_shared<const doc::Json>(std::move(object));
}

rt::Task<Result<Object>> Sources::find(api::CrossNamespaceSourceReference ref, api::ObjectKey key) {
  const std::string& api_version = ref.api_version.empty() ? std::string(api::api_version::kSourceV1) : ref.api_version;
  SLUICE_CO_TRY(api::GroupVersionKind kind, api::GroupVersionKind::parse(api_version, ref.kind));
  const auto known = kinds_.find(kind.group_kind());
  // A watch that is refused, or whose version is served no more, may be behind for ever.
  if (known != kinds_.end() && known->second->has_synced() && !known->second->last_error()) {
    if (Object found = known->second->find(key)) co_return found;
    // It may be newer than the watch, or in a namespace that is not watched.
  }
  auto resource = co_await services_.mapper->resource_for(std::move(kind));
  SLUICE_CO_TRY(const kube::Resource served, std::move(resource));
  watch_kind(served);
  auto object = co_await read(served, key);
  // Meanwhile the watch may have told of something newer, and nobody would tell it again.
  const auto watched = kinds_.find({served.group, served.kind});
  if (watched != kinds_.end() && watched->second->has_synced() && !watched->second->last_error()) {
    Object seen = watched->second->find(key);
    if (seen && (!object ||
                 controller::is_older_version(api::resource_version_of(**object), api::resource_version_of(*seen)))) {
      co_return seen;
    }
  }
  co_return object;
}

}  // namespace sluice::sources
