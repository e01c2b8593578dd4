#include "kustomize/patches/json_patch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "kustomize/objects/go_json.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/patches/json_spelling.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

std::string unescape(std::string_view token) {
  std::string out;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
      out += token[++i] == '0' ? '~' : '/';
    } else {
      out += token[i];
    }
  }
  return out;
}

// What stands in front of the first slash is overlooked.
std::vector<std::string> tokens_of(std::string_view path) {
  std::vector<std::string> tokens;
  if (path.empty()) return tokens;
  // Nothing is nested so deep as to be there: what follows stays one token, not one for each byte.
  constexpr std::size_t kMaxTokens = 10'000;
  std::size_t start = path.find('/') + 1;  // npos + 1 == 0
  while (start <= path.size()) {
    const bool last = tokens.size() == kMaxTokens;
    const std::size_t end = last ? path.size() : std::min(path.find('/', start), path.size());
    tokens.push_back(unescape(path.substr(start, end - start)));
    start = end + 1;
  }
  return tokens;
}

auto failure(const std::string& message) { return base::unexpected(ErrorKind::invalid, message); }

// Position of an existing element, or of the end for `adding`.
Result<std::size_t> index_in(const Json& list, const std::string& token, bool adding) {
  const auto size = static_cast<std::int64_t>(list.size());
  if (adding && token == "-") return list.size();
  std::int64_t index = 0;
  const bool plus = token.size() > 1 && token[0] == '+' && token[1] != '-';
  const auto [stop, error] = std::from_chars(token.data() + plus, token.data() + token.size(), index);
  if (error != std::errc() || stop != token.data() + token.size() || token.empty()) {
    return failure(fmt::format("\"{}\" is no index", token));
  }
  // A negative index counts from behind the last place that it may name.
  const std::int64_t end = adding ? size + 1 : size;
  if (index < 0) index += end;
  if (index < 0 || index >= end) return failure(fmt::format("index {} is out of bounds, the list has {}", token, size));
  return static_cast<std::size_t>(index);
}

Result<Json*> child(Json& parent, const std::string& token) {
  if (parent.is_object()) {
    const auto found = parent.find(token);
    if (found != parent.end()) return &*found;
    return failure(fmt::format("\"{}\" is not there", token));
  }
  if (!parent.is_array()) return failure(fmt::format("\"{}\" is looked for in a {}", token, parent.type_name()));
  SLUICE_TRY(const std::size_t index, index_in(parent, token, false));
  return &parent[index];
}

Result<Json*> walk(Json& root, const std::vector<std::string>& tokens, std::size_t count) {
  Json* node = &root;
  for (std::size_t i = 0; i < count; ++i) {
    SLUICE_TRY(node, child(*node, tokens[i]));
  }
  return node;
}

// Elements that a list moves for one that comes or goes; some thousand cost as much as a value.
Result<void> spend_moves(const Json& list, Growth& growth) { return growth.spend(list.size() / 4096); }

Result<void> add(Json& root, const std::string& path, Json value, Growth& growth) {
  const auto tokens = tokens_of(path);
  SLUICE_CHECK(growth.add(value, tokens.size()));
  if (tokens.empty()) {
    root = std::move(value);
    return {};
  }
  SLUICE_TRY(Json * parent, walk(root, tokens, tokens.size() - 1));
  if (parent->is_object()) {
    (*parent)[tokens.back()] = std::move(value);
    return {};
  }
  if (!parent->is_array()) return failure("the parent is no map or list");
  SLUICE_TRY(const std::size_t index, index_in(*parent, tokens.back(), true));
  if (index < parent->size()) SLUICE_CHECK(spend_moves(*parent, growth));
  parent->insert(parent->begin() + static_cast<std::ptrdiff_t>(index), std::move(value));
  return {};
}

Result<Json> remove(Json& root, const std::string& path, Growth& growth) {
  const auto tokens = tokens_of(path);
  if (tokens.empty()) return failure("the whole document can't be removed");
  SLUICE_TRY(Json * parent, walk(root, tokens, tokens.size() - 1));
  SLUICE_TRY(Json * target, child(*parent, tokens.back()));
  Json value = std::move(*target);
  if (parent->is_object()) {
    parent->erase(tokens.back());
  } else {
    SLUICE_CHECK(spend_moves(*parent, growth));
    parent->erase(parent->begin() + (target - &(*parent)[0]));
  }
  return value;
}

// RFC 6902 wants the target to be there. The library that kustomize uses
// (json-patch v4) asks that of lists only, and sets a key that a map lacks.
Result<void> replace(Json& root, const PatchOperation& operation, Growth& growth) {
  const auto tokens = tokens_of(operation.path);
  SLUICE_CHECK(growth.add(operation.value, tokens.size()));
  if (tokens.empty()) {
    root = operation.value;
    return {};
  }
  SLUICE_TRY(Json * parent, walk(root, tokens, tokens.size() - 1));
  if (parent->is_object()) {
    (*parent)[tokens.back()] = operation.value;
    return {};
  }
  SLUICE_TRY(Json * target, child(*parent, tokens.back()));
  *target = operation.value;
  return {};
}

