// metav1.Status to Error ("Kubernetes API Conventions", response status kind).
// Pure; private to libs/kube.
#pragma once

#include <string_view>

#include "base/error.hpp"
#include "doc/json.hpp"
#include "http/message.hpp"

namespace sluice::kube::detail {

// The reason of a 404 that is no Status: the server knows no such path (k8s.io/apiserver, the
// not-found handler), so nothing is said of the object. Until it knows all of its paths it says 503.
inline constexpr std::string_view kNotServed = "NotServed";

// From an answer that is not 2xx, whether or not its body is a Status.
base::Error error_of(const http::Response& response, std::string_view request);
// From a Status document, as an ERROR event of a watch carries one.
base::Error error_of(const doc::Json& status);

}  // namespace sluice::kube::detail
