#include "git/wire/known_hosts.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/digest.hpp"

namespace sluice::git::wire {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view take_word(std::string_view& rest) {
  const auto begin = rest.find_first_not_of(kBlank);
  if (begin == rest.npos) return rest = {};
  rest.remove_prefix(begin);
  const auto end = rest.find_first_of(kBlank);
  const auto word = rest.substr(0, end);
  rest.remove_prefix(word.size());
  return word;
}

// `*` and `?` as in OpenSSH patterns. Linear in both lengths but for the
// retries of one star.
bool wildcard_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = pattern.npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

// |1|base64(salt)|base64(HMAC-SHA1(salt, host))
Result<bool> hashed_match(std::string_view field, std::string_view host) {
  const auto bar = field.find('|', 3);
  if (!field.starts_with("|1|") || bar == field.npos) {
    return unexpected(ErrorKind::invalid, "a hashed host name that does not parse");
  }
  SLUICE_TRY(const std::string salt, base::base64_decode(field.substr(3, bar - 3)));
  SLUICE_TRY(const std::string want, base::base64_decode(field.substr(bar + 1)));
  return base::hmac_hex(base::DigestAlgorithm::sha1, salt, host) == to_hex(want);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

Result<bool> names_host(std::string_view hosts, std::string_view host) {
  if (hosts.starts_with('|')) return hashed_match(hosts, host);
  bool matched = false;
  while (!hosts.empty()) {
    auto pattern = hosts.substr(0, hosts.find(','));
    hosts.remove_prefix(std::min(hosts.size(), pattern.size() + 1));
    const bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (pattern.empty() || !wildcard_match(lower(pattern), host)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

}  // namespace

Result<KnownHosts> KnownHosts::parse(std::string_view text, std::string_view host, int port) {
  KnownHosts out;
  out.host_ = port == 22 ? lower(host) : fmt::format("[{}]:{}", lower(host), port);
  for (int number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    auto hosts = take_word(line);
    if (hosts.empty() || hosts.starts_with('#')) continue;
    const auto marker = hosts.starts_with('@') ? hosts : std::string_view();
    if (!marker.empty()) hosts = take_word(line);
    auto matched = names_host(hosts, out.host_);
    if (!matched) {
      return unexpected(std::move(matched).error().with_context(fmt::format("known_hosts line {}", number)));
    }
    if (!*matched) continue;
    if (!marker.empty() && marker != "@revoked") {
      return unexpected(ErrorKind::unsupported,
                        fmt::format("known_hosts line {}: the marker '{}' is not offered", number, marker));
    }
    Entry entry{.type = std::string(take_word(line)), .key = std::string(take_word(line)), .revoked = !marker.empty()};
    if (entry.key.empty() || !base::base64_decode(entry.key)) {
      return unexpected(ErrorKind::invalid, fmt::format("known_hosts line {}: it holds no host key", number));
    }
    out.entries_.push_back(std::move(entry));
  }
  return out;
}

Result<void> KnownHosts::check(std::string_view type, std::string_view key) const {
  bool known = false;
  bool same = false;
  for (const auto& entry : entries_) {
    const bool equal = entry.type == type && entry.key == key;
    if (equal && entry.revoked) {
      return unexpected(ErrorKind::untrusted, fmt::format("the {} host key of {} is marked @revoked", type, host_));
    }
    known = known || !entry.revoked;
    same = same || equal;
  }
  if (same) return {};
  if (!known) return unexpected(ErrorKind::untrusted, fmt::format("known_hosts has no key for {}", host_));
  return unexpected(ErrorKind::untrusted,
                    fmt::format("the host key of {} is not the one in known_hosts: the server shows a {} key that is "
                                "not listed; it has changed, or somebody is in between",
                                host_, type));
}

std::vector<std::string> KnownHosts::key_types() const {
  std::vector<std::string> types;
  for (const auto& entry : entries_) {
    if (entry.revoked || std::find(types.begin(), types.end(), entry.type) != types.end()) continue;
    types.push_back(entry.type);
  }
  return types;
}

}  // namespace sluice::git::wire
