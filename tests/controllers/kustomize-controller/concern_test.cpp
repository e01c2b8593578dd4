#include "kustomize-controller/concern.hpp"

#include <catch2/catch.hpp>

using namespace sluice;
using kustomize_controller::Concern;
using kustomize_controller::make_reader;
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

doc::Json ready(const std::string& name, std::vector<std::string> depends_on = {}) {
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
  return object;
}

// Of a Kustomization whose build has read one file.
Reader reader_of(const doc::Json& object, const std::string& file, const std::string& text) {
  const auto files = base::make_memory_view({{file, text}});
  const base::RecordingView view(*files);
  REQUIRE(view.read(file).has_value());
  auto entry = std::make_shared<RenderCache::Entry>();
  entry->records = view.records();
  return make_reader(object, std::move(entry));
}

Reader reader(const std::string& name, const std::string& file, const std::string& text,
              std::vector<std::string> depends_on = {}) {
  return reader_of(ready(name, std::move(depends_on)), file, text);
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
  doc::Json failed = ready("failed");
  failed["status"]["conditions"][0]["status"] = "False";
  doc::Json edited = ready("edited");
  edited["metadata"]["generation"] = 2;
  doc::Json suspended = failed;
  suspended["metadata"]["name"] = "suspended";
  suspended["spec"]["suspend"] = true;
  std::vector<Reader> readers;
  for (const doc::Json& object : std::vector<doc::Json>{failed, edited, suspended, ready("fine")}) {
    readers.push_back(reader_of(object, "a/x.yaml", "old"));
  }
  const Concern concern = sort_by_concern(readers, now);
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
