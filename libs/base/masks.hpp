// The secret values that were read, and their removal from text that others see.
//
// One Masks is made for each run; whoever reads a secret value adds it, and all text that
// leaves the process (conditions, Events, log lines, notifications) passes through apply().
//
//   masks->add(password);
//   masks->apply("cannot log in as admin:hunter2-hunter2");  // "cannot log in as admin:*****"
//
// A value is known in the forms in which messages quote it: as it is without white space
// around it, without line ends, line by line, base64, escaped as in JSON and as in URLs.
// Safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::base {

class Masks {
 public:
  static constexpr std::string_view kMask = "*****";
  // Values from here on are found anywhere; down to kShortest as whole words only ("flux"
  // is not a part of "flux-system"); shorter ones only between quotes, as an API server
  // quotes what it refuses. Anything else would blot out innocent text.
  static constexpr std::size_t kAnywhere = 8;
  static constexpr std::size_t kShortest = 4;

  // Words that say nothing (true, null, yes) and blank values are no secrets.
  void add(std::string_view value);
  // `text` with every known value, and whatever two of them overlap in, replaced by kMask.
  std::string apply(std::string text) const;
  bool empty() const;

 private:
  struct Form {
    std::string text;
    bool whole_word = false;
    bool is_base64 = false;  // goes on for as long as base64 does: the value may have had a line end
  };
  void add_form(std::string text, bool is_base64 = false);
  std::size_t match_at(std::string_view text, std::size_t at) const;
  std::size_t quoted_at(std::string_view text, std::size_t at) const;

  mutable std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::vector<Form>> forms_;  // by their first four bytes
  std::set<std::string, std::less<>> known_;                    // texts of forms
  std::set<std::string, std::less<>> short_;
};

}  // namespace sluice::base
