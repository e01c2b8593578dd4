#include "kustomize-controller/render.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "base/digest.hpp"
#include "kustomize-controller/post_build.hpp"
#include "support/fake_kube.hpp"
#include "support/run_task.hpp"

using namespace sluice;
using kustomize_controller::render;
using kustomize_controller::RenderInput;

namespace {

using Files = std::map<std::string, std::string, std::less<>>;

RenderInput input(const char* path = "./app") {
  RenderInput made;
  made.kustomization.metadata.name = "shop";
  made.kustomization.metadata.namespace_ = "flux-system";
  made.kustomization.spec.path = path;
  made.owner = {"kustomize.toolkit.fluxcd.io", "shop", "flux-system", "kustomize-controller"};
  return made;
}

const char* const kConfig =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cfg\n  namespace: apps\ndata:\n  k: v\n";

base::Error refused(const Files& files, const RenderInput& what) {
  const auto view = base::make_memory_view(files);
  auto rendered = render(*view, what);
  REQUIRE_FALSE(rendered);
  return std::move(rendered).error();
}

}  // namespace

TEST_CASE("a folder becomes manifests that name their owner and where they come from") {
  const auto view = base::make_memory_view({{"app/cfg.yaml", kConfig}, {"other/x.yaml", "not: [yaml"}});
  RenderInput what = input();
  what.kustomization.spec.common_metadata = api::CommonMetadata{{{"note", "x"}}, {{"team", "a"}}};
  what.kustomization.spec.target_namespace = "shop";
  auto rendered = render(*view, what);
  if (!rendered) FAIL(rendered.error().message);
  REQUIRE(rendered->manifests->size() == 1);
  const auto& manifest = rendered->manifests->front();
  CHECK(manifest.id == api::ObjectId{"shop", "cfg", "", "ConfigMap"});
  CHECK(manifest.origin == "app/cfg.yaml:1");
  const auto object = doc::Json::parse(manifest.text);
  CHECK(object["metadata"]["labels"] == doc::Json({{"team", "a"},
                                                   {"kustomize.toolkit.fluxcd.io/name", "shop"},
                                                   {"kustomize.toolkit.fluxcd.io/namespace", "flux-system"}}));
  CHECK(object["metadata"]["annotations"]["note"] == "x");
  CHECK(rendered->digest.starts_with("sha256:"));
}

TEST_CASE("a path that is no folder of the artifact is told apart from a build that fails") {
  const Files files{{"app/cfg.yaml", kConfig}};
  for (const char* path : {"./missing", "../missing", "app/cfg.yaml"}) {
    const auto error = refused(files, input(path));
    CHECK(error.reason == kustomize_controller::kPathNotFound);
    CHECK(error.message.find(path) != std::string::npos);
  }
  const auto view = base::make_memory_view(files);
  // Flux: what would lead out of the artifact ends at its root.
  for (const char* path : {"", "./", "/", "/app", "./app/", "../app", "a/../../app", "../../..", "/../app/./"}) {
    CHECK(render(*view, input(path)));
  }
}

TEST_CASE("what is wrong in a file is told with the file") {
  const auto yaml = refused({{"app/bad.yaml", "a: [1\nb: 2\n"}}, input());
  CHECK(yaml.message.find("bad.yaml") != std::string::npos);
  CHECK(yaml.reason.empty());
  const auto nameless = refused({{"app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"}}, input());
  CHECK(nameless.message.find("a.yaml") != std::string::npos);
  const auto twice = refused({{"app/a.yaml", kConfig}, {"app/b.yaml", kConfig}}, input());
  CHECK(twice.message.find("cfg") != std::string::npos);
}

TEST_CASE("an encrypted Secret is not applied as it is") {
  const char* const secret =
      "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: apps\ndata:\n  k: RU5D\nsops:\n  mac: ENC[x]\n";
  const auto error = refused({{"app/s.yaml", secret}}, input());
  CHECK(error.reason == kustomize_controller::kEncrypted);
  CHECK(error.message.find("Secret/apps/s") != std::string::npos);
}

