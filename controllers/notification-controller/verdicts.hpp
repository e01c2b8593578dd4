// What rules said about messages that they were asked about before: it takes milliseconds to ask the expressions
// of a rule, and a word about a recovery has hundreds of failures asked about, most of which the last word had
// asked about as well. So many answers are kept for each namespace; it begins anew when they are full. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::notification_controller {

class Verdicts {
 public:
  // More than one question ever needs, so that each comes to its end.
  static constexpr std::size_t kMost = 4096;

  // `owner`: the namespace of the rule; `rule`: its version. True if that rule would send this version of
  // the Event; nothing if that was not asked yet.
  std::optional<bool> find(const std::string& owner, std::uint64_t rule, const doc::Json& event) const {
    const auto answers = owners_.find(owner);
    if (answers == owners_.end()) return std::nullopt;
    const auto answer = answers->second.find(key_of(rule, event));
    return answer == answers->second.end() ? std::nullopt : std::optional(answer->second);
  }
  void put(const std::string& owner, std::uint64_t rule, const doc::Json& event, bool answer) {
    Answers& answers = owners_[owner];
    if (answers.size() >= kMost) answers.clear();
    answers[key_of(rule, event)] = answer;
    ++answers_;
  }
  std::uint64_t answers() const noexcept { return answers_; }  // since the start
  void forget(const std::string& owner) { owners_.erase(owner); }

 private:
  using Answers = std::unordered_map<std::string, bool>;
  static std::string key_of(std::uint64_t rule, const doc::Json& event) {
    return std::to_string(rule) + "/" + std::string(api::uid_of(event)) + "/" +
           std::string(api::resource_version_of(event));
  }

  std::map<std::string, Answers> owners_;
  std::uint64_t answers_ = 0;
};

}  // namespace sluice::notification_controller
