#include "http/detail/wire.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::http::detail {

using base::ErrorKind;

namespace {

constexpr std::size_t kSmallBody = 16U << 10U;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_named(std::string_view name, std::string_view lower_case) {
  return std::equal(name.begin(), name.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return lower(a) == b; });
}

// These are ours to write: two different lengths in one request are two requests to some server.
bool is_framing(std::string_view name) {
  return is_named(name, "content-length") || is_named(name, "transfer-encoding") || is_named(name, "connection");
}

bool is_target(std::string_view target) {
  return target.starts_with('/') && std::all_of(target.begin(), target.end(), [](char c) {
           return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
         });
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

bool has_body(const Request& request) {
  return !request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
}

bool is_idempotent(std::string_view method) {  // RFC 9110, 9.2.2
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" || method == "OPTIONS";
}

}  // namespace

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [kMarks](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') || c == '\t'; });
}

std::string authority_of(const Url& url) {
  const bool bracketed = url.host.find(':') != std::string::npos;
  return bracketed ? fmt::format("[{}]:{}", url.host, url.port) : fmt::format("{}:{}", url.host, url.port);
}

base::Result<Wire> serialize(Request request, const Url& url, const std::string& agent, bool absolute) {
  if (!is_token(request.method)) return base::unexpected(ErrorKind::invalid, "HTTP request: the method is malformed");
  if (!is_target(request.target)) {
    return base::unexpected(ErrorKind::invalid, "HTTP request: the target does not start with '/', or holds white "
                                                "space or control characters");
  }
  Wire wire;
  wire.head_only = request.method == "HEAD";
  wire.replayable = request.replayable || is_idempotent(request.method);
  std::string& out = wire.head;
  const bool merge = request.body.size() <= kSmallBody;
  out.reserve(512 + request.target.size() + (merge ? request.body.size() : 0));
  out.append(request.method).append(" ");
  if (absolute) out += url.origin();
  out.append(request.target).append(" HTTP/1.1\r\n");
  if (!request.headers.contains("Host")) {
    const bool default_port = url.port == (url.scheme == "https" ? "443" : "80");
    std::string authority = authority_of(url);
    if (default_port) authority.resize(authority.size() - url.port.size() - 1);
    append_field(out, "Host", authority);
  }
  if (!request.headers.contains("User-Agent")) append_field(out, "User-Agent", agent);
  for (const auto& [name, value] : request.headers.all()) {
    if (!is_token(name) || !is_field_value(value)) {
      // The value may be a secret; the name is not, but may hold anything.
      return base::unexpected(ErrorKind::invalid, fmt::format("HTTP request: header '{}' holds characters that no "
                                                              "header may hold, such as a line end",
                                                              is_token(name) ? name : "?"));
    }
    if (!is_framing(name)) append_field(out, name, value);
  }
  if (has_body(request)) append_field(out, "Content-Length", std::to_string(request.body.size()));
  out += "\r\n";
  if (merge) {
    out += request.body;
  } else {
    wire.body = std::move(request.body);
  }
  return wire;
}

}  // namespace sluice::http::detail
