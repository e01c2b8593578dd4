// The one error type of Sluice, and what may be done about each kind of it.
//
// Errors are values: a function that can fail returns Result<T> (result.hpp).
// No exception crosses a library boundary; a third-party exception is turned
// into an Error where it is caught. The text of an Error reaches users through
// conditions and events, so it names the object, the field and the cause.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::base {

// What went wrong, by what the caller can do about it.
enum class ErrorKind {
  invalid,         // the input is wrong and stays wrong until somebody edits it
  unsupported,     // a valid request for something that is not offered
  not_found,       // the thing named does not exist (HTTP 404)
  already_exists,  // it exists and must not (HTTP 409 AlreadyExists)
  conflict,        // somebody else changed or owns it (HTTP 409 Conflict)
  gone,            // a resourceVersion or continue token has expired (HTTP 410)
  unauthorized,    // no or wrong credentials (HTTP 401)
  forbidden,       // known, and not allowed (HTTP 403)
  untrusted,       // TLS, host key, digest or signature did not verify
  rate_limited,    // the server asked to slow down (HTTP 429); see retry_after
  unavailable,     // unreachable, refused, reset, or a 5xx of the server
  timeout,         // a deadline of ours passed
  cancelled,       // we were told to stop
  too_large,       // a stated bound was exceeded
  io,              // the local disk or operating system refused
  internal,        // a fault of ours
};

std::string_view to_string(ErrorKind kind) noexcept;

// True if the same call may succeed later with no edit by a person. The single
// place where this is decided.
bool is_retryable(ErrorKind kind) noexcept;

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;  // a sentence's worth, no trailing full stop
  int http_status = 0;  // 0 when no HTTP answer was involved
  std::string reason;   // the peer's machine-readable reason (Kubernetes Status.reason), if any
  std::optional<std::chrono::milliseconds> retry_after;  // what the peer asked for

  // Prepends what was being done: "reading kustomization.yaml: <message>".
  Error&& with_context(std::string_view doing) &&;
  Error with_context(std::string_view doing) const&;
};

}  // namespace sluice::base
