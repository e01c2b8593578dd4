// What an archive may call its entries. Pure; private to libs/archive.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::archive::detail {

// A name for messages: quoted, control characters escaped, at most 200 bytes of it.
std::string shown(std::string_view name);

// "./a//b/" -> "a/b"; "" for the root itself. `invalid` if it is empty or
// absolute, has a ".." or holds a NUL; `too_large` if it is longer than
// `max_bytes` or one segment is longer than file systems take.
base::Result<std::string> clean_entry_path(std::string_view raw, std::size_t max_bytes);

// How a link at `path` with that target leads out of the tree ("is absolute",
// "leaves the archive"); "" if it stays below the root. `invalid` for a target
// that is no path.
base::Result<std::string> link_escape(std::string_view path, std::string_view target);
// `invalid` for one that leads out as well.
base::Result<void> check_link(std::string_view path, std::string_view target);

}  // namespace sluice::archive::detail
