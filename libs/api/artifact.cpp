#include "api/artifact.hpp"

#include <algorithm>

#include "api/detail/common_tables.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"

namespace sluice::api {

namespace {

constexpr std::size_t kShortestHash = 7;

bool is_algorithm(std::string_view text) {
  const auto ok = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && std::all_of(text.begin(), text.end(), ok);
}

bool is_hash(std::string_view text) {
  const auto ok = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  return !text.empty() && std::all_of(text.begin(), text.end(), ok);
}

// Splits `<algorithm>:<hash>`; false if the text is not of that form.
bool split_digest(std::string_view text, Revision& out) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  if (!is_algorithm(text.substr(0, colon)) || !is_hash(text.substr(colon + 1))) return false;
  out.algorithm = text.substr(0, colon);
  out.hash = text.substr(colon + 1);
  return true;
}

std::string join(const Revision& revision, std::string_view hash) {
  if (revision.algorithm.empty()) return revision.pointer;
  std::string text = revision.pointer;
  if (!text.empty()) text += '@';
  return text.append(revision.algorithm).append(":").append(hash);
}

}  // namespace

base::Result<Artifact> parse_artifact(const doc::Json& value) {
  Artifact artifact;
  SLUICE_CHECK(detail::read(value, detail::FieldPath("status.artifact"), artifact));
  return artifact;
}

base::Result<std::optional<Artifact>> artifact_of(const doc::Json& object) {
  const auto* value = doc::find(object, {"status", "artifact"});
  if (value == nullptr || value->is_null()) return std::optional<Artifact>();
  SLUICE_TRY(auto artifact, parse_artifact(*value));
  return std::optional<Artifact>(std::move(artifact));
}

doc::Json to_json(const Artifact& artifact) { return detail::write(artifact); }

std::string Revision::str() const { return join(*this, hash); }

std::string Revision::shorten(std::size_t digits) const {
  return join(*this, std::string_view(hash).substr(0, std::max(digits, kShortestHash)));
}

Revision parse_revision(std::string_view text) {
  Revision out;
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) {
    if (!split_digest(text, out)) out.pointer = text;
    return out;
  }
  out.pointer = split_digest(text.substr(at + 1), out) ? text.substr(0, at) : text;
  return out;
}

}  // namespace sluice::api
