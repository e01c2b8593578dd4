// The memory of what was delivered, kept on the Events themselves, and the rule
// that decides from it what is still to be delivered. Pure.
//
// An annotation per Alert on the Event says which occurrence of it was dealt
// with last. docs/decisions/0004-alerts-from-events.md says why it stands there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "doc/json.hpp"
#include "occurrence.hpp"

namespace sluice::notification_controller {

enum class DeliveryState {
  none,      // nothing dealt with yet
  sent,      // the receiver took it
  rejected,  // the receiver will never take it; told to people on the Alert
  skipped,   // the Provider was suspended
};
std::string_view to_string(DeliveryState state) noexcept;

struct DeliveryMark {
  // The last occurrence that was dealt with.
  DeliveryState state = DeliveryState::none;
  std::int64_t count = 0;
  base::TimePoint last{};
  std::string digest;
  // When it was, by the server's clock, to the microsecond. Older processes did not say.
  std::optional<base::TimePoint> told;
  // A newer one was tried in vain and must be tried again, however the Alert is
  // edited meanwhile.
  bool pending = false;

  bool covers(const Occurrence& what) const;
  bool operator==(const DeliveryMark&) const = default;
};

// "delivery.notification.toolkit.fluxcd.io/<uid of the Alert>"
std::string mark_key(std::string_view alert_uid);
std::string print_mark(const DeliveryMark& mark);
// Nothing where there is none, or none that reads.
std::optional<DeliveryMark> read_mark(const doc::Json& event, std::string_view alert_uid);

// The Alerts whose marks on an Event are new or have changed, where that is all that has: what is
// not to be judged anew. Nothing where anything else has changed, or a mark is gone.
std::optional<std::vector<std::string>> changed_marks(const doc::Json& before, const doc::Json& now);

enum class Verdict {
  due,
  covered,   // dealt with
  repeated,  // the same news was sent within the rate limit's interval
  history,   // before the Alert was in force
  too_old,   // nobody wants to hear it any more
};

// Events live an hour. Past this age one that says the same may have expired,
// with the mark that would tell a repetition.
inline constexpr base::Duration kMaxAge = std::chrono::minutes(55);

struct JudgeInput {
  std::optional<DeliveryMark> mark;           // of this Event and Alert
  std::optional<base::TimePoint> last_alike;  // when the same news was last dealt with, for this Alert
  // When it came; nothing: as the occurrence says, and not later than now.
  std::optional<base::TimePoint> received;
  base::TimePoint since{};  // the Alert is in force since
  base::TimePoint now{};
  base::Duration window{};  // --rate-limit-interval
};
// All times are the server's.
Verdict judge(const Occurrence& what, const JudgeInput& input);

// The same for each attempt to deliver an occurrence, also by another process
// after a crash: it names the delivery that follows the one `before` is about.
std::string delivery_id(const Occurrence& what, std::string_view alert_uid, const std::optional<DeliveryMark>& before);

// Tells apart what is on its way: Event, Alert, count and digest.
std::string taken_key(const Occurrence& what, std::string_view alert_uid);

}  // namespace sluice::notification_controller
