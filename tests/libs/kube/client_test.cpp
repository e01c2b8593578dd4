#include "kube/client.hpp"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "libs/http/peers.hpp"
#include "libs/kube/scripted_server.hpp"
#include "support/raw_server.hpp"

using sluice::base::ErrorKind;
using sluice::doc::Json;
using sluice::test::kMaps;
using sluice::test::kRoles;
using sluice::test::RawServer;
using sluice::test::ScriptedServer;
namespace kube = sluice::kube;
using namespace std::chrono_literals;

namespace {

const char* kTooMany = R"({"kind":"Status","code":429,"reason":"TooManyRequests","message":"slow down"})";

Json config_map(const std::string& namespace_, const std::string& name) {
  Json object{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}};
  if (!namespace_.empty()) object["metadata"]["namespace"] = namespace_;
  return object;
}

template <class T>
ErrorKind kind_of(const sluice::base::Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().kind;
}

sluice::rt::Task<void> get_and_forget(std::shared_ptr<kube::Client> client) {
  auto getting = client->get(kMaps, {"ns", "hang"});
  const auto got = co_await std::move(getting);
  static_cast<void>(got);
}

sluice::rt::Task<int> join(sluice::rt::TaskGroup& group) {
  co_await group.join();
  co_return 0;
}

std::shared_ptr<kube::Client> client_of(sluice::rt::Runtime& runtime, int port) {
  kube::Config config;
  config.server = "http://127.0.0.1:" + std::to_string(port);
  auto client = kube::Client::create(runtime, config);
  REQUIRE(client);
  return *client;
}

}  // namespace

TEST_CASE("no name, namespace or kind can lead a request to another path; nothing is sent") {
  ScriptedServer server;
  const auto client = server.client();
  for (const std::string bad : {"", ".", "..", "a/b", "../../secrets/x", "a%2Fb", "/"}) {
    CAPTURE(bad);
    CHECK(kind_of(server.run(client->remove(kMaps, {"ns", bad}, {}))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->remove(kRoles, {"", bad}, {}))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->get(kMaps, {"ns", bad}))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->apply(kMaps, config_map("ns", bad), {"m"}))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->update(kMaps, config_map("ns", bad), "m"))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->patch(kMaps, {"ns", bad}, kube::PatchType::merge, {}, {}))) == ErrorKind::invalid);
    if (bad.empty()) continue;
    CHECK(kind_of(server.run(client->remove(kMaps, {bad, "x"}, {}))) == ErrorKind::invalid);
    CHECK(kind_of(server.run(client->create(kMaps, config_map(bad, "x"), "m"))) == ErrorKind::invalid);
    kube::ListOptions options;
    options.namespace_ = bad;
    CHECK(kind_of(server.run(client->list(kMaps, options))) == ErrorKind::invalid);
    kube::WatchOptions watch;
    watch.namespace_ = bad;
    CHECK(kind_of(server.run(client->watch(kMaps, watch))) == ErrorKind::invalid);
    kube::Resource resource = kMaps;
    resource.plural = bad;
    CHECK(kind_of(server.run(client->remove(resource, {"ns", "x"}, {}))) == ErrorKind::invalid);
    kube::PatchOptions patch;
    patch.subresource = bad;
    CHECK(kind_of(server.run(client->patch(kMaps, {"ns", "x"}, kube::PatchType::merge, {}, patch))) ==
          ErrorKind::invalid);
  }
  CHECK(server.requests.empty());
}

TEST_CASE("a namespaced object without a namespace is not there, and cannot be written") {
  ScriptedServer server;
  const auto client = server.client();
  CHECK(kind_of(server.run(client->remove(kMaps, {"", "x"}, {}))) == ErrorKind::not_found);
  CHECK(kind_of(server.run(client->get(kMaps, {"", "x"}))) == ErrorKind::not_found);
  const auto applied = server.run(client->apply(kMaps, config_map("", "x"), {"m"}));
  CHECK(kind_of(applied) == ErrorKind::invalid);
  CHECK(applied.error().message == "ConfigMap 'x' is namespaced and has no namespace");
  CHECK(kind_of(server.run(client->create(kMaps, config_map("", "x"), "m"))) == ErrorKind::invalid);
  CHECK(server.requests.empty());
}

