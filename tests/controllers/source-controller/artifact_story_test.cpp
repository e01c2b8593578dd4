// The story of a source with a kind that has nothing else: objects that carry
// their text themselves. What every source kind must do is tested here once.
#include "source-controller/artifact_story.hpp"

#include <fstream>

#include "archive/writer.hpp"
#include "harness.hpp"

using namespace sluice;
using namespace sluice::test;
using namespace sluice::source_controller;
using namespace std::chrono_literals;
using Json = doc::Json;
namespace fs = std::filesystem;

namespace {

struct NoteRun : SourceRun {
  using SourceRun::SourceRun;
  std::string text;
};

base::Result<void> pack_note(archive::ByteSink& out, const std::string& text) {
  archive::Writer writer(out, std::nullopt);
  SLUICE_CHECK(writer.add_file("note", text));
  SLUICE_CHECK(writer.finish());
  return {};
}

class NoteReconciler final : public ArtifactStory<NoteRun> {
 public:
  NoteReconciler(rt::Runtime& runtime, std::shared_ptr<artifact::Store> store)
      : ArtifactStory(source_traits("Note", "notes"), runtime, std::move(store)) {}

  base::Result<std::unique_ptr<NoteRun>> begin(controller::RunContext& context) override {
    auto run = std::make_unique<NoteRun>(context, 1h);
    run->text = doc::find_string(*context.object, {"spec", "text"});
    return run;
  }

  int filled = 0;

 private:
  rt::Task<Observed> observe(NoteRun& run) override {
    if (run.text == "unreachable") {
      base::Error error;
      error.kind = base::ErrorKind::unavailable;
      error.message = "nobody there";
      co_return fetch_failed("NoteUnreachable", std::move(error));
    }
    Observation observation{.revision = base::sha256_digest(run.text)};
    if (doc::find_string(*run.context.object, {"status", "observedMood"}) != mood(run)) {
      observation.remake = "spec.mood has changed";
    }
    co_return observation;
  }
  rt::Task<Filled> fill(NoteRun& run) override {
    ++filled;
    auto work = [shelf = shelf_of(run), text = run.text, mood = mood(run)](std::stop_token) -> Filled {
      const auto write = [&](archive::ByteSink& out) -> base::Result<void> {
        if (text == "broken") return base::unexpected(base::ErrorKind::io, "cannot be packed");
        return pack_note(out, text + mood);
      };
      Filled made = shelf.put("note.tar.gz", "stored note", write);
      if (auto* filling = std::get_if<Filling>(&made); filling && text == "with more") {
        filling->left_out = {"more"};
      }
      return made;
    };
    auto task = rt::run_blocking(runtime(), std::move(work));
    auto filled_in = co_await std::move(task);
    co_return filled_in;
  }
  void note(const NoteRun& run, Json& status) override { status["observedMood"] = mood(run); }
  static std::string mood(const NoteRun& run) {
    return std::string(doc::find_string(*run.context.object, {"spec", "mood"}));
  }
};

struct Notes : SourceHarness {
  Notes() {
    resource = {"source.toolkit.fluxcd.io", "v1", "Note", "notes", true};
    make_reconciler = [this](rt::Runtime& runtime) {
      subject = std::make_shared<NoteReconciler>(runtime, store);
      return subject;
    };
  }
  void write(const std::string& text, const std::string& name = "app") {
    if (kube->object(resource, key_of(name)).is_null()) {
      put("", Json{{"text", text}}, name);
    } else {
      edit([&](Json& o) { o["spec"]["text"] = text; }, name);
    }
  }
  std::string revision_of(const std::string& text) const { return base::sha256_digest(text); }
  std::shared_ptr<NoteReconciler> subject;
};

}  // namespace

