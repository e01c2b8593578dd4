#include "artifact_builder.hpp"

#include <fmt/format.h>

#include "archive/limits.hpp"
#include "archive/writer.hpp"

namespace sluice::source_controller {

using base::Result;

namespace {

constexpr std::size_t kNamed = 5;  // of what is left out

}  // namespace

void LeftOut::Some::add(std::string_view path) {
  ++count;
  if (first.size() < kNamed) first.emplace_back(path);
}

std::string LeftOut::Some::text() const {
  return fmt::format("'{}'{}", fmt::join(first, "', '"), count > first.size() ? ", ..." : "");
}

std::vector<std::string> LeftOut::texts() const {
  std::vector<std::string> out;
  if (links_.count > 0) {
    out.push_back(fmt::format("{} symbolic link{}, as artifacts hold none ({})", links_.count,
                              links_.count == 1 ? "" : "s", links_.text()));
  }
  if (submodules_.count > 0) {
    out.push_back(fmt::format("the content of {} submodule{}, as they are not fetched ({})", submodules_.count,
                              submodules_.count == 1 ? "" : "s", submodules_.text()));
  }
  return out;
}

Result<LeftOut> pack(const git::Snapshot& snapshot, const text::IgnoreRules& rules, archive::ByteSink& out,
                     std::stop_token stop) {
  // What our own consumers would refuse is not worth making.
  const archive::Limits limits;
  archive::Writer writer(out, std::nullopt);  // whoever owns `out` hashes
  LeftOut left_out;
  const auto visit = [&](const git::TreeEntry& entry) -> Result<git::Walk> {
    const bool is_folder = entry.type == git::EntryType::folder || entry.type == git::EntryType::submodule;
    if (rules.ignores(entry.path, is_folder)) return git::Walk::go_on;
    if (entry.type == git::EntryType::symlink) {
      left_out.add_link(entry.path);
      return git::Walk::go_on;
    }
    if (is_folder) {
      if (entry.type == git::EntryType::submodule) left_out.add_submodule(entry.path);
      SLUICE_CHECK(writer.add_folder(entry.path));
      return git::Walk::go_on;
    }
    const bool is_executable = entry.type == git::EntryType::executable;
    SLUICE_CHECK(snapshot.read(entry, limits.max_file_bytes, [&](std::string_view bytes) {
      return writer.add_file(entry.path, bytes, is_executable);
    }));
    return git::Walk::go_on;
  };
  SLUICE_CHECK(snapshot.walk(visit, std::move(stop), limits.max_entries));
  SLUICE_CHECK(writer.finish());
  return left_out;
}

}  // namespace sluice::source_controller
