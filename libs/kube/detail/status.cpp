#include "kube/detail/status.hpp"

#include <fmt/format.h>

#include "http/client.hpp"

namespace sluice::kube::detail {
namespace {

// The fields that the server blames, where the message does not name them.
std::string blamed_fields(const doc::Json& status, std::string_view message) {
  const doc::Json* causes = doc::find(status, {"details", "causes"});
  std::string out;
  if (causes == nullptr || !causes->is_array()) return out;
  for (const doc::Json& cause : *causes) {
    const std::string_view field = doc::find_string(cause, {"field"});
    if (field.empty() || message.find(field) != std::string_view::npos) continue;
    out += fmt::format("{}{}: {}", out.empty() ? " (" : "; ", field, doc::find_string(cause, {"message"}));
  }
  return out.empty() ? out : out + ")";
}

}  // namespace

base::Error error_of(const doc::Json& status) {
  http::Response response;
  const doc::Json* code = doc::find(status, {"code"});
  response.status = code != nullptr && code->is_number_integer() ? code->get<int>() : 500;
  base::Error error = http::status_error(response, "API server");
  error.reason = std::string(doc::find_string(status, {"reason"}));
  const std::string_view message = doc::find_string(status, {"message"});
  if (!message.empty()) error.message = fmt::format("{}{}", message, blamed_fields(status, message));
  if (error.reason == "AlreadyExists") error.kind = base::ErrorKind::already_exists;
  // An expired continue token is 410 Expired, an expired watch 410 Gone.
  if (error.reason == "Expired") error.kind = base::ErrorKind::gone;
  const doc::Json* after = doc::find(status, {"details", "retryAfterSeconds"});
  if (after != nullptr && after->is_number_integer()) error.retry_after = std::chrono::seconds(after->get<int>());
  return error;
}

base::Error error_of(const http::Response& response, std::string_view request) {
  base::Error plain = http::status_error(response, request);
  const auto body = doc::parse_json(response.body);
  if (!body || doc::find_string(*body, {"kind"}) != "Status") {
    if (!response.body.empty()) plain.message += ": " + response.body.substr(0, 200);
    // Of an object that is not there it says so in a Status; this is about the whole path.
    if (response.status == 404) plain.reason = kNotServed;
    return plain;
  }
  base::Error error = error_of(*body);
  error.http_status = response.status;
  if (plain.retry_after) error.retry_after = plain.retry_after;
  return error;
}

}  // namespace sluice::kube::detail
