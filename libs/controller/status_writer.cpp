#include "controller/status_writer.hpp"

#include <array>
#include <chrono>
#include <utility>

namespace sluice::controller {

namespace {

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
                           const doc::Json& object, std::function<void(doc::Json)> on_written)
    : client_(std::move(client)),
      resource_(std::move(resource)),
      field_manager_(std::move(field_manager)),
      key_(api::key_of(object)),
      uid_(api::uid_of(object)),
      resource_version_(api::resource_version_of(object)),
      known_(status_of(object)),
      on_written_(std::move(on_written)) {}

void StatusWriter::take_in(doc::Json object) {
  resource_version_ = api::resource_version_of(object);
  known_ = status_of(object);
  if (on_written_) on_written_(std::move(object));
}

rt::Task<base::Result<void>> StatusWriter::write(doc::Json status) {
  while (busy_) co_await idle_.wait();
  const Turn turn(busy_, idle_);
  auto writing = write_alone(std::move(status));
  auto written = co_await std::move(writing);
  co_return written;
}

rt::Task<base::Result<void>> StatusWriter::write_alone(doc::Json status) {
  std::size_t outages = 0;
  for (int attempt = 0;; ++attempt) {
    doc::Json change = merge_patch_between(known_, status);
    if (change.empty()) co_return base::Result<void>();
    doc::Json patch = doc::Json::object();
    patch["metadata"]["resourceVersion"] = resource_version_;
    patch["status"] = std::move(change);
    kube::PatchOptions options;
    options.field_manager = field_manager_;
    options.subresource = "status";
    auto asking = client_->patch(resource_, key_, kube::PatchType::merge, std::move(patch), options);
    auto answer = co_await std::move(asking);
    if (answer) {
      take_in(*std::move(answer));
      co_return base::Result<void>();
    }
    if (is_outage(answer.error().kind) && outages < kOutagePauses.size()) {
      co_await rt::sleep_for(kOutagePauses[outages++]);
      continue;
    }
    if (answer.error().kind != base::ErrorKind::conflict || attempt >= kMaxConflicts) {
      co_return base::unexpected(std::move(answer).error().with_context("writing the status of " + key_.str()));
    }
    co_await rt::sleep_for(kConflictPause * attempt);
    auto refreshed = co_await refresh();
    SLUICE_CO_CHECK(std::move(refreshed));
  }
}

rt::Task<base::Result<void>> StatusWriter::refresh() {
  auto asking = client_->get(resource_, key_);
  auto answer = co_await std::move(asking);
  SLUICE_CO_TRY(doc::Json object, std::move(answer));
  if (api::uid_of(object) != uid_) {
    co_return base::unexpected(base::ErrorKind::not_found, key_.str() + " has been replaced by another object");
  }
  resource_version_ = api::resource_version_of(object);
  known_ = status_of(object);
  co_return base::Result<void>();
}

}  // namespace sluice::controller