TEST_CASE("who impersonates is sent with every group, UID and extra field") {
  ScriptedServer server;
  kube::Impersonation who;
  who.user = "system:serviceaccount:ns:robot";
  who.uid = "42";
  who.groups = {"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"};
  who.extra = {{"example.com/Scopes", {"a", "b"}}};
  const auto client = server.client()->impersonate_as(who);
  REQUIRE(server.run(client->get(kMaps, {"ns", "x"})));
  REQUIRE(server.requests.size() == 1);
  const auto& request = server.requests[0];
  CHECK(ScriptedServer::values(request, "Impersonate-User") == std::vector<std::string>{who.user});
  CHECK(ScriptedServer::values(request, "Impersonate-Group") == who.groups);
  CHECK(ScriptedServer::values(request, "Impersonate-Uid") == std::vector<std::string>{"42"});
  CHECK(ScriptedServer::values(request, "Impersonate-Extra-example.com%2FScopes") ==
        std::vector<std::string>{"a", "b"});
}

TEST_CASE("whoever impersonates nobody, or breaks out of a header, acts as nobody at all") {
  ScriptedServer server;
  const auto nobody = server.client()->impersonate("", {"system:masters"});
  CHECK(kind_of(server.run(nobody->get(kMaps, {"ns", "x"}))) == ErrorKind::invalid);
  CHECK(kind_of(server.run(nobody->watch(kMaps, {}))) == ErrorKind::invalid);
  const auto smuggler = server.client()->impersonate("x\r\nImpersonate-Group: system:masters", {});
  CHECK(kind_of(server.run(smuggler->get(kMaps, {"ns", "x"}))) == ErrorKind::invalid);
  CHECK(server.requests.empty());
}

TEST_CASE("a kubeconfig's impersonation holds for the client made from it") {
  ScriptedServer server;
  kube::Config config = server.config();
  config.impersonate = kube::Impersonation{"jane", {}, {}, {}};
  REQUIRE(server.run(server.client(config)->get(kMaps, {"ns", "x"})));
  CHECK(ScriptedServer::values(server.requests.at(0), "Impersonate-User") == std::vector<std::string>{"jane"});
}

TEST_CASE("a 429 is waited out, for a watch too, and never answered with a spin") {
  ScriptedServer server;
  const auto client = server.client();
  server.then(429, kTooMany, {{"Retry-After", "0"}});
  const auto started = std::chrono::steady_clock::now();
  CHECK(server.run(client->get(kMaps, {"ns", "x"})));
  CHECK(server.requests.size() == 2);
  CHECK(std::chrono::steady_clock::now() - started >= 100ms);
  server.then(429, kTooMany, {{"Retry-After", "0"}});
  CHECK(server.run(client->watch(kMaps, {})));
  CHECK(server.requests.size() == 4);
}

TEST_CASE("a 429 that asks for more patience than a request has is returned with what it asks for") {
  ScriptedServer server;
  server.then(429, kTooMany, {{"Retry-After", "3600"}});
  const auto refused = server.run(server.client()->get(kMaps, {"ns", "x"}));
  CHECK(kind_of(refused) == ErrorKind::rate_limited);
  CHECK(refused.error().retry_after == 3600s);
  CHECK(server.requests.size() == 1);
}

TEST_CASE("a refused watch carries the server's words, however long its answer is") {
  ScriptedServer server;
  const std::string words(40'000, 'x');
  server.then(403, Json{{"kind", "Status"}, {"code", 403}, {"reason", "Forbidden"}, {"message", words}}.dump());
  const auto refused = server.run(server.client()->watch(kMaps, {}));
  CHECK(kind_of(refused) == ErrorKind::forbidden);
  CHECK(refused.error().message == words);
}

TEST_CASE("a list whose items are no objects is an error, never a crash") {
  ScriptedServer server;
  for (const char* body : {R"({"items":[1]})", R"({"items":["x"]})", R"({"items":[null]})", R"({"items":[[]]})"}) {
    server.then(200, body);
    CHECK(kind_of(server.run(server.client()->list(kMaps, {}))) == ErrorKind::unavailable);
  }
  for (const char* body : {R"({"items":{}})", R"({"items":null})", "[]", "null", "3"}) {
    server.then(200, body);
    const auto list = server.run(server.client()->list(kMaps, {}));
    if (list) CHECK(list->items.empty());
  }
  server.then(200, "not json");
  CHECK_FALSE(server.run(server.client()->list(kMaps, {})));
}

TEST_CASE("a watch that is cut within an event is broken; one that ends between two has ended") {
  sluice::rt::Runtime runtime;
  const std::string event = R"({"type":"ADDED","object":{"kind":"ConfigMap"}})";
  const auto last_of = [&runtime](const std::string& stream) {
    RawServer server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + stream);
    const auto client = client_of(runtime, server.port());
    auto watch = sluice::test::run(runtime, client->watch(kMaps, {}));
    REQUIRE(watch);
    auto first = sluice::test::run(runtime, (*watch)->next());
    REQUIRE(first);
    REQUIRE(first->has_value());
    return sluice::test::run(runtime, (*watch)->next());
  };
  const auto ended = last_of(event + "\n");
  REQUIRE(ended);
  CHECK_FALSE(ended->has_value());
  CHECK(kind_of(last_of(event + "\n" + event.substr(0, 20))) == ErrorKind::unavailable);
}

