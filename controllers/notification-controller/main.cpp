// notification-controller: tells people and programs what happens to Flux objects.
#include <memory>
#include <string>
#include <utility>

#include "alert_reconciler.hpp"
#include "api/names.hpp"
#include "controller/app.hpp"
#include "courier.hpp"
#include "dispatcher.hpp"
#include "journal.hpp"
#include "provider_reconciler.hpp"
#include "sources.hpp"

namespace {

using namespace sluice;

struct OwnOptions {
  base::Duration rate_limit_interval = std::chrono::minutes(5);
  base::Duration event_grace = notification_controller::DispatcherOptions().event_grace;
  std::string delivery_journal = "/tmp/notification-controller.journal";
};

void add_flags(controller::FlagSet& flags, OwnOptions& own) {
  flags.add("rate-limit-interval", own.rate_limit_interval, "Time in which the same news is not sent again.");
  flags.add("event-grace", own.event_grace,
            "How long an object's Event may be missing before its state is told without; 0 for no such thing.");
  flags.add("delivery-journal", own.delivery_journal,
            "File that narrows what a kill leaves in doubt; it may be lost. 'none' for none.");
  flags.accept_without_effect("receiverAddr", false, "Receivers are not implemented yet.");
  // Upstream: the address on which its event server listens.
  flags.accept_without_effect("events-addr", false, "there is no event server; Kubernetes Events are read.");
  flags.accept_without_effect("export-http-path-metrics", true, "there is no event server.");
}

// The cache that app.add() makes for the kind.
controller::WatchCache& cache_of(controller::App& app, std::string_view kind, const char* plural) {
  controller::WatchCacheOptions options;
  options.resource = {std::string(api::group::kNotification), "v1beta3", std::string(kind), plural, true};
  options.label_selector = app.options().watch_label_selector;
  return app.cache(std::move(options));
}

std::shared_ptr<notification_controller::Sources> make_sources(controller::App& app) {
  return std::make_shared<notification_controller::Sources>(
      app.runtime(), app.log(),
      [&app](controller::WatchCacheOptions options) -> controller::WatchCache& {
        return app.cache(std::move(options));
      },
      [&app](std::string group, std::string kind) {
        return app.mapper().resource_for_group_kind(std::move(group), std::move(kind));
      });
}

rt::Task<base::Result<void>> setup(controller::App& app, const OwnOptions& own) {
  using namespace notification_controller;
  const std::string journal = own.delivery_journal == "none" ? std::string() : own.delivery_journal;
  const auto courier = std::make_shared<HttpCourier>(app.runtime(), app.client(), app.log());
  const DispatcherParts parts{cache_of(app, api::kind::kAlert, "alerts"),
                              cache_of(app, api::kind::kProvider, "providers"), make_sources(app), courier,
                              std::make_shared<Journal>(journal, app.log())};
  DispatcherOptions options;
  options.rate_limit_interval = own.rate_limit_interval;
  options.event_grace = own.event_grace;
  options.no_cross_namespace_refs = app.options().no_cross_namespace_refs;
  const auto dispatcher = std::make_shared<Dispatcher>(app.services(), parts, options);

  const auto alerts = std::make_shared<AlertReconciler>(parts.alerts, parts.providers, app.server_clock(),
                                                        options.no_cross_namespace_refs);
  alerts->attach(app.add(alerts), parts.providers);
  auto& providers = app.add(std::make_shared<ProviderReconciler>(
      app.runtime(), [dispatcher](const api::ObjectKey& key) { return dispatcher->trouble(key); },
      [dispatcher, courier](const api::ObjectKey& key) {
        courier->forget(key);
        dispatcher->forget(key);
      }));
  dispatcher->on_trouble([&providers](const api::ObjectKey& key) { providers.enqueue(key); });
  app.while_leading("dispatcher", [dispatcher] { return dispatcher->run(); });
  co_return base::Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  auto options = controller::default_options(std::string(api::field_manager::kNotificationController));
  OwnOptions own;
  controller::FlagSet flags(options.name, "Sends notifications about Flux objects to Providers");
  controller::add_common_flags(flags, options);
  add_flags(flags, own);
  if (const auto code = flags.parse_or_exit_code(argc, argv)) return *code;
  return controller::run_app(options, [&own](controller::App& app) { return setup(app, own); });
}
