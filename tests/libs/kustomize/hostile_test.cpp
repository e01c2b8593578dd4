#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "kustomize/kustomize.hpp"
#include "libs/kustomize/trees.hpp"
#include "support/temp_folder.hpp"

using namespace sluice;
using namespace sluice::kustomize;
using namespace sluice::kustomize::testing;
using base::ErrorKind;

namespace {
ErrorKind refusal(const base::FileView& files, const std::string& path = "", const BuildOptions& options = {}) {
  const auto result = build(files, path, options);
  REQUIRE_FALSE(result);
  INFO(result.error().message);
  CHECK(result.error().message.size() < 2000);
  return result.error().kind;
}
ErrorKind refusal(const Files& files, const BuildOptions& options = {}) {
  return refusal(*view_of(files), "", options);
}

// The most memory that this process ever had, in MiB.
long peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

// Under AddressSanitizer what was freed stays for a while: its quarantine, in MiB.
#ifdef __SANITIZE_ADDRESS__
constexpr long kQuarantine = 256;
#else
constexpr long kQuarantine = 0;
#endif

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

const std::string kPatchHead = "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |-\n";
}  // namespace

TEST_CASE("bases in a circle are refused") {
  CHECK(refusal({{"kustomization.yaml", "resources: [a]\n"},
                 {"a/kustomization.yaml", "resources: [../b]\n"},
                 {"b/kustomization.yaml", "resources: [../a]\n"}}) == ErrorKind::invalid);
}

TEST_CASE("a chain of a thousand layers is refused, and one within the bound is built") {
  Files files;
  for (int i = 0; i < 1000; ++i) {
    files["l" + std::to_string(i) + "/kustomization.yaml"] = "resources: [../l" + std::to_string(i + 1) + "]\n";
  }
  files["l200/kustomization.yaml"] = "resources: [cm.yaml]\n";
  files["l200/cm.yaml"] = config_map("deep");
  const auto view = view_of(files);
  CHECK(build(*view, "l0"));
  files["l200/kustomization.yaml"] = "resources: [../l201]\n";
  const auto result = build(*view_of(files), "l0");
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == ErrorKind::too_large);
}

TEST_CASE("aliases that expand without end are refused before they do") {
  std::string text = "apiVersion: v1\nkind: Bomb\nmetadata: {name: b}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) text += (k > 0 ? ",*a" : "*a") + std::to_string(i - 1);
    text += "]\n";
  }
  CHECK(refusal({{"kustomization.yaml", "resources: [b.yaml]\n"}, {"b.yaml", text}}) == ErrorKind::too_large);
}

TEST_CASE("more objects, documents or bytes than allowed are refused") {
  std::string many;
  for (int i = 0; i < 300; ++i) many += config_map("c" + std::to_string(i)) + "---\n";
  const Files files{{"kustomization.yaml", "resources: [many.yaml]\n"}, {"many.yaml", many}};
  BuildOptions options;
  options.limits.max_objects = 100;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  options.limits.yaml.max_documents = 100;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  options.limits.max_file_bytes = 1000;
  CHECK(refusal(files, options) == ErrorKind::too_large);
  options.limits = {};
  CHECK(build(*view_of(files), "", options));
}

TEST_CASE("lists that would be compared each with each are refused past a bound") {
  std::string ports, patch;
  for (int i = 0; i < 8000; ++i) ports += "  - {port: " + std::to_string(i) + "}\n";
  const std::string head = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n";
  CHECK(refusal({{"kustomization.yaml", "resources: [s.yaml]\npatches: [{path: p.yaml}]\n"},
                 {"s.yaml", head + ports},
                 {"p.yaml", head + "  - {port: 1, protocol: UDP}\n"}}) == ErrorKind::too_large);
}

