// What sets one piece of news from another that is told in the same words.
#pragma once

#include <array>
#include <string_view>

#include "api/names.hpp"

namespace sluice::controller {

// Of an event's metadata, keys of the object's group. Flux: with object and message they are the key of
// notification-controller's rate limit (internal/server/event_server.go). The recorder keeps
// apart what differs in them, as notification-controller does.
inline constexpr std::array<std::string_view, 3> kNewsAnnotations{api::event::kMetaOriginRevision,
                                                                  api::event::kMetaRevision, api::event::kMetaToken};

}  // namespace sluice::controller
