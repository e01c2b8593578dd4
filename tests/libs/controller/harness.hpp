// What the tests of this library share: a made-up kind, and a loop that turns
// until something is so.
#pragma once

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>

#include "controller/event_recorder.hpp"
#include "controller/metrics.hpp"
#include "controller/watch_cache.hpp"
#include "rt/runtime.hpp"
#include "support/fake_kube.hpp"

namespace sluice::test {

inline const kube::Resource kFoos{"example.com", "v1", "Foo", "foos", true};
inline const kube::Resource kEvents{"", "v1", "Event", "events", true};

inline doc::Json make_foo(const std::string& name, int size = 1, const std::string& space = "apps") {
  doc::Json foo = doc::Json::object();
  foo["apiVersion"] = "example.com/v1";
  foo["kind"] = "Foo";
  foo["metadata"]["name"] = name;
  foo["metadata"]["namespace"] = space;
  foo["spec"]["size"] = size;
  return foo;
}

inline api::ObjectKey foo_key(const std::string& name) { return {"apps", name}; }

// Turns the loop until `is_so`, or fails after `limit`.
inline void until(rt::Runtime& runtime, const std::function<bool()>& is_so,
                  std::chrono::milliseconds limit = std::chrono::seconds(5)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  runtime.context().restart();
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("it never became so");
    runtime.context().run_one_for(std::chrono::milliseconds(10));
  }
}

// Turns the loop for a while, to see that nothing happens.
inline void settle(rt::Runtime& runtime, std::chrono::milliseconds time = std::chrono::milliseconds(20)) {
  runtime.context().restart();
  runtime.context().run_for(time);
}

class RecordedEvents final : public controller::EventRecorder {
 public:
  void emit(const doc::Json& object, controller::EventRecord record) override {
    names.emplace_back(api::name_of(object));
    records.push_back(std::move(record));
  }
  rt::Task<void> wait_sent(const doc::Json&, base::Duration) override {
    if (on_wait) on_wait();
    co_return;
  }
  std::vector<std::string> names;
  std::vector<controller::EventRecord> records;
  std::function<void()> on_wait;
};

// The runtime goes first, and with it whatever still uses the rest.
struct Harness {
  std::shared_ptr<FakeKube> kube = std::make_shared<FakeKube>();
  RecordedEvents events;
  controller::Metrics metrics;
  std::unique_ptr<rt::Runtime> runtime = std::make_unique<rt::Runtime>(1);

  controller::WatchCacheOptions cache_options() const {
    controller::WatchCacheOptions options;
    options.resource = kFoos;
    options.min_backoff = std::chrono::milliseconds(1);
    options.max_backoff = std::chrono::milliseconds(8);
    return options;
  }
};

}  // namespace sluice::test
