// A notification as each type of Provider wants to get it, and what its answer
// means. Pure.
#pragma once

#include <string>

#include "base/result.hpp"
#include "endpoint.hpp"
#include "http/message.hpp"
#include "notification.hpp"

namespace sluice::notification_controller {

// A POST for endpoint.url. `id` goes into the header Idempotency-Key, so that a
// receiver can tell a second attempt from a second event.
http::Request make_request(const Notification& notification, const Endpoint& endpoint, const std::string& id);

// Nothing wrong: delivered. Kind `invalid`: this message will never be taken,
// but another may be. Any other kind: worth another attempt, if only after
// somebody has mended the Provider. Messages hold nothing of the answer but its status, and
// of Slack's errors those that its documentation names: whoever may write a Provider chooses
// who answers, and must not read through us what that one says.
base::Result<void> judge_answer(const Endpoint& endpoint, const http::Response& answer);

// The beginning of an answer's body, masked, for the daemon's own log.
std::string answer_for_log(const Endpoint& endpoint, const http::Response& answer);

}  // namespace sluice::notification_controller
