// source-controller: turns repositories into artifacts and serves them.
#include <filesystem>
#include <memory>

#include "artifact/file_server.hpp"
#include "controller/app.hpp"
#include "git_repository_reconciler.hpp"
#include "options.hpp"

namespace {

using namespace sluice;

constexpr auto kBindAgain = std::chrono::seconds(5);
constexpr auto kCollectEvery = std::chrono::hours(6);
constexpr auto kUnusedCopies = std::chrono::hours(24 * 7);

// Why consumers cannot be served; "" while they can.
using ServerState = std::shared_ptr<std::string>;

rt::Task<void> serve_artifacts(controller::App& app, std::string address, std::filesystem::path root,
                               ServerState state) {
  std::unique_ptr<artifact::FileServer> server;
  while (!server) {
    auto started = artifact::FileServer::start(app.runtime(), address, root);
    if (started) {
      server = *std::move(started);
      break;
    }
    *state = started.error().message;
    app.log().error("cannot serve artifacts", started.error());
    co_await rt::sleep_for(kBindAgain);
  }
  state->clear();
  app.log().info("serving artifacts", {{"address", address}, {"port", server->port()}});
  rt::Notify never;
  co_await never.wait();
}

// Local copies of repositories that nobody follows any more.
rt::Task<void> collect_copies(controller::App& app, git::RepositoryCache cache) {
  for (;;) {
    auto work = [cache](std::stop_token) { return cache.collect(kUnusedCopies); };
    auto task = rt::run_blocking(app.runtime(), std::move(work));
    const auto removed = co_await std::move(task);
    if (!removed) app.log().error("cannot collect local copies of repositories", removed.error());
    co_await rt::sleep_for(kCollectEvery);
  }
}

rt::Task<base::Result<void>> setup(controller::App& app, const source_controller::SourceOptions& own) {
  SLUICE_CO_TRY(auto store_options, source_controller::store_options(own, app.options().pod_name));
  SLUICE_CO_TRY(auto store, artifact::Store::open(std::move(store_options), app.clock()));
  const std::filesystem::path root = store->root();
  const git::RepositoryCache cache(root / ".git-copies");
  app.add(
      std::make_shared<source_controller::GitRepositoryReconciler>(app.runtime(), app.server_clock(), store, cache));
  // Flux: only the leader serves, as only it has the artifacts that it names.
  const auto state = std::make_shared<std::string>("not serving: this replica does not lead");
  app.add_readiness_check("artifacts", [state] { return *state; });
  app.while_leading("artifact server", [&app, address = own.storage_addr, root, state] {
    return serve_artifacts(app, address, root, state);
  });
  app.while_leading("copies", [&app, cache] { return collect_copies(app, cache); });
  co_return base::Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  auto options = controller::default_options("source-controller");
  options.concurrent = 2;
  auto own = source_controller::default_source_options();
  controller::FlagSet flags(options.name, "Turns sources into artifacts and serves them");
  controller::add_common_flags(flags, options);
  source_controller::add_flags(flags, own);
  if (const auto code = flags.parse_or_exit_code(argc, argv)) return *code;
  if (options.worker_threads == 0) options.worker_threads = source_controller::worker_threads_for(options.concurrent);
  return controller::run_app(options, [&own](controller::App& app) { return setup(app, own); });
}
