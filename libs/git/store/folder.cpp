#include "git/store/folder.hpp"

#include <fmt/core.h>

#include <fstream>
#include <string_view>

#include "git/store/libgit2.hpp"

namespace sluice::git::store {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::streamoff kChecksumSize = 20;

// `size` bytes that end `from_end` bytes before the end of a file; "" if it is too short.
std::string read_tail(const fs::path& file, std::streamoff from_end, std::streamoff size) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (!in.seekg(-from_end, std::ios::end) || !in.read(bytes.data(), size)) return {};
  return bytes;
}

}  // namespace

std::vector<Oid> read_oids(const fs::path& file) {
  std::vector<Oid> oids;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (is_oid(line)) oids.push_back(std::move(line));
  }
  return oids;
}

Result<void> write_oids(const fs::path& file, const std::vector<Oid>& oids) {
  fs::path temporary = file;
  temporary += ".new";
  {
    std::ofstream out(temporary, std::ios::trunc);
    for (const auto& oid : oids) out << oid << '\n';
    out.close();
    if (!out) return unexpected(ErrorKind::io, fmt::format("could not write '{}'", temporary.string()));
  }
  std::error_code error;
  fs::rename(temporary, file, error);
  if (error)
    return unexpected(ErrorKind::io, fmt::format("could not replace '{}': {}", file.string(), error.message()));
  return {};
}

Result<void> remove_leftovers(const fs::path& pack_folder) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator at(pack_folder, error), end; !error && at != end; at.increment(error)) {
    const fs::path& file = at->path();
    const bool pack = file.extension() == ".pack";
    const bool index = file.extension() == ".idx";
    std::error_code ignored;
    const bool paired = pack ? fs::exists(fs::path(file).replace_extension(".idx"), ignored)
                             : index && fs::exists(fs::path(file).replace_extension(".pack"), ignored);
    if (!paired) leftovers.push_back(file);
  }
  for (const auto& file : leftovers) {
    if (!error) fs::remove(file, error);
  }
  if (error) {
    return unexpected(ErrorKind::io, fmt::format("could not tidy '{}': {}", pack_folder.string(), error.message()));
  }
  return {};
}

Result<void> check_packs(const fs::path& pack_folder) {
  std::error_code error;
  if (!fs::is_directory(pack_folder, error)) return damaged("it has no folder of packs");
  for (fs::directory_iterator at(pack_folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".pack") continue;
    // gitformat-pack(5): an index ends with the pack's checksum and its own.
    const auto recorded = read_tail(fs::path(at->path()).replace_extension(".idx"), 2 * kChecksumSize, kChecksumSize);
    const auto actual = read_tail(at->path(), kChecksumSize, kChecksumSize);
    if (actual.empty() || actual != recorded) {
      return damaged(fmt::format("'{}' is not whole", at->path().filename().string()));
    }
  }
  if (error) {
    return unexpected(ErrorKind::io, fmt::format("could not list '{}': {}", pack_folder.string(), error.message()));
  }
  return {};
}

std::size_t count_packs(const fs::path& pack_folder) {
  std::size_t count = 0;
  std::error_code error;
  for (fs::directory_iterator at(pack_folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".pack") ++count;
  }
  return count;
}

}  // namespace sluice::git::store
