#include "text/glob.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "text/utf8.hpp"

namespace sluice::text {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::size_t kMaxElements = 4096;
constexpr std::size_t kStepsPerLook = 1U << 16U;  // at the stop token

struct Element {
  enum class Kind { byte, any, set, star };
  Kind kind = Kind::byte;
  unsigned char byte = 0;
  bool negated = false;
  std::vector<std::pair<char32_t, char32_t>> ranges{};

  bool takes(char32_t code) const {
    const bool in = std::any_of(ranges.begin(), ranges.end(),
                                [code](const auto& range) { return range.first <= code && code <= range.second; });
    return in != negated;
  }
};

// One character of a set; nothing if it is malformed.
std::optional<char32_t> take_set_character(std::string_view& glob) {
  if (glob.starts_with('-') || glob.starts_with(']')) return std::nullopt;
  if (glob.starts_with('\\')) glob.remove_prefix(1);
  const Character found = first_character(glob);
  if (found.width == 0 || (found.code == kReplacement && found.width == 1)) return std::nullopt;
  glob.remove_prefix(found.width);
  if (glob.empty()) return std::nullopt;
  return found.code;
}

std::optional<Element> take_set(std::string_view& glob) {
  Element set{.kind = Element::Kind::set};
  glob.remove_prefix(1);
  if (glob.starts_with('^')) {
    set.negated = true;
    glob.remove_prefix(1);
  }
  do {
    const auto low = take_set_character(glob);
    if (!low) return std::nullopt;
    auto high = low;
    if (glob.starts_with('-')) {
      glob.remove_prefix(1);
      high = take_set_character(glob);
      if (!high) return std::nullopt;
    }
    set.ranges.emplace_back(*low, *high);
  } while (!glob.starts_with(']'));
  glob.remove_prefix(1);
  return set;
}

// Nothing if the glob is malformed.
std::optional<std::vector<Element>> parse(std::string_view glob) {
  std::vector<Element> elements;
  while (!glob.empty()) {
    const char c = glob.front();
    if (c == '[') {
      auto set = take_set(glob);
      if (!set) return std::nullopt;
      elements.push_back(*std::move(set));
      continue;
    }
    glob.remove_prefix(1);
    if (c == '*') {
      if (!elements.empty() && elements.back().kind == Element::Kind::star) continue;
      elements.push_back({.kind = Element::Kind::star});
    } else if (c == '?') {
      elements.push_back({.kind = Element::Kind::any});
    } else {
      const bool escaped = c == '\\';
      if (escaped && glob.empty()) return std::nullopt;
      elements.push_back({.byte = static_cast<unsigned char>(escaped ? glob.front() : c)});
      if (escaped) glob.remove_prefix(1);
    }
  }
  return elements;
}

// The elements as a machine whose states are sets of bits: bit i says that all
// before element i has matched.
class Machine {
 public:
  explicit Machine(std::vector<Element> elements)
      : elements_(std::move(elements)), words_(elements_.size() / 64 + 1), stars_(words_), any_(words_) {
    bytes_.resize(256 * words_);
    for (std::size_t i = 0; i < elements_.size(); ++i) {
      switch (elements_[i].kind) {
        case Element::Kind::byte: set(bytes_.data() + elements_[i].byte * words_, i); break;
        case Element::Kind::any: set(any_.data(), i); break;
        case Element::Kind::star: set(stars_.data(), i); break;
        case Element::Kind::set:
          sets_.push_back(i);
          ranges_ += elements_[i].ranges.size();
          break;
      }
    }
  }

  using State = std::vector<std::uint64_t>;

  State start() const {
    State state(words_);
    set(state.data(), 0);
    skip_stars(state);
    return state;
  }
  State nothing() const { return State(words_); }
  std::size_t words() const { return words_; }
  // Steps for one byte of text.
  std::size_t cost() const { return 8 + 4 * words_ + ranges_; }
  bool accepts(const State& state) const { return has(state, elements_.size()); }
  static bool is_dead(const State& state) {
    return std::all_of(state.begin(), state.end(), [](std::uint64_t word) { return word == 0; });
  }

  // Adds to `into` what one byte leads to: by the byte itself, and by a star.
  void take_byte(const State& from, unsigned char byte, State& into) const {
    advance(from, bytes_.data() + byte * words_, into);
    for (std::size_t w = 0; w < words_; ++w) into[w] |= from[w] & stars_[w];
    skip_stars(into);
  }
  // Adds to `into` what one character leads to by ? and by sets.
  void take_character(const State& from, char32_t code, State& into) const {
    advance(from, any_.data(), into);
    for (const std::size_t i : sets_) {
      if (has(from, i) && elements_[i].takes(code)) set(into.data(), i + 1);
    }
    skip_stars(into);
  }

