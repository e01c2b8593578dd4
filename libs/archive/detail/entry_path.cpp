#include "archive/detail/entry_path.hpp"

#include <fmt/format.h>

namespace sluice::archive::detail {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::size_t kMaxSegment = 255;  // NAME_MAX of every common file system
constexpr std::size_t kMaxShown = 200;

// Takes the first segment off `path`.
std::string_view next_segment(std::string_view& path) {
  const std::size_t slash = path.find('/');
  const std::string_view segment = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  return segment;
}

}  // namespace

std::string shown(std::string_view name) {
  std::string out = "'";
  for (const char c : name.substr(0, kMaxShown)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  if (name.size() > kMaxShown) out += "...";
  return out + "'";
}

Result<std::string> clean_entry_path(std::string_view raw, std::size_t max_bytes) {
  const auto refuse = [raw](ErrorKind kind, std::string_view why) {
    return base::unexpected(kind, fmt::format("entry {} {}", shown(raw), why));
  };
  if (raw.empty()) return refuse(ErrorKind::invalid, "has no name");
  if (raw.size() > max_bytes)
    return refuse(ErrorKind::too_large, fmt::format("has a path of over {} bytes", max_bytes));
  if (raw.front() == '/') return refuse(ErrorKind::invalid, "is absolute");
  if (raw.find('\0') != std::string_view::npos) return refuse(ErrorKind::invalid, "holds a NUL");
  std::string clean;
  for (std::string_view rest = raw; !rest.empty();) {
    const std::string_view segment = next_segment(rest);
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") return refuse(ErrorKind::invalid, "has '..' in its path");
    if (segment.size() > kMaxSegment) {
      return refuse(ErrorKind::too_large, fmt::format("has a name of over {} bytes", kMaxSegment));
    }
    if (!clean.empty()) clean += '/';
    clean += segment;
  }
  return clean;
}

Result<std::string> link_escape(std::string_view path, std::string_view target) {
  if (target.empty() || target.find('\0') != std::string_view::npos) {
    return base::unexpected(ErrorKind::invalid, fmt::format("entry {} is a symbolic link to {}, which is no path",
                                                            shown(path), shown(target)));
  }
  if (target.front() == '/') return std::string("is absolute");
  std::size_t depth = 0;
  for (const char c : path) depth += c == '/' ? 1 : 0;
  for (std::string_view rest = target; !rest.empty();) {
    const std::string_view segment = next_segment(rest);
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      ++depth;
    } else if (depth-- == 0) {
      return std::string("leaves the archive");
    }
  }
  return std::string();
}

Result<void> check_link(std::string_view path, std::string_view target) {
  SLUICE_TRY(const std::string escape, link_escape(path, target));
  if (escape.empty()) return {};
  return base::unexpected(ErrorKind::invalid, fmt::format("entry {} is a symbolic link to {}, which {}", shown(path),
                                                          shown(target), escape));
}

}  // namespace sluice::archive::detail
