#include "api/history.hpp"

#include <algorithm>

#include "api/detail/common_tables.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"

namespace sluice::api {

void upsert(History& history, const ReconcileRecord& record) {
  const auto at = std::chrono::floor<std::chrono::seconds>(record.at);
  const auto same = std::find_if(history.begin(), history.end(), [&](const Snapshot& snapshot) {
    return snapshot.digest == record.digest && snapshot.last_reconciled_status == record.status;
  });
  if (same == history.end()) {
    Snapshot fresh;
    fresh.digest = record.digest;
    fresh.first_reconciled = at;
    fresh.last_reconciled_status = record.status;
    history.insert(history.begin(), std::move(fresh));
  } else {
    std::rotate(history.begin(), same, same + 1);
  }
  auto& newest = history.front();
  newest.last_reconciled = at;
  newest.last_reconciled_duration = record.took;
  newest.metadata = record.metadata;
  ++newest.total_reconciliations;
  if (history.size() > kMaxHistory) history.resize(kMaxHistory);
}

base::Result<History> parse_history(const doc::Json& value) {
  History out;
  if (value.is_null()) return out;
  SLUICE_CHECK(detail::read(value, detail::FieldPath("status.history"), out));
  return out;
}

doc::Json to_json(const History& history) { return detail::write(history); }

}  // namespace sluice::api
