// The files of an object store: see object_store.hpp for the layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "git/refs.hpp"

namespace sluice::git::store {

// The lines of a file that are object ids; empty if there is no file.
std::vector<Oid> read_oids(const std::filesystem::path& file);
// Replaces the file as a whole. `io`.
base::Result<void> write_oids(const std::filesystem::path& file, const std::vector<Oid>& oids);

// Removes temporary files, and packs without index or the reverse: what a
// process that was killed while it indexed a pack has left.
base::Result<void> remove_leftovers(const std::filesystem::path& pack_folder);

// Every pack has the trailer that its index recorded: none was cut short.
base::Result<void> check_packs(const std::filesystem::path& pack_folder);

std::size_t count_packs(const std::filesystem::path& pack_folder);

}  // namespace sluice::git::store