TEST_CASE("a file that is a folder, invalid UTF-8 and paths out of the tree are refused") {
  CHECK(refusal({{"kustomization.yaml", "configMapGenerator: [{name: a, files: [f]}]\n"}, {"f/x", "1"}}) ==
        ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\n"}, {"a.yaml", "kind: \xFF\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [../../etc/passwd]\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml", "resources: [/etc/passwd]\n"}}) == ErrorKind::invalid);
}

TEST_CASE("patterns and indexes built to explode are answered at once") {
  const std::string pattern = "(a*)*(a|aa)+(a?){100}$";
  CHECK(build(*view_of({{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {name: \"" + pattern +
                                                   "\"}\n  patch: '[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]'\n"},
                        {"a.yaml", config_map(std::string(5000, 'a') + "b")}}),
              ""));
  CHECK(refusal({{"kustomization.yaml",
                  "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: "
                  "'[{\"op\":\"add\",\"path\":\"/l/99999999999\",\"value\":1}]'\n"},
                 {"a.yaml", config_map("a") + "l: [1]\n"}}) == ErrorKind::invalid);
  CHECK(refusal({{"kustomization.yaml",
                  "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets: [{select: {kind: "
                  "ConfigMap}, fieldPaths: [l.99999999999], options: {create: true}}]\n"},
                 {"a.yaml", config_map("a") + "l: [1]\n"}}) == ErrorKind::invalid);
}

TEST_CASE("links count as what they lead to") {
  const test::TempFolder folder;
  folder.write("outside/secret.yaml", config_map("secret"));
  folder.write("outside/base/kustomization.yaml", "resources: [cm.yaml, ../sibling]\n");
  folder.write("outside/base/cm.yaml", config_map("base"));
  folder.write("outside/sibling/kustomization.yaml", "resources: [cm.yaml]\n");
  folder.write("outside/sibling/cm.yaml", config_map("sibling"));
  const auto tree = [&](const std::string& name, const std::string& entry, const std::string& target) {
    folder.write(name + "/kustomization.yaml", "resources: [" + entry + "]\n");
    folder.link(name + "/l", target);
  };
  tree("file", "l", "../outside/secret.yaml");
  tree("through", "l/secret.yaml", "../outside");
  tree("circle", "l", ".");
  tree("base", "l", "../outside/base");
  folder.write("generated/kustomization.yaml", "configMapGenerator: [{name: a, files: [l]}]\n");
  folder.link("generated/l", "../outside/secret.yaml");
  folder.link("own/kustomization.yaml", "../outside/sibling/kustomization.yaml");
  const auto view = base::make_disk_view(folder.path().string());
  REQUIRE(view);
  CHECK(refusal(**view, "file") == ErrorKind::forbidden);
  CHECK(refusal(**view, "through") == ErrorKind::forbidden);
  CHECK(refusal(**view, "generated") == ErrorKind::forbidden);
  CHECK(refusal(**view, "circle") == ErrorKind::invalid);
  CHECK(refusal(**view, "own") == ErrorKind::not_found);
  const auto built = build(**view, "base");
  REQUIRE(built);
  CHECK(built->objects.size() == 2);
  BuildOptions open;
  open.restriction = LoadRestriction::none;
  CHECK(build(**view, "file", open));
}

TEST_CASE("patches that double an object are refused, however they do it") {
  const Files::value_type object{"a.yaml", config_map("a") + "l: [1, 2, 3, 4]\nm: {x: {}}\n"};
  BuildOptions options;
  options.limits.max_copied_values = 100'000;
  for (const char* operation : {"{op: copy, from: /l, path: /l/-}", "{op: copy, from: /m, path: /m/x}"}) {
    const std::string patch = repeated("    - " + std::string(operation) + "\n", 600);
    CHECK(refusal({{"kustomization.yaml", kPatchHead + patch}, object}, options) == ErrorKind::too_large);
  }
  const std::string replacement =
      "- source: {kind: ConfigMap, name: a, fieldPath: l}\n"
      "  targets: [{select: {kind: ConfigMap}, fieldPaths: [l.0], options: {create: true}}, "
      "{select: {kind: ConfigMap}, fieldPaths: [l.1], options: {create: true}}]\n";
  const std::string head = "resources: [a.yaml]\nreplacements:\n";
  CHECK(
      refusal({{"kustomization.yaml", head + repeated(replacement, 60)}, {"a.yaml", config_map("a") + "l: [{}, {}]\n"}},
              options) == ErrorKind::too_large);
  const std::string text =
      "- source: {kind: ConfigMap, name: a, fieldPath: data.key}\n"
      "  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.key], options: {delimiter: '|', index: 99}}]\n";
  CHECK(refusal({{"kustomization.yaml", head + repeated(text, 60)}, object}, options) == ErrorKind::too_large);
}

TEST_CASE("a long text put into many objects is refused") {
  std::string objects;
  for (int i = 0; i < 5000; ++i) objects += config_map("c" + std::to_string(i)) + "---\n";
  const std::string text(2U << 20U, 'x');
  for (const char* field : {"commonAnnotations: {k: ", "labels: [{pairs: {k: "}) {
    const std::string end = std::string(field).ends_with("{k: ") && field[0] == 'l' ? "}}]\n" : "}\n";
    CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\n" + std::string(field) + text + end},
                   {"a.yaml", objects}}) == ErrorKind::too_large);
  }
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\nnamePrefix: " + text + "\n"}, {"a.yaml", objects}}) ==
        ErrorKind::too_large);
  CHECK(peak() < 4096);
}

