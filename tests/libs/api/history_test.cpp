#include "api/history.hpp"

#include <catch2/catch.hpp>

using namespace sluice;

namespace {

api::ReconcileRecord record(std::string digest, std::string status, int second) {
  return {std::move(digest),
          std::move(status),
          base::TimePoint(std::chrono::seconds(1'000'000 + second)),
          std::chrono::milliseconds(1500),
          {{"revision", std::to_string(second)}}};
}

std::vector<std::string> digests(const api::History& history) {
  std::vector<std::string> out;
  for (const auto& snapshot : history) out.push_back(snapshot.digest);
  return out;
}

}  // namespace

TEST_CASE("a new outcome becomes the newest snapshot") {
  api::History history;
  api::upsert(history, record("sha256:a", "ReconciliationSucceeded", 0));
  api::upsert(history, record("sha256:b", "ReconciliationSucceeded", 1));
  api::upsert(history, record("sha256:b", "HealthCheckFailed", 2));
  CHECK(digests(history) == std::vector<std::string>{"sha256:b", "sha256:b", "sha256:a"});
  CHECK(history.front().last_reconciled_status == "HealthCheckFailed");
  CHECK(history.front().total_reconciliations == 1);
}

TEST_CASE("the same outcome again is counted and comes to the front") {
  api::History history;
  api::upsert(history, record("sha256:a", "S", 0));
  api::upsert(history, record("sha256:b", "S", 1));
  api::upsert(history, record("sha256:c", "S", 2));
  api::upsert(history, record("sha256:a", "S", 9));
  CHECK(digests(history) == std::vector<std::string>{"sha256:a", "sha256:c", "sha256:b"});
  const auto& newest = history.front();
  CHECK(newest.total_reconciliations == 2);
  CHECK(newest.last_reconciled - newest.first_reconciled == std::chrono::seconds(9));
  CHECK(newest.metadata.at("revision") == "9");
}

TEST_CASE("only the five newest snapshots stay") {
  api::History history;
  for (int i = 0; i < 7; ++i) api::upsert(history, record("sha256:" + std::to_string(i), "S", i));
  CHECK(digests(history) == std::vector<std::string>{"sha256:6", "sha256:5", "sha256:4", "sha256:3", "sha256:2"});
}

TEST_CASE("a history is read back as it was printed") {
  api::History history;
  api::upsert(history, record("sha256:a", "S", 0));
  const auto value = api::to_json(history);
  CHECK(value == doc::Json::parse(R"([{"digest": "sha256:a", "firstReconciled": "1970-01-12T13:46:40Z",
      "lastReconciled": "1970-01-12T13:46:40Z", "lastReconciledDuration": "1.5s", "lastReconciledStatus": "S",
      "totalReconciliations": 1, "metadata": {"revision": "0"}}])"));
  const auto read = api::parse_history(value);
  REQUIRE(read);
  CHECK(*read == history);
}
