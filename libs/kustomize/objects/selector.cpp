#include "kustomize/objects/selector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "kustomize/objects/steps.hpp"
#include "text/find.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;

// Cuts a selector into words, "(", ")", ",", "=", "==", "!=", "!", ">" and "<".
std::vector<std::string_view> lex(std::string_view text) {
  constexpr std::string_view kMarks = "(),=!<>";
  std::vector<std::string_view> tokens;
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

bool is_word(std::string_view token) { return std::string_view("(),=!<>").find(token[0]) == std::string_view::npos; }

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
  SLUICE_CHECK(take_step());
  SLUICE_TRY(pattern.compiled_, text::Regexp::compile(expression));
  return pattern;
}

Result<bool> Pattern::matches(std::string_view text) const {
  if (text_.empty()) return true;
  if (!compiled_) return whole_ ? text == text_ : text::find_text(text, text_) != std::string_view::npos;
  text::WorkBudget budget{text::Regexp::kSteps, Steps::token()};
  return whole_ ? compiled_->matches_all(text, budget) : compiled_->matches(text, budget);
}

Result<LabelSelector> LabelSelector::parse(const std::string& text) {
  LabelSelector selector;
  // Kubernetes bounds no selector, and cuts none of this length; a word takes a multiple of its bytes.
  constexpr std::size_t kLongest = 1U << 20U;
  if (text.size() > kLongest) return unexpected(ErrorKind::too_large, "a label selector is longer than 1 MiB");
  const std::vector<std::string_view> tokens = lex(text);
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
    const std::string_view op = i < tokens.size() ? tokens[i] : ",";
    if (op == "=" || op == "==" || op == "!=" || op == ">" || op == "<") {
      requirement.op = op == "!=" ? Op::not_in : op == ">" ? Op::greater : op == "<" ? Op::less : Op::in;
      ++i;
      const bool given = i < tokens.size() && is_word(tokens[i]);
      requirement.values.emplace_back(given ? tokens[i++] : "");
    } else if (op == "in" || op == "notin") {
      requirement.op = op == "in" ? Op::in : Op::not_in;
      if (++i >= tokens.size() || tokens[i++] != "(") return wrong();
      bool open = true;
      while (open && i < tokens.size()) {
        if (tokens[i] == ")") {
          open = false;
        } else if (is_word(tokens[i])) {
          requirement.values.emplace_back(tokens[i]);
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

Result<bool> ObjectSelector::matches_gvk(const Gvk& gvk) const {
  SLUICE_TRY(const bool group, group_.matches(gvk.group));
  if (!group) return false;
  SLUICE_TRY(const bool version, version_.matches(gvk.version));
  if (!version) return false;
  return kind_.matches(gvk.kind);
}

Result<bool> ObjectSelector::matches_id(const Gvk& gvk, std::string_view name, std::string_view ns) const {
  SLUICE_TRY(const bool kind, matches_gvk(gvk));
  if (!kind) return false;
  SLUICE_TRY(const bool named, matches_name(name));
  if (!named) return false;
  return matches_ns(ns);
}

Result<bool> ObjectSelector::matches_any(const std::vector<ResId>& ids) const {
  for (const ResId& id : ids) {
    SLUICE_TRY(const bool found, matches_id(id.gvk, id.name, id.ns));
    if (found) return true;
  }
  return false;
}

bool ObjectSelector::matches_labels(const doc::Json& object) const {
  return labels_.matches(object, "labels") && annotations_.matches(object, "annotations");
}

namespace {

Result<bool> is_selected(const ObjectSelector& selector, const Resource& resource) {
  const ResId now = resource.id();
  SLUICE_TRY(const bool kind, selector.matches_gvk(now.gvk));
  if (!kind) return false;
  const ResId original = resource.original_id();
  SLUICE_TRY(bool there, selector.matches_ns(original.effective_ns()));
  if (!there) {
    SLUICE_TRY(there, selector.matches_ns(now.effective_ns()));
  }
  if (!there) return false;
  SLUICE_TRY(bool named, selector.matches_name(original.name));
  if (!named) {
    SLUICE_TRY(named, selector.matches_name(now.name));
  }
  return named && selector.matches_labels(resource.value);
}

}  // namespace

Result<std::vector<Resource*>> select(const ResourceSet& set, const SelectorSpec& spec) {
  SLUICE_TRY(const ObjectSelector selector, ObjectSelector::compile(spec));
  std::vector<Resource*> found;
  const auto consider = [&](Resource* resource) -> Result<void> {
    const auto chosen = is_selected(selector, *resource);
    if (!chosen) return unexpected(base::Error(chosen.error()).with_context(resource->describe().substr(0, 400)));
    if (*chosen) found.push_back(resource);
    return {};
  };
  // A plain name is looked up; only patterns have to see every object.
  if (is_plain(spec.name)) {
    for (Resource* resource : set.find_named(spec.name)) {
      SLUICE_CHECK(consider(resource));
    }
    return found;
  }
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    SLUICE_CHECK(consider(resource.get()));
  }
  return found;
}

}  // namespace sluice::kustomize
