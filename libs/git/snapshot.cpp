#include "git/snapshot.hpp"

#include <fmt/core.h>

#include "git/store/snapshot_state.hpp"

namespace sluice::git {

using base::Result;

namespace {

constexpr std::size_t kShortMessage = 50;  // Flux: pkg git/git.go, ShortMessage

// Lets the next fetch replace a copy that has turned out to be unreadable.
template <class T>
Result<T> noting_damage(const store::ObjectStore& store, Result<T> result) {
  if (!result && result.error().reason == store::ObjectStore::kDamaged) store.mark_damaged();
  return result;
}

}  // namespace

std::string Commit::short_message() const {
  const std::string_view subject = std::string_view(message).substr(0, message.find('\n'));
  std::size_t characters = 0;
  for (std::size_t i = 0; i < subject.size(); ++i) {
    const bool starts_character = (static_cast<unsigned char>(subject[i]) & 0xC0U) != 0x80U;
    if (starts_character && characters++ == kShortMessage) return fmt::format("{}...", subject.substr(0, i));
  }
  return std::string(subject);
}

Snapshot::Snapshot(std::unique_ptr<State> state) : state_(std::move(state)) {}
Snapshot::~Snapshot() = default;
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;

const Commit& Snapshot::commit() const noexcept { return state_->commit; }

Result<void> Snapshot::walk(const Visitor& visit, std::stop_token stop, std::size_t max_entries) const {
  return noting_damage(state_->store, state_->store.walk(state_->commit.oid, visit, std::move(stop), max_entries));
}

Result<std::string> Snapshot::read(const TreeEntry& entry, std::uint64_t max_bytes) const {
  std::string copy;
  SLUICE_CHECK(read(entry, max_bytes, [&copy](std::string_view bytes) {
    copy = bytes;
    return Result<void>();
  }));
  return copy;
}

Result<void> Snapshot::read(const TreeEntry& entry, std::uint64_t max_bytes, const Reader& reader) const {
  auto done = noting_damage(state_->store, state_->store.read_blob(Oid(entry.oid), max_bytes, reader));
  if (!done) return base::unexpected(std::move(done).error().with_context(fmt::format("'{}'", entry.path)));
  return done;
}

}  // namespace sluice::git
