// One active replica at a time, by a coordination.k8s.io/v1 Lease. Runs on the
// loop. Works with client-go's electors on the same lease: record and timing
// are theirs (k8s.io/client-go tools/leaderelection).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

struct LeaderElectionOptions {
  bool enabled = false;
  base::Duration lease_duration = std::chrono::seconds(35);
  base::Duration renew_deadline = std::chrono::seconds(30);
  base::Duration retry_period = std::chrono::seconds(5);
  bool release_on_cancel = true;
};

class LeaderElector {
 public:
  // `identity` must differ between replicas ("<pod>_<uuid>").
  LeaderElector(std::shared_ptr<kube::Client> client, const base::Clock& clock, base::Logger log, api::ObjectKey lease,
                std::string identity, LeaderElectionOptions options);

  // Returns when the lease is ours; asks every retry period.
  rt::Task<void> acquire();
  // Keeps it; returns when it is lost (not renewed within the deadline, or
  // somebody else holds it). Who led must stop at once then.
  rt::Task<void> keep();
  // Gives it up, so that another replica need not wait for it to expire.
  rt::Task<void> release();
  bool is_leader() const noexcept { return leading_; }

 private:
  rt::Task<base::Result<bool>> try_acquire_or_renew();
  rt::Task<base::Result<bool>> create_lease();
  void report_not_acquired(const base::Error& error) const;
  doc::Json with_spec(doc::Json lease, bool is_transition) const;

  std::shared_ptr<kube::Client> client_;
  const base::Clock& clock_;
  base::Logger log_;
  api::ObjectKey lease_;
  std::string identity_;
  LeaderElectionOptions options_;
  bool leading_ = false;
  // When the request was sent that last made the lease ours: others count from no later than that.
  base::SteadyPoint renewed_at_{};
  // Expiry counts from when we saw the record change, so that clocks of
  // replicas need not agree.
  doc::Json observed_spec_;
  base::SteadyPoint observed_at_{};
};

}  // namespace sluice::controller