TEST_CASE_METHOD(Notes, "story: a revision becomes an artifact that the status names and an event tells") {
  write("one");
  start();
  until_ready();
  check_sane();
  CHECK(artifact()->revision == revision_of("one"));
  CHECK(artifact()->path == "note/flux-system/app/note.tar.gz");
  CHECK(files() == archive::Files{{"note", "one"}});
  CHECK(object()["metadata"]["finalizers"] == Json{"finalizers.fluxcd.io"});
  CHECK(message() == "stored artifact for revision '" + revision_of("one") + "'");
  CHECK(conditions().is_true("ArtifactInStorage"));
  REQUIRE(events.records.size() == 1);
  CHECK(events.records[0].reason == "NewArtifact");
  CHECK(events.records[0].message == "stored note");
  CHECK(events.records[0].annotations.at("source.toolkit.fluxcd.io/revision") == revision_of("one"));
  CHECK(events.records[0].annotations.at("source.toolkit.fluxcd.io/digest") == artifact()->digest);
}

TEST_CASE_METHOD(Notes, "story: a revision that stands is neither filled nor told again") {
  write("one");
  start();
  until_ready();
  request();
  check_sane();
  CHECK(subject->filled == 1);
  CHECK(events.records.size() == 1);
}

TEST_CASE_METHOD(Notes, "story: what the artifact was made with makes a new one of the same revision") {
  write("one");
  start();
  until_ready();
  const auto before = artifact();
  edit([](Json& o) { o["spec"]["mood"] = "!"; });
  until([&] { return is_settled("app") && artifact()->digest != before->digest; });
  check_sane();
  CHECK(artifact()->revision == before->revision);
  CHECK(files() == archive::Files{{"note", "one!"}});
  CHECK(events.count("NewArtifact") == 2);
  request();
  CHECK(subject->filled == 2);
}

TEST_CASE_METHOD(Notes, "story: a failure to observe keeps the artifact, and its end is told") {
  write("one");
  start();
  until_ready();
  const auto before = artifact();
  write("unreachable");
  until_failed("NoteUnreachable");
  check_sane(false);
  CHECK(conditions().is_true("FetchFailed"));
  CHECK(conditions().is_true("ArtifactInStorage"));
  CHECK(artifact() == before);
  CHECK(fs::exists(storage.path() / before->path));
  write("one");
  until_ready();
  check_sane();
  CHECK_FALSE(conditions().has("FetchFailed"));
  CHECK(events.count("Succeeded") == 1);
  CHECK(events.count("NewArtifact") == 1);
  CHECK(subject->filled == 1);
}

TEST_CASE_METHOD(Notes, "story: what cannot be packed blames the storage, and the old artifact stays whole") {
  write("one");
  start();
  until_ready();
  const auto before = artifact();
  write("broken");
  until_failed("ArchiveOperationFailed");
  check_sane(false);
  CHECK(conditions().is_true("StorageOperationFailed"));
  CHECK(artifact() == before);
  CHECK(files() == archive::Files{{"note", "one"}});
  write("two");
  until_ready();
  check_sane();
  CHECK_FALSE(conditions().has("StorageOperationFailed"));
  CHECK_FALSE(conditions().has("ArtifactOutdated"));
}

TEST_CASE_METHOD(Notes, "story: an artifact that is gone, damaged or another's is made anew") {
  write("one");
  start();
  until_ready();
  const auto before = artifact();
  SECTION("gone: it lay on another pod's disk") { fs::remove(storage.path() / before->path); }
  SECTION("damaged") { std::ofstream(storage.path() / before->path) << "other bytes"; }
  SECTION("another's path") {
    edit([](Json& o) { o["status"]["artifact"]["path"] = "note/flux-system/other/note.tar.gz"; });
  }
  SECTION("unreadable") {
    edit([](Json& o) { o["status"]["artifact"] = "broken"; });
  }
  request();
  until([&] { return is_settled("app") && subject->filled == 2; });
  until_ready();
  check_sane();
  CHECK(artifact()->digest == before->digest);
  CHECK(files() == archive::Files{{"note", "one"}});
}

