#include "kube/detail/paths.hpp"

#include <fmt/format.h>

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;

namespace {

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

void append_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_unreserved(c)) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kDigits[byte >> 4U]);
    out.push_back(kDigits[byte & 0xFU]);
  }
}

Result<void> append_segment(std::string& path, std::string_view what, std::string_view segment,
                            const Resource& resource) {
  std::string_view fault;
  if (segment.empty()) {
    fault = "is empty";
  } else if (segment == "." || segment == "..") {
    fault = "may not be '.' or '..'";
  } else if (segment.find('/') != std::string_view::npos) {
    fault = "may not contain '/'";
  } else if (segment.find('%') != std::string_view::npos) {
    fault = "may not contain '%'";
  }
  if (!fault.empty()) {
    return base::unexpected(ErrorKind::invalid, fmt::format("{}: the {} '{}' {}", resource.kind, what, segment, fault));
  }
  path.push_back('/');
  append_encoded(path, segment);
  return {};
}

}  // namespace

std::string percent_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  append_encoded(out, text);
  return out;
}

Result<std::string> collection_path(const Resource& resource, std::string_view namespace_) {
  std::string path = resource.group.empty() ? "/api" : "/apis";
  if (!resource.group.empty()) SLUICE_CHECK(append_segment(path, "API group", resource.group, resource));
  SLUICE_CHECK(append_segment(path, "API version", resource.version, resource));
  if (resource.namespaced && !namespace_.empty()) {
    path += "/namespaces";
    SLUICE_CHECK(append_segment(path, "namespace", namespace_, resource));
  }
  SLUICE_CHECK(append_segment(path, "resource name", resource.plural, resource));
  return path;
}

Result<std::string> object_path(const Resource& resource, std::string_view namespace_, std::string_view name,
                                std::string_view subresource) {
  if (resource.namespaced && namespace_.empty()) {
    return base::unexpected(ErrorKind::invalid,
                            fmt::format("{} '{}' is namespaced and has no namespace", resource.kind, name));
  }
  SLUICE_TRY(std::string path, collection_path(resource, namespace_));
  SLUICE_CHECK(append_segment(path, "name", name, resource));
  if (!subresource.empty()) SLUICE_CHECK(append_segment(path, "subresource", subresource, resource));
  return path;
}

std::string with_query(std::string path, const Query& query) {
  char separator = '?';
  for (const auto& [name, value] : query) {
    if (value.empty()) continue;
    path.push_back(separator);
    path += name;
    path.push_back('=');
    append_encoded(path, value);
    separator = '&';
  }
  return path;
}

}  // namespace sluice::kube::detail
