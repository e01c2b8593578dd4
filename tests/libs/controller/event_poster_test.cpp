#include "controller/event_poster.hpp"

#include "harness.hpp"
#include "http/server.hpp"

using namespace std::chrono_literals;
using namespace sluice::test;
using sluice::controller::EventPoster;
using sluice::controller::EventRecord;
using sluice::controller::Severity;
using sluice::doc::Json;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

// An event server that answers as the test says.
struct Sink {
  explicit Sink(rt::Runtime& runtime) {
    auto handler = [this](http::Request request) { return take(*this, std::move(request)); };
    server = *http::Server::start(runtime, "127.0.0.1:0", handler);
  }
  static rt::Task<http::Reply> take(Sink& sink, http::Request request) {
    sink.requests.push_back(std::move(request));
    if (sink.delay > 0ms) co_await rt::sleep_for(sink.delay);
    http::Reply reply;
    reply.status = sink.status;
    co_return reply;
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server->port()) + "/"; }

  int status = 202;
  std::chrono::milliseconds delay{0};
  std::vector<http::Request> requests;
  std::unique_ptr<http::Server> server;
};

struct PosterHarness : Harness {
  PosterHarness() {
    options.controller = "foo-controller";
    options.instance = "foo-controller-0";
    options.first_pause = 1ms;
  }
  // What runs is ended first, then goes what it ran on: the poster's connections live on the loop.
  ~PosterHarness() {
    runtime->shutdown(std::chrono::seconds(0));
    runtime->run();
    poster.reset();
    sink.server.reset();
    runtime.reset();
  }
  void start(const std::string& url) {
    auto made = EventPoster::create(*runtime, url, clock, sluice::base::Logger::discard(), options);
    REQUIRE(made);
    poster = *std::move(made);
    runtime->spawn("poster", poster->run());
  }
  void emit(std::string message, Severity severity = Severity::info, const std::string& name = "a") {
    Json foo = make_foo(name);
    foo["metadata"]["uid"] = "uid-1";
    foo["metadata"]["resourceVersion"] = "17";
    foo["metadata"]["annotations"] = {{"event.toolkit.fluxcd.io/team", "blue"},
                                      {"example.com/other", "x"},
                                      {"event.toolkit.fluxcd.io/revision", "of the object"}};
    EventRecord record;
    record.severity = severity;
    record.reason = "BuildFailed";
    record.message = std::move(message);
    record.annotations = {{"example.com/revision", "main@sha1:abc"},
                          {"event.toolkit.fluxcd.io/revision", "of the daemon"}};
    poster->emit(foo, std::move(record));
  }

  sluice::base::ManualClock clock{sluice::base::TimePoint(1767225600s)};
  sluice::controller::EventPosterOptions options;
  Sink sink{*runtime};
  std::unique_ptr<EventPoster> poster;
};

}  // namespace

TEST_CASE("an event is posted in the JSON that upstream's notification-controller reads") {
  PosterHarness h;
  h.start(h.sink.url());
  h.emit("kustomize build failed", Severity::error);
  until(*h.runtime, [&] { return h.sink.requests.size() == 1; });
  const auto& request = h.sink.requests[0];
  CHECK(request.method == "POST");
  CHECK(request.target == "/");
  CHECK(request.headers.find("Content-Type") == "application/json");
  CHECK(Json::parse(request.body) == Json::parse(R"({
    "involvedObject": {"apiVersion": "example.com/v1", "kind": "Foo", "namespace": "apps", "name": "a",
                       "uid": "uid-1", "resourceVersion": "17"},
    "severity": "error", "timestamp": "2026-01-01T00:00:00Z",
    "message": "kustomize build failed", "reason": "BuildFailed",
    "metadata": {"example.com/revision": "main@sha1:abc", "event.toolkit.fluxcd.io/team": "blue",
                 "event.toolkit.fluxcd.io/revision": "of the daemon"},
    "reportingController": "foo-controller", "reportingInstance": "foo-controller-0"})"));
}

