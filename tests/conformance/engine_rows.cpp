// Drives the small engines by rows: JSON lines in, JSON lines out.
//
//   in:  {"engine": "envsubst", "input": {...}, ...}
//   out: {"ok": true, "out": "..."} or {"ok": false, "err": "..."}
//
// What an input is and an answer holds, each engine's function says; the forms
// are those of the recorded rows that engines.py compares with.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "api/kustomization.hpp"
#include "apply/readiness.hpp"
#include "archive/unpack.hpp"
#include "base/digest.hpp"
#include "doc/yaml.hpp"
#include "kustomize-controller/post_build.hpp"
#include "kustomize/kustomize.hpp"
#if __has_include("kustomize/patches/json_patch.hpp")
#include "kustomize/patches/json_patch.hpp"
#else
#include "kustomize/json_patch.hpp"
#endif
#include "text/envsubst.hpp"
#include "text/gitignore.hpp"
#include "text/regexp.hpp"
#include "text/semver.hpp"

namespace {

using namespace sluice;
using base::Result;
using doc::Json;

Json refused(const std::string& message) { return {{"ok", false}, {"err", message}}; }
template <class T>
Json refused(const Result<T>& result) {
  return refused(result.error().message);
}

std::string in_hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// "text", or "b64" for what JSON cannot hold.
std::string text_of(const Json& input) {
  if (input.contains("b64")) return base::base64_decode(input["b64"].get<std::string>()).value();
  return input["text"].get<std::string>();
}

// {"op": "parse", text} | {"op": "check", range, versions} | {"op": "pick", range, tags}
Json semver(const Json& input) {
  const auto op = input["op"].get<std::string>();
  if (op == "parse") {
    const auto version = text::Semver::parse(input["text"].get<std::string>());
    return version ? Json{{"ok", true}, {"str", version->str()}} : Json{{"ok", false}};
  }
  const auto range = text::SemverRange::parse(input["range"].get<std::string>());
  if (!range) return {{"ok", false}};
  std::string matches;
  Json best;
  std::optional<text::Semver> newest;
  for (const Json& each : input[op == "pick" ? "tags" : "versions"]) {
    const auto tag = each.get<std::string>();
    const auto version = text::Semver::parse(tag);
    const bool fits = version && range->matches(*version);
    matches += fits ? '1' : '0';
    if (!fits || (newest && *version < *newest)) continue;
    newest = *version;
    best = tag;
  }
  return op == "pick" ? Json{{"ok", true}, {"tag", best}} : Json{{"ok", true}, {"m", matches}};
}

// {texts: [a, b]}: -1, 0 or 1
Json semver_order(const Json& input) {
  const auto a = text::Semver::parse(input["texts"][0].get<std::string>());
  const auto b = text::Semver::parse(input["texts"][1].get<std::string>());
  if (!a || !b) return {{"ok", false}};
  return {{"ok", true}, {"cmp", *a < *b ? -1 : *a > *b ? 1 : 0}};
}

// {files: [{Domain, Text}], paths: [{p, dir}]}: a digit for each path
Json gitignore(const Json& input) {
  text::IgnoreRules rules;
  for (const Json& file : input["files"]) {
    rules.add_lines(file["Text"].get<std::string>(), file["Domain"].get<std::string>());
  }
  std::string matches;
  for (const Json& path : input["paths"]) {
    matches += rules.ignores(path["p"].get<std::string>(), path["dir"].get<bool>()) ? '1' : '0';
  }
  return {{"m", matches}};
}

// {text, vars, strict}: the text in base64
Json envsubst(const Json& input) {
  const auto variables = input["vars"].get<std::map<std::string, std::string, std::less<>>>();
  const bool strict = input["strict"].get<bool>();
  const auto result =
      text::substitute(input["text"].get<std::string>(), [&](std::string_view name) -> std::optional<std::string_view> {
        const auto found = variables.find(name);
        if (found != variables.end()) return found->second;
        return strict ? std::nullopt : std::optional<std::string_view>("");
      });
  if (!result) return refused(result);
  return {{"ok", true}, {"out", base::base64_encode(*result)}};
}

// {object, vars, strict}: the object
Json postbuild(const Json& input) {
  kustomize_controller::Substitution substitution;
  substitution.strict = input["strict"].get<bool>();
  substitution.always = true;  // the rows are of objects that are substituted in, however few variables there are
  for (const auto& [name, value] : input["vars"].items()) substitution.variables[name] = value.get<std::string>();
  if (auto named = kustomize_controller::check_variable_names(substitution.variables); !named) return refused(named);
  const auto result = kustomize_controller::substitute_in(input["object"], substitution);
  if (!result) return refused(result);
  return {{"ok", true}, {"json", doc::print_json(*result)}};
}

// {text, texts}: a digit for each text: 1 for a match anywhere, 2 for one of the whole
Json regexp(const Json& input) {
  const auto compiled = text::Regexp::compile(input["text"].get<std::string>());
  if (!compiled) return refused(compiled);
  std::string matches;
  for (const Json& each : input["texts"]) {
    const auto text = each.get<std::string>();
    const auto anywhere = compiled->matches(text);
    if (!anywhere) return refused(anywhere);
    const auto whole = compiled->matches_all(text);
    if (!whole) return refused(whole);
    matches += static_cast<char>('0' + (*anywhere ? 1 : 0) + (*whole ? 2 : 0));
  }
  return {{"ok", true}, {"m", matches}};
}

Json readiness(const Json& input) {
  const apply::Readiness found = apply::assess(input["object"]);
  return {{"status", apply::to_string(found.health)}, {"message", found.message}};
}

Json yaml(const Json& input, bool version_1_1) {
  doc::YamlReading reading;
  reading.version_1_1 = version_1_1;
  reading.first_document_only = version_1_1;
  const auto result = doc::parse_yaml(text_of(input), reading);
  if (!result) return refused(result);
  return {{"ok", true}, {"json", doc::print_json(*result)}};
}

Json yaml_print(const Json& input) { return {{"ok", true}, {"out", doc::print_yaml(input["object"])}}; }

// The objects of a kustomization whose only resource is the text.
Json manifest(const Json& input) {
  const auto view =
      base::make_memory_view({{"kustomization.yaml", "resources: [r.yaml]\n"}, {"r.yaml", text_of(input)}});
  const auto built = kustomize::build(*view, "");
  if (!built) return refused(built);
  Json objects = Json::array();
  for (const auto& object : built->objects) objects.push_back(object.value);
  return {{"ok", true}, {"json", doc::print_json(objects)}};
}

Json json_patch(const Json& input) {
  const auto operations = kustomize::parse_json_patch_text(input["text"].get<std::string>());
  if (!operations) return refused(operations);
  Json object = input["object"];
  kustomize::Growth growth;
  if (auto applied = kustomize::apply_json_patch(object, *operations, growth); !applied) return refused(applied);
  return {{"ok", true}, {"json", doc::print_json(object)}};
}

// The files of an archive, as a map from path to content in hex ("x:" if
// executable); folders end in '/'.
Json tar(const Json& input) {
  namespace fs = std::filesystem;
  std::string parent = (fs::temp_directory_path() / "engine-rows-XXXXXX").string();
  if (::mkdtemp(parent.data()) == nullptr) return refused("no temporary folder");
  const fs::path root = fs::path(parent) / "tree";
  const std::string bytes = text_of(input);
  archive::MemorySource source(bytes);
  const auto report = archive::unpack_to_folder(source, root.string(), {}, {});
  Json files = Json::object();
  if (report) {
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      std::string path = entry.path().lexically_relative(root).string();
      if (entry.is_directory()) {
        files[path + "/"] = "";
        continue;
      }
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(file)), {});
      const bool executable = (entry.status().permissions() & fs::perms::owner_exec) != fs::perms::none;
      files[path] = (executable ? "x:" : "") + in_hex(content);
    }
  }
  fs::remove_all(parent);
  if (!report) return refused(report);
  return {{"ok", true}, {"escaped", false}, {"files", files}};
}

Json answer(const Json& row) {
  const auto engine = row.at("engine").get<std::string>();
  const Json& input = row.at("input");
  if (engine == "semver") return semver(input);
  if (engine == "semver-order") return semver_order(input);
  if (engine == "gitignore") return gitignore(input);
  if (engine == "envsubst") return envsubst(input);
  if (engine == "postbuild") return postbuild(input);
  if (engine == "regexp") return regexp(input);
  if (engine == "readiness") return readiness(input);
  if (engine == "yaml11") return yaml(input, true);
  if (engine == "yaml12") return yaml(input, false);
  if (engine == "yamlprint") return yaml_print(input);
  if (engine == "manifest") return manifest(input);
  if (engine == "jsonpatch") return json_patch(input);
  if (engine == "tar") return tar(input);
  return refused("no engine is called " + engine);
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    const auto row = doc::parse_json(line);
    std::cout << doc::print_json(row ? answer(*row) : refused(row)) << std::endl;
  }
  return 0;
}
