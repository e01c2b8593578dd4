#include "message.hpp"

#include <algorithm>
#include <array>

#include "base/digest.hpp"

namespace sluice::notification_controller {

namespace {

// How much of an answer is worth logging.
constexpr std::size_t kMaxQuote = 256;

// Slack, "chat.postMessage", "Errors"; and those of incoming webhooks.
constexpr std::array<std::string_view, 31> kSlackErrors{"access_denied",
                                                        "account_inactive",
                                                        "action_prohibited",
                                                        "as_user_not_supported",
                                                        "channel_is_archived",
                                                        "channel_not_found",
                                                        "ekm_access_denied",
                                                        "enterprise_is_restricted",
                                                        "fatal_error",
                                                        "internal_error",
                                                        "invalid_arguments",
                                                        "invalid_attachments",
                                                        "invalid_auth",
                                                        "invalid_token",
                                                        "is_archived",
                                                        "missing_scope",
                                                        "msg_too_long",
                                                        "no_permission",
                                                        "no_service",
                                                        "no_text",
                                                        "not_allowed_token_type",
                                                        "not_authed",
                                                        "not_in_channel",
                                                        "org_login_required",
                                                        "posting_to_general_channel_denied",
                                                        "rate_limited",
                                                        "ratelimited",
                                                        "restricted_action",
                                                        "service_unavailable",
                                                        "team_access_not_granted",
                                                        "token_revoked"};

// Slack, "Formatting text": these three stand for markup (<!channel>, <@user>,
// <url|text>) unless they are escaped. What others wrote must not ring bells.
std::string escape_slack(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

std::string slack_body(const Notification& what, const Endpoint& endpoint) {
  const std::string author = lower(what.involved.kind) + "/" + what.involved.name + "." + what.involved.namespace_;
  const std::string message = escape_slack(what.message);
  doc::Json attachment = doc::Json::object();
  attachment["fallback"] = author + ": " + message.substr(0, message.find('\n'));
  attachment["color"] = what.severity == Severity::error ? "danger" : "good";
  attachment["author_name"] = author;
  attachment["text"] = message;
  attachment["mrkdwn_in"] = doc::Json::array({"text"});
  doc::Json& fields = attachment["fields"] = doc::Json::array();
  for (const auto& [key, value] : what.metadata) {
    doc::Json field = doc::Json::object();
    field["title"] = key;
    // The Alert's author speaks to their own channel and may use its markup.
    field["value"] = what.written_here.contains(key) ? value : escape_slack(value);
    field["short"] = false;
    fields.push_back(std::move(field));
  }
  doc::Json body = doc::Json::object();
  body["channel"] = endpoint.channel;
  body["username"] = endpoint.username.empty() ? what.reporting_controller : endpoint.username;
  body["icon_url"] = "";
  body["icon_emoji"] = "";
  body["attachments"] = doc::Json::array({std::move(attachment)});
  return doc::print_json(body);
}

// The name of a controller comes from an Event, which anybody may have written.
std::string header_text(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

// Answers to this one message, by the receivers' documentation; any other
// refusal may be mended in the Provider.
bool is_refusal_of_message(int status) { return status == 400 || status == 413 || status == 415 || status == 422; }

// Slack's Web API answers 200 whatever happens ("Evaluating responses").
base::Result<void> judge_slack(const http::Response& answer) {
  const auto parsed = doc::parse_json(answer.body);
  if (!parsed || !parsed->is_object()) return {};
  const auto ok = parsed->find("ok");
  if (ok == parsed->end() || !ok->is_boolean() || ok->get<bool>()) return {};
  const std::string code(doc::find_string(*parsed, {"error"}));
  constexpr std::array<std::string_view, 4> kRefusals{"msg_too_long", "no_text", "invalid_attachments",
                                                      "too_many_attachments"};
  base::Error error;
  error.kind = base::ErrorKind::unavailable;
  if (code == "ratelimited" || code == "rate_limited") error.kind = base::ErrorKind::rate_limited;
  if (std::find(kRefusals.begin(), kRefusals.end(), code) != kRefusals.end()) error.kind = base::ErrorKind::invalid;
  const bool is_known = std::find(kSlackErrors.begin(), kSlackErrors.end(), code) != kSlackErrors.end() ||
                        error.kind == base::ErrorKind::invalid;
  error.message =
      is_known ? "Slack answered with the error \"" + code + "\"" : "the receiver answered 200 with an error";
  return base::unexpected(std::move(error));
}

}  // namespace

http::Request make_request(const Notification& notification, const Endpoint& endpoint, const std::string& id) {
  http::Request request;
  request.method = "POST";
  request.target = endpoint.url.target;
  request.headers.set("Content-Type", "application/json");
  if (!endpoint.url.userinfo.empty()) {
    request.headers.set("Authorization", "Basic " + base::base64_encode(endpoint.url.userinfo));
  }
  if (endpoint.type == api::provider_type::kSlack) {
    request.body = slack_body(notification, endpoint);
    if (!endpoint.token.empty()) request.headers.set("Authorization", "Bearer " + endpoint.token);
  } else {
    request.body = doc::print_json(to_json(notification));
    request.headers.set("Gotk-Component", header_text(notification.reporting_controller));
    for (const auto& [name, value] : endpoint.headers.all()) request.headers.set(name, value);
  }
  if (endpoint.type == api::provider_type::kGenericHmac) {
    const auto signature = base::hmac_hex(base::DigestAlgorithm::sha256, endpoint.token, request.body);
    request.headers.set("X-Signature", "sha256=" + signature);
  }
  request.headers.set("Idempotency-Key", id);
  return request;
}

base::Result<void> judge_answer(const Endpoint& endpoint, const http::Response& answer) {
  if (answer.status >= 200 && answer.status < 300) {
    if (endpoint.type == api::provider_type::kSlack) return judge_slack(answer);
    return {};
  }
  base::Error error = http::status_error(answer, "sending");
  if (is_refusal_of_message(answer.status)) error.kind = base::ErrorKind::invalid;
  // Whatever else the mapping makes of it, people can mend it in the Provider.
  else if (error.kind == base::ErrorKind::invalid) error.kind = base::ErrorKind::unavailable;
  error.message = "the receiver answered " + std::to_string(answer.status);
  return base::unexpected(std::move(error));
}

std::string answer_for_log(const Endpoint& endpoint, const http::Response& answer) {
  // Masked before it is cut, or the first half of a secret would show.
  return cut_text(endpoint.mask(answer.body.substr(0, 16 * kMaxQuote)), kMaxQuote);
}

}  // namespace sluice::notification_controller