TEST_CASE("the render key moves with what a render looks at, and with nothing else") {
  doc::Json object = doc::Json::parse(R"({"metadata": {"name": "a", "namespace": "b"},
    "spec": {"path": "./x", "interval": "1m", "prune": true}})");
  const std::string before = kustomize_controller::render_key(object, {});
  object["spec"]["interval"] = "2m";
  object["spec"]["prune"] = false;
  object["status"]["x"] = 1;
  CHECK(kustomize_controller::render_key(object, {}) == before);
  CHECK(kustomize_controller::render_key(object, {{"v", "1"}}) != before);
  // Where a name ends counts as well.
  CHECK(kustomize_controller::render_key(object, {{"v", "1"}, {"w", "x"}}) !=
        kustomize_controller::render_key(object, {{"v", "1w"}, {"x", ""}}));
  CHECK(kustomize_controller::render_key(object, {{"va", "b"}}) !=
        kustomize_controller::render_key(object, {{"v", "ab"}}));
  object["spec"]["images"] = doc::Json::array({{{"name", "a"}}});
  CHECK(kustomize_controller::render_key(object, {}) != before);
}

TEST_CASE("variables are put into built objects, and may change the type of a value") {
  const char* const text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: apps\ndata:\n  k: ${value:-none}\n  "
      "n: ${n}\n";
  const auto view = base::make_memory_view({{"app/a.yaml", text}});
  RenderInput what = input();
  what.kustomization.spec.post_build.emplace();
  what.substitution.variables = {{"name", "cfg"}, {"n", "3"}};
  auto rendered = render(*view, what);
  if (!rendered) FAIL(rendered.error().message);
  const auto object = doc::Json::parse(rendered->manifests->front().text);
  CHECK(object["metadata"]["name"] == "cfg");
  CHECK(object["data"]["k"] == "none");
  CHECK(object["data"]["n"] == 3);

  what.substitution.variables.erase("n");
  const auto strict = refused({{"app/a.yaml", text}}, what);
  CHECK(strict.message.find("app/a.yaml:1") != std::string::npos);
  CHECK(strict.message.find("variable not set (strict mode): \"n\"") != std::string::npos);
  what.substitution.variables["bad-name"] = "x";
  CHECK(refused({{"app/a.yaml", text}}, what).message.find("'bad-name' var name is invalid") != std::string::npos);
}

