#include "build.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "base/file_view.hpp"
#include "kustomize/kustomize.hpp"

namespace sluice::cli {
namespace {

struct BuildArguments {
  std::string folder = ".";
  std::string load_restrictor = "LoadRestrictionsRootOnly";
};

int fail(const base::Error& error) {
  std::fprintf(stderr, "Error: %s\n", error.message.c_str());
  return 1;
}

// The view's root is that of the machine, as a base may lie anywhere above.
int build_kustomization(const BuildArguments& arguments) {
  std::error_code code;
  const std::filesystem::path folder = std::filesystem::canonical(arguments.folder, code);
  if (code) {
    std::fprintf(stderr, "Error: %s: %s\n", arguments.folder.c_str(), code.message().c_str());
    return 1;
  }
  auto view = base::make_disk_view("/");
  if (!view) return fail(view.error());
  kustomize::BuildOptions options;
  if (arguments.load_restrictor == "LoadRestrictionsNone") options.restriction = kustomize::LoadRestriction::none;
  const std::string path = folder.string().substr(1);
  const auto result = kustomize::build(**view, path, options);
  if (!result) return fail(result.error());
  for (const std::string& warning : result->warnings) std::fprintf(stderr, "Warning: %s\n", warning.c_str());
  const std::string text = kustomize::print(*result);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace

void add_build(CLI::App& app, int& exit_code) {
  CLI::App* build = app.add_subcommand("build", "Print the objects that something amounts to");
  build->require_subcommand(1);
  auto arguments = std::make_shared<BuildArguments>();
  CLI::App* kustomization = build->add_subcommand("kustomization", "Build a folder with a kustomization.yaml");
  kustomization->add_option("DIR", arguments->folder, "The folder")->capture_default_str();
  kustomization->add_option("--load-restrictor", arguments->load_restrictor, "Where files may be read from")
      ->check(CLI::IsMember({"LoadRestrictionsRootOnly", "LoadRestrictionsNone"}))
      ->capture_default_str();
  kustomization->callback([arguments, &exit_code] { exit_code = build_kustomization(*arguments); });
}

}  // namespace sluice::cli
