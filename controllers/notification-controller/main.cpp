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
  base::Duration event_grace = notification::DispatcherOptions().event_grace;
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

// What lives as long as the app, which owns it.
struct Daemon : std::enable_shared_from_this<Daemon> {
  Daemon(controller::App& app, const OwnOptions& own);
  void start(controller::App& app);

  static controller::WatchCache& cache_of(controller::App& app, std::string_view kind, const char* plural);
  static notification::DispatcherOptions dispatcher_options(controller::App& app, const OwnOptions& own);

  controller::WatchCache& alerts;
  controller::WatchCache& providers;
  notification::HttpCourier courier;
  notification::Journal journal;
  notification::Sources sources;
  notification::Dispatcher dispatcher;
};

// The cache that app.add() makes for the kind.
controller::WatchCache& Daemon::cache_of(controller::App& app, std::string_view kind, const char* plural) {
  controller::WatchCacheOptions options;
  options.resource = {std::string(api::group::kNotification), "v1beta3", std::string(kind), plural, true};
  options.label_selector = app.options().watch_label_selector;
  return app.cache(std::move(options));
}

notification::DispatcherOptions Daemon::dispatcher_options(controller::App& app, const OwnOptions& own) {
  notification::DispatcherOptions options;
  options.rate_limit_interval = own.rate_limit_interval;
  options.event_grace = own.event_grace;
  options.no_cross_namespace_refs = app.options().no_cross_namespace_refs;
  return options;
}

Daemon::Daemon(controller::App& app, const OwnOptions& own)
    : alerts(cache_of(app, api::kind::kAlert, "alerts")),
      providers(cache_of(app, api::kind::kProvider, "providers")),
      courier(app.runtime(), app.client()),
      journal(own.delivery_journal == "none" ? std::string() : own.delivery_journal, app.log()),
      sources(
          app.runtime(), app.log(),
          [&app](controller::WatchCacheOptions options) -> controller::WatchCache& {
            return app.cache(std::move(options));
          },
          [&app](std::string group, std::string kind) {
            return app.mapper().resource_for_group_kind(std::move(group), std::move(kind));
          }),
      dispatcher(app.services(), alerts, providers, sources, courier, journal, dispatcher_options(app, own)) {}

void Daemon::start(controller::App& app) {
  const bool own_namespace_only = app.options().no_cross_namespace_refs;
  auto& alert_controller = app.add(
      std::make_shared<notification::AlertReconciler>(alerts, providers, app.server_clock(), own_namespace_only));
  // An Alert's condition says whether its Provider is there.
  alert_controller.watch(providers, [this](const controller::Object& before, const controller::Object& now) {
    std::vector<api::ObjectKey> concerned;
    if (before && now) return concerned;
    const api::ObjectKey provider = api::key_of(now ? *now : *before);
    for (const auto& alert : alerts.list()) {
      const api::ObjectKey named{std::string(api::namespace_of(*alert)),
                                 std::string(doc::find_string(*alert, {"spec", "providerRef", "name"}))};
      if (named == provider) concerned.push_back(api::key_of(*alert));
    }
    return concerned;
  });
  auto& provider_controller = app.add(std::make_shared<notification::ProviderReconciler>(
      app.runtime(), [this](const api::ObjectKey& key) { return dispatcher.trouble(key); },
      [this](const api::ObjectKey& key) { courier.forget(key); }));
  dispatcher.on_trouble([&provider_controller](const api::ObjectKey& key) { provider_controller.enqueue(key); });
  app.while_leading("dispatcher", [self = shared_from_this()] { return self->dispatcher.run(); });
}

rt::Task<base::Result<void>> setup(controller::App& app, const OwnOptions& own) {
  std::make_shared<Daemon>(app, own)->start(app);
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
