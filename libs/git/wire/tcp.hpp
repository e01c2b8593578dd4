// A TCP connection that obeys a deadline and a stop request.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "git/wire/limits.hpp"

namespace sluice::git::wire {

// Owns a file descriptor.
class Socket {
 public:
  explicit Socket(int fd = -1) noexcept : fd_(fd) {}
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;

  int fd() const noexcept { return fd_; }
  int release() noexcept;

 private:
  int fd_;
};

// Tries the host's addresses in turn. `unavailable` names the last cause. The
// name lookup itself is bounded by the resolver's own timeouts (resolv.conf(5)).
base::Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, const Limits& limits);

// Waits until `events` (poll(2)) may have come, a short while has passed, or
// `limits` has struck, which is an error.
base::Result<void> wait_for(int fd, short events, const Limits& limits);

}  // namespace sluice::git::wire
