#include "api/conditions.hpp"

#include <algorithm>
#include <array>

#include "api/detail/common_tables.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"
#include "api/names.hpp"

namespace sluice::api {

namespace {

// Flux: Stalled, Reconciling and Ready lead, in this order.
int weight(std::string_view type) {
  if (type == condition::kStalled) return 0;
  if (type == condition::kReconciling) return 1;
  if (type == condition::kReady) return 2;
  return 3;
}

// Flux: behind those, the conditions about the newest generation, then by type.
bool comes_before(const Condition& a, const Condition& b) {
  const int wa = weight(a.type);
  const int wb = weight(b.type);
  if (wa != wb) return wa < wb;
  if (wa == 3 && a.observed_generation != b.observed_generation) return a.observed_generation > b.observed_generation;
  return a.type < b.type;
}

// Cuts at a character's start, so that the text stays UTF-8.
std::string cut(std::string_view text, std::size_t limit, std::string_view ending) {
  if (text.size() <= limit) return std::string(text);
  auto end = limit - ending.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)).append(ending);
}

base::TimePoint whole_second(base::TimePoint time) { return std::chrono::floor<std::chrono::seconds>(time); }

bool contains(const std::vector<std::string_view>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// How strongly a condition speaks for the summary; the smallest one decides.
int merge_priority(ConditionStatus status, bool negative) {
  switch (status) {
    case ConditionStatus::is_true: return negative ? 0 : 2;
    case ConditionStatus::is_false: return negative ? 3 : 1;
    case ConditionStatus::unknown: return 4;
  }
  return 4;
}

ConditionStatus inverted(ConditionStatus status) {
  switch (status) {
    case ConditionStatus::is_true: return ConditionStatus::is_false;
    case ConditionStatus::is_false: return ConditionStatus::is_true;
    case ConditionStatus::unknown: return ConditionStatus::unknown;
  }
  return status;
}

bool is_reason(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == ',' || c == ':'; };
  if (text.empty() || !letter(text.front())) return false;
  if (text.back() == ',' || text.back() == ':') return false;
  return std::all_of(text.begin(), text.end(), inner);
}

}  // namespace

std::string_view to_string(ConditionStatus status) noexcept {
  for (const auto& [value, name] : detail::EnumNames<ConditionStatus>::values) {
    if (value == status) return name;
  }
  return "Unknown";
}

Conditions::Conditions(std::vector<Condition> conditions) {
  items_.reserve(conditions.size());
  for (auto& item : conditions) {
    const auto same = std::find_if(items_.begin(), items_.end(), [&](const auto& c) { return c.type == item.type; });
    if (same == items_.end()) {
      items_.push_back(std::move(item));
    } else {
      *same = std::move(item);
    }
  }
  std::sort(items_.begin(), items_.end(), comes_before);
}

const Condition* Conditions::find(std::string_view type) const {
  const auto found = std::find_if(items_.begin(), items_.end(), [&](const auto& c) { return c.type == type; });
  return found == items_.end() ? nullptr : &*found;
}

bool Conditions::is_true(std::string_view type) const {
  const auto* found = find(type);
  return found != nullptr && found->status == ConditionStatus::is_true;
}

bool Conditions::is_false(std::string_view type) const {
  const auto* found = find(type);
  return found != nullptr && found->status == ConditionStatus::is_false;
}

bool Conditions::is_unknown(std::string_view type) const {
  const auto* found = find(type);
  return found != nullptr && found->status == ConditionStatus::unknown;
}

std::string_view Conditions::reason(std::string_view type) const {
  const auto* found = find(type);
  return found == nullptr ? std::string_view() : found->reason;
}

std::string_view Conditions::message(std::string_view type) const {
  const auto* found = find(type);
  return found == nullptr ? std::string_view() : found->message;
}

void Conditions::set(std::string_view type, ConditionStatus status, std::string_view reason, std::string_view message,
                     const ConditionStamp& stamp) {
  Condition next;
  next.type = type;
  next.status = status;
  next.reason = cut(reason, kMaxConditionReason, "");
  next.message = cut(message, kMaxConditionMessage, "...");
  next.observed_generation = stamp.generation;
  next.last_transition_time = whole_second(stamp.now);

  const auto same = std::find_if(items_.begin(), items_.end(), [&](const auto& c) { return c.type == type; });
  if (same == items_.end()) {
    items_.push_back(std::move(next));
  } else {
    if (same->status == status) next.last_transition_time = same->last_transition_time;
    *same = std::move(next);
  }
  std::sort(items_.begin(), items_.end(), comes_before);
}

