// kustomize-controller: see kustomization_reconciler.hpp.
#include <memory>

#include "api/names.hpp"
#include "controller/app.hpp"
#include "kustomization_reconciler.hpp"
#include "options.hpp"

namespace {

using namespace sluice;
using kustomize_controller::KustomizationReconciler;
using kustomize_controller::KustomizeOptions;

rt::Task<base::Result<void>> setup(controller::App& app, const KustomizeOptions& own) {
  SLUICE_CO_TRY(auto custom_stage, kustomize_controller::custom_stage_of(own));
  artifact::FetcherOptions fetching;
  fetching.cache.root = own.artifact_folder.empty() ? controller::environment("TMPDIR", "/tmp") : own.artifact_folder;
  fetching.host_override = controller::environment("SOURCE_CONTROLLER_LOCALHOST", "");
  SLUICE_CO_TRY(auto fetcher, artifact::Fetcher::create(app.runtime(), std::move(fetching)));

  apply::LiveOptions live;
  live.owner_group = api::group::kKustomize;
  live.field_manager = api::field_manager::kKustomizeController;
  live.foreign = apply::foreign_managers(live.field_manager, own.override_managers);
  auto mapper = std::make_shared<kube::RestMapper>(app.mapper());
  live.mapper = mapper;
  auto sources = std::make_shared<sources::Sources>(sources::SourceServices{
      app.runtime(), app.client(), mapper, app.clock(), app.log(), app.options().watched_namespace()});
  auto reconciler = std::make_shared<KustomizationReconciler>(
      kustomize_controller::ReconcilerServices{
          app.runtime(), app.server_clock(), app.metrics(), mapper, std::move(fetcher),
          apply::LiveObjects::create(app.runtime(), app.client(), app.log(), std::move(live)), sources},
      app.options(), own, std::move(custom_stage));
  reconciler->attach(app.add(reconciler));
  sources->start();
  co_return base::Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  auto options = controller::default_options(std::string(api::field_manager::kKustomizeController));
  KustomizeOptions own;
  controller::FlagSet flags(options.name, "Builds and applies what artifacts hold, and keeps it as it is");
  controller::add_common_flags(flags, options);
  kustomize_controller::add_flags(flags, own);
  if (const auto code = flags.parse_or_exit_code(argc, argv)) return *code;
  return controller::run_app(options, [&own](controller::App& app) { return setup(app, own); });
}