 private:
  static void set(std::uint64_t* words, std::size_t bit) { words[bit / 64] |= std::uint64_t{1} << (bit % 64); }
  static bool has(const State& state, std::size_t bit) { return ((state[bit / 64] >> (bit % 64)) & 1U) != 0; }

  void advance(const State& from, const std::uint64_t* where, State& into) const {
    std::uint64_t carry = 0;
    for (std::size_t w = 0; w < words_; ++w) {
      const std::uint64_t moved = from[w] & where[w];
      into[w] |= (moved << 1U) | carry;
      carry = moved >> 63U;
    }
  }
  // A star may stand for nothing; no two follow each other.
  void skip_stars(State& state) const { advance(state, stars_.data(), state); }

  std::vector<Element> elements_;
  std::size_t words_;
  State stars_;
  State any_;
  std::vector<std::uint64_t> bytes_;
  std::vector<std::size_t> sets_;
  std::size_t ranges_ = 0;  // of all sets
};

// Runs the machine over a text and notes where it accepts.
class Run {
 public:
  Run(const Machine& machine, std::string_view text, bool longest, WorkBudget& budget)
      : machine_(machine), text_(text), longest_(longest), budget_(budget) {
    ahead_.fill(machine.nothing());
    ahead_[0] = machine.start();
  }

  Result<std::optional<std::size_t>> run() {
    for (std::size_t at = 0; at < text_.size() && !done_; ++at) {
      owed_ += machine_.cost();
      if (owed_ >= kStepsPerLook) SLUICE_CHECK(budget_.spend(std::exchange(owed_, 0)));
      const Character c = first_character(text_.substr(at));
      machine_.take_byte(ahead_[0], byte(at), ahead_[1]);
      machine_.take_character(ahead_[0], c.code, ahead_[c.width]);
      if (c.width > 1) look_inside(at, c.width);
      std::rotate(ahead_.begin(), ahead_.begin() + 1, ahead_.end());
      std::fill(ahead_.back().begin(), ahead_.back().end(), 0);
      note(at + 1, ahead_[0]);
      if (std::all_of(ahead_.begin(), ahead_.end(), Machine::is_dead)) break;
    }
    SLUICE_CHECK(budget_.spend(owed_));
    return best_;
  }

 private:
  unsigned char byte(std::size_t at) const { return static_cast<unsigned char>(text_[at]); }
  void note(std::size_t length, const Machine::State& state) {
    if (done_ || !machine_.accepts(state)) return;
    best_ = std::max(best_.value_or(0), length);
    done_ = !longest_;
  }
  // A beginning that ends within this character: each of its bytes is one of its own.
  void look_inside(std::size_t at, std::size_t width) {
    Machine::State state = ahead_[0];
    for (std::size_t i = 0; i + 1 < width; ++i) {
      Machine::State next = machine_.nothing();
      machine_.take_byte(state, byte(at + i), next);
      machine_.take_character(state, kReplacement, next);
      state = std::move(next);
      note(at + i + 1, state);
    }
  }

  const Machine& machine_;
  std::string_view text_;
  bool longest_;
  WorkBudget& budget_;
  // States at this byte and the next four, as a character has up to four bytes.
  std::array<Machine::State, 5> ahead_;
  std::optional<std::size_t> best_;
  std::size_t owed_ = 0;
  bool done_ = false;
};

}  // namespace

Result<void> WorkBudget::spend(std::size_t count) {
  if (stop.stop_requested()) return base::unexpected(ErrorKind::cancelled, "cancelled");
  if (count > steps) return base::unexpected(ErrorKind::too_large, "takes too much work");
  steps -= count;
  return {};
}

Result<std::optional<std::size_t>> matching_prefix(std::string_view glob, std::string_view text, bool longest,
                                                   WorkBudget& budget) {
  if (glob.find_first_of("*?[\\") == glob.npos) {
    SLUICE_CHECK(budget.spend(1 + glob.size() / 16));
    return !glob.empty() && text.starts_with(glob) ? std::optional(glob.size()) : std::nullopt;
  }
  auto elements = parse(glob);
  if (!elements) return std::optional<std::size_t>();
  if (elements->size() > kMaxElements) return base::unexpected(ErrorKind::too_large, "has too long a pattern");
  const Machine machine(*std::move(elements));
  SLUICE_CHECK(budget.spend(256 * machine.words()));
  return Run(machine, text, longest, budget).run();
}

}  // namespace sluice::text
