#include "kube/detail/credentials.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <thread>

#include "kube/detail/exec_plugin.hpp"
#include "support/run_task.hpp"
#include "support/temp_folder.hpp"

using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::kube::Config;
using sluice::kube::ExecPlugin;
using sluice::kube::detail::Credentials;
using sluice::kube::detail::run_exec_plugin;
using sluice::test::TempFolder;
namespace base = sluice::base;
namespace http = sluice::http;
namespace rt = sluice::rt;
using namespace std::chrono_literals;

namespace {

constexpr const char* kVersion = "client.authentication.k8s.io/v1";

ExecPlugin shell(const std::string& script, std::map<std::string, std::string> env = {}) {
  return {kVersion, "sh", {"-c", script}, std::move(env), {}};
}

Result<std::string> run_plugin(const ExecPlugin& plugin, std::chrono::milliseconds limit = 10s,
                               std::stop_token stop = {}) {
  return run_exec_plugin(plugin, limit, std::move(stop));
}

// Prints a credential and notes each run in `log`.
ExecPlugin counting(const TempFolder& folder, const std::string& more) {
  const std::string log = (folder.path() / "runs").string();
  return shell("echo run >> " + log + "; n=$(wc -l < " + log + "); " + more +
               R"(; printf '{"apiVersion":"%s","kind":"ExecCredential","status":{"token":"t%d"}}' )" + kVersion +
               " $n");
}
int runs(const TempFolder& folder) {
  std::ifstream in(folder.path() / "runs");
  return static_cast<int>(std::count(std::istreambuf_iterator<char>(in), {}, '\n'));
}

struct Fixture {
  rt::Runtime runtime{4};
  base::ManualClock clock{*base::parse_time("2026-01-31T10:00:00Z")};
  std::shared_ptr<http::Client> http = *http::Client::create(runtime, "http://127.0.0.1:1");

  Credentials of(Config config) { return Credentials(runtime, std::move(config), clock); }
  Result<Credentials::Generation> authorize(Credentials& credentials, std::string& header) {
    http::Request request;
    auto outcome = sluice::test::run(runtime, credentials.authorize(request, *http));
    header = std::string(request.headers.find("Authorization"));
    return outcome;
  }
};

rt::Task<void> authorize_into(Credentials& credentials, http::Client& client,
                              std::vector<Result<std::string>>& outcomes) {
  http::Request request;
  auto outcome = co_await credentials.authorize(request, client);
  if (outcome) {
    outcomes.emplace_back(std::string(request.headers.find("Authorization")));
  } else {
    outcomes.emplace_back(base::unexpected(outcome.error()));
  }
}

std::vector<Result<std::string>> authorize_many(Fixture& fixture, Credentials& credentials, int count) {
  std::vector<Result<std::string>> outcomes;
  rt::TaskGroup group;
  for (int i = 0; i < count; ++i) {
    group.spawn(fixture.runtime.context(), authorize_into(credentials, *fixture.http, outcomes));
  }
  const auto joined = [](rt::TaskGroup& tasks) -> rt::Task<int> {
    co_await tasks.join();
    co_return 0;
  };
  sluice::test::run(fixture.runtime, joined(group));
  return outcomes;
}

}  // namespace

TEST_CASE("a token file is read again when its minute is over, and its old token stands while it cannot be") {
  const TempFolder folder;
  folder.write("token", "one\n");
  Fixture fixture;
  Config config;
  config.token_file = (folder.path() / "token").string();
  Credentials credentials = fixture.of(config);
  std::string header;
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer one");
  folder.write("token", "two");
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer one");
  fixture.clock.advance(61s);
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer two");
  std::filesystem::remove(folder.path() / "token");
  fixture.clock.advance(61s);
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer two");
  folder.write("token", "three");
  fixture.clock.advance(6s);
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer three");
}

