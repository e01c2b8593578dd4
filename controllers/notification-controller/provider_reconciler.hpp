// Provider (notification.toolkit.fluxcd.io/v1beta3): can it be sent to?
//
// 1. check_endpoint  address, Secrets and certificates read  Stalled InvalidSpec, or retried ValidationFailed
// 2. check_deliveries  the last delivery went well           waits, NotificationDispatchFailed, with a Warning
//
// Nothing is sent to find out. Secrets are not watched, so it looks again every
// ten minutes and after each change of the deliveries' fortune.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/provider.hpp"
#include "controller/reconciler.hpp"
#include "kube/client.hpp"

namespace sluice::notification_controller {

struct ProviderRun {
  controller::RunContext& context;
  api::Provider provider;
};

class ProviderReconciler final : public controller::StepReconciler<ProviderRun> {
 public:
  // Why the last delivery to a Provider failed; nothing while all is well.
  using Trouble = std::function<std::optional<std::string>(const api::ObjectKey&)>;

  ProviderReconciler(rt::Runtime& runtime, Trouble trouble, std::function<void(const api::ObjectKey&)> gone);

  const controller::KindTraits& traits() const override { return traits_; }
  base::Result<std::unique_ptr<ProviderRun>> begin(controller::RunContext& context) override;
  controller::Steps<ProviderRun> steps() override;
  void forget(const api::ObjectKey& key) override { gone_(key); }

 private:
  rt::Task<controller::StepResult> check_endpoint(ProviderRun& run);
  rt::Task<controller::StepResult> check_deliveries(ProviderRun& run);

  rt::Runtime& runtime_;
  Trouble trouble_;
  std::function<void(const api::ObjectKey&)> gone_;
  controller::KindTraits traits_;
};

}  // namespace sluice::notification_controller
