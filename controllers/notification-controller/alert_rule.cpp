#include "alert_rule.hpp"

#include <algorithm>

namespace sluice::notification {

namespace {

base::Result<std::vector<text::Regexp>> compile_list(const std::vector<std::string>& expressions,
                                                     std::string_view field) {
  std::vector<text::Regexp> compiled;
  for (std::size_t i = 0; i < expressions.size(); ++i) {
    auto expression = text::Regexp::compile(expressions[i]);
    if (!expression) {
      base::Error error = std::move(expression).error();
      error.kind = base::ErrorKind::invalid;
      return base::unexpected(
          std::move(error).with_context("spec." + std::string(field) + "[" + std::to_string(i) + "]"));
    }
    compiled.push_back(*std::move(expression));
  }
  return compiled;
}

bool any_matches(const std::vector<text::Regexp>& expressions, std::string_view message) {
  return std::any_of(expressions.begin(), expressions.end(),
                     [message](const auto& expression) { return expression.matches(message); });
}

bool has_labels(const api::StringMap& labels, const api::StringMap& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& label) {
    const auto it = labels.find(label.first);
    return it != labels.end() && it->second == label.second;
  });
}

std::string group_of(std::string_view api_version) {
  const auto slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string() : std::string(api_version.substr(0, slash));
}

}  // namespace

base::Result<AlertRule> AlertRule::compile(const api::Alert& alert, bool own_namespace_only) {
  AlertRule rule;
  rule.key = alert.metadata.key();
  rule.uid = alert.metadata.uid;
  rule.spec = alert.spec;
  rule.own_namespace_only = own_namespace_only;
  SLUICE_TRY(rule.inclusion, compile_list(alert.spec.inclusion_list, "inclusionList"));
  SLUICE_TRY(rule.exclusion, compile_list(alert.spec.exclusion_list, "exclusionList"));
  return rule;
}

bool AlertRule::wants_from(const api::CrossNamespaceObjectReference& source, const Occurrence& what,
                           const LabelLookup& labels) const {
  const std::string& space = source.namespace_.empty() ? key.namespace_ : source.namespace_;
  if (own_namespace_only && space != key.namespace_) return false;
  if (what.involved.namespace_ != space || what.involved.kind != source.kind) return false;
  if (!source.api_version.empty() && group_of(source.api_version) != what.involved.group()) return false;
  if (source.name != "*" && source.name != what.involved.name) return false;
  if (source.match_labels.empty()) return true;
  // Flux: what cannot be looked up has no labels.
  const auto found = labels(what.involved);
  return found && has_labels(*found, source.match_labels);
}

bool AlertRule::wants(const Occurrence& what, const LabelLookup& labels) const {
  // Flux: info lets everything through.
  if (spec.event_severity == api::EventSeverity::error && what.severity != Severity::error) return false;
  const auto& sources = spec.event_sources;
  const bool listens = std::any_of(sources.begin(), sources.end(),
                                   [&](const auto& source) { return wants_from(source, what, labels); });
  if (!listens) return false;
  if (!inclusion.empty() && !any_matches(inclusion, what.message)) return false;
  return !any_matches(exclusion, what.message);
}

bool AlertRule::names_kind(std::string_view kind) const {
  const auto& sources = spec.event_sources;
  return std::any_of(sources.begin(), sources.end(), [kind](const auto& source) { return source.kind == kind; });
}

std::string AlertRule::forbidden_source() const {
  if (!own_namespace_only) return {};
  for (std::size_t i = 0; i < spec.event_sources.size(); ++i) {
    const auto& source = spec.event_sources[i];
    if (source.namespace_.empty() || source.namespace_ == key.namespace_) continue;
    return "spec.eventSources[" + std::to_string(i) + "]: " + source.kind + "/" + source.namespace_ + "/" +
           source.name + " is in another namespace, and cross-namespace references are blocked";
  }
  return {};
}

}  // namespace sluice::notification
