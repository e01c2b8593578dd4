#include "kustomize/objects/provenance.hpp"

#include <algorithm>

namespace sluice::kustomize {
namespace {

using doc::Json;

// Elements of equal name are the same one, changed.
std::string name_of(const Json& element) { return std::string(doc::find_string(element, {"name"})); }

}  // namespace

Provenance::Provenance(const Json& value, FieldSource source)
    : root_(make(value, std::make_shared<const FieldSource>(std::move(source)))) {}

Provenance::Provenance(const Json& value, const std::string& file, const std::map<std::string, int>& lines)
    : root_(read(value, "", file, lines)) {}

Provenance::Node Provenance::make(const Json& value, const Source& source) {
  Node node{source, {}, {}};
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) node.members.emplace(key, make(child, source));
  } else if (value.is_array()) {
    for (const Json& child : value) node.elements.push_back(make(child, source));
  }
  return node;
}

Provenance::Node Provenance::read(const Json& value, const std::string& pointer, const std::string& file,
                                  const std::map<std::string, int>& lines) {
  const auto line = lines.find(pointer);
  Node node{std::make_shared<const FieldSource>(FieldSource{file, line == lines.end() ? 0 : line->second, ""}), {}, {}};
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      const std::string place = (Json::json_pointer(pointer) / key).to_string();
      node.members.emplace(key, read(child, place, file, lines));
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      node.elements.push_back(read(value[i], pointer + "/" + std::to_string(i), file, lines));
    }
  }
  return node;
}

void Provenance::change(const Json& before, const Json& after, const FieldSource& source) {
  if (before == after) return;
  change(root_, before, after, std::make_shared<const FieldSource>(source));
}

void Provenance::change(Node& node, const Json& before, const Json& after, const Source& source) {
  if (before == after) return;
  if (before.is_array() && after.is_array()) return change_list(node, before, after, source);
  if (!before.is_object() || !after.is_object()) {
    node = make(after, source);
    return;
  }
  std::erase_if(node.members, [&](const auto& member) { return !after.contains(member.first); });
  for (const auto& [key, child] : after.items()) {
    const auto old = before.find(key);
    const auto member = node.members.find(key);
    if (old == before.end() || member == node.members.end()) {
      node.members.insert_or_assign(key, make(child, source));
    } else {
      change(member->second, *old, child, source);
    }
  }
}

void Provenance::change_list(Node& node, const Json& before, const Json& after, const Source& source) {
  std::vector<bool> taken(before.size(), false);
  const auto find = [&](auto matches) {
    for (std::size_t i = 0; i < before.size() && i < node.elements.size(); ++i) {
      if (!taken[i] && matches(before[i])) return i;
    }
    return before.size();
  };
  std::vector<Node> elements(after.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    const bool in_place = i < before.size() && i < node.elements.size() && !taken[i] && before[i] == after[i];
    std::size_t old = in_place ? i : find([&](const Json& element) { return element == after[i]; });
    const std::string name = name_of(after[i]);
    if (old == before.size() && !name.empty()) {
      old = find([&](const Json& element) { return name_of(element) == name; });
    }
    if (old == before.size()) {
      elements[i] = make(after[i], source);
      continue;
    }
    taken[old] = true;
    elements[i] = std::move(node.elements[old]);
    change(elements[i], before[old], after[i], source);
  }
  node.elements = std::move(elements);
}

std::vector<FieldOrigin> Provenance::fields(const Json& value) const {
  std::vector<FieldOrigin> fields;
  collect(root_, value, Json::json_pointer(), fields);
  return fields;
}

void Provenance::collect(const Node& node, const Json& value, const Json::json_pointer& at,
                         std::vector<FieldOrigin>& fields) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, child] : value.items()) {
      if (const auto member = node.members.find(key); member != node.members.end()) {
        collect(member->second, child, at / key, fields);
      }
    }
  } else if (value.is_array() && !value.empty()) {
    for (std::size_t i = 0; i < value.size() && i < node.elements.size(); ++i) {
      collect(node.elements[i], value[i], at / i, fields);
    }
  } else {
    fields.push_back({at.to_string(), *node.source});
  }
}

}  // namespace sluice::kustomize
