#include "alert_rule.hpp"

#include <algorithm>

namespace sluice::notification_controller {

namespace {

// Ours: expressions are compiled on the loop, again and again where an Alert's namespace has more of them than
// there is room for. The schema cannot say so: objects that upstream took would not be served again.
constexpr std::size_t kMaxExpressions = 64;  // of a list
constexpr std::size_t kMaxExpression = 1024;
constexpr std::size_t kMaxPrograms = 512U << 10U;                      // of all expressions of an Alert
constexpr std::size_t kCostOfTooLarge = Expressions::kMaxProgram / 6;  // of the program that was given up
// To read a class of Unicode takes as long as to make a program of this size.
constexpr std::size_t kCostOfClass = 2U << 10U;
// Of all expressions of an Alert for one message: 12 ms of the loop at the worst. Texts with
// ".*" between them, as most are, take a step for each byte.
constexpr std::size_t kMaxSteps = std::size_t{1} << 20U;

std::size_t classes_in(std::string_view expression) {
  std::size_t count = 0;
  for (std::size_t i = 0; i + 1 < expression.size(); ++i) {
    if (expression[i] == '\\' && (expression[i + 1] == 'p' || expression[i + 1] == 'P')) ++count;
  }
  return count;
}

class ListCompiler {
 public:
  ListCompiler(const std::string& owner, Expressions& expressions) : owner_(owner), expressions_(expressions) {}

  std::vector<ListedExpression> compile(const std::vector<std::string>& expressions, std::string_view field) {
    std::vector<ListedExpression> listed;
    const std::string list = "spec." + std::string(field);
    for (std::size_t i = 0; i < std::min(expressions.size(), kMaxExpressions); ++i) {
      const auto steps_per_byte = compile_one(expressions[i]);
      if (steps_per_byte) {
        listed.push_back({i, *steps_per_byte});
      } else {
        note(base::Error(steps_per_byte.error()).with_context(list + "[" + std::to_string(i) + "]").message);
      }
    }
    if (expressions.size() > kMaxExpressions) note(list + ": has over 64 expressions, and those after are left out");
    listed.shrink_to_fit();
    return listed;
  }
  const std::string& wrong() const { return wrong_; }

 private:
  base::Result<std::size_t> compile_one(const std::string& expression) {
    if (expression.size() > kMaxExpression) {
      return base::unexpected(base::ErrorKind::too_large, "is longer than 1024 bytes");
    }
    if (spent_ >= kMaxPrograms) {
      return base::unexpected(base::ErrorKind::too_large, "the expressions of this Alert are too large together");
    }
    spent_ += classes_in(expression) * kCostOfClass;
    const auto compiled = expressions_.get(owner_, expression);
    if (compiled) {
      spent_ += compiled->program_bytes();
      return compiled->steps("-");
    }
    if (compiled.error().kind == base::ErrorKind::too_large) spent_ += kCostOfTooLarge;
    return base::unexpected(compiled.error());
  }
  void note(std::string message) {
    if (wrong_.empty()) wrong_ = std::move(message);
  }

