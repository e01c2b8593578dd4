#include "doc/detail/plain_json.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace sluice::doc::detail {

namespace {

constexpr int kMaxDepth = 64;   // deeper ones are rare; recursion stays shallow
constexpr int kMaxDigits = 18;  // fits into 63 bits, whatever the digits are
constexpr unsigned char kDelete = 0x7f;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

class PlainReader {
 public:
  explicit PlainReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool read(Json& out) {
    skip_blanks();
    if (!read_value(out, 0)) return false;
    skip_blanks();
    return at_ == end_;
  }

 private:
  void skip_blanks() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  // The byte, after blanks.
  bool take(char wanted) noexcept {
    skip_blanks();
    if (at_ == end_ || *at_ != wanted) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) noexcept {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool read_value(Json& out, int depth) {
    if (at_ == end_ || depth > kMaxDepth) return false;
    switch (*at_) {
      case '{': return read_object(out, depth);
      case '[': return read_array(out, depth);
      case '"': {
        out = Json::value_t::string;
        return read_string(out.get_ref<std::string&>());
      }
      case 't': out = true; return take_word("true");
      case 'f': out = false; return take_word("false");
      case 'n': out = nullptr; return take_word("null");
      default: return read_integer(out);
    }
  }

  bool read_object(Json& out, int depth) {
    ++at_;
    out = Json::value_t::object;
    auto& members = out.get_ref<Json::object_t&>();
    if (take('}')) return true;
    std::string key;
    do {
      skip_blanks();
      if (at_ == end_ || *at_ != '"' || !read_string(key) || !take(':')) return false;
      // Keys mostly come in order.
      const std::size_t before = members.size();
      const auto member = members.emplace_hint(members.end(), std::move(key), nullptr);
      if (members.size() == before) return false;
      skip_blanks();
      if (!read_value(member->second, depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  bool read_array(Json& out, int depth) {
    ++at_;
    out = Json::value_t::array;
    auto& elements = out.get_ref<Json::array_t&>();
    if (take(']')) return true;
    do {
      skip_blanks();
      if (!read_value(elements.emplace_back(), depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  // Runs of plain bytes are taken over whole.
  bool read_string(std::string& out) {
    out.clear();
    for (++at_;;) {
      const char* const run = at_;
      while (at_ != end_ && is_plain(*at_)) ++at_;
      out.append(run, at_);
      if (at_ == end_) return false;
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ != '\\' || !read_escape(out)) return false;
    }
  }
  static bool is_plain(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= ' ' && byte <= kDelete && c != '"' && c != '\\';
  }
  bool read_escape(std::string& out) {
    ++at_;
    if (at_ == end_) return false;
    switch (*at_++) {
      case '"': out += '"'; return true;
      case '\\': out += '\\'; return true;
      case '/': out += '/'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      // Go prints the characters of HTML so.
      case 'u':
        for (const auto& [code, character] : {std::pair("003c", '<'), {"003e", '>'}, {"0026", '&'}}) {
          if (!take_word(code)) continue;
          out += character;
          return true;
        }
        return false;
      default: return false;
    }
  }

  bool read_integer(Json& out) {
    const bool is_negative = *at_ == '-';
    if (is_negative) ++at_;
    const char* const first = at_;
    std::int64_t number = 0;
    for (; at_ != end_ && is_digit(*at_); ++at_) {
      if (at_ - first == kMaxDigits) return false;
      number = number * 10 + (*at_ - '0');
    }
    const auto digits = at_ - first;
    if (digits == 0 || (*first == '0' && (digits > 1 || is_negative))) return false;
    if (at_ != end_ && (*at_ == '.' || *at_ == 'e' || *at_ == 'E')) return false;
    if (is_negative) {
      out = -number;
    } else {
      out = static_cast<std::uint64_t>(number);
    }
    return true;
  }

  const char* at_;
  const char* end_;
};

}  // namespace

std::optional<Json> read_plain_json(std::string_view text) {
  std::optional<Json> out(nullptr);
  if (!PlainReader(text).read(*out)) out.reset();
  return out;
}

}  // namespace sluice::doc::detail
