// Follows one object by name, whatever its labels, and waits for its end. Needs no right but to get
// it: where it may not be listed and watched, it is asked for time and again. Runs on the loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::apply {

// Calls `seen` with the object as it is and at each of its changes; null where
// it does not exist. Returns when `seen` says true. By a kube::Reflector
// of that name, so a watch that breaks is opened anew; or, where that is refused, by a GET now and
// then, of at most two seconds apart. What ends it: `unauthorized`, `not_found` (no such resource), and
// what refuses the GET as well. Bound it in time with rt::with_timeout.
rt::Task<base::Result<void>> follow_object(std::shared_ptr<kube::Client> client, kube::Resource resource,
                                           api::ObjectKey key, std::function<bool(const doc::Json*)> seen);

// What is known of an object that is to go.
struct Departure {
  enum class State {
    gone,     // the server has said so, or has no such kind any more
    there,    // the server has said so, and nothing else since
    unknown,  // nobody could be asked, or only before the answers stopped
  };
  State state = State::unknown;
  std::string why;  // of what is not gone, for people: what holds it, or what the server answers
};

// Returns when the object with this UID is gone, or after `limit`. No error ends the wait before: what is
// refused may be granted, and what cannot be mapped be served again.
rt::Task<Departure> await_gone(std::shared_ptr<kube::Client> client, std::shared_ptr<kube::RestMapper> mapper,
                               api::GroupVersionKind kind, api::ObjectKey key, std::string uid,
                               std::chrono::nanoseconds limit);

}  // namespace sluice::apply