TEST_CASE_METHOD(Notes, "story: the URL follows the advertised address, and nothing is filled for it") {
  write("one");
  start();
  until_ready();
  stop();
  store_options.advertised_address = "elsewhere:8080";
  start();
  request();
  CHECK(artifact()->url == "http://elsewhere:8080/note/flux-system/app/note.tar.gz");
  CHECK(subject->filled == 0);
}

TEST_CASE_METHOD(Notes, "story: what the source has and the artifact has not is said, and again when it has changed") {
  write("with more");
  start();
  until_ready();
  REQUIRE(events.count("ArtifactIncomplete") == 1);
  CHECK(events.records.back().message == "not in the artifact: more");
  CHECK(events.records.back().severity == controller::Severity::trace);
  request();
  edit([](Json& o) { o["spec"]["mood"] = "!"; });  // another artifact, in which the same is missing
  until([&] { return is_settled("app") && subject->filled == 2; });
  CHECK(events.count("ArtifactIncomplete") == 1);
  write("whole");
  until([&] { return is_settled("app") && subject->filled == 3; });
  CHECK(events.count("ArtifactIncomplete") == 1);
  write("with more");
  until([&] { return is_settled("app") && subject->filled == 4; });
  CHECK(events.count("ArtifactIncomplete") == 2);
}

TEST_CASE_METHOD(Notes, "story: a deleted object takes its artifacts along, and nobody else's") {
  write("one");
  write("two", "other");
  start();
  until_ready();
  until_ready("other");
  const auto gone = artifact();
  kube->erase(resource, key_of("app"));
  until([&] { return object().is_null(); });
  CHECK_FALSE(fs::exists(storage.path() / gone->path));
  CHECK(fs::exists(storage.path() / artifact("other")->path));
}

TEST_CASE_METHOD(Notes, "story: an artifact's time is the API server's, as all times in a status are") {
  const base::TimePoint server(std::chrono::seconds(4'000'000'000));
  auto opened = artifact::Store::open(store_options, base::system_clock());
  REQUIRE(opened);
  const Shelf real(*opened, {"Note", key_of("app")}, "r", server);
  const auto filled = real.put("note.tar.gz", "told", [](archive::ByteSink& out) { return pack_note(out, "x"); });
  REQUIRE(std::holds_alternative<Filling>(filled));
  CHECK(std::get<Filling>(filled).artifact.last_update_time == server);
}

TEST_CASE_METHOD(Notes, "story: an object stays until its artifacts are gone from the disk") {
  write("one");
  start();
  until_ready();
  const fs::path folder = storage.path() / "note/flux-system/app";
  fs::remove_all(folder);
  std::ofstream(folder) << "in the way";  // what is no folder cannot be emptied
  kube->erase(resource, key_of("app"));
  until([&] { return message().find("garbage collection for deleted resource failed") != std::string::npos; });
  CHECK(object()["metadata"]["finalizers"] == Json{"finalizers.fluxcd.io"});
  fs::remove(folder);
  until([&] { return object().is_null(); });
}

TEST_CASE_METHOD(Notes, "story: artifacts go with their object, though somebody has taken its finalizer off") {
  write("one");
  write("two", "other");
  start();
  until_ready();
  until_ready("other");
  const fs::path gone = storage.path() / artifact()->path;
  edit([](Json& o) { o["metadata"].erase("finalizers"); });
  kube->erase(resource, key_of("app"));
  until([&] { return !fs::exists(gone); });
  CHECK(fs::exists(storage.path() / artifact("other")->path));
}

TEST_CASE_METHOD(Notes, "story: a damaged artifact that cannot be made anew is neither named nor served") {
  write("one");
  start();
  until_ready();
  const fs::path damaged = storage.path() / artifact()->path;
  std::ofstream(damaged) << "other bytes";
  write("unreachable");
  until_failed("NoteUnreachable");
  CHECK_FALSE(artifact());
  CHECK_FALSE(fs::exists(damaged));
  CHECK_FALSE(conditions().has("ArtifactInStorage"));
  check_sane(false);
}
