// Conditions of an object's status, the verbs to change them, and the kstatus
// rules that they keep.
//
// A Conditions value is a list that is always in order and holds each type once.
// Times and generations are handed in (ConditionStamp), so all of it is pure.
// Facts: metav1.Condition and its API conventions; fluxcd/pkg runtime/conditions
// (order, summary); kstatus (Reconciling and Stalled are there only while True).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api {

enum class ConditionStatus { is_true, is_false, unknown };
// "True", "False", "Unknown".
std::string_view to_string(ConditionStatus status) noexcept;

struct Condition {
  std::string type;
  ConditionStatus status = ConditionStatus::unknown;
  std::string reason;
  std::string message;
  std::int64_t observed_generation = 0;
  base::TimePoint last_transition_time{};

  bool operator==(const Condition&) const = default;
};

// Bounds of the API server's schema, in bytes; what is longer is cut.
inline constexpr std::size_t kMaxConditionMessage = 32768;
inline constexpr std::size_t kMaxConditionReason = 1024;

// When, and about which generation of the object, something is said.
struct ConditionStamp {
  std::int64_t generation = 0;
  base::TimePoint now{};
};

class Conditions {
 public:
  Conditions() = default;
  // Sorts; of several conditions of one type the last one stays.
  explicit Conditions(std::vector<Condition> conditions);

  const std::vector<Condition>& items() const { return items_; }
  bool empty() const { return items_.empty(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

  // Null where there is none; valid until the next change.
  const Condition* find(std::string_view type) const;
  bool has(std::string_view type) const { return find(type) != nullptr; }
  bool is_true(std::string_view type) const;
  bool is_false(std::string_view type) const;
  // False for a type that is not there.
  bool is_unknown(std::string_view type) const;
  // "" where there is none.
  std::string_view reason(std::string_view type) const;
  std::string_view message(std::string_view type) const;

  // Sets one condition. lastTransitionTime moves only when the status does
  // (metav1.Condition); to the second, as that is what the wire keeps.
  void set(std::string_view type, ConditionStatus status, std::string_view reason, std::string_view message,
           const ConditionStamp& stamp);
  void mark_true(std::string_view type, std::string_view reason, std::string_view message, const ConditionStamp& stamp);
  void mark_false(std::string_view type, std::string_view reason, std::string_view message,
                  const ConditionStamp& stamp);
  void mark_unknown(std::string_view type, std::string_view reason, std::string_view message,
                    const ConditionStamp& stamp);
  // kstatus: work is going on. Takes Stalled away.
  void mark_reconciling(std::string_view reason, std::string_view message, const ConditionStamp& stamp);
  // kstatus: nothing will happen until somebody edits. Takes Reconciling away
  // and says the same in Ready=False.
  void mark_stalled(std::string_view reason, std::string_view message, const ConditionStamp& stamp);
  void remove(std::string_view type);

  bool operator==(const Conditions&) const = default;

 private:
  std::vector<Condition> items_;
};

// How Ready follows from the other conditions of a kind.
struct ReadySummary {
  // Types that count; an earlier one lends its reason and message first.
  std::vector<std::string_view> order;
  // Those of them for which True is bad news.
  std::vector<std::string_view> negative;
};

// Sets Ready from the conditions named in `rules`: bad news wins over good,
// good over unknown; the reason and message are those of the deciding
// condition. Without any condition in scope, Ready stays as it is.
void summarize_ready(Conditions& conditions, const ReadySummary& rules, const ConditionStamp& stamp);

// What is wrong with an object's conditions by the rules of kstatus and of the
// API conventions, one sentence each; empty when all is well. `settled` is
// false while a reconciliation still runs. Meant for tests and debug builds.
std::vector<std::string> check_conditions(const Conditions& conditions, std::int64_t generation,
                                          std::int64_t observed_generation, bool settled = true);

// `invalid` naming the element and field. Null gives an empty list.
base::Result<Conditions> parse_conditions(const doc::Json& list);
// Reads `object.status.conditions`; what does not parse reads as no conditions,
// for looking at objects of kinds that others own.
Conditions conditions_of(const doc::Json& object);
doc::Json to_json(const Conditions& conditions);

}  // namespace sluice::api
