// A request as the bytes that are sent. Pure; private to libs/http.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "http/client.hpp"

namespace sluice::http::detail {

bool is_token(std::string_view text) noexcept;        // RFC 9110, 5.6.2
bool is_field_value(std::string_view text) noexcept;  // no control characters: no second line can be smuggled in

struct Wire {
  std::string head;  // with the body, if that is small: one write, one packet
  std::string body;
  bool head_only = false;  // the answer has no body, whatever its head says (HEAD)
  bool replayable = false;
};

// `invalid` if method, target or a header would break out of its line.
// `absolute` names the whole URL in the request line, as a proxy wants it.
base::Result<Wire> serialize(Request request, const Url& url, const std::string& agent, bool absolute);

// "host:port", "[::1]:port".
std::string authority_of(const Url& url);

}  // namespace sluice::http::detail
