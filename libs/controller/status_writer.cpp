#include "controller/status_writer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <utility>

#include "kube/reflector.hpp"

namespace sluice::controller {

namespace {

constexpr const char* kInventory = "inventory";
constexpr const char* kEntries = "entries";
constexpr int kMaxConflicts = 8;
constexpr auto kConflictPause = std::chrono::milliseconds(20);
// A moment without the server must not cost a whole run. If a lost answer was a
// yes, the next try meets a conflict, reads, and finds nothing left to write.
constexpr std::array<std::chrono::milliseconds, 3> kOutagePauses = {
    std::chrono::milliseconds(100), std::chrono::milliseconds(400), std::chrono::milliseconds(1500)};

bool is_outage(base::ErrorKind kind) {
  return kind == base::ErrorKind::unavailable || kind == base::ErrorKind::timeout;
}

// The writer is free again however the write ends, cancellation included.
class Turn {
 public:
  Turn(bool& busy, rt::Notify& idle) : busy_(busy), idle_(idle) { busy_ = true; }
  ~Turn() {
    busy_ = false;
    idle_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool& busy_;
  rt::Notify& idle_;
};

doc::Json status_of(const doc::Json& object) {
  const auto* status = doc::find(object, {"status"});
  return status != nullptr && status->is_object() ? *status : doc::Json::object();
}

}  // namespace

doc::Json merge_patch_between(const doc::Json& before, const doc::Json& after) {
  doc::Json patch = doc::Json::object();
  for (const auto& [key, value] : before.items()) {
    if (!after.contains(key)) patch[key] = nullptr;
  }
  for (const auto& [key, value] : after.items()) {
    const auto old = before.find(key);
    if (old == before.end()) {
      patch[key] = value;
    } else if (old->is_object() && value.is_object()) {
      auto inner = merge_patch_between(*old, value);
      if (!inner.empty()) patch[key] = std::move(inner);
    } else if (*old != value) {
      patch[key] = value;
    }
  }
  return patch;
}

StatusWriter::StatusWriter(std::shared_ptr<kube::Client> client, kube::Resource resource, std::string field_manager,
                           const doc::Json& object, std::function<void(doc::Json)> on_read)
    : client_(std::move(client)),
      resource_(std::move(resource)),
      field_manager_(std::move(field_manager)),
      key_(api::key_of(object)),
      uid_(api::uid_of(object)),
      resource_version_(api::resource_version_of(object)),
      known_(status_of(object)),
      on_read_(std::move(on_read)) {}

void StatusWriter::take_in(doc::Json object) {
  // Requests are made one after the other, so an answer cannot have crossed a newer one.
  const bool older = kube::is_older_version(api::resource_version_of(object), resource_version_);
  went_back_ = went_back_ || older;
  resource_version_ = api::resource_version_of(object);
  known_ = status_of(object);
  const auto& tell = older && on_went_back_ ? on_went_back_ : on_read_;
  if (tell) tell(std::move(object));
}

rt::Task<base::Result<void>> StatusWriter::write(doc::Json status) {
  while (busy_) co_await idle_.wait();
  const Turn turn(busy_, idle_);
  auto writing = write_alone(std::move(status));
  auto written = co_await std::move(writing);
  co_return written;
}

rt::Task<base::Result<doc::Json>> StatusWriter::send(doc::Json change) {
  doc::Json patch = doc::Json::object();
  patch["metadata"]["resourceVersion"] = resource_version_;
  patch["status"] = std::move(change);
  kube::PatchOptions options;
  options.field_manager = field_manager_;
  options.subresource = "status";
  auto asking = client_->patch(resource_, key_, kube::PatchType::merge, std::move(patch), options);
  auto answer = co_await std::move(asking);
  co_return answer;
}

rt::Task<base::Result<void>> StatusWriter::write_alone(doc::Json status) {
  std::size_t outages = 0;
  for (int attempt = 0;; ++attempt) {
    if (stale_) {
      co_return base::unexpected(base::ErrorKind::conflict, "somebody else has written the status of " + key_.str());
    }
    doc::Json change = merge_patch_between(known_, status);
    if (change.empty()) co_return base::Result<void>();
    // Before it is sent: a run that is cancelled never hears the answer.
    in_doubt_.push_back(status);
    auto sending = send(std::move(change));
    auto answer = co_await std::move(sending);
    if (answer) {
      in_doubt_.clear();
      take_in(*std::move(answer));
      co_return base::Result<void>();
    }
    if (is_outage(answer.error().kind)) {
      if (outages < kOutagePauses.size()) {
        co_await rt::sleep_for(kOutagePauses[outages++]);
        continue;
      }
    } else {
      in_doubt_.pop_back();
    }
    if (answer.error().kind != base::ErrorKind::conflict || attempt >= kMaxConflicts) {
      co_return base::unexpected(std::move(answer).error().with_context("writing the status of " + key_.str()));
    }
    co_await rt::sleep_for(kConflictPause * attempt);
    const doc::Json before = known_;
    auto refreshed = co_await refresh();
    SLUICE_CO_CHECK(std::move(refreshed));
    if (!went_back_ && (known_ == before || may_be_ours(known_))) continue;
    stale_ = true;
    auto keeping = keep_inventory(std::move(status));
    co_await std::move(keeping);
    if (on_stale_) on_stale_();
    status = doc::Json::object();
  }
}

bool StatusWriter::may_be_ours(const doc::Json& status) const {
  return std::find(in_doubt_.begin(), in_doubt_.end(), status) != in_doubt_.end();
}

// What this run has announced it may have applied, and nobody else would ever delete it. That
// an object is named that is gone or another's does no harm.
rt::Task<void> StatusWriter::keep_inventory(doc::Json status) {
  const auto* ours = doc::find(status, {kInventory, kEntries});
  if (ours == nullptr || !ours->is_array()) co_return;
  for (int attempt = 0; attempt <= kMaxConflicts; ++attempt) {
    doc::Json united = known_.value(kInventory, doc::Json::object());
    if (!united.is_object()) united = doc::Json::object();
    doc::Json& entries = united[kEntries];
    if (!entries.is_array()) entries = doc::Json::array();
    std::set<std::string> named;
    for (const auto& entry : entries) named.emplace(doc::find_string(entry, {"id"}));
    bool grown = false;
    for (const auto& entry : *ours) {
      if (!named.emplace(doc::find_string(entry, {"id"})).second) continue;
      entries.push_back(entry);
      grown = true;
    }
    if (!grown) co_return;
    doc::Json change = doc::Json::object();
    change[kInventory] = std::move(united);
    auto sending = send(std::move(change));
    auto answer = co_await std::move(sending);
    if (answer) {
      take_in(*std::move(answer));
      co_return;
    }
    if (answer.error().kind != base::ErrorKind::conflict && !is_outage(answer.error().kind)) co_return;
    co_await rt::sleep_for(kConflictPause * (attempt + 1));
    auto refreshed = co_await refresh();
    if (!refreshed && !is_outage(refreshed.error().kind)) co_return;
  }
}

rt::Task<base::Result<void>> StatusWriter::refresh() {
  auto asking = client_->get(resource_, key_);
  auto answer = co_await std::move(asking);
  SLUICE_CO_TRY(doc::Json object, std::move(answer));
  if (api::uid_of(object) != uid_) {
    const bool older = kube::is_older_version(api::resource_version_of(object), resource_version_);
    if (older && on_went_back_) on_went_back_(std::move(object));
    co_return base::unexpected(base::ErrorKind::not_found, key_.str() + " has been replaced by another object");
  }
  take_in(std::move(object));
  co_return base::Result<void>();
}

}  // namespace sluice::controller
