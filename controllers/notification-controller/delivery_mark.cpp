#include "delivery_mark.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "api/object_meta.hpp"
#include "base/digest.hpp"

namespace sluice::notification_controller {

namespace {

constexpr std::array<std::pair<DeliveryState, std::string_view>, 4> kStates{{
    {DeliveryState::none, ""},
    {DeliveryState::sent, "sent"},
    {DeliveryState::rejected, "rejected"},
    {DeliveryState::skipped, "skipped"},
}};

}  // namespace

std::string_view to_string(DeliveryState state) noexcept {
  for (const auto& [value, name] : kStates) {
    if (value == state) return name;
  }
  return "";
}

bool DeliveryMark::covers(const Occurrence& what) const {
  return state != DeliveryState::none && count == what.count && last == what.last && digest == what.digest;
}

std::string mark_key(std::string_view alert_uid) { return std::string(kMarkPrefix) + std::string(alert_uid); }

std::string print_mark(const DeliveryMark& mark) {
  doc::Json text = doc::Json::object();
  if (mark.state != DeliveryState::none) {
    text["state"] = to_string(mark.state);
    text["count"] = mark.count;
    text["last"] = base::format_time(mark.last);
    text["digest"] = mark.digest;
    if (mark.told) text["told"] = base::format_micro_time(*mark.told);
  }
  if (mark.pending) text["pending"] = true;
  return doc::print_json(text);
}

std::optional<DeliveryMark> read_mark(const doc::Json& event, std::string_view alert_uid) {
  const auto text = api::annotation_of(event, mark_key(alert_uid));
  if (text.empty()) return std::nullopt;
  const auto parsed = doc::parse_json(text);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  DeliveryMark mark;
  const auto pending = parsed->find("pending");
  mark.pending = pending != parsed->end() && pending->is_boolean() && pending->get<bool>();
  const auto name = doc::find_string(*parsed, {"state"});
  for (const auto& [value, known] : kStates) {
    if (known == name) mark.state = value;
  }
  if (mark.state != DeliveryState::none) {
    const auto last = base::parse_time(doc::find_string(*parsed, {"last"}));
    const auto count = parsed->find("count");
    if (!last || count == parsed->end() || !count->is_number_integer()) return std::nullopt;
    mark.last = *last;
    mark.count = count->get<std::int64_t>();
    mark.digest = doc::find_string(*parsed, {"digest"});
    if (const auto told = base::parse_time(doc::find_string(*parsed, {"told"}))) mark.told = *told;
  }
  if (mark.state == DeliveryState::none && !mark.pending) return std::nullopt;
  return mark;
}

std::optional<std::vector<std::string>> changed_marks(const doc::Json& before, const doc::Json& now) {
  static const doc::Json none = doc::Json::object();
  const auto annotations_of = [](const doc::Json& event) {
    const doc::Json* all = doc::find(event, {"metadata", "annotations"});
    return all != nullptr && all->is_object() ? all : &none;
  };
  const auto is_same = [](const doc::Json& one, const doc::Json& other, auto&& is_left_out) {
    std::size_t found = 0;
    for (const auto& [key, value] : one.items()) {
      if (is_left_out(key)) continue;
      const auto it = other.find(key);
      if (it == other.end() || *it != value) return false;
      ++found;
    }
    for (const auto& [key, value] : other.items()) found -= is_left_out(key) ? 0 : 1;
    return found == 0;
  };
  const doc::Json* meta_before = doc::find(before, {"metadata"});
  const doc::Json* meta_now = doc::find(now, {"metadata"});
  if (meta_before == nullptr || meta_now == nullptr || !meta_before->is_object() || !meta_now->is_object()) {
    return std::nullopt;
  }
  if (!is_same(before, now, [](const auto& key) { return key == "metadata"; })) return std::nullopt;
  const auto is_of_write = [](const auto& key) { return key == "resourceVersion" || key == "annotations"; };
  if (!is_same(*meta_before, *meta_now, is_of_write)) return std::nullopt;
  const doc::Json& old = *annotations_of(before);
  std::size_t known = 0;
  std::vector<std::string> changed;
  for (const auto& [key, value] : annotations_of(now)->items()) {
    const auto it = old.find(key);
    known += it == old.end() ? 0 : 1;
    if (it != old.end() && *it == value) continue;
    if (!key.starts_with(kMarkPrefix)) return std::nullopt;
    changed.push_back(key.substr(kMarkPrefix.size()));
  }
  if (known != old.size()) return std::nullopt;
  return changed;
}

Verdict judge(const Occurrence& what, const JudgeInput& input) {
  if (input.mark && input.mark->covers(what)) return Verdict::covered;
  const base::TimePoint happened = input.received.value_or(std::min(what.at, input.now));
  if (input.last_alike) {
    const base::Duration apart =
        happened > *input.last_alike ? happened - *input.last_alike : *input.last_alike - happened;
    if (apart < input.window) return Verdict::repeated;
  }
  if (input.mark && input.mark->pending) return Verdict::due;
  if (what.at < input.since) return Verdict::history;
  if (what.at + kMaxAge < input.now) return Verdict::too_old;
  return Verdict::due;
}

std::string delivery_id(const Occurrence& what, std::string_view alert_uid, const std::optional<DeliveryMark>& before) {
  const std::int64_t after = before && before->state != DeliveryState::none ? before->count : 0;
  const std::string text =
      std::string(alert_uid) + "/" + what.event_uid + "/" + what.digest + "/" + std::to_string(after);
  return base::sha256_hex(text).substr(0, 32);
}

std::string taken_key(const Occurrence& what, std::string_view alert_uid) {
  return what.event_uid + "/" + std::string(alert_uid) + "/" + std::to_string(what.count) + "/" + what.digest;
}

}  // namespace sluice::notification_controller
