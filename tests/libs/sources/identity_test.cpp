#include "sources/identity.hpp"

#include <catch2/catch.hpp>

#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using sources::AccountState;
using sources::Identity;

TEST_CASE("who acts: the account that is named, else the default one, else the daemon") {
  CHECK(Identity::of("apps", "robot", "other") == Identity{"apps", "robot"});
  CHECK(Identity::of("apps", "", "other") == Identity{"apps", "other"});
  CHECK(Identity::of("apps", "", "").is_own());
  auto kube = std::make_shared<test::FakeKube>();
  auto robot = std::make_shared<test::FakeKube>();
  std::string user;
  kube->as = [&](const std::string& name, const std::vector<std::string>& groups) {
    CHECK(groups.empty());
    user = name;
    return robot;
  };
  CHECK(Identity{"apps", ""}.client(kube) == kube);
  CHECK(user.empty());
  CHECK(Identity{"apps", "robot"}.client(kube) == robot);
  CHECK(user == "system:serviceaccount:apps:robot");
}

TEST_CASE("an account is there, gone, or not ours to look at; another error is one") {
  rt::Runtime runtime(1);
  auto kube = std::make_shared<test::FakeKube>();
  const auto state = [&] { return test::run(runtime, sources::find_account(kube, Identity{"apps", "robot"})); };
  CHECK(*state() == AccountState::gone);
  kube->put({"", "v1", "ServiceAccount", "serviceaccounts", true},
            {{"metadata", {{"name", "robot"}, {"namespace", "apps"}}}});
  CHECK(*state() == AccountState::exists);
  kube->fail_next("get", test::make_error(base::ErrorKind::forbidden, "no"));
  CHECK(*state() == AccountState::unknown);
  kube->fail_next("get", test::make_error(base::ErrorKind::unavailable, "down"));
  CHECK_FALSE(state());
}
