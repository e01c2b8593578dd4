#include "base/masks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <utility>

#include "base/digest.hpp"

namespace sluice::base {

namespace {

constexpr std::array<std::string_view, 12> kPlainWords = {"true", "false", "null", "none", "nil", "yes",
                                                          "no",   "on",    "off",  "y",    "n",   "git"};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_alphanumeric(c) || c == '_' || c == '-'; }
bool is_base64_char(char c) { return is_alphanumeric(c) || c == '+' || c == '/' || c == '='; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_plain_word(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return std::find(kPlainWords.begin(), kPlainWords.end(), lower) != kPlainWords.end();
}

std::uint32_t key_of(std::string_view text) {
  std::uint32_t key = 0;
  std::memcpy(&key, text.data(), sizeof key);
  return key;
}

// As JSON and Go's %q write it between quotes.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: out += c;
    }
  }
  return out;
}

// As Go's encoding/json does: what HTML could take for its own (and other control characters) by number.
std::string html_escaped(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : escaped(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '<' || c == '>' || c == '&' || byte < 0x20) {
      out += "\\u00";
      out += {kHex[byte >> 4U], kHex[byte & 15U]};
    } else {
      out += c;
    }
  }
  return out;
}

// As it stands in the userinfo or query of a URL (RFC 3986, unreserved characters as they are).
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_word(c) || c == '.' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out;
}

std::string without_line_ends(std::string_view text) {
  std::string out(text);
  std::erase_if(out, [](char c) { return c == '\n' || c == '\r'; });
  return out;
}

}  // namespace

// Pieces touch or overlap, so that the whole is masked where all of them are.
void Masks::add_form(std::string_view text, bool is_base64) {
  if (text.size() < kShortest) return;
  for (std::size_t at = 0; at + kPiece < text.size() && !overflown_; at += kPiece) {
    add_piece(text.substr(at, kPiece), is_base64);
  }
  add_piece(text.substr(text.size() - std::min(text.size(), kPiece)), is_base64);
}

void Masks::add_piece(std::string_view piece, bool is_base64) {
  if (pieces_.size() >= kMaxPieces) overflown_ = true;
  if (overflown_) return;
  bool& known_base64 = pieces_[std::hash<std::string_view>{}(piece)];
  known_base64 = known_base64 || is_base64;
  sizes_[key_of(piece)] |= std::uint64_t{1} << piece.size();
}

void Masks::add_lines(std::string_view core) {
  std::size_t seen = 0;
  std::size_t added = 0;
  for (std::string_view rest = core; !rest.empty() && added < kMaxLines && !overflown_;) {
    const auto end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const std::size_t shortest = ++seen <= kLines ? kAnywhere : kLongLine + 1;
    // The frames of PEM are the same for all.
    if (line.size() < shortest || line.starts_with("-----")) continue;
    add_form(line);
    ++added;
  }
}

void Masks::add(std::string_view value) {
  const std::string_view core = trimmed(value);
  if (core.empty() || is_plain_word(core)) return;
  const std::lock_guard lock(mutex_);
  if (core.size() < kShortest) {
    short_.emplace(core);
    return;
  }
  add_form(core);
  if (core.size() <= kLarge) {
    add_form(without_line_ends(core));
    add_form(escaped(core));
    add_form(html_escaped(core));
    add_form(percent_encoded(core));
  }
  // Of three bytes each; what comes behind decides about the last ones. Both with the white
  // space before it and without, as either may have been encoded.
  for (std::string_view encoded : {core, value}) {
    encoded = encoded.substr(0, encoded.size() / 3 * 3);
    const std::string text = base64_encode(encoded);
    if (text.size() >= kAnywhere) add_form(text, true);
  }
  add_lines(core);
}

bool Masks::empty() const {
  const std::lock_guard lock(mutex_);
  return pieces_.empty() && short_.empty();
}

std::size_t Masks::pieces() const {
  const std::lock_guard lock(mutex_);
  return pieces_.size();
}

std::size_t Masks::probes() const {
  const std::lock_guard lock(mutex_);
  return probes_;
}

class Masks::Search {
 public:
  Search(const Masks& masks, std::string_view text) : masks_(masks), text_(text) {}

  // Length of the longest value that begins at `at`; 0 if none does.
  std::size_t length_at(std::size_t at) {
    if (text_.size() - at < kShortest) return 0;
    const auto found = masks_.sizes_.find(key_of(text_.substr(at, kShortest)));
    if (found == masks_.sizes_.end()) return 0;
    std::size_t longest = 0;
    for (std::uint64_t sizes = found->second; sizes != 0; sizes &= sizes - 1) {
      const auto size = static_cast<std::size_t>(std::countr_zero(sizes));
      if (size > text_.size() - at) break;
      if (size < kAnywhere && !is_whole_word(at, at + size)) continue;
      ++masks_.probes_;
      const auto piece = masks_.pieces_.find(std::hash<std::string_view>{}(text_.substr(at, size)));
      if (piece == masks_.pieces_.end()) continue;
      longest = std::max(longest, (piece->second ? base64_end(at + size) : at + size) - at);
    }
    return longest;
  }

 private:
  bool is_whole_word(std::size_t from, std::size_t to) const {
    return (from == 0 || !is_word(text_[from - 1])) && (to == text_.size() || !is_word(text_[to]));
  }

  // No byte is looked at twice, but for the last piece's.
  std::size_t base64_end(std::size_t from) {
    if (from >= run_from_ && from <= run_end_) return run_end_;
    std::size_t end = from;
    while (end < text_.size() && is_base64_char(text_[end])) ++end;
    run_from_ = from;
    run_end_ = end;
    return end;
  }

  const Masks& masks_;
  std::string_view text_;
  // What was found last: base64 without a break.
  std::size_t run_from_ = 1;
  std::size_t run_end_ = 0;
};

// The same for short values, which begin behind a quote and end before the same.
std::size_t Masks::quoted_at(std::string_view text, std::size_t at) const {
  if (short_.empty() || at == 0) return 0;
  const char quote = text[at - 1];
  if (quote != '"' && quote != '\'' && quote != '`') return 0;
  for (std::size_t size = 1; size < kShortest && at + size < text.size(); ++size) {
    if (text[at + size] == quote && short_.contains(text.substr(at, size))) return size;
  }
  return 0;
}

std::string Masks::apply(std::string text) const {
  const std::lock_guard lock(mutex_);
  if (pieces_.empty() && short_.empty()) return text;
  if (overflown_) return std::string(kHidden);
  // Behind the cut a little more is looked at, or what begins before it would go unseen.
  const bool cut = text.size() > kMaxText;
  if (cut) text.resize(std::min(text.size(), kMaxText + kPiece));
  std::size_t size = std::min(text.size(), kMaxText);
  while (cut && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  std::string out;
  std::size_t copied = 0;   // of text, into out or behind a mask
  std::size_t covered = 0;  // up to here values have been found
  Search search(*this, text);
  for (std::size_t at = 0; at < size; ++at) {
    const std::size_t length = std::max(search.length_at(at), quoted_at(text, at));
    if (length == 0) continue;
    // What overlaps or touches the value before goes under the same mask.
    if (at > covered || covered == 0) {
      out.append(text, copied, at - copied);
      out += kMask;
    }
    covered = std::max(covered, at + length);
    copied = covered;
  }
  if (covered == 0 && !cut) return text;
  if (copied < size) out.append(text, copied, size - copied);
  if (cut) out += kCut;
  return out;
}

}  // namespace sluice::base
