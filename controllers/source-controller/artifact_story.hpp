// The story that all sources share: what the status says is there is there, a new
// revision becomes a new artifact, an old artifact stays until a new one is whole.
// A kind fills two holes:
//
//   observe   which revision is there now?
//   fill      what are the bytes of that revision?
//
// A whole kind, of objects that carry their text themselves (the test of this
// story runs it):
//
//   struct NoteRun : SourceRun {
//     using SourceRun::SourceRun;
//     std::string text;
//   };
//   class NoteReconciler final : public ArtifactStory<NoteRun> {
//     base::Result<std::unique_ptr<NoteRun>> begin(controller::RunContext& context) override {
//       auto run = std::make_unique<NoteRun>(context, std::chrono::minutes(5));
//       run->text = doc::find_string(*context.object, {"spec", "text"});
//       return run;
//     }
//     rt::Task<Observed> observe(NoteRun& run) override {
//       co_return Observation{.revision = base::sha256_digest(run.text)};
//     }
//     rt::Task<Filled> fill(NoteRun& run) override {
//       auto work = [shelf = shelf_of(run), text = run.text](std::stop_token) -> Filled {
//         return shelf.put("note.tar.gz", "stored note", [&](archive::ByteSink& out) { return pack_note(out, text); });
//       };
//       auto task = rt::run_blocking(runtime(), run.context.meta.namespace_, std::move(work));
//       auto filled = co_await std::move(task);
//       co_return filled;
//     }
//   };
//
// The steps, and the conditions that they set:
//   1. look_into_storage  Old artifacts are collected. The artifact in the status is there, with its digest, or it is
//                         forgotten and made anew (it lay on another pod's disk, or was damaged). Its URL follows
//                         --storage-adv-addr.   StorageOperationFailed=StatOperationFailed
//   2. observe            The kind's. If the revision is the stored one and nothing else has changed, the run ends
//                         here: nothing is fetched, written or told, but for a failure that is over.
//                         What the kind says (FetchFailed, ...)
//   3. fill               The kind's. ArtifactOutdated=NewRevision while it lasts.
//                         What the kind says, StorageOperationFailed=DirectoryCreationFailed, ArchiveOperationFailed
//   4. publish            The status names the artifact; an event says NewArtifact.   ArtifactInStorage=True
// Deletion takes all artifacts of the object away.
//
// A failure leaves the artifact that is served in place. What is newer (spec,
// request, deletion) cancels any step where it waits.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/artifact.hpp"
#include "artifact/store.hpp"
#include "controller/reconciler.hpp"
#include "rt/runtime.hpp"

namespace sluice::source_controller {

// What `observe` found.
struct Observation {
  std::string revision;
  // Why the same revision must be made anew all the same ("spec.ignore has changed"); "": it need not.
  std::string remake{};
};
using Observed = std::variant<Observation, controller::StepFailure>;

// What `fill` made.
struct Filling {
  api::Artifact artifact;
  std::string told;                     // "stored artifact for commit 'Add a'": the event's message
  std::vector<std::string> left_out{};  // what the source has and the artifact has not, and why; for people
};
using Filled = std::variant<Filling, controller::StepFailure>;

// The baton of a run. A kind derives its own from it.
struct SourceRun {
  SourceRun(controller::RunContext& run_context, base::Duration spec_interval);
  SourceRun(const SourceRun&) = delete;
  SourceRun& operator=(const SourceRun&) = delete;
  virtual ~SourceRun() = default;

  artifact::Owner owner() const { return {context.gvk.kind, context.key()}; }

  controller::RunContext& context;
  base::Duration interval;
  std::optional<api::Artifact> before;    // what the status named when the run began
  std::optional<api::Artifact> artifact;  // the same, as far as it is stored and whole
  bool recovering = false;                // the last run had failed
  Observation observed;
  Filling filled;
};

// Where a run puts its artifact. Used on the pool; holds nothing of the run.
class Shelf {
 public:
  Shelf(std::shared_ptr<artifact::Store> store, artifact::Owner owner, std::string revision, base::TimePoint now)
      : store_(std::move(store)), owner_(std::move(owner)), revision_(std::move(revision)), now_(now) {}
  // Stores what `fill` writes as `file`; a failure is one of the storage. `told` as in Filling.
  Filled put(std::string_view file, std::string told, const artifact::Store::Fill& fill) const;