TEST_CASE("a large event of a watch is parsed on the pool, and a small one where it is read") {
  sluice::rt::Runtime runtime(1);
  const auto event = [](std::size_t size) {
    return R"({"type":"ADDED","object":{"kind":"ConfigMap","data":{"a":")" + std::string(size, 'x') + "\"}}}\n";
  };
  RawServer server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + event(10) + event(200'000) + event(10));
  const auto client = client_of(runtime, server.port());
  std::atomic<bool> let_go = false;
  std::atomic<int> begun = 0;
  // All threads that there are, which the daemon may have.
  for (int i = 0; i < 16; ++i) {
    runtime.post_blocking("", [&] {
      ++begun;
      while (!let_go) std::this_thread::sleep_for(1ms);
    });
  }
  auto watch = sluice::test::run(runtime, client->watch(kMaps, {}));
  REQUIRE(watch);
  REQUIRE(sluice::test::run(runtime, (*watch)->next()));
  std::thread later([&] {
    std::this_thread::sleep_for(50ms);
    let_go = true;
  });
  const auto large = sluice::test::run(runtime, (*watch)->next());
  CHECK(let_go);  // it had to wait for a thread
  later.join();
  REQUIRE(large);
  REQUIRE(large->has_value());
  CHECK((*large)->object["data"]["a"].get<std::string>().size() == 200'000);
  const auto last = sluice::test::run(runtime, (*watch)->next());
  REQUIRE(last);
  CHECK(last->has_value());
}

TEST_CASE("requests on behalf of a namespace that hang hold up no others, and impersonation keeps the share") {
  std::atomic<int> hung = 0;
  const sluice::test::SocketServer server([&hung](int fd, int) {
    using namespace sluice::test;
    for (std::string request = read_request(fd); !request.empty(); request = read_request(fd)) {
      if (request.find("/hang") == std::string::npos)
        send_text(fd, answer_of("{}"));
      else
        ++hung;
    }
  });
  sluice::rt::Runtime runtime;
  kube::Config config;
  config.server = "http://127.0.0.1:" + std::to_string(server.port());
  config.max_connections = 4;
  const auto daemon = kube::Client::create(runtime, config);
  REQUIRE(daemon);
  const auto slow = (*daemon)->on_behalf_of("slow");
  sluice::rt::TaskGroup group;
  for (int i = 0; i < 10; ++i) {
    group.spawn(runtime.context(), get_and_forget(slow));
    group.spawn(runtime.context(), get_and_forget(slow->impersonate("somebody", {})));
  }
  const auto turn = [&runtime](auto is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    runtime.context().restart();
    while (!is_so() && std::chrono::steady_clock::now() < deadline) runtime.context().run_for(20ms);
  };
  turn([&] { return hung >= 4; });
  turn([n = 0]() mutable { return ++n > 2; });
  CHECK(hung == 4);
  CHECK(sluice::test::run(runtime, (*daemon)->on_behalf_of("quick")->get(kMaps, {"ns", "a"})));
  for (int space = 0; space < 6; ++space) {
    for (int i = 0; i < 5; ++i) {
      group.spawn(runtime.context(), get_and_forget((*daemon)->on_behalf_of(std::to_string(space))));
    }
  }
  turn([&] { return hung >= 8; });
  CHECK(sluice::test::run(runtime, (*daemon)->get(kMaps, {"ns", "a"})));
  group.cancel();
  sluice::test::run(runtime, join(group));
}

TEST_CASE("an apply may be sent twice when a kept connection breaks, a create may not") {
  ScriptedServer server;
  const auto client = server.client();
  REQUIRE(server.run(client->apply(kMaps, config_map("ns", "x"), {"m"})));
  CHECK(server.requests.at(0).method == "PATCH");
  CHECK(server.requests.at(0).headers.find("Content-Type") == "application/apply-patch+yaml");
  CHECK(server.requests.at(0).headers.find("Accept-Encoding").empty());
}
