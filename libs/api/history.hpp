// What was reconciled lately, as kept in `status.history`: the newest snapshot
// first, at most five. Facts: fluxcd/pkg apis/meta/history.go. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::api {

inline constexpr std::size_t kMaxHistory = 5;

struct Snapshot {
  std::string digest;  // of the applied set of objects, `<algorithm>:<hex>`
  base::TimePoint first_reconciled{};
  base::TimePoint last_reconciled{};
  base::Duration last_reconciled_duration{};
  std::string last_reconciled_status;  // the reason of Ready
  std::int64_t total_reconciliations = 0;
  StringMap metadata;  // e.g. the revision

  bool operator==(const Snapshot&) const = default;
};

using History = std::vector<Snapshot>;

struct ReconcileRecord {
  std::string digest;
  std::string status;
  base::TimePoint at{};
  base::Duration took{};
  StringMap metadata;
};

// A record with the digest and status of a snapshot renews that one and brings
// it to the front; any other becomes a new snapshot. The oldest fall off.
void upsert(History& history, const ReconcileRecord& record);

base::Result<History> parse_history(const doc::Json& value);
doc::Json to_json(const History& history);

}  // namespace sluice::api
