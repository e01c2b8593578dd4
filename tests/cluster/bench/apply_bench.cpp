// What a server-side apply costs this side of the wire.
//
//   apply_bench COUNT CONNECTIONS     dry-run applies of one ConfigMap, against the cluster of $KUBECONFIG
//
// Prints requests a second, CPU time a request and resident memory, with all
// connections open. Not a test: there is nothing here that could fail by being slow.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>

#include "kube/client.hpp"
#include "support/run_task.hpp"

namespace {

namespace kube = sluice::kube;
namespace rt = sluice::rt;
using sluice::doc::Json;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string resident() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return line.substr(line.find_first_not_of(" \t", 6));
  }
  return "?";
}

Json config_map(int number) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", "bench-" + std::to_string(number)}, {"namespace", "default"}}},
          {"data", {{"key", "value"}, {"other", std::string(200, 'x')}}}};
}

rt::Task<void> work(std::shared_ptr<kube::Client> client, int& left, int& failed) {
  const kube::Resource maps{"", "v1", "ConfigMap", "configmaps", true};
  while (left > 0) {
    kube::ApplyOptions options{"bench", true, true};
    auto applying = client->apply(maps, config_map(--left % 100), options);
    auto answer = co_await std::move(applying);
    if (!answer) {
      if (failed++ == 0) fmt::print(stderr, "{}\n", answer.error().message);
    }
  }
}

rt::Task<int> run_all(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, int count, std::size_t workers) {
  int failed = 0;
  rt::TaskGroup group;
  for (std::size_t i = 0; i < workers; ++i) group.spawn(runtime.context(), work(client, count, failed));
  co_await group.join();
  co_return failed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int count = std::atoi(argv[1]);
  auto config = kube::load_config({});
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message);
    return 1;
  }
  config->max_connections = static_cast<std::size_t>(std::atoi(argv[2]));
  const std::size_t workers = config->max_connections;
  rt::Runtime runtime;
  fmt::print("before: {}\n", resident());
  auto client = kube::Client::create(runtime, *config);
  if (!client) return 1;
  fmt::print("with a client: {}\n", resident());
  int failed = sluice::test::run(runtime, run_all(runtime, *client, static_cast<int>(workers) * 2, workers));
  fmt::print("{} connections open: {}\n", workers, resident());
  const double cpu = cpu_seconds();
  const auto started = std::chrono::steady_clock::now();
  failed += sluice::test::run(runtime, run_all(runtime, *client, count, workers));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  fmt::print("{} applies, {} failed: {:.0f}/s, {:.1f} us of CPU each\n", count, failed, count / took.count(),
             (cpu_seconds() - cpu) * 1e6 / count);
  fmt::print("after: {}\n", resident());
  return failed == 0 ? 0 : 1;
}
