#include "artifact_builder.hpp"

#include "archive/limits.hpp"
#include "archive/writer.hpp"

namespace sluice::source {

using base::Result;

base::Result<void> pack(const git::Snapshot& snapshot, const text::IgnoreRules& rules, archive::ByteSink& out,
                        std::stop_token stop) {
  // What our own consumers would refuse is not worth making.
  const archive::Limits limits;
  archive::Writer writer(out, std::nullopt);  // whoever owns `out` hashes
  const auto visit = [&](const git::TreeEntry& entry) -> Result<git::Walk> {
    const bool is_folder = entry.type == git::EntryType::folder || entry.type == git::EntryType::submodule;
    if (entry.type == git::EntryType::symlink || rules.ignores(entry.path, is_folder)) return git::Walk::go_on;
    if (is_folder) {
      SLUICE_CHECK(writer.add_folder(entry.path));
      return git::Walk::go_on;
    }
    SLUICE_TRY(const std::string bytes, snapshot.read(entry, limits.max_file_bytes));
    SLUICE_CHECK(writer.add_file(entry.path, bytes, entry.type == git::EntryType::executable));
    return git::Walk::go_on;
  };
  SLUICE_CHECK(snapshot.walk(visit, std::move(stop), limits.max_entries));
  SLUICE_CHECK(writer.finish());
  return {};
}

}  // namespace sluice::source