namespace {

std::string post_build_error(const std::string& field, const api::StringMap& variables) {
  RenderInput what = input();
  what.kustomization.spec.post_build.emplace();
  what.substitution.variables = variables;
  const std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cfg\n  namespace: apps\ndata:\n  a: x\n  list: [y, {k: '" +
      field + "'}]\n";
  return refused({{"app/a.yaml", text}}, what).message;
}

}  // namespace

TEST_CASE("what is made of a secret value is secret, and so it is for whoever reuses the build", "[secrets]") {
  RenderInput what = input();
  what.kustomization.spec.post_build.emplace();
  what.substitution.variables = {{"password", "correct horse battery"}, {"pin", "4711-0"}, {"plain", "an open text"}};
  what.substitution.masks = std::make_shared<base::Masks>();
  what.substitution.masks->add("correct horse battery");
  what.substitution.masks->add("4711-0");
  const std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cfg\n  namespace: apps\ndata:\n"
      "  a: ${password^^}\n  b: ${password:0:13}\n  c: ${password:0:4}\n  d: ${pin/-/x}\n  e: ${plain^^}\n  f: "
      "${pin:0:4}\n"
      "  g: ${password^^}\n";
  const auto view = base::make_memory_view(Files{{"app/a.yaml", text}});
  const auto rendered = render(*view, what);
  REQUIRE(rendered);
  CHECK(rendered->derived_secrets == std::vector<std::string>{"4711x0", "CORRECT HORSE BATTERY", "correct horse"});
  CHECK(what.substitution.masks->apply("CORRECT HORSE BATTERY, correct horse; 4711x0 AN OPEN TEXT corr") ==
        "*****, *****; ***** AN OPEN TEXT corr");
}

TEST_CASE("a failed substitution names object, field and variable, and shows no value", "[secrets]") {
  const std::string broken = post_build_error("postgres://${user:hunter2@db", {{"user", "x"}});
  CHECK(broken.find("ConfigMap/cfg") != std::string::npos);
  CHECK(broken.find("data.list[1].k: missing closing brace (variable 'user')") != std::string::npos);
  CHECK(broken.find("hunter2") == std::string::npos);
  CHECK(broken.find("postgres") == std::string::npos);
  // Values that are not YAML where they are put.
  for (const char* value : {"*hunter2", "{hunter2: 1, ~: 2}", "!!int hunter2", "\"hunter2", "[hunter2", ".inf"}) {
    INFO(value);
    const std::string odd = post_build_error("${user}", {{"user", value}});
    CHECK(odd.find("not YAML after variable substitution in data.list[1].k: ") != std::string::npos);
    CHECK(odd.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a value without quotes is read as YAML 1.1", "[postbuild]") {
  const auto value_of = [](const char* value) {
    kustomize_controller::Substitution substitution;
    substitution.variables = {{"v", value}};
    const auto done = kustomize_controller::substitute_in(doc::Json({{"a", "${v}"}, {"b", "yes"}}), substitution);
    if (!done) FAIL(done.error().message);
    CHECK((*done)["b"] == "yes");
    return (*done)["a"];
  };
  for (const char* yes : {"yes", "on", "y", "Y", "ON", "true"}) CHECK(value_of(yes) == true);
  for (const char* no : {"no", "off", "n", "N", "False"}) CHECK(value_of(no) == false);
  CHECK(value_of("'yes'") == "yes");
  CHECK(value_of("0x10") == 16);
  CHECK(value_of("yess") == "yess");
}

TEST_CASE("a substitution that is asked to stop stops", "[postbuild]") {
  kustomize_controller::Substitution substitution;
  substitution.variables = {{"v", std::string(300'000, 'a')}};
  std::string text;
  for (int i = 0; i < 40; ++i) text += "${v##*a*a*a*b}";
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop.request_stop();
  });
  const auto done = kustomize_controller::substitute_in(doc::Json({{"a", text}}), substitution, stop.get_token());
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == base::ErrorKind::cancelled);
}

TEST_CASE("without variables nothing is substituted, unless it is asked for; and single objects may opt out") {
  const char* const text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cfg\n  namespace: apps\ndata:\n  k: ${value:-none}\n";
  const auto value = [&](RenderInput what, const std::string& file) {
    const auto view = base::make_memory_view({{"app/a.yaml", file}});
    auto rendered = render(*view, what);
    if (!rendered) FAIL(rendered.error().message);
    return doc::Json::parse(rendered->manifests->front().text)["data"]["k"].get<std::string>();
  };
  RenderInput what = input();
  what.kustomization.spec.post_build.emplace();
  CHECK(value(what, text) == "${value:-none}");
  what.substitution.always = true;
  CHECK(value(what, text) == "none");
  std::string off = text;
  off.replace(off.find("  namespace"), 0, "  annotations:\n    kustomize.toolkit.fluxcd.io/substitute: disabled\n");
  CHECK(value(what, off) == "${value:-none}");
}

TEST_CASE("what the spec put into an object is not blamed on the file alone") {
  const Files files{{"app/cfg.yaml", kConfig}};
  RenderInput what = input();
  what.kustomization.spec.name_prefix = std::string(60, 'p') + "-";
  what.kustomization.spec.patches = {{"[{\"op\": \"add\", \"path\": \"/data/n\", \"value\": 3}]", api::Selector{}}};
  const auto view = base::make_memory_view(files);
  const auto rendered = render(*view, what);
  if (!rendered) FAIL(rendered.error().message);
  CHECK(rendered->manifests->front().origin == "app/cfg.yaml:1, patched by spec.patches[0], named by spec.namePrefix");
}

TEST_CASE("a render that is told to stop says so") {
  const auto view = base::make_memory_view({{"app/cfg.yaml", kConfig}});
  std::stop_source stop;
  CHECK(render(*view, input(), nullptr, stop.get_token()));
  stop.request_stop();
  const auto rendered = render(*view, input(), nullptr, stop.get_token());
  REQUIRE_FALSE(rendered);
  CHECK(rendered.error().kind == base::ErrorKind::cancelled);
}

TEST_CASE("the objects of a build share one budget of substituted text and of work", "[postbuild]") {
  std::string text;
  for (int i = 0; i < 5; ++i) {
    text += fmt::format(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{}\n  namespace: apps\ndata:\n  k: \"x${{big}}\"\n",
        i);
  }
  const auto view = base::make_memory_view({{"app/a.yaml", text}});
  RenderInput what = input();
  what.kustomization.spec.post_build.emplace();
  what.substitution.variables = {{"big", std::string(15U << 20U, 'a')}};
  const base::Error error = refused({{"app/a.yaml", text}}, what);
  CHECK(error.kind == base::ErrorKind::too_large);
  CHECK(error.message.find("ConfigMap/c4 (app/a.yaml:") != std::string::npos);
  CHECK(error.message.find("more than 64 MiB of text in all objects") != std::string::npos);

  kustomize_controller::BuildBudget budget;
  budget.work.steps = 1000;
  kustomize_controller::Substitution substitution;
  substitution.variables = {{"v", std::string(100, 'a')}};
  const doc::Json object = {{"a", "${v^^}"}};
  base::Result<doc::Json> done = object;
  int count = 0;
  while (count < 100 && (done = kustomize_controller::substitute_in(object, substitution, {}, &budget))) ++count;
  CHECK(count > 5);
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == base::ErrorKind::too_large);
  CHECK(done.error().message.find("in a: takes too much work (variable 'v'), all objects of a build") !=
        std::string::npos);
  CHECK(kustomize_controller::substitute_in(object, substitution));
}

TEST_CASE("a build that was not asked for longest makes room, and stays known by whom it names") {
  using kustomize_controller::RenderCache;
  RenderCache cache(10'000);
  const auto put = [&](const std::string& name, std::size_t bytes) {
    auto manifests = std::make_shared<std::vector<apply::Manifest>>(1);
    manifests->front().id.name = name;
    manifests->front().skip = true;
    manifests->front().text = std::string(bytes, 'x');
    auto rendered = std::make_shared<kustomize_controller::Rendered>();
    rendered->manifests = std::move(manifests);
    cache.put({"a", name}, {"key", "digest", {{"file", "digest"}}, std::move(rendered)});
  };
  const auto whole = [&](const std::string& name) { return cache.find({"a", name}, "key") != nullptr; };
  put("one", 3200);
  put("two", 3200);
  CHECK(whole("one"));
  CHECK_FALSE(cache.find({"a", "one"}, "other"));
  put("three", 3200);
  CHECK_FALSE(whole("two"));
  CHECK(whole("one"));
  CHECK(whole("three"));
  const auto outline = cache.last({"a", "two"});
  REQUIRE(outline);
  CHECK(outline->records.size() == 1);
  REQUIRE(outline->rendered->manifests->size() == 1);
  CHECK(outline->rendered->manifests->front().id.name == "two");
  CHECK(outline->rendered->manifests->front().skip);
  CHECK(outline->rendered->manifests->front().text.empty());
  // What replaces another is counted once, and what has no room at all takes none from others.
  for (int i = 0; i < 10; ++i) put("three", 3200);
  put("four", 20'000);
  CHECK(cache.last({"a", "four"}));
  CHECK_FALSE(whole("four"));
  CHECK(whole("one"));
  CHECK(whole("three"));
  cache.forget({"a", "one"});
  cache.forget({"a", "four"});
  put("two", 3200);
  CHECK(whole("two"));
  CHECK(cache.size() == 2);
  // Outlines have a bound as well.
  for (int i = 0; i < 1000; ++i) put("n" + std::to_string(i), 3200);
  CHECK(cache.size() < 40);
  CHECK(cache.last({"a", "n998"}));
  CHECK(whole("n999"));
}

TEST_CASE("what substituteFrom names is bounded in number and in size", "[postbuild]") {
  rt::Runtime runtime(1);
  const auto kube = std::make_shared<test::FakeKube>();
  const kube::Resource maps{"", "v1", "ConfigMap", "configmaps", true};
  const kube::Resource secrets{"", "v1", "Secret", "secrets", true};
  const auto read = [&](const api::PostBuild& post_build) {
    return test::run(runtime, kustomize_controller::read_variables(kube, post_build, "apps", nullptr));
  };
  api::PostBuild post_build;
  for (const char* name : {"a", "b", "c"}) {
    const std::string value(3U << 20U, 'v');
    kube->put(maps, {{"metadata", {{"name", name}, {"namespace", "apps"}}}, {"data", {{"same", value}}}});
    kube->put(secrets, {{"metadata", {{"name", name}, {"namespace", "apps"}}},
                        {"data", {{"same", base::base64_encode(value)}}}});
  }
  for (const char* kind : {"ConfigMap", "Secret"}) {
    post_build.substitute_from = {{kind, "a"}, {kind, "b"}};
    const auto fits = read(post_build);
    if (!fits) FAIL(fits.error().message);
    post_build.substitute_from.push_back({kind, "c"});
    const auto large = read(post_build);
    REQUIRE_FALSE(large);
    CHECK(large.error().kind == base::ErrorKind::too_large);
    CHECK(large.error().message ==
          fmt::format("substitute from '{}/c': what spec.postBuild.substituteFrom names is more "
                      "than 8 MiB in all",
                      kind));
  }
  post_build.substitute_from.assign(100, {"ConfigMap", "missing", true});
  CHECK(read(post_build));
  post_build.substitute_from.push_back({"ConfigMap", "missing", true});
  const auto many = read(post_build);
  REQUIRE_FALSE(many);
  CHECK(many.error().message == "spec.postBuild.substituteFrom has 101 entries, more than 100");
}
