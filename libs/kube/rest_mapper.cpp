#include "kube/rest_mapper.hpp"

#include <fmt/format.h>

#include <map>
#include <optional>

#include "base/clock.hpp"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kMinRefresh{1};

base::Unexpected no_match(const std::string& what) {
  base::Error error;
  error.kind = ErrorKind::not_found;
  error.reason = "NoKindMatch";
  error.message = fmt::format("the API server does not serve {}; is its CustomResourceDefinition installed?", what);
  return base::unexpected(std::move(error));
}

}  // namespace

struct RestMapper::Impl {
  std::shared_ptr<Client> client;
  std::map<api::GroupVersionKind, Resource> by_kind;
  std::map<api::GroupKind, Resource> preferred;
  std::optional<base::SteadyPoint> refreshed;
  bool refreshing = false;
  rt::Notify refresh_ended;
  std::optional<base::Error> last_error;

  // Reads one APIGroupDiscoveryList (apidiscovery.k8s.io/v2): groups and their
  // versions, each in the server's order of preference.
  void add_groups(const Json& answer) {
    const Json* groups = doc::find(answer, {"items"});
    if (groups == nullptr || !groups->is_array()) return;
    for (const Json& group : *groups) {
      const std::string group_name(doc::find_string(group, {"metadata", "name"}));
      const Json* versions = doc::find(group, {"versions"});
      if (versions == nullptr || !versions->is_array()) continue;
      for (const Json& version : *versions) add_version(group_name, version);
    }
  }

  void add_version(const std::string& group, const Json& version) {
    const std::string version_name(doc::find_string(version, {"version"}));
    const Json* resources = doc::find(version, {"resources"});
    if (resources == nullptr || !resources->is_array()) return;
    for (const Json& entry : *resources) {
      Resource resource;
      resource.group = group;
      resource.version = version_name;
      resource.kind = std::string(doc::find_string(entry, {"responseKind", "kind"}));
      resource.plural = std::string(doc::find_string(entry, {"resource"}));
      resource.namespaced = doc::find_string(entry, {"scope"}) == "Namespaced";
      if (resource.kind.empty() || resource.plural.empty()) continue;
      preferred.emplace(api::GroupKind{group, resource.kind}, resource);
      by_kind.emplace(api::GroupVersionKind{group, version_name, resource.kind}, resource);
    }
  }
};

namespace {

// One discovery at a time; whoever comes meanwhile waits for its end.
template <class Impl>
rt::Task<Result<void>> refresh(std::shared_ptr<Impl> impl) {
  if (impl->refreshing) {
    co_await impl->refresh_ended.wait();
    if (impl->last_error) co_return base::unexpected(*impl->last_error);
    co_return Result<void>();
  }
  struct Ended {
    Impl& impl;
    ~Ended() {
      impl.refreshing = false;
      impl.refresh_ended.notify_all();
    }
  };
  impl->refreshing = true;
  impl->last_error.reset();
  const Ended ended{*impl};
  auto core = co_await impl->client->raw_get("/api");
  if (!core) {
    impl->last_error = core.error();
    co_return base::unexpected(std::move(core).error().with_context("discovery"));
  }
  auto groups = co_await impl->client->raw_get("/apis");
  if (!groups) {
    impl->last_error = groups.error();
    co_return base::unexpected(std::move(groups).error().with_context("discovery"));
  }
  impl->by_kind.clear();
  impl->preferred.clear();
  impl->add_groups(*core);
  impl->add_groups(*groups);
  impl->refreshed = base::system_clock().steady();
  co_return Result<void>();
}

template <class Map, class Impl>
rt::Task<Result<Resource>> look_up(std::shared_ptr<Impl> impl, Map Impl::*map, typename Map::key_type key) {
  const auto found = ((*impl).*map).find(key);
  if (found != ((*impl).*map).end()) co_return found->second;
  const auto now = base::system_clock().steady();
  if (!impl->refreshed || now - *impl->refreshed >= kMinRefresh) {
    auto refreshed = co_await refresh(impl);
    if (!refreshed) co_return base::unexpected(std::move(refreshed).error());
  }
  if (!impl->refreshed) {  // the one whose discovery we waited for was cancelled
    co_return base::unexpected(ErrorKind::unavailable, "discovery was cut short");
  }
  const auto again = ((*impl).*map).find(key);
  if (again == ((*impl).*map).end()) co_return no_match(key.str());
  co_return again->second;
}

}  // namespace

RestMapper::RestMapper(std::shared_ptr<Client> client) : impl_(std::make_shared<Impl>()) {
  impl_->client = std::move(client);
}
RestMapper::~RestMapper() = default;

rt::Task<Result<Resource>> RestMapper::resource_for(api::GroupVersionKind kind) {
  auto found = co_await look_up(impl_, &Impl::by_kind, std::move(kind));
  co_return found;
}

rt::Task<Result<Resource>> RestMapper::resource_for_group_kind(std::string group, std::string kind) {
  api::GroupKind key{std::move(group), std::move(kind)};
  auto found = co_await look_up(impl_, &Impl::preferred, std::move(key));
  co_return found;
}

void RestMapper::invalidate() {
  impl_->by_kind.clear();
  impl_->preferred.clear();
  impl_->refreshed.reset();
}

}  // namespace sluice::kube
