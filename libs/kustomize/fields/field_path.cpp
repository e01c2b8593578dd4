#include "kustomize/fields/field_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "doc/yaml.hpp"
#include "kustomize/objects/resource.hpp"
#include "kustomize/objects/selector.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;

auto wrong(const std::string& message) { return base::unexpected(ErrorKind::invalid, message); }

bool is_number(const std::string& step) {
  return !step.empty() && std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::size_t to_number(const std::string& step) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(step.data(), step.data() + step.size(), value);
  return error == std::errc() ? value : std::string::npos;
}

bool is_condition(const std::string& step) { return step.size() > 1 && step.front() == '[' && step.back() == ']'; }

// "[key=value]"; the key is empty in "[=value]".
Result<std::pair<std::string, std::string>> parse_condition(const std::string& step) {
  const std::string inner = step.substr(1, step.size() - 2);
  const std::size_t equals = inner.find('=');
  if (equals == std::string::npos) return wrong(fmt::format("{}: [key=value] is expected", step));
  return std::pair(inner.substr(0, equals), inner.substr(equals + 1));
}

Result<const Json*> step_into(const Json& node, const std::string& step) {
  if (step == "-" || is_number(step)) {
    if (!node.is_array()) return wrong(fmt::format("{}: a list is expected, not a {}", step, node.type_name()));
    const std::size_t index = step == "-" ? node.size() - 1 : to_number(step);
    return index < node.size() ? &node[index] : nullptr;
  }
  if (is_condition(step)) {
    SLUICE_TRY(const auto condition, parse_condition(step));
    if (!node.is_array()) return wrong(fmt::format("{}: a list is expected, not a {}", step, node.type_name()));
    for (const Json& element : node) {
      const Json* value = condition.first.empty() ? &element : doc::find(element, {condition.first});
      if (value != nullptr && scalar_text(*value) == condition.second) return &element;
    }
    return nullptr;
  }
  if (!node.is_object()) return wrong(fmt::format("{}: a map is expected, not a {}", step, node.type_name()));
  const auto found = node.find(step);
  return found == node.end() ? nullptr : &*found;
}

class Matcher {
 public:
  Matcher(const FieldPath& path, MakeMissing make) : path_(path), make_(make) {}

  Result<void> go(Json& node, std::size_t step, bool created) {
    SLUICE_CHECK(take_step());
    if (step == path_.size()) {
      found_.push_back({&node, created, here_, filled_});
      return {};
    }
    const std::string& name = path_[step];
    // What is made on the way has a style of its own, which what was empty before has not.
    const bool was_empty = !created && node.is_structured() && node.empty() && !filled_;
    if (was_empty) filled_ = here_;
    auto done = is_number(name)      ? by_index(node, step)
                : is_condition(name) ? by_condition(node, step)
                : name == "*"        ? each(node, step)
                                     : by_field(node, step);
    if (was_empty) filled_.reset();
    return done;
  }

  // The same for a member or element of where it is.
  template <typename Name>
  Result<void> go_to(Json& node, const Name& name, std::size_t step, bool created) {
    here_.push_back(fmt::format("{}", name));
    auto done = go(node, step, created);
    here_.pop_back();
    return done;
  }

  std::vector<FoundField> take() && { return std::move(found_); }

 private:
  Result<void> need_list(const Json& node, std::size_t step) const {
    if (node.is_array()) return {};
    return wrong(fmt::format("{}: a list is expected, not a {}", path_[step], node.type_name()));
  }

  Json shape_for(std::size_t step) const {
    if (step < path_.size())
      return is_number(path_[step]) || is_condition(path_[step]) ? Json::array() : Json::object();
    return make_ == MakeMissing::map ? Json::object() : make_ == MakeMissing::list ? Json::array() : Json();
  }

  Result<void> each(Json& list, std::size_t step) {
    SLUICE_CHECK(need_list(list, step));
    for (std::size_t i = 0; i < list.size(); ++i) SLUICE_CHECK(go_to(list[i], i, step + 1, false));
    return {};
  }

  Result<void> by_index(Json& list, std::size_t step) {
    SLUICE_CHECK(need_list(list, step));
    const std::size_t index = to_number(path_[step]);
    const bool append = index == list.size() && make_ != MakeMissing::no;
    if (append) list.push_back(shape_for(step + 1));
    if (index >= list.size()) {
      return wrong(fmt::format("index {} is asked for, the list has {}", path_[step], list.size()));
    }
    return go_to(list[index], index, step + 1, append);
  }

  Result<void> by_condition(Json& list, std::size_t step) {
    SLUICE_CHECK(need_list(list, step));
    SLUICE_TRY(const auto condition, parse_condition(path_[step]));
    const std::size_t before = found_.size();
    SLUICE_TRY(const Pattern pattern, Pattern::compile_partial(condition.second));
    for (std::size_t i = 0; i < list.size(); ++i) {
      Json& element = list[i];
      const Json* value = condition.first.empty() ? &element : doc::find(element, {condition.first});
      if (value == nullptr) continue;
      SLUICE_TRY(const bool chosen, pattern.matches(scalar_text(*value)));
      if (!chosen) continue;
      // A plain value ends the path, whatever follows.
      SLUICE_CHECK(go_to(element, i, condition.first.empty() ? path_.size() : step + 1, false));
    }
    if (found_.size() > before || make_ == MakeMissing::no) return {};
    SLUICE_TRY(Json value, doc::parse_yaml(condition.second));
    list.push_back(condition.first.empty() ? std::move(value) : Json({{condition.first, std::move(value)}}));
    return go_to(list.back(), list.size() - 1, condition.first.empty() ? path_.size() : step + 1,
                 condition.first.empty());
  }

  Result<void> by_field(Json& map, std::size_t step) {
    if (!map.is_object()) return wrong(fmt::format("{}: a map is expected, not a {}", path_[step], map.type_name()));
    auto found = map.find(path_[step]);
    const bool missing = found == map.end();
    if (missing && make_ == MakeMissing::no) return {};
    if (missing) found = map.emplace(path_[step], shape_for(step + 1)).first;
    return go_to(*found, path_[step], step + 1, missing);
  }

  const FieldPath& path_;
  MakeMissing make_;
  Json::json_pointer here_;
  std::optional<Json::json_pointer> filled_;
  std::vector<FoundField> found_;
};

}  // namespace

Result<const Json*> lookup_field(const Json& root, const FieldPath& path) {
  const Json* node = &root;
  for (const std::string& step : path) {
    if (node->is_null()) return nullptr;
    SLUICE_TRY(node, step_into(*node, step));
    if (node == nullptr) return nullptr;
  }
  return node;
}

Result<std::vector<FoundField>> match_fields(Json& root, const FieldPath& path, MakeMissing make) {
  Matcher matcher(path, make);
  SLUICE_CHECK(matcher.go(root, 0, false));
  return std::move(matcher).take();
}

}  // namespace sluice::kustomize
