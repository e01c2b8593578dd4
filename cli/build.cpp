#include "build.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_view.hpp"
#include "kustomize/kustomize.hpp"

namespace sluice::cli {
namespace {

struct BuildArguments {
  std::string folder = ".";
  std::string load_restrictor = "LoadRestrictionsRootOnly";
  std::string reorder = "none";
  bool provenance = false;
  bool flux = false;
};

// Paths of the view are seen from the root of the machine; people see them from
// the folder that is built, and that folder as they have written it.
class Places {
 public:
  Places(const std::string& folder, std::string written) : folder_(folder), written_(std::move(written)) {
    std::string up;
    for (std::string path = folder; !path.empty(); up += "../") {
      places_.emplace_back(path + "/", up);
      const std::size_t slash = path.rfind('/');
      path.resize(slash == std::string::npos ? 0 : slash);
    }
    places_.emplace_back("", up.empty() ? "/" : up);
  }

  std::string path(const std::string& path) const {
    for (const auto& [from, to] : places_) {
      if (path.starts_with(from)) return to + path.substr(from.size());
    }
    return path;
  }

  // The same for paths in a message, which start behind a space, a parenthesis or a quote.
  std::string text(const std::string& message) const {
    std::string out;
    for (std::size_t start = 0; start < message.size();) {
      if (is_folder(message, start)) {
        out += written_;
        start += folder_.size();
        continue;
      }
      std::size_t end = message.find_first_of(" ('", start);
      end = end == std::string::npos ? message.size() : end + 1;
      const std::string word = message.substr(start, end - start);
      const bool is_path = places_.size() > 1 && word.starts_with(places_[places_.size() - 2].first);
      out += is_path ? path(word) : word;
      start = end;
    }
    return out;
  }

 private:
  // The folder itself, and not something in it or beside it.
  bool is_folder(const std::string& message, std::size_t start) const {
    if (folder_.empty() || message.compare(start, folder_.size(), folder_) != 0) return false;
    const std::size_t end = start + folder_.size();
    return end == message.size() || std::string_view(":,;' )").find(message[end]) != std::string_view::npos;
  }

  std::string folder_;
  std::string written_;
  std::vector<std::pair<std::string, std::string>> places_;  // folders from the inside out, and how to get there
};

std::string name_of(const kustomize::Object& object) {
  const auto field = [&](std::initializer_list<std::string_view> path) { return doc::find_string(object.value, path); };
  const std::string_view ns = field({"metadata", "namespace"});
  return fmt::format("{}{}{}/{}", field({"kind"}), ns.empty() ? "" : "/", ns, field({"metadata", "name"}));
}

// One line for each field: where it is, what it says, where that comes from.
std::string provenance_text(const kustomize::BuildResult& result, const Places& places) {
  std::string out;
  for (const kustomize::Object& object : result.objects) {
    out += name_of(object) + "\n";
    for (const kustomize::FieldOrigin& field : object.fields) {
      std::string value = object.value.at(doc::Json::json_pointer(field.pointer))
                              .dump(-1, ' ', false, doc::Json::error_handler_t::replace);
      if (value.size() > 60) value = value.substr(0, 57) + "...";
      const kustomize::FieldSource& source = field.source;
      const std::string from = !source.entry.empty() ? places.text(source.entry)
                               : source.line > 0     ? fmt::format("{}:{}", places.path(source.file), source.line)
                                                     : places.path(source.file);
      out += fmt::format("  {} = {}  <- {}\n", field.pointer, value, from);
    }
  }
  return out;
}

int print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? 0 : 1;
}

// The view's root is that of the machine, as a base may lie anywhere above.
int build_kustomization(const BuildArguments& arguments) {
  std::error_code code;
  const std::filesystem::path folder = std::filesystem::canonical(arguments.folder, code);
  if (code) {
    std::fprintf(stderr, "Error: %s: %s\n", arguments.folder.c_str(), code.message().c_str());
    return 1;
  }
  const std::string path = folder.string().substr(1);
  const Places places(path, arguments.folder);
  const auto fail = [&](const base::Error& error) {
    std::fprintf(stderr, "Error: %s\n", places.text(error.message).c_str());
    return 1;
  };
  auto view = base::make_disk_view("/");
  if (!view) return fail(view.error());
  kustomize::BuildOptions options;
  if (arguments.load_restrictor == "LoadRestrictionsNone") options.restriction = kustomize::LoadRestriction::none;
  options.legacy_order = arguments.reorder == "legacy";
  options.provenance = arguments.provenance;
  // Not taken apart at the end: the process ends with it, and a large one takes a while.
  static const auto& result = *new auto(arguments.flux ? kustomize::build_flux(**view, path, {}, options)
                                                       : kustomize::build(**view, path, options));
  if (!result) {
    const auto own = kustomize::has_kustomization(**view, path);
    if (own && !*own) std::fprintf(stderr, "Hint: with --flux all manifests below the folder are built\n");
    return fail(result.error());
  }
  for (const std::string& warning : result->warnings) {
    std::fprintf(stderr, "Warning: %s\n", places.text(warning).c_str());
  }
  return print(arguments.provenance ? provenance_text(*result, places) : kustomize::print(*result));
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
  kustomization
      ->add_option("--reorder", arguments->reorder,
                   "Order of objects, where the file has no sortOptions: as they are written, or by kind, as "
                   "`kustomize build` has it without --reorder")
      ->check(CLI::IsMember({"none", "legacy"}))
      ->capture_default_str();
  kustomization->add_flag(
      "--flux", arguments->flux,
      "Build as kustomize-controller does, a folder without kustomization.yaml of all manifests below");
  kustomization->add_flag("--provenance", arguments->provenance,
                          "Print where each field comes from, in place of the objects");
  kustomization->callback([arguments, &exit_code] { exit_code = build_kustomization(*arguments); });
}

}  // namespace sluice::cli