TEST_CASE("a 401 makes a token file be read at once; only the first of those that got it counts") {
  const TempFolder folder;
  folder.write("token", "one");
  Fixture fixture;
  Config config;
  config.token_file = (folder.path() / "token").string();
  Credentials credentials = fixture.of(config);
  std::string header;
  const auto first = fixture.authorize(credentials, header);
  REQUIRE(first);
  folder.write("token", "two");
  CHECK(credentials.expire(*first));
  const auto second = fixture.authorize(credentials, header);
  REQUIRE(second);
  CHECK(header == "Bearer two");
  folder.write("token", "three");
  CHECK(credentials.expire(*first));  // a late answer to the old token: ours is newer already
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer two");
  Config fixed;
  fixed.token = "x";
  CHECK_FALSE(fixture.of(fixed).expire(0));
}

TEST_CASE("a token file that was never there, or is empty, is an error") {
  const TempFolder folder;
  Fixture fixture;
  Config config;
  config.token_file = (folder.path() / "token").string();
  std::string header;
  Credentials missing = fixture.of(config);
  CHECK_FALSE(fixture.authorize(missing, header));
  folder.write("token", "\n");
  Credentials empty = fixture.of(config);
  CHECK(fixture.authorize(empty, header).error().kind == ErrorKind::unauthorized);
}

TEST_CASE("many who need a credential at once run the plugin once, and share what it says") {
  const TempFolder folder;
  Fixture fixture;
  Config config;
  config.exec = counting(folder, "sleep 0.05");
  Credentials credentials = fixture.of(config);
  for (const auto& outcome : authorize_many(fixture, credentials, 20)) {
    REQUIRE(outcome);
    CHECK(*outcome == "Bearer t1");
  }
  CHECK(runs(folder) == 1);
}

TEST_CASE("a plugin that fails fails all who wait for it, once; the next request tries again") {
  const TempFolder folder;
  Fixture fixture;
  Config config;
  config.exec = counting(folder, "sleep 0.05; [ $n -gt 1 ] || exit 3");
  Credentials credentials = fixture.of(config);
  for (const auto& outcome : authorize_many(fixture, credentials, 5)) CHECK_FALSE(outcome);
  CHECK(runs(folder) == 1);
  std::string header;
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(header == "Bearer t2");
}

TEST_CASE("whoever runs the plugin may be cancelled: another one takes over") {
  const TempFolder folder;
  Fixture fixture;
  Config config;
  config.exec = counting(folder, "[ $n -gt 1 ] || sleep 10");
  Credentials credentials = fixture.of(config);
  std::vector<Result<std::string>> cancelled;
  std::vector<Result<std::string>> outcomes;
  const auto story = [](Fixture& f, Credentials& c, std::vector<Result<std::string>>& first,
                        std::vector<Result<std::string>>& second) -> rt::Task<int> {
    rt::TaskGroup leader;
    rt::TaskGroup waiter;
    leader.spawn(f.runtime.context(), authorize_into(c, *f.http, first));
    co_await rt::sleep_for(50ms);
    waiter.spawn(f.runtime.context(), authorize_into(c, *f.http, second));
    co_await rt::sleep_for(10ms);
    leader.cancel();
    co_await leader.join();
    co_await waiter.join();
    co_return 0;
  };
  sluice::test::run(fixture.runtime, story(fixture, credentials, cancelled, outcomes));
  CHECK(cancelled.empty());
  REQUIRE(outcomes.size() == 1);
  REQUIRE(outcomes[0]);
  CHECK(*outcomes[0] == "Bearer t2");
}

TEST_CASE("what a plugin prints is checked: its kind, its version, and that there is a credential") {
  Fixture fixture;
  const auto refused = [&fixture](const std::string& output) {
    Config config;
    config.exec = shell("printf %s '" + output + "'");
    Credentials credentials = fixture.of(config);
    std::string header;
    const auto outcome = fixture.authorize(credentials, header);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().kind == ErrorKind::unauthorized);
    return outcome.error().message;
  };
  const std::string head = std::string(R"({"apiVersion":")") + kVersion + R"(","kind":"ExecCredential")";
  CHECK(refused("") == "exec plugin 'sh' did not print an ExecCredential");
  CHECK(refused("{}") == "exec plugin 'sh' did not print an ExecCredential");
  CHECK(refused(R"({"apiVersion":"v1","kind":"ExecCredential","status":{"token":"t"}})").find("apiVersion 'v1'") !=
        std::string::npos);
  CHECK(refused(head + "}") == "exec plugin 'sh' printed neither token nor certificate");
  CHECK(refused(head + R"(,"status":{"token":"t","expirationTimestamp":"soon"}})").find("no time") !=
        std::string::npos);
}

