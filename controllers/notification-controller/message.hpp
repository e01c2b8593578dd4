// A notification as each type of Provider wants to get it, and what its answer
// means. Pure.
#pragma once

#include <string>

#include "base/result.hpp"
#include "endpoint.hpp"
#include "http/message.hpp"
#include "notification.hpp"

namespace sluice::notification {

// A POST for endpoint.url. `id` goes into the header Idempotency-Key, so that a
// receiver can tell a second attempt from a second event.
http::Request make_request(const Notification& notification, const Endpoint& endpoint, const std::string& id);

// Nothing wrong: delivered. Kind `invalid`: this message will never be taken,
// but another may be. Any other kind: worth another attempt, if only after
// somebody has mended the Provider. Messages are not masked yet.
base::Result<void> judge_answer(const Endpoint& endpoint, const http::Response& answer);

}  // namespace sluice::notification
