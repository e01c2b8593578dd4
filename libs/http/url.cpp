#include <fmt/format.h>

#include <charconv>

#include "http/client.hpp"

namespace sluice::http {

using base::ErrorKind;

namespace {

// Never repeats what stands before an '@': it may be a password.
base::Unexpected bad_url(std::string_view text, std::string_view why) {
  const std::size_t at = text.find('@');
  const std::size_t scheme = text.find("://");
  std::string shown(text);
  if (at != std::string_view::npos && scheme != std::string_view::npos && scheme < at) {
    shown = std::string(text.substr(0, scheme + 3)) + "***" + std::string(text.substr(at));
  }
  return base::unexpected(ErrorKind::invalid, fmt::format("URL '{}' {}", shown, why));
}

}  // namespace

base::Result<Url> Url::parse(std::string_view text) {
  Url url;
  std::string_view rest = text;
  const std::size_t scheme_end = rest.find("://");
  if (scheme_end == std::string_view::npos) return bad_url(text, "has no scheme; http:// or https:// is expected");
  url.scheme = std::string(rest.substr(0, scheme_end));
  for (char& c : url.scheme) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (url.scheme != "http" && url.scheme != "https") return bad_url(text, "is neither http nor https");
  rest.remove_prefix(scheme_end + 3);
  const std::size_t authority_end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, authority_end);
  rest = authority_end == std::string_view::npos ? std::string_view() : rest.substr(authority_end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.userinfo = std::string(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad_url(text, "has no ']' after its IPv6 address");
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return bad_url(text, "has text after its IPv6 address");
    if (!port.empty()) port.remove_prefix(1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = std::string(authority.substr(0, colon));
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return bad_url(text, "has no host");
  unsigned number = url.scheme == "https" ? 443 : 80;
  if (!port.empty()) {
    const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || number == 0 || number > 65535) {
      return bad_url(text, "has no valid port");
    }
  }
  url.port = std::to_string(number);
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  for (const char c : url.target + url.host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f')
      return bad_url(text, "holds white space or control characters");
  }
  return url;
}

std::string Url::origin() const {
  const bool bracketed = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, bracketed ? "[" : "", host, bracketed ? "]" : "", port);
}

base::Error status_error(const Response& response, std::string_view what) {
  const auto kind_of = [](int status) {
    switch (status) {
      case 400:
      case 405:
      case 406:
      case 415:
      case 422: return ErrorKind::invalid;
      case 401: return ErrorKind::unauthorized;
      case 403: return ErrorKind::forbidden;
      case 404: return ErrorKind::not_found;
      case 409: return ErrorKind::conflict;
      case 408:
      case 504: return ErrorKind::timeout;
      case 410: return ErrorKind::gone;
      case 413: return ErrorKind::too_large;
      case 429: return ErrorKind::rate_limited;
      case 501: return ErrorKind::unsupported;
      default: return status >= 500 ? ErrorKind::unavailable : ErrorKind::invalid;
    }
  };
  base::Error error;
  error.kind = kind_of(response.status);
  error.http_status = response.status;
  error.message = fmt::format("{}: HTTP status {}", what, response.status);
  const std::string_view after = response.headers.find("Retry-After");
  int seconds = 0;
  const auto parsed = std::from_chars(after.data(), after.data() + after.size(), seconds);
  if (!after.empty() && parsed.ec == std::errc() && parsed.ptr == after.data() + after.size() && seconds >= 0) {
    error.retry_after = std::chrono::seconds(seconds);
  }
  return error;
}

}  // namespace sluice::http