  const std::string& owner_;
  Expressions& expressions_;
  std::size_t spent_ = 0;
  std::string wrong_;
};

enum class Listed { no, yes, unknown };

// Unknown if none matches of those that could be judged, and one could not.
Listed find_in(const std::vector<ListedExpression>& listed, const std::vector<std::string>& texts,
               const AlertRule& rule, std::string_view message, text::WorkBudget& budget) {
  Listed found = Listed::no;
  for (const ListedExpression& one : listed) {
    // Asked first: there is no need to compile what will not be judged.
    if (message.size() * one.steps_per_byte > budget.steps) {
      found = Listed::unknown;
      continue;
    }
    const auto expression = rule.expressions->get(rule.key.namespace_, texts[one.place]);
    const auto matches = expression ? expression->matches(message, budget) : base::Result<bool>(false);
    if (!matches) {
      found = Listed::unknown;
    } else if (*matches) {
      return Listed::yes;
    }
  }
  return found;
}

bool has_labels(const api::StringMap& labels, const api::StringMap& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& label) {
    const auto it = labels.find(label.first);
    return it != labels.end() && it->second == label.second;
  });
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Of label keys and values: letters and digits at both ends, "-_." between.
bool is_label_part(std::string_view text) {
  constexpr std::size_t kLongest = 63;
  return !text.empty() && text.size() <= kLongest && is_letter_or_digit(text.front()) &&
         is_letter_or_digit(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

bool is_label(const std::string& key, const std::string& value) {
  const auto slash = key.find('/');
  const std::string_view name =
      slash == std::string::npos ? std::string_view(key) : std::string_view(key).substr(slash + 1);
  return is_label_part(name) && (value.empty() || is_label_part(value));
}

// RFC 1123, as Kubernetes has it of names (subdomains) and namespaces (labels, without dots).
bool is_dns_name(std::string_view text, bool dots) {
  const auto is_inner = [dots](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || (dots && c == '.');
  };
  const auto is_end = [&](char c) { return is_inner(c) && c != '-' && c != '.'; };
  const std::size_t longest = dots ? 253 : 63;
  return !text.empty() && text.size() <= longest && is_end(text.front()) && is_end(text.back()) &&
         std::all_of(text.begin(), text.end(), is_inner);
}

// What of the source no object can have; "" if there may be one.
std::string hopeless_part(const api::CrossNamespaceObjectReference& source) {
  if (source.name != "*" && !is_dns_name(source.name, true)) {
    return "name: no object can be named '" + source.name +
           "'; only '*' alone stands for all, and matchLabels for some";
  }
  if (!source.namespace_.empty() && !is_dns_name(source.namespace_, false)) {
    return "namespace: no namespace can be named '" + source.namespace_ + "', and there are no wildcards for it";
  }
  for (const auto& [key, value] : source.match_labels) {
    if (!is_label(key, value)) return "matchLabels: no object can have the label '" + key + ": " + value + "'";
  }
  return {};
}

}  // namespace

AlertRule AlertRule::compile(const api::Alert& alert, bool own_namespace_only,
                             std::shared_ptr<Expressions> expressions) {
  AlertRule rule;
  rule.key = alert.metadata.key();
  rule.uid = alert.metadata.uid;
  rule.spec = alert.spec;
  rule.own_namespace_only = own_namespace_only;
  rule.expressions = std::move(expressions);
  ListCompiler compiler(rule.key.namespace_, *rule.expressions);
  rule.inclusion = compiler.compile(alert.spec.inclusion_list, "inclusionList");
  rule.exclusion = compiler.compile(alert.spec.exclusion_list, "exclusionList");
  rule.wrong_expression = compiler.wrong();
  return rule;
}

std::string AlertRule::hopeless_source() const {
  if (spec.event_sources.empty()) return "spec.eventSources: names nothing, so nothing is ever sent";
  for (std::size_t i = 0; i < spec.event_sources.size(); ++i) {
    const std::string part = hopeless_part(spec.event_sources[i]);
    if (!part.empty()) return "spec.eventSources[" + std::to_string(i) + "]." + part;
  }
  return {};
}

bool AlertRule::wants_from(const api::CrossNamespaceObjectReference& source, const Occurrence& what,
                           const LabelLookup& labels) const {
  const std::string& space = source.namespace_.empty() ? key.namespace_ : source.namespace_;
  if (own_namespace_only && space != key.namespace_) return false;
  if (what.involved.namespace_ != space || what.involved.kind != source.kind) return false;
  // Flux: apiVersion is read by nobody. The kinds that can be named are of one group each.
  if (source.name != "*" && source.name != what.involved.name) return false;
  if (source.match_labels.empty()) return true;
  // Flux: what cannot be looked up has no labels.
  const auto found = labels(what.involved);
  return found && has_labels(*found, source.match_labels);
}

bool AlertRule::listens_to(const Occurrence& what, const LabelLookup& labels) const {
  const auto& sources = spec.event_sources;
  return std::any_of(sources.begin(), sources.end(),
                     [&](const auto& source) { return wants_from(source, what, labels); });
}

bool AlertRule::wants(const Occurrence& what, const LabelLookup& labels) const {
  return hears_of(what, labels) && passes(what.message);
}

bool AlertRule::hears_of(const Occurrence& what, const LabelLookup& labels) const {
  // Flux: info lets everything through.
  if (spec.event_severity == api::EventSeverity::error && what.severity != Severity::error) return false;
  return listens_to(what, labels);
}

bool AlertRule::passes(std::string_view message) const {
  // What cannot be judged is sent: to send too much loses nothing.
  text::WorkBudget budget{kMaxSteps};
  const bool is_included =
      spec.inclusion_list.empty() || find_in(inclusion, spec.inclusion_list, *this, message, budget) != Listed::no;
  return is_included && find_in(exclusion, spec.exclusion_list, *this, message, budget) != Listed::yes;
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

}  // namespace sluice::notification_controller
