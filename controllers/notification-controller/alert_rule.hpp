// An Alert made ready to be asked: does it want this occurrence? Pure, but for the room of compiled expressions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/alert.hpp"
#include "expressions.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

// The labels of a live object; null where there is none of that name.
using LabelLookup = std::function<std::shared_ptr<const api::StringMap>(const InvolvedObject&)>;

// Condition of an Alert that is True for as long as one spec is in force; its
// lastTransitionTime is when that began. Earlier occurrences are history, which
// neither a new nor an edited Alert sends.
inline constexpr std::string_view kListeningCondition = "Listening";
inline constexpr std::string_view kListeningReason = "SpecInForce";

// One of spec.inclusionList or spec.exclusionList that is in force.
struct ListedExpression {
  std::size_t place = 0;           // in its list
  std::size_t steps_per_byte = 1;  // of what it is looked for in; see text::Regexp::steps()
};

struct AlertRule {
  api::ObjectKey key;
  std::string uid;
  api::AlertSpec spec;
  std::vector<ListedExpression> inclusion;
  std::vector<ListedExpression> exclusion;
  std::shared_ptr<Expressions> expressions;  // compiled, those of them that there is room for
  base::TimePoint since{};
  std::uint64_t version = 0;        // another one each time that it is compiled, for who remembers what it wanted
  bool own_namespace_only = false;  // --no-cross-namespace-refs

  // Of the expressions that parse: Flux leaves the others out, and so does one that takes none
  // in of a list of them alone. So are those that are too many or too large.
  static AlertRule compile(const api::Alert& alert, bool own_namespace_only,
                           std::shared_ptr<Expressions> expressions = std::make_shared<Expressions>());

  // Severity, sources, inclusion and exclusion; not whether it was sent before. Expressions that
  // would take too long for so long a message are not judged, and so keep nothing back.
  bool wants(const Occurrence& what, const LabelLookup& labels) const;
  // The two halves of that: severity and sources, in no time, and the expressions, which may take 12 ms.
  bool hears_of(const Occurrence& what, const LabelLookup& labels) const;
  bool passes(std::string_view message) const;
  // Of that what may change while the rule and the occurrence stay as they are: labels.
  bool listens_to(const Occurrence& what, const LabelLookup& labels) const;
  // What people must mend, though the rest of the rule is in force: the first expression that is
  // left out, or source that no object can ever match; each names its field. "" if all is well.
  std::string wrong_expression;
  std::string hopeless_source() const;
  // The first source that --no-cross-namespace-refs forbids; "" if all may be listened to.
  std::string forbidden_source() const;

 private:
  bool wants_from(const api::CrossNamespaceObjectReference& source, const Occurrence& what,
                  const LabelLookup& labels) const;
};

}  // namespace sluice::notification_controller
