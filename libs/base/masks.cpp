#include "base/masks.hpp"

#include <algorithm>
#include <array>
#include <cstring>
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

void Masks::add_form(std::string text, bool is_base64) {
  if (text.size() < kShortest || !known_.insert(text).second) return;
  const bool whole_word = text.size() < kAnywhere;
  forms_[key_of(text)].push_back({std::move(text), whole_word, is_base64});
}

void Masks::add(std::string_view value) {
  const std::string_view core = trimmed(value);
  if (core.empty() || is_plain_word(core)) return;
  const std::lock_guard lock(mutex_);
  if (core.size() < kShortest) {
    short_.emplace(core);
    return;
  }
  add_form(std::string(core));
  add_form(without_line_ends(core));
  add_form(escaped(core));
  add_form(percent_encoded(core));
  // Of three bytes each; what comes behind decides about the last ones. Both with the white
  // space before it and without, as either may have been encoded.
  for (std::string_view encoded : {core, value}) {
    encoded = encoded.substr(0, encoded.size() / 3 * 3);
    std::string text = base64_encode(encoded);
    if (text.size() >= kAnywhere) add_form(std::move(text), true);
  }
  for (std::string_view rest = core; !rest.empty();) {
    const auto end = rest.find('\n');
    const std::string_view line = trimmed(rest.substr(0, end));
    // The frames of PEM are the same for all.
    if (line.size() >= kAnywhere && !line.starts_with("-----")) add_form(std::string(line));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
}

bool Masks::empty() const {
  const std::lock_guard lock(mutex_);
  return forms_.empty() && short_.empty();
}

// Length of the longest value that begins at `at`; 0 if none does.
std::size_t Masks::match_at(std::string_view text, std::size_t at) const {
  if (text.size() - at < kShortest) return 0;
  const auto found = forms_.find(key_of(text.substr(at, kShortest)));
  if (found == forms_.end()) return 0;
  std::size_t longest = 0;
  for (const Form& form : found->second) {
    if (text.compare(at, form.text.size(), form.text) != 0) continue;
    std::size_t end = at + form.text.size();
    if (form.whole_word && ((at > 0 && is_word(text[at - 1])) || (end < text.size() && is_word(text[end])))) continue;
    while (form.is_base64 && end < text.size() && is_base64_char(text[end])) ++end;
    longest = std::max(longest, end - at);
  }
  return longest;
}

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
  if (forms_.empty() && short_.empty()) return text;
  std::string out;
  std::size_t copied = 0;   // of text, into out or behind a mask
  std::size_t covered = 0;  // up to here values have been found
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t length = std::max(match_at(text, at), quoted_at(text, at));
    if (length == 0) continue;
    // What overlaps or touches the value before goes under the same mask.
    if (at > covered || covered == 0) {
      out.append(text, copied, at - copied);
      out += kMask;
    }
    covered = std::max(covered, at + length);
    copied = covered;
  }
  if (covered == 0) return text;
  out.append(text, copied);
  return out;
}

}  // namespace sluice::base
