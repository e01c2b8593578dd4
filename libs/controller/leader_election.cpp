#include "controller/leader_election.hpp"

#include <utility>

namespace sluice::controller {

namespace {

const kube::Resource& lease_resource() {
  static const kube::Resource resource{"coordination.k8s.io", "v1", "Lease", "leases", true};
  return resource;
}

doc::Json spec_of(const doc::Json& lease) {
  const auto* spec = doc::find(lease, {"spec"});
  return spec == nullptr ? doc::Json::object() : *spec;
}

std::int64_t transitions_of(const doc::Json& lease) {
  const auto* value = doc::find(lease, {"spec", "leaseTransitions"});
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

}  // namespace

LeaderElector::LeaderElector(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log,
                             api::ObjectKey lease, std::string identity, LeaderElectionOptions options)
    : client_(std::move(client)),
      clock_(clock),
      log_(std::move(log)),
      lease_(std::move(lease)),
      identity_(std::move(identity)),
      options_(options) {}

doc::Json LeaderElector::with_spec(doc::Json lease, bool is_transition) const {
  const std::string now = base::format_micro_time(clock_.now());
  const std::int64_t transitions = transitions_of(lease);
  auto& spec = lease["spec"];
  if (is_transition || !spec.contains("acquireTime")) spec["acquireTime"] = now;
  spec["holderIdentity"] = identity_;
  spec["leaseDurationSeconds"] = std::chrono::duration_cast<std::chrono::seconds>(options_.lease_duration).count();
  spec["renewTime"] = now;
  spec["leaseTransitions"] = transitions + (is_transition ? 1 : 0);
  return lease;
}

rt::Task<base::Result<bool>> LeaderElector::create_lease() {
  doc::Json lease = doc::Json::object();
  lease["apiVersion"] = "coordination.k8s.io/v1";
  lease["kind"] = "Lease";
  lease["metadata"]["name"] = lease_.name;
  lease["metadata"]["namespace"] = lease_.namespace_;
  auto creating = client_->create(lease_resource(), with_spec(std::move(lease), false), lease_.name);
  auto created = co_await std::move(creating);
  if (created) {
    observed_spec_ = spec_of(*created);
    observed_at_ = clock_.steady();
    co_return true;
  }
  if (created.error().kind == base::ErrorKind::already_exists) co_return false;
  co_return base::unexpected(std::move(created).error());
}

// True: the lease is ours. False: somebody else holds it, or was faster.
rt::Task<base::Result<bool>> LeaderElector::try_acquire_or_renew() {
  auto asking = client_->get(lease_resource(), lease_);
  auto got = co_await std::move(asking);
  if (!got) {
    if (got.error().kind != base::ErrorKind::not_found) co_return base::unexpected(std::move(got).error());
    auto created = co_await create_lease();
    co_return created;
  }
  const doc::Json spec = spec_of(*got);
  if (spec != observed_spec_) {
    observed_spec_ = spec;
    observed_at_ = clock_.steady();
  }
  const auto holder = doc::find_string(spec, {"holderIdentity"});
  const bool ours = holder == identity_;
  const bool expired = clock_.steady() - observed_at_ >= options_.lease_duration;
  if (!ours && !holder.empty() && !expired) co_return false;
  // The resourceVersion that was read rides along: of two who try, one gets 409.
  // The field manager is not the identity, which may be longer than one may be.
  auto updating = client_->update(lease_resource(), with_spec(*std::move(got), !ours), lease_.name);
  auto updated = co_await std::move(updating);
  if (!updated) {
    if (updated.error().kind == base::ErrorKind::conflict) co_return false;
    co_return base::unexpected(std::move(updated).error());
  }
  observed_spec_ = spec_of(*updated);
  observed_at_ = clock_.steady();
  co_return true;
}

void LeaderElector::report_not_acquired(const base::Error& error) const {
  if (error.kind != base::ErrorKind::forbidden) {
    log_.info("lease not acquired", {{"lease", lease_.str()}, {"error", error.message}});
    return;
  }
  // A Role that allows another name is the usual cause: no replica of the shard would ever lead.
  log_.error(
      "lease not acquired, and nothing is reconciled before it is: allow get and update of this lease, by "
      "resourceNames of a Role in its namespace, and create of leases; a shard's lease is named after its "
      "--watch-label-selector",
      error, {{"lease", lease_.str()}});
}

rt::Task<void> LeaderElector::acquire() {
  bool said = false;
  for (;;) {
    renewed_at_ = clock_.steady();
    auto asking = rt::with_timeout(try_acquire_or_renew(), options_.renew_deadline, "acquiring the lease");
    auto got = co_await std::move(asking);
    if (got && *got) break;
    // Once per outage, not at each try.
    if (!got && !said) report_not_acquired(got.error());
    said = !got;
    co_await rt::sleep_for(options_.retry_period);
  }
  leading_ = true;
  log_.info("became leader", {{"lease", lease_.str()}, {"identity", identity_}});
}

rt::Task<void> LeaderElector::keep() {
  for (;;) {
    co_await rt::sleep_for(options_.retry_period);
    const base::SteadyPoint asked_at = clock_.steady();
    const base::Duration left = options_.renew_deadline - (asked_at - renewed_at_);
    if (left <= base::Duration::zero()) break;
    auto asking = rt::with_timeout(try_acquire_or_renew(), left, "renewing the lease");
    auto got = co_await std::move(asking);
    if (got && *got) {
      renewed_at_ = asked_at;
      continue;
    }
    // A lost race over the same record is no loss of the lease; another holder is.
    if (got && doc::find_string(observed_spec_, {"holderIdentity"}) != identity_) break;
    if (!got) log_.info("lease not renewed", {{"lease", lease_.str()}, {"error", got.error().message}});
    if (clock_.steady() - renewed_at_ >= options_.renew_deadline) break;
  }
  leading_ = false;
  log_.error("lease lost", {{"lease", lease_.str()}});
}

rt::Task<void> LeaderElector::release() {
  if (!leading_) co_return;
  leading_ = false;
  auto asking = client_->get(lease_resource(), lease_);
  auto got = co_await std::move(asking);
  if (!got || doc::find_string(*got, {"spec", "holderIdentity"}) != identity_) co_return;
  // client-go: an empty holder with a duration of one second may be taken at once.
  const std::string now = base::format_micro_time(clock_.now());
  auto& spec = (*got)["spec"];
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  spec["renewTime"] = now;
  spec["acquireTime"] = now;
  auto updating = client_->update(lease_resource(), *std::move(got), lease_.name);
  auto updated = co_await std::move(updating);
  if (!updated) log_.info("lease not released", {{"lease", lease_.str()}, {"error", updated.error().message}});
}

}  // namespace sluice::controller