 private:
  std::shared_ptr<artifact::Store> store_;
  artifact::Owner owner_;
  std::string revision_;
  base::TimePoint now_;  // by the API server's clock, as all times in the status are
};

// What the story does, whatever the kind is. Used by ArtifactStory only.
class StoryTeller {
 public:
  StoryTeller(rt::Runtime& runtime, std::shared_ptr<artifact::Store> store)
      : runtime_(runtime), store_(std::move(store)) {}
  rt::Task<controller::StepResult> look_into_storage(SourceRun& run);
  // The run ends here if what is stored is what was observed.
  controller::StepResult judge(SourceRun& run, Observation observed);
  controller::StepResult publish(SourceRun& run);
  rt::Task<base::Result<void>> finalize(controller::RunContext& context);
  void forget(const artifact::Owner& owner);

  rt::Runtime& runtime() const noexcept { return runtime_; }
  const std::shared_ptr<artifact::Store>& store() const noexcept { return store_; }

 private:
  void tell_left_out(SourceRun& run);

  rt::Runtime& runtime_;
  std::shared_ptr<artifact::Store> store_;
  std::map<api::ObjectKey, std::string> left_out_;  // what was told last
};

// Traits of a source kind: finalizer, field manager, bad-news conditions.
controller::KindTraits source_traits(std::string_view kind, std::string plural);

template <class Run>
class ArtifactStory : public controller::StepReconciler<Run> {
 public:
  // The runtime outlives the reconciler.
  ArtifactStory(controller::KindTraits traits, rt::Runtime& runtime, std::shared_ptr<artifact::Store> store)
      : traits_(std::move(traits)), teller_(runtime, std::move(store)) {}

  const controller::KindTraits& traits() const override { return traits_; }
  controller::Steps<Run> steps() override {
    return {{"look_into_storage", [this](Run& run) { return teller_.look_into_storage(run); }},
            {"observe", [this](Run& run) { return observe_and_judge(run); }},
            {"fill", [this](Run& run) { return fill_in(run); }},
            {"publish", [this](Run& run) { return tell(run); }}};
  }
  rt::Task<base::Result<void>> finalize(controller::RunContext& context) override { return teller_.finalize(context); }
  // For objects whose finalizer was taken off by somebody else.
  void forget(const api::ObjectKey& key) override { teller_.forget({traits_.resource.kind, key}); }

 protected:
  virtual rt::Task<Observed> observe(Run& run) = 0;
  virtual rt::Task<Filled> fill(Run& run) = 0;
  // Fields of the status that say what the artifact was made with (observedIgnore).
  virtual void note(const Run& /*run*/, doc::Json& /*status*/) {}

  rt::Runtime& runtime() const noexcept { return teller_.runtime(); }
  Shelf shelf_of(const Run& run) const {
    return {teller_.store(), run.owner(), run.observed.revision, run.context.clock.now()};
  }

 private:
  rt::Task<controller::StepResult> observe_and_judge(Run& run) {
    auto observing = observe(run);
    Observed observed = co_await std::move(observing);
    if (auto* failure = std::get_if<controller::StepFailure>(&observed)) co_return std::move(*failure);
    co_return teller_.judge(run, std::get<Observation>(std::move(observed)));
  }
  rt::Task<controller::StepResult> fill_in(Run& run) {
    auto filling = fill(run);
    Filled filled = co_await std::move(filling);
    if (auto* failure = std::get_if<controller::StepFailure>(&filled)) co_return std::move(*failure);
    run.filled = std::get<Filling>(std::move(filled));
    co_return controller::kContinue;
  }
  rt::Task<controller::StepResult> tell(Run& run) {
    note(run, run.context.status);
    co_return teller_.publish(run);
  }

  const controller::KindTraits traits_;
  StoryTeller teller_;
};

// A failure that stops short of the storage: FetchFailed, and tried again.
controller::StepFailure fetch_failed(std::string_view reason, base::Error error);

}  // namespace sluice::source_controller
