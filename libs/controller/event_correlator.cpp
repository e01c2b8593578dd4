#include "controller/event_correlator.hpp"

#include <utility>

#include "base/digest.hpp"
#include "controller/event_news.hpp"

namespace sluice::controller {

namespace {

constexpr std::size_t kDigits = 32;  // of a digest

// What makes events similar: all but the message and the revision. A digest of it, as thousands are
// remembered.
std::string group_key(const doc::Json& event) {
  std::string key;
  for (const auto field : {"kind", "namespace", "name", "uid", "apiVersion"}) {
    key += doc::find_string(event, {"involvedObject", field});
    key += '\x1f';
  }
  key += doc::find_string(event, {"source", "component"});
  key += '\x1f';
  key += doc::find_string(event, {"type"});
  key += '\x1f';
  key += doc::find_string(event, {"reason"});
  return base::sha256_hex(key).substr(0, kDigits);
}

std::vector<std::string> annotation_keys(const doc::Json& event) {
  std::vector<std::string> keys;
  const auto* annotations = doc::find(event, {"metadata", "annotations"});
  if (annotations == nullptr || !annotations->is_object()) return keys;
  for (const auto& [key, value] : annotations->items()) keys.push_back(key);
  return keys;
}

// The same words about another commit are other news: counted up, they would take the place of
// what nobody may have read yet. A digest, as messages may be long.
std::string news_of(const doc::Json& event, std::string_view message) {
  const std::string_view version = doc::find_string(event, {"involvedObject", "apiVersion"});
  const std::string group(version.substr(0, version.find('/')));
  doc::Json news = doc::Json::array({message});
  for (const auto key : kNewsAnnotations) {
    news.push_back(api::annotation_of(event, group + "/" + std::string(key)));
  }
  return base::sha256_hex(doc::print_json(news)).substr(0, kDigits);
}

}  // namespace

EventCorrelator::Decision EventCorrelator::observe(doc::Json event) {
  const base::TimePoint now = clock_.now();
  const std::string group = group_key(event);
  const std::string message(doc::find_string(event, {"message"}));

  Similar* similar = similar_.find(group);
  if (similar == nullptr || now - similar->last > kWindow) similar = &similar_.put(group, {});
  similar->last = now;
  const std::string told = news_of(event, message);
  similar->news.insert(told);
  std::string key = group + told;
  if (similar->news.size() >= kMaxSimilar) {
    similar->news.erase(similar->news.begin());
    event["message"] = "(combined from similar events): " + message;
    key = group;
  }

  Counted* counted = counted_.find(key);
  if (counted == nullptr || now - counted->last > kWindow) {
    std::string name(doc::find_string(event, {"metadata", "name"}));
    counted_.put(key, {std::move(name), 1, now, annotation_keys(event)});
    return {std::move(key), std::move(event), std::nullopt};
  }
  counted->count += 1;
  counted->last = now;
  doc::Json patch = doc::Json::object();
  patch["count"] = counted->count;
  patch["lastTimestamp"] = event["lastTimestamp"];
  patch["message"] = event["message"];
  // The newest word holds: what an earlier event said besides is taken back.
  doc::Json annotations = doc::Json::object();
  for (const auto& old : counted->annotations) annotations[old] = nullptr;
  if (const auto* now_said = doc::find(event, {"metadata", "annotations"})) annotations.update(*now_said);
  if (!annotations.empty()) patch["metadata"]["annotations"] = std::move(annotations);
  counted->annotations = annotation_keys(event);
  // Where the patch finds nothing, the event is created under its own name.
  Decision decision{std::move(key), std::move(event), std::nullopt};
  patch["metadata"]["name"] = counted->name;
  decision.patch = std::move(patch);
  return decision;
}

}  // namespace sluice::controller
