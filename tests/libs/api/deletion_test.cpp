// What the deletion of a Kustomization reads of it.
#include <catch2/catch.hpp>

#include "api/kustomization.hpp"

using namespace sluice;
using api::DeletionPolicy;

namespace {

api::KustomizationDeletion read(doc::Json spec, doc::Json entries = doc::Json::array()) {
  doc::Json object = {{"spec", std::move(spec)}};
  object["status"]["inventory"]["entries"] = std::move(entries);
  return api::read_deletion(object);
}

}  // namespace

TEST_CASE("the policy says what becomes of the objects, prune only where the policy mirrors it") {
  CHECK(read({{"prune", true}}).policy == DeletionPolicy::remove);
  CHECK(read({{"prune", false}}).policy == DeletionPolicy::orphan);
  CHECK(read(doc::Json::object()).policy == DeletionPolicy::orphan);
  CHECK(read({{"prune", true}, {"deletionPolicy", "MirrorPrune"}}).policy == DeletionPolicy::remove);
  CHECK(read({{"prune", true}, {"deletionPolicy", "Orphan"}}).policy == DeletionPolicy::orphan);
  CHECK(read({{"prune", false}, {"deletionPolicy", "Delete"}}).policy == DeletionPolicy::remove);
  CHECK(read({{"prune", "?"}, {"deletionPolicy", "Delete"}}).policy == DeletionPolicy::remove);
  CHECK(read({{"deletionPolicy", "WaitForTermination"}}).policy == DeletionPolicy::wait_for_termination);
  CHECK(read({{"deletionPolicy", "Delete"}, {"suspend", true}}).policy == DeletionPolicy::orphan);
}

TEST_CASE("what cannot be read and matters leaves the objects, and is named") {
  for (const char* field : {"suspend", "prune", "deletionPolicy", "serviceAccountName"}) {
    doc::Json spec = {{"prune", true}};
    spec[field] = 7;
    const auto deletion = read(spec);
    CHECK(deletion.policy == DeletionPolicy::orphan);
    CHECK_FALSE(deletion.is_decided);
    REQUIRE(deletion.unreadable.size() == 1);
    CHECK(deletion.unreadable[0].starts_with(std::string("spec.") + field + ": "));
  }
}

TEST_CASE("what cannot be read and does not matter holds nothing up") {
  const auto deletion = read({{"prune", true}, {"interval", "99999999999h"}, {"timeout", 3}, {"patches", "?"}});
  CHECK(deletion.policy == DeletionPolicy::remove);
  CHECK(deletion.is_decided);
  CHECK(deletion.unreadable.size() == 2);
  CHECK(deletion.timeout == std::chrono::seconds(30));
  CHECK(read({{"prune", true}, {"interval", "5m"}}).timeout == std::chrono::seconds(270));
}

TEST_CASE("an entry that cannot be read costs that entry") {
  const auto deletion = read({{"prune", true}}, doc::Json::array({{{"id", "apps_a__ConfigMap"}, {"v", "v1"}},
                                                                  {{"id", "nonsense"}, {"v", "v1"}},
                                                                  {{"v", "v1"}},
                                                                  {{"id", "apps_b__ConfigMap"}, {"v", "v1"}}}));
  REQUIRE(deletion.inventory.entries.size() == 2);
  CHECK(deletion.inventory.entries[1].id == "apps_b__ConfigMap");
  CHECK(deletion.unreadable_entries.size() == 2);
  CHECK(read({{"prune", true}}, "?").unreadable_entries.size() == 1);
}
