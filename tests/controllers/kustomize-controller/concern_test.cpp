#include "kustomize-controller/concern.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using kustomize_controller::Concern;
using kustomize_controller::Reader;
using kustomize_controller::RenderCache;
using kustomize_controller::sort_by_concern;

namespace {

artifact::TreeManifest tree(std::map<std::string, std::string> files) {
  artifact::TreeManifest::Builder builder;
  for (const auto& [path, text] : files) {
    archive::Entry entry;
    entry.path = path;
    entry.size = text.size();
    REQUIRE(builder.begin_file(entry).has_value());
    REQUIRE(builder.write(text).has_value());
  }
  return builder.finish();
}

// A Ready Kustomization that has read one file.
Reader reader(const std::string& name, const std::string& file, const std::string& text,
              std::vector<std::string> depends_on = {}) {
  doc::Json object = {{"kind", "Kustomization"},
                      {"metadata", {{"name", name}, {"namespace", "apps"}, {"generation", 1}}}};
  object["spec"] = {{"dependsOn", doc::Json::array()}};
  for (const auto& other : depends_on) object["spec"]["dependsOn"].push_back({{"name", other}});
  object["status"] = {{"observedGeneration", 1}};
  object["status"]["conditions"] = doc::Json::array({{{"type", "Ready"},
                                                      {"status", "True"},
                                                      {"reason", "ReconciliationSucceeded"},
                                                      {"message", ""},
                                                      {"lastTransitionTime", "2026-01-01T00:00:00Z"},
                                                      {"observedGeneration", 1}}});
  const auto files = base::make_memory_view({{file, text}});
  const base::RecordingView view(*files);
  REQUIRE(view.read(file).has_value());
  auto entry = std::make_shared<RenderCache::Entry>();
  entry->records = view.records();
  return {std::make_shared<const doc::Json>(std::move(object)), std::move(entry)};
}

std::vector<std::string> names(const std::vector<api::ObjectKey>& keys) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.push_back(key.name);
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("whose files a new artifact changes goes first, the others have time") {
  const auto now = tree({{"a/x.yaml", "new"}, {"b/x.yaml", "old"}});
  const Concern concern = sort_by_concern({reader("a", "a/x.yaml", "old"), reader("b", "b/x.yaml", "old")}, now);
  CHECK(names(concern.now) == Names{"a"});
  CHECK(names(concern.later) == Names{"b"});
}

TEST_CASE("a file that went, and a build of which nothing is known, concern their readers") {
  const auto now = tree({{"b/x.yaml", "old"}});
  Reader unknown = reader("b", "b/x.yaml", "old");
  unknown.last.reset();
  const Concern concern = sort_by_concern({reader("a", "a/x.yaml", "old"), unknown}, now);
  CHECK(names(concern.now) == Names{"a", "b"});
  CHECK(concern.later.empty());
}

TEST_CASE("who is not ready for its newest spec goes first, whatever has changed") {
  const auto now = tree({{"a/x.yaml", "old"}});
  Reader failed = reader("failed", "a/x.yaml", "old");
  Reader edited = reader("edited", "a/x.yaml", "old");
  const auto change = [](Reader& reader, const std::function<void(doc::Json&)>& edit) {
    doc::Json object = *reader.object;
    edit(object);
    reader.object = std::make_shared<const doc::Json>(std::move(object));
  };
  change(failed, [](doc::Json& object) { object["status"]["conditions"][0]["status"] = "False"; });
  change(edited, [](doc::Json& object) { object["metadata"]["generation"] = 2; });
  Reader suspended = failed;
  change(suspended, [](doc::Json& object) {
    object["metadata"]["name"] = "suspended";
    object["spec"]["suspend"] = true;
  });
  const Concern concern = sort_by_concern({failed, edited, suspended, reader("fine", "a/x.yaml", "old")}, now);
  CHECK(names(concern.now) == Names{"edited", "failed"});
  CHECK(names(concern.later) == Names{"fine", "suspended"});
}

TEST_CASE("whoever is waited for by one that goes first goes first, over any number of steps") {
  const auto now = tree({{"a/x.yaml", "new"}, {"b/x.yaml", "old"}});
  const Concern concern =
      sort_by_concern({reader("base", "b/x.yaml", "old"), reader("middle", "b/x.yaml", "old", {"base", "elsewhere"}),
                       reader("a", "a/x.yaml", "old", {"middle"}), reader("other", "b/x.yaml", "old", {"a"})},
                      now);
  CHECK(names(concern.now) == Names{"a", "base", "middle"});
  CHECK(names(concern.later) == Names{"other"});
}
