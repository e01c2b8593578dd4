#include "expressions.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace sluice::notification_controller {

namespace {

// Nearly all are compiled with this bound: their automaton has room for a few hundred states.
constexpr std::size_t kUsual = 64U << 10U;
// The object and the texts it keeps, apart from the program.
constexpr std::size_t kObject = 3U << 10U;

}  // namespace

base::Result<text::Regexp> Expressions::get(const std::string& owner, std::string_view expression) {
  const auto known = owners_.find(owner);
  if (known != owners_.end()) {
    Owner& mine = known->second;
    const auto found = mine.by_text.find(expression);
    if (found != mine.by_text.end()) {
      mine.entries.splice(mine.entries.begin(), mine.entries, found->second);
      return found->second->expression;
    }
  }
  ++compiled_;
  auto compiled = compile(expression);
  if (!compiled) return base::unexpected(std::move(compiled).error());
  keep(owner, *compiled);
  return std::move(compiled->expression);
}

// RE2 gives the program and its automaton two thirds of the bound. Of the automaton's part half is for the kind
// of match that is asked for here, and as much as that again goes to the program that reads backwards.
base::Result<Expressions::Compiled> Expressions::compile(std::string_view expression) {
  std::size_t bound = kUsual;
  auto compiled = text::Regexp::compile(expression, static_cast<std::int64_t>(bound));
  if (!compiled && compiled.error().kind == base::ErrorKind::too_large) {
    bound = kMaxProgram;
    compiled = text::Regexp::compile(expression, static_cast<std::int64_t>(bound));
  }
  if (!compiled) return base::unexpected(std::move(compiled).error());
  const std::size_t remembers = compiled->remembers() ? bound / 2 : 0;
  const std::size_t bytes = kObject + 2 * expression.size() + 2 * compiled->program_bytes() + remembers;
  return Compiled{*std::move(compiled), bytes};
}

void Expressions::keep(const std::string& owner, const Compiled& compiled) {
  const std::size_t units = compiled.bytes / kUnit + 1;
  Owner& mine = owners_[owner];
  while (shares_.room(mine.units) < units && !mine.entries.empty()) drop_oldest(mine);
  if (shares_.room(mine.units) < units) {
    owners_.erase(owner);
    return;
  }
  mine.entries.push_front({compiled.expression, units});
  mine.by_text.emplace(mine.entries.front().expression.expression(), mine.entries.begin());
  mine.units += units;
  held_ += units;
  for (std::size_t i = 0; i < units; ++i) shares_.take();
}

void Expressions::drop_oldest(Owner& owner) {
  const Entry& oldest = owner.entries.back();
  owner.by_text.erase(oldest.expression.expression());
  owner.units -= oldest.units;
  held_ -= oldest.units;
  for (std::size_t i = 0; i < oldest.units; ++i) shares_.give_back();
  owner.entries.pop_back();
}

void Expressions::forget(const std::string& owner) {
  const auto known = owners_.find(owner);
  if (known == owners_.end()) return;
  while (!known->second.entries.empty()) drop_oldest(known->second);
  owners_.erase(known);
}

std::size_t Expressions::held(const std::string& owner) const {
  const auto known = owners_.find(owner);
  return known == owners_.end() ? 0 : known->second.units * kUnit;
}

}  // namespace sluice::notification_controller
