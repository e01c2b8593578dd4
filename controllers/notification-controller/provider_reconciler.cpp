#include "provider_reconciler.hpp"

#include <utility>

#include "api/names.hpp"
#include "courier.hpp"
#include "http/client.hpp"

namespace sluice::notification_controller {

namespace {

constexpr base::Duration kLookAgain = std::chrono::minutes(10);
constexpr base::Duration kLookAgainInTrouble = std::chrono::minutes(1);
constexpr std::string_view kDispatchFailed = "NotificationDispatchFailed";  // Flux: reason of events on Alerts

// A certificate that does not parse is found by making a client of it.
base::Result<void> check_certificates(rt::Runtime& runtime, const Endpoint& endpoint) {
  http::ClientOptions options;
  options.tls = endpoint.tls;
  auto made = http::Client::create(runtime, endpoint.url.origin(), std::move(options));
  if (made) return {};
  base::Error error = std::move(made).error();
  error.message = endpoint.mask(std::move(error.message));
  return base::unexpected(std::move(error));
}

}  // namespace

ProviderReconciler::ProviderReconciler(rt::Runtime& runtime, Trouble trouble,
                                       std::function<void(const api::ObjectKey&)> gone)
    : runtime_(runtime), trouble_(std::move(trouble)), gone_(std::move(gone)) {
  traits_.resource = {std::string(api::group::kNotification), "v1beta3", std::string(api::kind::kProvider), "providers",
                      true};
  traits_.status_manager = api::field_manager::kNotificationController;
}

base::Result<std::unique_ptr<ProviderRun>> ProviderReconciler::begin(controller::RunContext& context) {
  SLUICE_TRY(auto provider, api::parse_provider(*context.object));
  return std::make_unique<ProviderRun>(ProviderRun{context, std::move(provider)});
}

controller::Steps<ProviderRun> ProviderReconciler::steps() {
  return {{"check_endpoint", [this](ProviderRun& run) { return check_endpoint(run); }},
          {"check_deliveries", [this](ProviderRun& run) { return check_deliveries(run); }}};
}

rt::Task<controller::StepResult> ProviderReconciler::check_endpoint(ProviderRun& run) {
  rt::Task<base::Result<Endpoint>> reading = read_endpoint(run.context.client, run.provider);
  auto endpoint = co_await std::move(reading);
  base::Result<void> checked;
  if (endpoint) {
    checked = check_certificates(runtime_, *endpoint);
  } else {
    checked = base::unexpected(std::move(endpoint).error());
  }
  if (checked) co_return controller::kContinue;
  // Secrets can be mended without an edit of the Provider, the spec cannot.
  const bool has_secrets = run.provider.spec.secret_ref || run.provider.spec.cert_secret_ref;
  base::Error error = std::move(checked).error();
  if (!has_secrets && error.kind == base::ErrorKind::invalid) {
    co_return controller::stall(api::reason::kInvalidSpec, std::move(error));
  }
  co_return controller::retry(api::reason::kValidationFailed, std::move(error));
}

rt::Task<controller::StepResult> ProviderReconciler::check_deliveries(ProviderRun& run) {
  if (auto trouble = trouble_(run.context.key())) {
    base::Error error;
    error.kind = base::ErrorKind::unavailable;
    error.message = "the last delivery failed and is tried again: " + *trouble;
    // A Warning, though this run does well itself; once for each trouble.
    const auto& said = run.context.conditions;
    const bool is_said = said.reason(api::condition::kReady) == kDispatchFailed &&
                         said.message(api::condition::kReady).find(*trouble) != std::string_view::npos;
    if (!is_said) run.context.event(controller::Severity::error, kDispatchFailed, error.message);
    co_return controller::wait_quietly_for(kDispatchFailed, std::move(error), kLookAgainInTrouble);
  }
  run.context.ready_reason = api::reason::kSucceeded;
  run.context.ready_message = "Ready to send as type " + run.provider.spec.type;
  controller::Done done;
  done.requeue_after = kLookAgain;
  co_return done;
}

}  // namespace sluice::notification_controller