// A key that a map lacks is null to `test` and `copy`.
Result<const Json*> at_or_null(Json& root, const std::string& path) {
  static const Json kNull;
  const auto tokens = tokens_of(path);
  if (tokens.empty()) return &root;
  SLUICE_TRY(Json * parent, walk(root, tokens, tokens.size() - 1));
  if (parent->is_object() && !parent->contains(tokens.back())) return &kNull;
  SLUICE_TRY(const Json* found, child(*parent, tokens.back()));
  return found;
}

// Only add, replace and test know the whole document.
Result<void> check_place(const char* name, const std::string& path) {
  if (path.find('/') != std::string::npos) return {};
  return failure(fmt::format("{} \"{}\" names no place", name, path));
}

bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return go_json(a) == go_json(b);
  if (a.type() != b.type()) return false;
  if (!a.is_structured()) return a == b;
  if (a.size() != b.size()) return false;
  for (auto it = a.begin(), other = b.begin(); it != a.end(); ++it, ++other) {
    if (a.is_object() && it.key() != other.key()) return false;
    if (a.is_array() && (it->is_null() || other->is_null())) return false;
    if (!same(*it, *other)) return false;
  }
  return true;
}

Result<void> test(Json& root, const PatchOperation& operation) {
  SLUICE_TRY(const Json* found, at_or_null(root, operation.path));
  if (!same(*found, operation.value)) return failure("the value is another one");
  return {};
}

Result<void> apply_one(Json& root, const PatchOperation& operation, Growth& growth) {
  if (operation.op == "add") return add(root, operation.path, operation.value, growth);
  if (operation.op == "remove") {
    SLUICE_CHECK(remove(root, operation.path, growth));
    return {};
  }
  if (operation.op == "replace") return replace(root, operation, growth);
  if (operation.op == "move" || operation.op == "copy") {
    SLUICE_CHECK(check_place("from", operation.from));
    SLUICE_CHECK(check_place("path", operation.path));
  }
  if (operation.op == "move") {
    SLUICE_TRY(Json value, remove(root, operation.from, growth));
    return add(root, operation.path, std::move(value), growth);
  }
  if (operation.op == "copy") {
    SLUICE_TRY(const Json* source, at_or_null(root, operation.from));
    return add(root, operation.path, Json(*source), growth);
  }
  if (operation.op == "test") return test(root, operation);
  return failure("unknown operation");
}

Result<void> apply_all(Json& object, const std::vector<PatchOperation>& operations, Growth& growth) {
  for (std::size_t i = 0; i < operations.size(); ++i) {
    SLUICE_CHECK(take_step());
    const PatchOperation& operation = operations[i];
    if (auto done = apply_one(object, operation, growth); !done) {
      return base::unexpected(std::move(done).error().with_context(
          fmt::format("operation {} ({} {})", i + 1, operation.op.empty() ? "without op" : operation.op.substr(0, 200),
                      operation.path.substr(0, 200))));
    }
  }
  return {};
}

Result<void> apply_spelled(Json& object, std::vector<PatchOperation> operations, Growth& growth) {
  for (PatchOperation& operation : operations) operation.value = std::move(operation.spelling);
  Json text = spelled(object);
  SLUICE_CHECK(apply_all(text, operations, growth));
  SLUICE_TRY(object, unspelled(text));
  return {};
}

}  // namespace

Result<std::vector<PatchOperation>> parse_json_patch(const Json& document) {
  if (!document.is_array()) return failure("a JSON patch is a list of operations");
  std::vector<PatchOperation> operations;
  for (const Json& entry : document) {
    if (!entry.is_object()) return failure("an operation of a JSON patch is a map with op and path");
    PatchOperation operation;
    operation.op = doc::find_string(entry, {"op"});
    operation.path = doc::find_string(entry, {"path"});
    operation.from = doc::find_string(entry, {"from"});
    if (const auto value = entry.find("value"); value != entry.end()) {
      operation.has_value = true;
      operation.value = *value;
    }
    operations.push_back(std::move(operation));
  }
  return operations;
}

Result<std::vector<PatchOperation>> parse_json_patch_text(std::string_view json) {
  SLUICE_TRY(const Json document, doc::parse_json(json));
  SLUICE_TRY(auto operations, parse_json_patch(document));
  if (std::none_of(operations.begin(), operations.end(), [](const auto& each) { return each.op == "test"; })) {
    return operations;
  }
  SLUICE_TRY(Json spelling, spelled_text(json));
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i].has_value) operations[i].spelling = std::move(spelling[i]["value"]);
  }
  return operations;
}

bool touches(const std::vector<PatchOperation>& operations, std::initializer_list<std::string_view> place) {
  const auto meets = [&](const std::string& path) {
    const std::vector<std::string> tokens = tokens_of(path);
    const std::size_t common = std::min(tokens.size(), place.size());
    return std::equal(place.begin(), place.begin() + common, tokens.begin());
  };
  return std::any_of(operations.begin(), operations.end(), [&](const PatchOperation& operation) {
    return meets(operation.path) || ((operation.op == "copy" || operation.op == "move") && meets(operation.from));
  });
}

Result<void> apply_json_patch(Json& object, const std::vector<PatchOperation>& operations, Growth& growth) {
  if (std::any_of(operations.begin(), operations.end(), [](const auto& each) { return !each.spelling.is_null(); })) {
    return apply_spelled(object, operations, growth);
  }
  return apply_all(object, operations, growth);
}

}  // namespace sluice::kustomize
