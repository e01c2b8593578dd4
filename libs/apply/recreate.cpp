// The half of ApplySet that judges a refused dry run, and deletes an object to
// create it anew where that is asked for.
#include <fmt/format.h>

#include <utility>

#include "api/names.hpp"
#include "apply/adoption.hpp"
#include "apply/apply_set.hpp"
#include "apply/detail/job.hpp"
#include "apply/object_watch.hpp"
#include "apply/ownership.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kDeletionLimit{60};
constexpr std::size_t kTrialNameLength = 40;
constexpr std::string_view kTrial = "sluice-trial";

// There is no reason of its own for a change of what cannot be changed. Upstream
// takes every Conflict and Invalid for one, and the words of webhooks and policies.
// Facts: fluxcd/pkg ssa/errors/immutable.go.
bool may_be_immutable(const base::Error& error) {
  return error.reason == "Conflict" || error.reason == "Invalid" ||
         error.message.find("is immutable") != std::string::npos ||
         error.message.find("immutable field") != std::string::npos;
}

// The object under a name that nobody has, so that creating it can be tried while
// the old one is there. Names of some kinds are made of their fields.
void rename_for_trial(Json& object) {
  const std::string kind(api::kind_of(object));
  Json& metadata = object["metadata"];
  if (kind == "CustomResourceDefinition" || kind == "APIService") {
    const std::string group = fmt::format("{}.{}", kTrial, doc::find_string(object, {"spec", "group"}));
    const std::string_view first = kind == "APIService" ? doc::find_string(object, {"spec", "version"})
                                                        : doc::find_string(object, {"spec", "names", "plural"});
    metadata["name"] = fmt::format("{}.{}", first, group);
    if (object["spec"].is_object()) object["spec"]["group"] = group;
    return;
  }
  const std::string name(api::name_of(object).substr(0, kTrialNameLength));
  metadata["name"] = fmt::format("{}-{:08x}", kTrial, static_cast<std::uint32_t>(hash_of(Json(name))));
  // What the old one holds until it is gone.
  const auto found = object.find("spec");
  if (kind != "Service" || found == object.end() || !found->is_object()) return;
  Json& spec = *found;
  if (doc::find_string(spec, {"clusterIP"}) != "None") {
    spec.erase("clusterIP");
    spec.erase("clusterIPs");
  }
  spec.erase("healthCheckNodePort");
  const auto ports = spec.find("ports");
  if (ports == spec.end() || !ports->is_array()) return;
  for (Json& port : *ports) {
    if (port.is_object()) port.erase("nodePort");
  }
}

}  // namespace

rt::Task<Result<void>> ApplySet::judge_refusal(Job& job, const ApplyOptions& options, base::Error refused) {
  if (refused.http_status < 400 || refused.http_status >= 500) co_return base::unexpected(std::move(refused));
  auto reading = services_.client->get(job.resource, job.id.key());
  auto live = co_await std::move(reading);
  if (!live) co_return base::unexpected(std::move(refused));
  if (job.manifest->if_not_present || is_switched_off(*live)) {
    skip(job, std::string(api::resource_version_of(*live)), std::string(api::uid_of(*live)));
    co_return Result<void>();
  }
  const bool by_object =
      job.manifest->force || has_switch(*live, api::annotation::kForce, api::annotation_value::kEnabled);
  if (!may_be_immutable(refused) || !(by_object || options.force)) co_return base::unexpected(std::move(refused));
  if (!by_object && holds_others(job.id.group_kind())) {
    refused.message += fmt::format(
        "; it is not deleted and created anew, as that would delete what it holds: only the "
        "annotation '{}: {}' on the object itself makes it so",
        api::annotation::kForce, api::annotation_value::kEnabled);
    co_return base::unexpected(std::move(refused));
  }
  auto possible = co_await try_creation(job);
  if (!possible) {
    refused.message +=
        "; it is not deleted and created anew, as the new one would be refused, too: " + possible.error().message;
    co_return base::unexpected(std::move(refused));
  }
  job.recreate = true;
  job.exists = false;
  co_return Result<void>();
}

// Would the server take the object, were it new? Nobody may lose the old one over a manifest that is wrong.
rt::Task<Result<void>> ApplySet::try_creation(const Job& job) {
  Json object = job.object;
  rename_for_trial(object);
  kube::ApplyOptions dry;
  dry.field_manager = owner_.field_manager;
  dry.dry_run = true;
  auto created = co_await services_.client->apply(job.resource, std::move(object), dry);
  if (!created) co_return base::unexpected(std::move(created).error());
  co_return Result<void>();
}

// A field that we had applied and that is gone from the manifest, and that the server keeps without a word: what
// is wrong then, or "". Where a Service is without a cluster IP, it stays so whatever an update says.
// Facts: kubernetes pkg/registry/core/service/storage (values that an update leaves out are taken from the old one).
bool is_removal_lost(const api::ObjectId& id, const Json& manifest, const Json& seen) {
  return id.group.empty() && id.kind == "Service" && doc::find_string(seen, {"spec", "clusterIP"}) == "None" &&
         doc::find(manifest, {"spec", "clusterIP"}) == nullptr &&
         doc::find(manifest, {"spec", "clusterIPs"}) == nullptr;
}

rt::Task<Result<std::string>> ApplySet::find_lost_removal(const Job& job) {
  auto reading = services_.client->get(job.resource, job.id.key());
  auto live = co_await std::move(reading);
  if (!live && live.error().kind == ErrorKind::not_found) co_return std::string();
  if (!live) co_return base::unexpected(std::move(live).error());
  if (!has_applied(*live, owner_.field_manager, {"spec", "clusterIP"})) co_return std::string();
  co_return std::string(
      "spec.clusterIP: Invalid value: \"None\": field is immutable: it is gone from the manifest, and "
      "the server would keep the Service without a cluster IP");
}

rt::Task<Result<void>> ApplySet::remove_to_recreate(const Job& job) {
  auto reading = services_.client->get(job.resource, job.id.key());
  auto live = co_await std::move(reading);
  if (!live && live.error().kind == ErrorKind::not_found) co_return Result<void>();
  if (!live) co_return base::unexpected(std::move(live).error());
  const std::string uid(api::uid_of(*live));
  kube::DeleteOptions options;
  options.uid = uid;
  services_.live->await_return(job.resource, job.id.key(), owner_.key());
  auto removing = services_.client->remove(job.resource, job.id.key(), options);
  auto removed = co_await std::move(removing);
  if (!removed && removed.error().kind != ErrorKind::not_found) {
    co_return base::unexpected(std::move(removed).error().with_context("immutable field changed, failed to delete"));
  }
  // Finalizers may hold it for a while.
  api::GroupVersionKind kind{job.id.group, job.manifest->version, job.id.kind};
  auto waiting = await_gone(services_.client, services_.mapper, std::move(kind), job.id.key(), uid, kDeletionLimit);
  const Departure departure = co_await std::move(waiting);
  // Where nobody knows, the creation is tried: what is deleted is not to stay away for want of an answer.
  if (departure.state != Departure::State::there) co_return Result<void>();
  co_return base::unexpected(
      ErrorKind::timeout,
      fmt::format("immutable field changed; the old object is deleted, and not gone after {} s: {}; the new one is "
                  "created once it is",
                  kDeletionLimit.count(), departure.why));
}

}  // namespace sluice::apply
