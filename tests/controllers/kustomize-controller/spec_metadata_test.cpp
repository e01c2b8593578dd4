#include "kustomize-controller/spec_metadata.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using kustomize_controller::check_spec_metadata;

namespace {

std::string refused(api::StringMap labels, api::StringMap annotations = {}, std::string name = "shop") {
  api::Kustomization kustomization;
  kustomization.metadata.name = std::move(name);
  kustomization.spec.common_metadata = api::CommonMetadata{std::move(annotations), std::move(labels)};
  auto checked = check_spec_metadata(kustomization);
  return checked ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("labels and annotations that the API server takes pass") {
  CHECK(refused({{"team", "a"}, {"example.com/Team_1.x", ""}, {"a-b.c/d", std::string(63, 'x')}},
                {{"example.com/note", "any text: at all, \n and long " + std::string(1000, 'x')}, {"N", ""}})
            .empty());
}

TEST_CASE("what it refuses is told with the field of the spec") {
  CHECK(refused({{"team", "not a word"}}).starts_with("spec.commonMetadata.labels: 'team': the value must be"));
  CHECK(refused({{"team", std::string(64, 'x')}}).find("64 letters") != std::string::npos);
  CHECK(refused({{"team", "-a"}}).find("at both ends") != std::string::npos);
  for (const char* key : {"", "a b", "-a", "a/", "/a", "a/b/c", "a..b/c", "a-/c"}) {
    CHECK(refused({{key, "v"}}).starts_with("spec.commonMetadata.labels: '"));
    CHECK(refused({}, {{key, "v"}}).starts_with("spec.commonMetadata.annotations: '"));
  }
  CHECK_FALSE(refused({{"Example.com/a", "v"}}).empty());
  CHECK(refused({}, {{"Example.com/a", "v"}}).empty());
  CHECK(refused({{std::string(64, 'k'), "v"}}).find("64 letters") != std::string::npos);
}

TEST_CASE("a name that no label holds is told as such") {
  CHECK(refused({}, {}, std::string(63, 'n')).empty());
  CHECK(refused({}, {}, std::string(64, 'n')).starts_with("metadata.name of the Kustomization has 64 letters"));
}
