// ConfigMaps and Secrets from files, env files and literals, and their hashes.
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "kustomize/objects/go_json.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;
using Pairs = std::vector<std::pair<std::string, std::string>>;

bool is_utf8(const std::string& text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; })) return true;
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// An env file has a KEY=value or a KEY on each line; '#' starts a comment line.
Result<void> read_env_file(std::string_view text, const std::string& file, Pairs& pairs) {
  if (!is_utf8(std::string(text))) return unexpected(ErrorKind::invalid, file + ": invalid UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && is_space(line[0])) line.remove_prefix(1);
    if (line.empty() || line[0] == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == 0) continue;  // kustomize takes a line without a key for an empty one
    pairs.emplace_back(line.substr(0, equals), equals == std::string_view::npos ? "" : line.substr(equals + 1));
  }
  return {};
}

std::string_view without_quotes(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == text.back() && (text[0] == '"' || text[0] == '\'');
  return quoted ? text.substr(1, text.size() - 2) : text;
}

Result<void> read_literal(const std::string& literal, Pairs& pairs) {
  const std::size_t equals = literal.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return unexpected(ErrorKind::invalid, fmt::format("literal \"{}\": key=value is expected", literal));
  }
  pairs.emplace_back(literal.substr(0, equals), without_quotes(std::string_view(literal).substr(equals + 1)));
  return {};
}

// "path" or "key=path".
Result<void> read_file(const std::string& source, const Folder& folder, Pairs& pairs) {
  const std::size_t equals = source.find('=');
  std::string key = source.substr(source.rfind('/') + 1);  // npos + 1 == 0
  std::string path = source;
  if (equals != std::string::npos) {
    key = source.substr(0, equals);
    path = source.substr(equals + 1);
    if (key.empty() || path.empty() || path.find('=') != std::string::npos) {
      return unexpected(ErrorKind::invalid, fmt::format("file \"{}\": path or key=path is expected", source));
    }
  }
  SLUICE_TRY(std::string content, folder.load(path));
  pairs.emplace_back(std::move(key), std::move(content));
  return {};
}

Result<Pairs> read_pairs(const GeneratorSpec& spec, const Folder& folder) {
  Pairs pairs;
  for (const std::string& env : spec.envs) {
    SLUICE_TRY(const std::string text, folder.load(env));
    SLUICE_CHECK(read_env_file(text, env, pairs));
  }
  for (const std::string& literal : spec.literals) SLUICE_CHECK(read_literal(literal, pairs));
  for (const std::string& file : spec.files) SLUICE_CHECK(read_file(file, folder, pairs));
  return pairs;
}

// As Go's encoder of !!binary breaks it: lines of 70, if there is more than one.
std::string base64_lines(const std::string& bytes) {
  constexpr std::size_t kLine = 70;
  const std::string encoded = base::base64_encode(bytes);
  if (encoded.size() < kLine) return encoded;
  std::string out;
  for (std::size_t i = 0; i < encoded.size(); i += kLine) out.append(encoded, i, kLine).push_back('\n');
  return out;
}

Result<Behavior> parse_behavior(const std::string& text) {
  if (text == "merge") return Behavior::merge;
  if (text == "replace") return Behavior::replace;
  if (text == "create") return Behavior::create;
  return Behavior::unspecified;
}

// A scalar counts as its text.
Json member_or_empty(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "";
  return found->is_structured() ? *found : Json(scalar_text(*found));
}

}  // namespace

Result<std::unique_ptr<Resource>> generate(const GeneratorSpec& spec, const GeneratorOptions& options,
                                           const Folder& folder) {
  if (spec.name.empty()) return unexpected(ErrorKind::invalid, "a name is needed");
  auto resource = std::make_unique<Resource>();
  Json& object = resource->value;
  object = {{"apiVersion", "v1"}, {"kind", spec.secret ? "Secret" : "ConfigMap"}, {"metadata", {{"name", spec.name}}}};
  if (!spec.namespace_.empty()) object["metadata"]["namespace"] = spec.namespace_;
  if (spec.secret) {
    object["type"] = spec.type.empty() ? "Opaque" : spec.type;
    object["data"] = Json::object();  // there even without entries, unlike in a ConfigMap
  }
  SLUICE_TRY(Pairs pairs, read_pairs(spec, folder));
  for (auto& [key, value] : pairs) {
    SLUICE_CHECK(take_step());
    const bool text = !spec.secret && is_utf8(value);
    Json& data = object[spec.secret || text ? "data" : "binaryData"];
    if (doc::find(object, {"data", key}) != nullptr || doc::find(object, {"binaryData", key}) != nullptr) {
      return unexpected(ErrorKind::invalid, fmt::format("{} repeats the key {}", spec.name, key));
    }
    data[key] = text ? std::move(value) : base64_lines(value);
  }
  for (const auto& [key, value] : options.labels) object["metadata"]["labels"][key] = value;
  for (const auto& [key, value] : options.annotations) object["metadata"]["annotations"][key] = value;
  if (options.immutable) object["immutable"] = true;
  SLUICE_TRY(resource->behavior, parse_behavior(spec.behavior));
  resource->generated = true;
  resource->wants_hash = !options.disable_hash;
  return resource;
}

std::string content_hash(const Json& object) {
  const std::string_view kind = doc::find_string(object, {"kind"});
  Json content = object;
  // The name is left empty: kustomize looks for a field named "metadata/name", which nothing has.
  if (kind == "ConfigMap") {
    content = {{"kind", "ConfigMap"}, {"name", ""}, {"data", member_or_empty(object, "data")}};
    if (const Json more = member_or_empty(object, "binaryData"); more.is_object()) content["binaryData"] = more;
  } else if (kind == "Secret") {
    content = {{"kind", "Secret"},
               {"type", member_or_empty(object, "type")},
               {"name", ""},
               {"data", member_or_empty(object, "data")}};
    if (const Json more = member_or_empty(object, "stringData"); more.is_object()) content["stringData"] = more;
  }
  std::string hash = base::sha256_hex(go_json(content)).substr(0, 10);
  // Letters that could spell something are swapped for others.
  for (char& c : hash) {
    switch (c) {
      case '0': c = 'g'; break;
      case '1': c = 'h'; break;
      case '3': c = 'k'; break;
      case 'a': c = 'm'; break;
      case 'e': c = 't'; break;
      default: break;
    }
  }
  return hash;
}

void add_hashes(ResourceSet& set) {
  for (const auto& resource : set.items()) {
    if (Steps::ended()) return;
    if (!resource->wants_hash) continue;
    const std::string hash = content_hash(resource->value);
    resource->remember_id();
    resource->set_name(fmt::format("{}-{}", resource->name_text(), hash));
  }
  set.changed_all();
}

}  // namespace sluice::kustomize