TEST_CASE("what the event server refuses is not sent again, a 429 least of all; a 5xx is, some times") {
  PosterHarness h;
  h.start(h.sink.url());
  h.sink.status = GENERATE(429, 400);
  h.emit("one");
  h.emit("two");
  until(*h.runtime, [&] { return h.sink.requests.size() == 2; });
  settle(*h.runtime, 50ms);
  CHECK(h.sink.requests.size() == 2);
  h.sink.status = 503;
  h.emit("three");
  until(*h.runtime, [&] { return h.sink.requests.size() == 7; });
  settle(*h.runtime, 50ms);
  CHECK(h.sink.requests.size() == 7);
  h.emit("four");  // the server is away: tried once, until it is back
  until(*h.runtime, [&] { return h.sink.requests.size() == 8; });
  h.sink.status = 202;
  h.emit("five");
  until(*h.runtime, [&] { return h.sink.requests.size() == 9; });
}

TEST_CASE("traces are not posted, and a full queue drops the oldest") {
  PosterHarness h;
  h.options.max_queued = 3;
  h.sink.delay = 50ms;
  h.start(h.sink.url());
  h.emit("trace", Severity::trace);
  h.emit("first");
  until(*h.runtime, [&] { return h.sink.requests.size() == 1; });
  for (int i = 0; i < 5; ++i) h.emit("more " + std::to_string(i));
  until(*h.runtime, [&] { return h.sink.requests.size() == 4; });
  settle(*h.runtime, 80ms);
  REQUIRE(h.sink.requests.size() == 4);
  CHECK(Json::parse(h.sink.requests[0].body)["message"] == "first");
  CHECK(Json::parse(h.sink.requests[1].body)["message"] == "more 2");
  CHECK(Json::parse(h.sink.requests[3].body)["message"] == "more 4");
}

TEST_CASE("an address that is no URL is refused") {
  PosterHarness h;
  CHECK_FALSE(EventPoster::create(*h.runtime, ":9090", h.clock, sluice::base::Logger::discard(), h.options));
}

TEST_CASE("when the queue is full of one object's events, another's stay") {
  PosterHarness h;
  h.options.max_queued_bytes = 40'000;
  h.sink.delay = 50ms;
  h.start(h.sink.url());
  h.emit("first");
  until(*h.runtime, [&] { return h.sink.requests.size() == 1; });
  h.emit("quiet", Severity::info, "b");
  for (int i = 0; i < 10; ++i) h.emit(std::to_string(i) + std::string(12'000, 'x'));
  until(*h.runtime, [&] { return h.sink.requests.size() == 5; });
  settle(*h.runtime, 80ms);
  REQUIRE(h.sink.requests.size() == 5);
  CHECK(Json::parse(h.sink.requests[1].body)["message"] == "quiet");
  CHECK(Json::parse(h.sink.requests[2].body)["message"].get<std::string>()[0] == '7');
  CHECK(Json::parse(h.sink.requests[4].body)["message"].get<std::string>()[0] == '9');
}

TEST_CASE("a long message is cut, and metadata is bounded, the object's before the daemon's") {
  Json foo = make_foo("a");
  for (int i = 0; i < 100; ++i) {
    foo["metadata"]["annotations"]["event.toolkit.fluxcd.io/" + std::to_string(i)] = std::string(1000, 'v');
  }
  EventRecord record;
  record.message = std::string(100'000, 'm');
  record.annotations = {{"example.com/revision", std::string(10'000, 'r')}};
  const Json event = sluice::controller::event_json(foo, record, {}, {});
  const auto message = event["message"].get<std::string>();
  CHECK(message.size() == 16 * 1024);
  CHECK(message.ends_with("m..."));
  CHECK(event["metadata"].size() == 7);
  CHECK(event["metadata"].contains("example.com/revision"));
}
