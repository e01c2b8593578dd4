// An Alert made ready to be asked: does it want this occurrence? Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/alert.hpp"
#include "base/result.hpp"
#include "occurrence.hpp"
#include "text/regexp.hpp"

namespace sluice::notification_controller {

// The labels of a live object; null where there is none of that name.
using LabelLookup = std::function<std::shared_ptr<const api::StringMap>(const InvolvedObject&)>;

// Condition of an Alert that is True for as long as one spec is in force; its
// lastTransitionTime is when that began. Earlier occurrences are history, which
// neither a new nor an edited Alert sends.
inline constexpr std::string_view kListeningCondition = "Listening";
inline constexpr std::string_view kListeningReason = "SpecInForce";

struct AlertRule {
  api::ObjectKey key;
  std::string uid;
  api::AlertSpec spec;
  std::vector<text::Regexp> inclusion;
  std::vector<text::Regexp> exclusion;
  base::TimePoint since{};
  std::uint64_t version = 0;        // another one each time that it is compiled, for who remembers what it wanted
  bool own_namespace_only = false;  // --no-cross-namespace-refs

  // Of the expressions that parse: Flux leaves the others out, and so does one that takes none
  // in of a list of them alone. So are those that are too many or too large.
  static AlertRule compile(const api::Alert& alert, bool own_namespace_only);

  // Severity, sources, inclusion and exclusion; not whether it was sent before. Expressions that
  // would take too long for so long a message are not judged, and so keep nothing back.
  bool wants(const Occurrence& what, const LabelLookup& labels) const;
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