void Conditions::mark_true(std::string_view type, std::string_view reason, std::string_view message,
                           const ConditionStamp& stamp) {
  set(type, ConditionStatus::is_true, reason, message, stamp);
}

void Conditions::mark_false(std::string_view type, std::string_view reason, std::string_view message,
                            const ConditionStamp& stamp) {
  set(type, ConditionStatus::is_false, reason, message, stamp);
}

void Conditions::mark_unknown(std::string_view type, std::string_view reason, std::string_view message,
                              const ConditionStamp& stamp) {
  set(type, ConditionStatus::unknown, reason, message, stamp);
}

void Conditions::mark_reconciling(std::string_view reason, std::string_view message, const ConditionStamp& stamp) {
  remove(condition::kStalled);
  mark_true(condition::kReconciling, reason, message, stamp);
}

void Conditions::mark_stalled(std::string_view reason, std::string_view message, const ConditionStamp& stamp) {
  remove(condition::kReconciling);
  mark_true(condition::kStalled, reason, message, stamp);
  mark_false(condition::kReady, reason, message, stamp);
}

void Conditions::remove(std::string_view type) {
  std::erase_if(items_, [&](const auto& c) { return c.type == type; });
}

void summarize_ready(Conditions& conditions, const ReadySummary& rules, const ConditionStamp& stamp) {
  const Condition* deciding = nullptr;
  int best = 0;
  // In the order of the rules, so that of equals the first one decides.
  for (const auto type : rules.order) {
    const auto* found = conditions.find(type);
    if (found == nullptr) continue;
    const int priority = merge_priority(found->status, contains(rules.negative, type));
    if (deciding == nullptr || priority < best) {
      deciding = found;
      best = priority;
    }
  }
  if (deciding == nullptr) return;
  const bool negative = contains(rules.negative, deciding->type);
  const Condition source = *deciding;  // set() may move the list
  conditions.set(condition::kReady, negative ? inverted(source.status) : source.status, source.reason, source.message,
                 stamp);
}

std::vector<std::string> check_conditions(const Conditions& conditions, std::int64_t generation,
                                          std::int64_t observed_generation, bool settled) {
  std::vector<std::string> faults;
  const auto fault = [&](std::string_view type, std::string_view what) {
    faults.push_back(std::string(type) + " " + std::string(what));
  };
  for (const auto& item : conditions) {
    if (!is_reason(item.reason)) fault(item.type, "has no valid reason: \"" + item.reason + "\"");
    if (item.observed_generation > generation) fault(item.type, "is about a generation that does not exist");
    if (item.last_transition_time == base::TimePoint{}) fault(item.type, "has no lastTransitionTime");
  }
  for (const auto type : {condition::kReconciling, condition::kStalled}) {
    if (conditions.has(type) && !conditions.is_true(type)) fault(type, "is there without being True");
  }
  const auto* ready = conditions.find(condition::kReady);
  const bool stalled = conditions.is_true(condition::kStalled);
  const bool reconciling = conditions.is_true(condition::kReconciling);
  if (stalled && reconciling) fault(condition::kStalled, "is True together with Reconciling");
  if (ready == nullptr) {
    fault(condition::kReady, "is missing");
    return faults;
  }
  if (stalled && !conditions.is_false(condition::kReady)) fault(condition::kReady, "is not False though Stalled");
  if (reconciling && conditions.is_true(condition::kReady)) fault(condition::kReady, "is True though Reconciling");
  if (settled && !reconciling) {
    if (ready->observed_generation != generation) fault(condition::kReady, "is about an older generation");
    if (observed_generation != generation) faults.push_back("observedGeneration is not that of the object");
  }
  return faults;
}

base::Result<Conditions> parse_conditions(const doc::Json& list) {
  Conditions out;
  if (list.is_null()) return out;
  SLUICE_CHECK(detail::read(list, detail::FieldPath("status.conditions"), out));
  return out;
}

Conditions conditions_of(const doc::Json& object) {
  const auto* list = doc::find(object, {"status", "conditions"});
  if (list == nullptr) return {};
  return parse_conditions(*list).value_or(Conditions());
}

doc::Json to_json(const Conditions& conditions) { return detail::write(conditions); }

namespace detail {
doc::Json write(const Conditions& value) { return write(value.items()); }
}  // namespace detail

}  // namespace sluice::api
