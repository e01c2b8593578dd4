#include "kustomize/objects/selector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;

// Cuts a selector into words, "(", ")", ",", "=", "==", "!=", "!", ">" and "<".
std::vector<std::string> lex(std::string_view text) {
  constexpr std::string_view kMarks = "(),=!<>";
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
      ++i;
    } else if (kMarks.find(text[i]) != std::string_view::npos) {
      const bool two = (text[i] == '=' || text[i] == '!') && i + 1 < text.size() && text[i + 1] == '=';
      tokens.emplace_back(text.substr(i, two ? 2 : 1));
      i += two ? 2 : 1;
    } else {
      const std::size_t end = std::min(text.find_first_of(" \t\r\n(),=!<>", i), text.size());
      tokens.emplace_back(text.substr(i, end - i));
      i = end;
    }
  }
  return tokens;
}

bool is_word(const std::string& token) { return std::string_view("(),=!<>").find(token[0]) == std::string_view::npos; }

std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

bool is_plain(std::string_view expression) {
  return !expression.empty() && expression.find_first_of("\\^$.|?*+()[]{}") == std::string_view::npos;
}

Result<Pattern> Pattern::compile(const std::string& expression) { return compile(expression, true); }

Result<Pattern> Pattern::compile_partial(const std::string& expression) { return compile(expression, false); }

Result<Pattern> Pattern::compile(const std::string& expression, bool whole) {
  Pattern pattern;
  pattern.text_ = expression;
  pattern.whole_ = whole;
  if (expression.empty() || is_plain(expression)) return pattern;
  SLUICE_TRY(pattern.compiled_, text::Regexp::compile(expression));
  return pattern;
}

bool Pattern::matches(std::string_view text) const {
  if (text_.empty()) return true;
  if (!compiled_) return whole_ ? text == text_ : text.find(text_) != std::string_view::npos;
  return whole_ ? compiled_->matches_all(text) : compiled_->matches(text);
}

Result<LabelSelector> LabelSelector::parse(const std::string& text) {
  LabelSelector selector;
  const std::vector<std::string> tokens = lex(text);
  const auto wrong = [&] {
    return unexpected(ErrorKind::invalid, fmt::format("\"{}\" is no label selector", text.substr(0, 200)));
  };
  for (std::size_t i = 0; i < tokens.size();) {
    Requirement requirement;
    if (tokens[i] == "!") {
      requirement.op = Op::missing;
      ++i;
    }
    if (i >= tokens.size() || !is_word(tokens[i])) return wrong();
    requirement.key = tokens[i++];
    const std::string op = i < tokens.size() ? tokens[i] : ",";
    if (op == "=" || op == "==" || op == "!=" || op == ">" || op == "<") {
      requirement.op = op == "!=" ? Op::not_in : op == ">" ? Op::greater : op == "<" ? Op::less : Op::in;
      ++i;
      const bool given = i < tokens.size() && is_word(tokens[i]);
      requirement.values.push_back(given ? tokens[i++] : "");
    } else if (op == "in" || op == "notin") {
      requirement.op = op == "in" ? Op::in : Op::not_in;
      if (++i >= tokens.size() || tokens[i++] != "(") return wrong();
      bool open = true;
      while (open && i < tokens.size()) {
        if (tokens[i] == ")") {
          open = false;
        } else if (is_word(tokens[i])) {
          requirement.values.push_back(tokens[i]);
        } else if (tokens[i] != ",") {
          return wrong();
        }
        ++i;
      }
      if (open) return wrong();
    }
    selector.requirements_.push_back(std::move(requirement));
    if (i < tokens.size() && tokens[i++] != ",") return wrong();
    if (i == tokens.size() && tokens.back() == ",") return wrong();
  }
  return selector;
}

bool LabelSelector::matches(const doc::Json& object, const char* map) const {
  for (const Requirement& requirement : requirements_) {
    const auto value = metadata_text(object, map, requirement.key);
    const auto& values = requirement.values;
    const bool listed = value && std::find(values.begin(), values.end(), *value) != values.end();
    bool holds = false;
    switch (requirement.op) {
      case Op::exists: holds = value.has_value(); break;
      case Op::missing: holds = !value.has_value(); break;
      case Op::in: holds = listed; break;
      case Op::not_in: holds = !listed; break;
      case Op::greater:
      case Op::less: {
        const auto left = to_number(value.value_or(""));
        const auto right = to_number(values[0]);
        holds = left && right && (requirement.op == Op::greater ? *left > *right : *left < *right);
      }
    }
    if (!holds) return false;
  }
  return true;
}

Result<ObjectSelector> ObjectSelector::compile(const SelectorSpec& spec) {
  ObjectSelector selector;
  SLUICE_TRY(selector.group_, Pattern::compile(spec.gvk.group));
  SLUICE_TRY(selector.version_, Pattern::compile(spec.gvk.version));
  SLUICE_TRY(selector.kind_, Pattern::compile(spec.gvk.kind));
  SLUICE_TRY(selector.name_, Pattern::compile(spec.name));
  SLUICE_TRY(selector.namespace_, Pattern::compile(spec.namespace_));
  SLUICE_TRY(selector.labels_, LabelSelector::parse(spec.label_selector));
  SLUICE_TRY(selector.annotations_, LabelSelector::parse(spec.annotation_selector));
  return selector;
}

bool ObjectSelector::matches_gvk(const Gvk& gvk) const {
  return group_.matches(gvk.group) && version_.matches(gvk.version) && kind_.matches(gvk.kind);
}

bool ObjectSelector::matches_id(const Gvk& gvk, std::string_view name, std::string_view ns) const {
  return matches_gvk(gvk) && matches_name(name) && matches_ns(ns);
}

bool ObjectSelector::matches_labels(const doc::Json& object) const {
  return labels_.matches(object, "labels") && annotations_.matches(object, "annotations");
}

Result<std::vector<Resource*>> select(const ResourceSet& set, const SelectorSpec& spec) {
  SLUICE_TRY(const ObjectSelector selector, ObjectSelector::compile(spec));
  const auto matches = [&](const Resource& resource) {
    const ResId now = resource.id();
    if (!selector.matches_gvk(now.gvk)) return false;
    const ResId original = resource.original_id();
    return (selector.matches_ns(original.effective_ns()) || selector.matches_ns(now.effective_ns())) &&
           (selector.matches_name(original.name) || selector.matches_name(now.name)) &&
           selector.matches_labels(resource.value);
  };
  std::vector<Resource*> found;
  // A plain name is looked up; only patterns have to see every object.
  if (is_plain(spec.name)) {
    for (Resource* resource : set.find_named(spec.name)) {
      if (matches(*resource)) found.push_back(resource);
    }
    return found;
  }
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    if (matches(*resource)) found.push_back(resource.get());
  }
  return found;
}

}  // namespace sluice::kustomize
