#include "base/error.hpp"

namespace sluice::base {

std::string_view to_string(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid: return "invalid";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::not_found: return "not found";
    case ErrorKind::already_exists: return "already exists";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::gone: return "gone";
    case ErrorKind::unauthorized: return "unauthorized";
    case ErrorKind::forbidden: return "forbidden";
    case ErrorKind::untrusted: return "untrusted";
    case ErrorKind::rate_limited: return "rate limited";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::cancelled: return "cancelled";
    case ErrorKind::too_large: return "too large";
    case ErrorKind::io: return "i/o";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

bool is_retryable(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::invalid:
    case ErrorKind::unsupported:
    case ErrorKind::already_exists:
    case ErrorKind::untrusted:
    case ErrorKind::too_large: return false;
    case ErrorKind::not_found:
    case ErrorKind::conflict:
    case ErrorKind::gone:
    case ErrorKind::unauthorized:
    case ErrorKind::forbidden:
    case ErrorKind::rate_limited:
    case ErrorKind::unavailable:
    case ErrorKind::timeout:
    case ErrorKind::cancelled:
    case ErrorKind::io:
    case ErrorKind::internal: return true;
  }
  return true;
}

Error&& Error::with_context(std::string_view doing) && {
  message.insert(0, ": ");
  message.insert(0, doing);
  return std::move(*this);
}

Error Error::with_context(std::string_view doing) const& {
  Error copy = *this;
  return std::move(copy).with_context(doing);
}

}  // namespace sluice::base