TEST_CASE("paths of many steps are refused before they are made") {
  const std::string steps = repeated("a.", 100'000) + "a";
  CHECK(refusal({{"kustomization.yaml",
                  "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n"
                  "  - select: {kind: ConfigMap}\n    options: {create: true}\n    fieldPaths:\n    - " +
                      steps + "\n"},
                 {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
  std::string slashes = steps;
  std::replace(slashes.begin(), slashes.end(), '.', '/');
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\ncommonLabels: {k: v}\nconfigurations: [c.yaml]\n"},
                 {"c.yaml", "commonLabels: [{path: " + slashes + ", create: true}]\n"},
                 {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
  std::string deeper;
  std::string path = "/data";
  for (int i = 0; i < 600; ++i) {
    path += "/a";
    deeper += "    - {op: add, path: " + path + ", value: {}}\n";
  }
  CHECK(refusal({{"kustomization.yaml", kPatchHead + deeper}, {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
}

TEST_CASE("a million documents are refused, and as many empty ones are nothing") {
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\n"}, {"a.yaml", repeated("a: b\n---\n", 1'000'000)}}) ==
        ErrorKind::too_large);
  const auto result =
      build(*view_of({{"kustomization.yaml", "resources: [a.yaml]\n"}, {"a.yaml", repeated("---\n", 1'000'000)}}), "");
  REQUIRE(result);
  CHECK(result->objects.empty());
}

TEST_CASE("a scalar of 100 MB is refused, and one of 20 MB costs a small multiple of itself") {
  const auto tree = [](std::size_t megabytes) {
    return Files{{"kustomization.yaml", "resources: [a.yaml]\n"},
                 {"a.yaml", config_map("a", std::string(megabytes << 20U, 'x'))}};
  };
  CHECK(refusal(tree(100)) == ErrorKind::too_large);
  const long before = peak();
  const auto built = build(*view_of(tree(20)), "");
  REQUIRE(built);
  CHECK(print(*built).size() > 20U << 20U);
  CHECK(peak() - before < 600);
}

TEST_CASE("nesting without end is refused in YAML, JSON and patches alike") {
  const std::string open(100'000, '[');
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\n"}, {"a.yaml", config_map("a") + "l: " + open}}) ==
        ErrorKind::too_large);
  const std::string patch = "resources: [a.yaml]\npatches: [{path: p, target: {kind: X}}]\n";
  CHECK(refusal({{"kustomization.yaml", patch}, {"a.yaml", config_map("a")}, {"p", open}}) == ErrorKind::too_large);
}

TEST_CASE("selectors and patterns of great size are refused or answered") {
  std::string values;
  for (int i = 0; i < 50'000; ++i) values += "v" + std::to_string(i) + ",";
  const auto with = [](const std::string& target) {
    return Files{{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: " + target +
                                            "\n  patch: '[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]'\n"},
                 {"a.yaml", config_map("a")}};
  };
  CHECK(build(*view_of(with("{labelSelector: 'k in (" + values + "x)'}")), ""));
  CHECK(refusal(with("{name: '((a{100}){100}){100}'}")) == ErrorKind::invalid);
  CHECK(refusal(with("{name: '" + std::string(100'000, '(') + "'}")) == ErrorKind::invalid);
  const std::string nested = repeated("(a|", 5'000) + "b" + std::string(5'000, ')');
  const auto answer = build(*view_of(with("{name: '" + nested + "'}")), "");
  CHECK((answer || answer.error().kind == ErrorKind::invalid));
}

TEST_CASE("a long name or image written into many references is refused") {
  const std::string text(1U << 20U, 'x');
  std::string pods;
  for (int i = 0; i < 200; ++i) {
    pods += "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p" + std::to_string(i) + "}\nspec:\n  containers:\n";
    for (int j = 0; j < 50; ++j) {
      pods += "  - {name: c" + std::to_string(j) + ", image: a, envFrom: [{configMapRef: {name: a}}]}\n";
    }
  }
  const std::string kustomization = "resources: [a.yaml, pods.yaml]\n";
  const std::string rename =
      "patches:\n- target: {kind: ConfigMap}\n  patch: '[{\"op\": \"replace\", \"path\": "
      "\"/metadata/name\", \"value\": \"" +
      text + "\"}]'\n";
  const std::string image = "images: [{name: a, newName: " + text + "}]\n";
  for (const std::string& more : {rename, image}) {
    CHECK(refusal({{"kustomization.yaml", kustomization + more}, {"a.yaml", config_map("a")}, {"pods.yaml", pods}}) ==
          ErrorKind::too_large);
  }
  CHECK(peak() < 4096);

  std::string binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\nsubjects:\n";
  for (int i = 0; i < 10000; ++i) binding += "- {kind: ServiceAccount, name: default}\n";
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\nnamespace: " + text + "\n"}, {"a.yaml", binding}}) ==
        ErrorKind::too_large);
  CHECK(peak() < 4096);
}

TEST_CASE("a match that nobody could stop is refused before it begins") {
  const std::string name(200'000, 'a');
  const std::string pattern = "[ab]*a" + repeated("[ab]{1000}", 60) + "c";
  const auto tree = [&](const std::string& kustomization, const std::string& body) {
    return Files{{"kustomization.yaml", "resources: [a.yaml]\n" + kustomization}, {"a.yaml", body}};
  };
  const std::string patch = "\n  patch: '[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]'\n";
  const std::string target = "patches:\n- target: {name: '" + pattern + "'}" + patch;
  CHECK(refusal(tree(target, config_map(name))) == ErrorKind::too_large);
  CHECK(build(*view_of(tree(target, config_map(std::string(253, 'a')))), ""));  // as long as names are
  CHECK(refusal(tree("replacements:\n- sourceValue: x\n  targets:\n  - select: {name: '" + pattern +
                         "'}\n    fieldPaths: [data.key]\n",
                     config_map(name))) == ErrorKind::too_large);
  CHECK(refusal(tree("replacements:\n- sourceValue: x\n  targets:\n  - select: {kind: ConfigMap}\n"
                     "    reject: [{name: '" +
                         pattern + "'}]\n    fieldPaths: [data.key]\n",
                     config_map(name))) == ErrorKind::too_large);
  CHECK(refusal(tree("replacements:\n- sourceValue: x\n  targets:\n  - select: {kind: ConfigMap}\n"
                     "    fieldPaths: ['l.[k=" +
                         pattern + "].v']\n",
                     config_map("a") + "l: [{k: " + name + ", v: 1}]\n")) == ErrorKind::too_large);
  CHECK(refusal(tree("images: [{name: '" + pattern + "', newTag: x}]\n",
                     "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{image: " + name +
                         "}]}\n")) == ErrorKind::too_large);
}

TEST_CASE("a delimiter in each byte of a text costs a small multiple of the text") {
  const auto tree = [](std::size_t megabytes, int index) {
    const std::string options = "{delimiter: a, index: " + std::to_string(index) + "}";
    return Files{
        {"kustomization.yaml",
         "resources: [a.yaml]\nreplacements:\n- source: {kind: ConfigMap, fieldPath: data.key, options: " + options +
             "}\n  targets:\n  - select: {kind: ConfigMap}\n    fieldPaths: [data.key]\n    options: " + options +
             "\n"},
        {"a.yaml", config_map("a", std::string(megabytes << 20U, 'a') + "b")}};
  };
  const long before = peak();
  CHECK(build(*view_of(tree(20, 20 << 20)), ""));
  CHECK(peak() - before < 400);
  CHECK(refusal(tree(20, (20 << 20) + 1)) == ErrorKind::invalid);
}

TEST_CASE("a delimiter puts the value into, before and behind a text as kustomize does") {
  const auto put = [](const std::string& text, const std::string& index, const std::string& delimiter = "--") {
    const auto result = build(
        *view_of({{"kustomization.yaml",
                   "resources: [a.yaml]\nreplacements:\n- sourceValue: NEW\n  targets:\n  - select: {kind: ConfigMap}\n"
                   "    fieldPaths: [data.k]\n    options: {delimiter: '" +
                       delimiter + "', index: " + index + "}\n"},
                  {"a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '" + text + "'}\n"}}),
        "");
    REQUIRE(result);
    const std::string printed = print(*result);
    const std::size_t start = printed.find("k: ") + 3;
    return printed.substr(start, printed.find('\n', start) - start);
  };
  CHECK(put("x--y--z", "0") == "NEW--y--z");
  CHECK(put("x--y--z", "1") == "x--NEW--z");
  CHECK(put("x--y--z", "2") == "x--y--NEW");
  CHECK(put("x--y--z", "3") == "x--y--z--NEW");
  CHECK(put("x--y--z", "7") == "x--y--z--NEW");
  CHECK(put("x--y--z", "-1") == "NEW--x--y--z");
  CHECK(put("x", "0") == "NEW");
  CHECK(put("x--", "1") == "x--NEW");
  CHECK(put("x---y", "1") == "x--NEW");
  CHECK(put("xaaay", "1", "a") == "xaNEWaay");
}

TEST_CASE("paths and selectors of a million parts cost no object for each") {
  const std::string slashes = repeated("/", 8 << 20);
  const long before = peak();
  CHECK(refusal({{"kustomization.yaml", kPatchHead + "    - {op: add, path: \"" + slashes + "\", value: {}}\n"},
                 {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
  CHECK(refusal({{"kustomization.yaml",
                  "resources: [a.yaml]\nreplacements:\n- sourceValue: x\n  targets:\n"
                  "  - select: {kind: ConfigMap}\n    options: {create: true}\n    fieldPaths: ['" +
                      repeated("a.", 4 << 20) + "']\n"},
                 {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
  CHECK(refusal({{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- target: {labelSelector: '" +
                                            std::string(8 << 20, '(') +
                                            "'}\n  patch: '[{\"op\":\"add\",\"path\":\"/x\",\"value\":1}]'\n"},
                 {"a.yaml", config_map("a")}}) == ErrorKind::too_large);
  CHECK(peak() - before < 250 + kQuarantine);
}