TEST_CASE("a credential that expires is fetched anew before it does") {
  const TempFolder folder;
  Fixture fixture;
  Config config;
  const std::string log = (folder.path() / "runs").string();
  config.exec = shell("echo run >> " + log + R"(; printf '{"apiVersion":"%s","kind":"ExecCredential","status":)" +
                      R"({"token":"t","expirationTimestamp":"2026-01-31T10:05:00Z"}}' )" + kVersion);
  Credentials credentials = fixture.of(config);
  std::string header;
  REQUIRE(fixture.authorize(credentials, header));
  fixture.clock.advance(4min);
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(runs(folder) == 1);
  fixture.clock.advance(55s);
  REQUIRE(fixture.authorize(credentials, header));
  CHECK(runs(folder) == 2);
}

TEST_CASE("an exec plugin's output is read, its failure and its absence are errors") {
  const auto good = run_plugin(shell("printf %s \"$WORD\"", {{"WORD", "hi"}}));
  REQUIRE(good);
  CHECK(*good == "hi");
  const auto failed = run_plugin(shell("exit 3"));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::unauthorized);
  CHECK(failed.error().message == "exec plugin 'sh' failed with status 3");
  CHECK(run_plugin(shell("kill -9 $$")).error().message == "exec plugin 'sh' failed with signal 9");
  CHECK(run_plugin({"v1", "/does/not/exist", {}, {}, {}}).error().kind == ErrorKind::unauthorized);
}

TEST_CASE("a plugin's own environment wins over what is inherited, and it learns of its cluster") {
  ::setenv("SLUICE_TEST_WORD", "inherited", 1);
  const auto word = run_plugin(shell("env | grep ^SLUICE_TEST_WORD=", {{"SLUICE_TEST_WORD", "its own"}}));
  ::unsetenv("SLUICE_TEST_WORD");
  REQUIRE(word);
  CHECK(*word == "SLUICE_TEST_WORD=its own\n");
  ExecPlugin plugin = shell("printf %s \"$KUBERNETES_EXEC_INFO\"");
  plugin.cluster_info = R"({"server":"https://x"})";
  const auto info = run_plugin(plugin);
  REQUIRE(info);
  CHECK(*info == R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
                 R"("spec":{"cluster":{"server":"https://x"},"interactive":false}})");
}

TEST_CASE("a plugin that closes its output and sleeps is killed when its time is up, with its children") {
  const TempFolder folder;
  const std::string pid_file = (folder.path() / "pid").string();
  const auto late = run_plugin(shell("sleep 60 & echo $! > " + pid_file + "; exec >&-; wait"), 200ms);
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::timeout);
  pid_t child = 0;
  std::ifstream(pid_file) >> child;
  REQUIRE(child > 0);
  // It is gone, or a zombie that nobody has waited for yet.
  bool gone = false;
  for (int i = 0; i < 200 && !gone; ++i) {
    std::ifstream status("/proc/" + std::to_string(child) + "/stat");
    std::string text;
    std::getline(status, text);
    gone = text.empty() || text.find(") Z") != std::string::npos;
    if (!gone) std::this_thread::sleep_for(5ms);
  }
  CHECK(gone);
}

TEST_CASE("a plugin that leaves a helper behind on its output is over when it ends itself") {
  const auto output = run_plugin(shell("sleep 3 & printf done"));
  REQUIRE(output);
  CHECK(*output == "done");
}

TEST_CASE("a plugin that prints without end, or is told to stop, is ended") {
  CHECK(run_plugin(shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")).error().kind ==
        ErrorKind::too_large);
  std::stop_source stop;
  stop.request_stop();
  CHECK(run_plugin(shell("sleep 60"), 60s, stop.get_token()).error().kind == ErrorKind::cancelled);
}
