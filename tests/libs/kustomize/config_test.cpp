#include "kustomize/reading/config.hpp"

#include <catch2/catch.hpp>

using sluice::kustomize::Config;

TEST_CASE("the default rules are in kustomize's order as the compiler sorted them") {
  Config sorted = *Config::defaults();
  sorted.sort();
  CHECK(sorted == *Config::defaults());
}

TEST_CASE("kinds that others need come first, webhooks last, and the others by their text") {
  const auto before = [](const char* a, const char* b) {
    const sluice::kustomize::Gvk x{"", "v1", a}, y{"", "v1", b};
    return x.before(y) && !y.before(x);
  };
  CHECK(before("Namespace", "ConfigMap"));
  CHECK(before("ConfigMap", "Zebra"));
  CHECK(before("Alpha", "Zebra"));
  CHECK(before("Zebra", "ValidatingWebhookConfiguration"));
  CHECK(sluice::kustomize::Gvk{"a", "v1", "X"}.before({"a", "", "X"}));  // nothing is written as a tilde
  CHECK_FALSE(sluice::kustomize::Gvk{"a", "v1", "X"}.before({"a", "v1", "X"}));
}
