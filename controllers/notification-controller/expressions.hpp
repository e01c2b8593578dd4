// The regular expressions of Alerts, compiled: as many as there is room for, those that were asked for last. A
// compiled expression remembers what it has matched, so that it takes a thousand times the room of its text; a
// rule keeps the text, and the others are compiled again when a message is to be judged. The room has shares by
// namespace (rt::FairShares): whoever has many expressions compiles its own again and again, and nobody else's.
// Not safe from several threads.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "rt/fair_shares.hpp"
#include "text/regexp.hpp"

namespace sluice::notification_controller {

class Expressions {
 public:
  // An expression whose program, with what matching remembers, would need more is `too_large`.
  static constexpr std::size_t kMaxProgram = 256U << 10U;
  // Bytes that one namespace may hold; all together hold at most twice as many.
  static constexpr std::size_t kShare = 16U << 20U;

  explicit Expressions(std::size_t share = kShare) : shares_(share / kUnit) {}
  Expressions(const Expressions&) = delete;
  Expressions& operator=(const Expressions&) = delete;

  // Errors as text::Regexp::compile().
  base::Result<text::Regexp> get(const std::string& owner, std::string_view expression);
  // All that is kept for it.
  void forget(const std::string& owner);

  // Bytes, reckoned by what matching may come to remember.
  std::size_t held(const std::string& owner) const;
  std::size_t held() const noexcept { return held_ * kUnit; }
  std::size_t compiled() const noexcept { return compiled_; }  // since the start

 private:
  static constexpr std::size_t kUnit = 1024;
  struct Entry {
    text::Regexp expression;
    std::size_t units;
  };
  using Entries = std::list<Entry>;  // the one asked for last is in front
  struct Owner {
    Entries entries;
    std::map<std::string_view, Entries::iterator> by_text;  // the texts are those of the entries
    std::size_t units = 0;
  };
  struct Compiled {
    text::Regexp expression;
    std::size_t bytes;  // the most that it will take
  };
  static base::Result<Compiled> compile(std::string_view expression);
  void keep(const std::string& owner, const Compiled& compiled);
  void drop_oldest(Owner& owner);

  rt::FairShares shares_;  // of units
  std::map<std::string, Owner> owners_;
  std::size_t held_ = 0;
  std::size_t compiled_ = 0;
};

}  // namespace sluice::notification_controller
