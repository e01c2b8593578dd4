#include "http/detail/proxy.hpp"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/digest.hpp"

namespace sluice::http::detail {
namespace {

using Address = std::array<unsigned char, 16>;  // IPv4 as ::ffff:a.b.c.d

std::optional<Address> parse_address(const std::string& text) {
  Address out{};
  if (::inet_pton(AF_INET6, text.c_str(), out.data()) == 1) return out;
  out = {};
  out[10] = out[11] = 0xFF;
  if (::inet_pton(AF_INET, text.c_str(), out.data() + 12) == 1) return out;
  return std::nullopt;
}

bool is_in_block(const Address& address, const std::string& block) {
  const std::size_t slash = block.find('/');
  const auto network = parse_address(block.substr(0, slash));
  unsigned bits = 0;
  const char* last = block.data() + block.size();
  const auto parsed = std::from_chars(block.data() + slash + 1, last, bits);
  if (!network || parsed.ec != std::errc() || parsed.ptr != last) return false;
  if (block.find(':') == std::string::npos) bits += 96;
  if (bits > 128) return false;
  for (unsigned bit = 0; bit < bits; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if ((address[bit / 8] & mask) != ((*network)[bit / 8] & mask)) return false;
  }
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool is_this_machine(const std::string& host, const std::optional<Address>& address) {
  if (!address) return host == "localhost";
  const bool v4 = (*address)[10] == 0xFF && (*address)[11] == 0xFF && (*address)[12] == 127;
  Address loopback{};
  loopback[15] = 1;
  return v4 || *address == loopback;
}

// One entry of NO_PROXY.
bool covers(std::string entry, const Url& url, const std::string& host, const std::optional<Address>& address) {
  if (entry == "*") return true;
  if (entry.find('/') != std::string::npos) return address && is_in_block(*address, entry);
  if (parse_address(entry)) return address && *address == *parse_address(entry);
  if (const std::size_t colon = entry.rfind(':'); colon != std::string::npos) {
    if (entry.substr(colon + 1) != url.port) return false;
    entry.resize(colon);
    if (entry.starts_with('[') && entry.ends_with(']')) entry = entry.substr(1, entry.size() - 2);
    if (parse_address(entry)) return address && *address == *parse_address(entry);
  }
  if (entry.starts_with("*.")) entry.erase(0, 1);
  const bool only_below = entry.starts_with('.');
  if (only_below) return host.ends_with(entry);
  return host == entry || host.ends_with("." + entry);
}

bool is_excepted(const Url& url, const std::string& list) {
  const std::string host = lower(url.host);
  const auto address = parse_address(host);
  if (is_this_machine(host, address)) return true;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string entry = lower(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    std::erase(entry, ' ');
    if (!entry.empty() && covers(entry, url, host, address)) return true;
  }
  return false;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded =
        text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    out.push_back(coded ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i]);
    if (coded) i += 2;
  }
  return out;
}

}  // namespace

std::string choose_proxy(const Url& url, const ProxyEnvironment& environment) {
  std::string proxy = url.scheme == "https" ? environment.https : environment.http;
  if (proxy.empty()) proxy = environment.all;
  if (proxy.empty() || is_excepted(url, environment.none)) return {};
  return proxy.find("://") == std::string::npos ? "http://" + proxy : proxy;
}

std::string proxy_authorization(const Url& proxy) {
  return "Basic " + base::base64_encode(percent_decode(proxy.userinfo));
}

}  // namespace sluice::http::detail
