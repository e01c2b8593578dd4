// Each folder of tests/golden/kustomize is a case: input/ is built, and must
// give expected.yaml, or fail with the text in expected.err.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kustomize/kustomize.hpp"

namespace fs = std::filesystem;
using namespace sluice;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void spill(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// A case builds input/build where that is, else input.
std::string folder_of(const fs::path& name) { return fs::exists(name / "input" / "build") ? "build" : ""; }

}  // namespace

TEST_CASE("each golden kustomization gives what is written down") {
  const char* accept = std::getenv("SLUICE_ACCEPT");
  std::size_t cases = 0;
  for (const auto& entry : fs::directory_iterator("tests/golden/kustomize")) {
    if (!entry.is_directory()) continue;
    ++cases;
    const fs::path name = entry.path();
    INFO(name.string());
    const auto view = base::make_disk_view((name / "input").string());
    REQUIRE(view);
    const auto result = kustomize::build(**view, folder_of(name));
    const std::string got = result ? kustomize::print(*result) : result.error().message + "\n";
    const fs::path expected = name / (result ? "expected.yaml" : "expected.err");
    if (accept != nullptr) {
      spill(expected, got);
      WARN("accepted, not checked: " << name.string());
      continue;
    }
    CHECK(fs::exists(expected));
    CHECK(got == slurp(expected));
  }
  CHECK(cases > 0);
}
