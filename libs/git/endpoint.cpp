#include "git/endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::git {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

std::uint16_t default_port(Scheme scheme) {
  switch (scheme) {
    case Scheme::http: return 80;
    case Scheme::https: return 443;
    case Scheme::ssh: return 22;
  }
  return 0;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  return out;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// The URL as it may be quoted: everything that could be a password is left
// out, even where the URL makes no sense (an unescaped '/' in the password),
// and so is what would break a line.
std::string redact(std::string_view url) {
  const auto scheme_end = url.find("://");
  const auto authority = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const auto at = url.substr(authority).rfind('@');
  std::string out(url);
  if (at != std::string_view::npos) out = fmt::format("{}***{}", url.substr(0, authority), url.substr(authority + at));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) {
        return has_control({&c, 1});
      },
      '?');
  return out;
}

base::Unexpected bad(std::string_view url, std::string_view why) {
  return unexpected(ErrorKind::invalid, fmt::format("failed to parse url '{}': {}", redact(url), why));
}

std::optional<int> hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// A character as a message may show it.
std::string shown(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte == ' ') return "a blank";
  return byte < 0x20 || byte >= 0x7f ? fmt::format("the byte 0x{:02x}", byte) : fmt::format("'{}'", c);
}

// "git@host:team/app" is what ssh(1) and scp(1) take: what to write instead. Nothing
// where it is not so written, or could hold a password.
std::optional<std::string> from_scp_form(std::string_view url) {
  const auto at = url.find('@');
  const auto colon = url.find(':');
  const auto end = std::min(url.find('/'), url.size());
  if (at == std::string_view::npos || colon == std::string_view::npos || at > colon || colon > end) return std::nullopt;
  std::string_view path = url.substr(colon + 1);
  while (path.starts_with('/')) path.remove_prefix(1);
  if (path.empty()) return std::nullopt;
  return fmt::format("ssh://{}/{}", url.substr(0, colon), path);
}

Result<void> parse_user_info(std::string_view url, std::string_view info, Endpoint& out) {
  const auto colon = info.find(':');
  auto user = percent_decode(info.substr(0, colon));
  if (!user || has_control(*user)) return bad(url, "the user name is malformed");
  out.user = *std::move(user);
  if (colon == std::string_view::npos) return {};
  auto password = percent_decode(info.substr(colon + 1));
  if (!password || has_control(*password)) return bad(url, "the password is malformed");
  out.password = *std::move(password);
  return {};
}

Result<void> parse_host_port(std::string_view url, std::string_view text, Endpoint& out) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return bad(url, "the IPv6 address lacks its ']'");
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      return bad(url, "the IPv6 address is malformed");
    }
    if (!port.empty() && !port.starts_with(':')) return bad(url, "text after the IPv6 address");
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (!port.empty()) port.remove_prefix(1);
  out.host = lower(host);
  if (out.host.empty()) return bad(url, "it has no host");
  const auto odd = std::find_if(out.host.begin(), out.host.end(), [](char c) {
    return std::string_view("/?#@\\ %\"'<>").find(c) != std::string_view::npos || has_control({&c, 1});
  });
  if (odd != out.host.end()) return bad(url, fmt::format("the host holds {}", shown(*odd)));
  if (out.host.starts_with('-')) return bad(url, "the host begins with '-'");
  if (port.empty()) {
    out.port = default_port(out.scheme);
    return {};
  }
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size() || out.port == 0) {
    const bool is_path = out.scheme == Scheme::ssh && !port.empty() && !(port[0] >= '0' && port[0] <= '9');
    return bad(url, fmt::format("the port is not a number from 1 to 65535{}",
                                is_path ? "; the path follows the host after a '/', not after a ':'" : ""));
  }
  return {};
}

Result<Scheme> parse_scheme(std::string_view url, std::string_view name) {
  const std::string scheme = lower(name);
  if (scheme == "http") return Scheme::http;
  if (scheme == "https") return Scheme::https;
  if (scheme == "ssh") return Scheme::ssh;
  return unexpected(ErrorKind::unsupported,
                    fmt::format("failed to parse url '{}': '{}' is not offered, only http, https and ssh are",
                                redact(url), redact(scheme)));
}

std::string host_and_port(const Endpoint& endpoint) {
  const bool ipv6 = endpoint.host.find(':') != std::string::npos;
  std::string out = ipv6 ? fmt::format("[{}]", endpoint.host) : endpoint.host;
  if (endpoint.port != default_port(endpoint.scheme)) out += fmt::format(":{}", endpoint.port);
  return out;
}

}  // namespace

std::string_view to_string(Scheme scheme) noexcept {
  switch (scheme) {
    case Scheme::http: return "http";
    case Scheme::https: return "https";
    case Scheme::ssh: return "ssh";
  }
  return "";
}

std::string Endpoint::origin() const { return fmt::format("{}://{}", to_string(scheme), host_and_port(*this)); }

std::string Endpoint::display() const {
  if (scheme != Scheme::ssh || user.empty()) return origin() + path;
  return fmt::format("ssh://{}@{}{}", user, host_and_port(*this), path);
}

std::string Endpoint::cache_key() const {
  std::string key = display();
  while (key.ends_with('/')) key.pop_back();
  return key;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto high = i + 2 < text.size() ? hex_value(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_value(text[i + 2]) : std::nullopt;
    if (!low) return unexpected(ErrorKind::invalid, "'%' is not followed by two hexadecimal digits");
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

Result<Endpoint> parse_endpoint(std::string_view url) {
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) {
    const auto written = from_scp_form(url);
    return bad(url, fmt::format("it must start with https://, http:// or ssh://{}",
                                written ? fmt::format("; write '{}'", *written) : ""));
  }
  Endpoint out;
  SLUICE_TRY(out.scheme, parse_scheme(url, url.substr(0, scheme_end)));
  const auto control = std::find_if(url.begin(), url.end(), [](char c) { return has_control({&c, 1}); });
  if (control != url.end()) return bad(url, fmt::format("it holds {}, a control character", shown(*control)));
  const auto rest = url.substr(scheme_end + 3);
  const auto authority_end = rest.find_first_of("/?#");
  auto authority = rest.substr(0, authority_end);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    SLUICE_CHECK(parse_user_info(url, authority.substr(0, at), out));
    authority.remove_prefix(at + 1);
  }
  SLUICE_CHECK(parse_host_port(url, authority, out));
  if (authority_end == std::string_view::npos || rest.substr(authority_end) == "/") return bad(url, "it has no path");
  // As browsers and Azure DevOps write it: a blank is %20 on the wire.
  for (const char c : rest.substr(authority_end)) out.path += c == ' ' ? "%20" : std::string(1, c);
  if (const auto at = out.path.find_first_of("?#"); at != std::string::npos) {
    return bad(url, fmt::format("the path holds {}: a repository has no {}", shown(out.path[at]),
                                out.path[at] == '?' ? "query" : "fragment"));
  }
  if (!percent_decode(out.path)) return bad(url, "'%' in the path is not followed by two hexadecimal digits");
  return out;
}

}  // namespace sluice::git
