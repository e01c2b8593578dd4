#include "git/wire/tcp.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace sluice::git::wire {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

// How soon a stop request is noticed.
constexpr int kStopLatencyMs = 50;

// 0, or the errno of the attempt.
Result<int> finish_connect(int fd, const Limits& limits) {
  for (;;) {
    SLUICE_CHECK(limits.check());
    pollfd waiting{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&waiting, 1, limits.wait_ms(kStopLatencyMs)) > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int Socket::release() noexcept { return std::exchange(fd_, -1); }

Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, const Limits& limits) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0) {
    return unexpected(ErrorKind::unavailable, fmt::format("could not resolve '{}': {}", host, ::gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  int last = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Socket socket(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
    if (socket.fd() < 0) {
      last = errno;
      continue;
    }
    last = ::connect(socket.fd(), at->ai_addr, at->ai_addrlen) == 0 ? 0 : errno;
    if (last == EINPROGRESS) {
      SLUICE_TRY(last, finish_connect(socket.fd(), limits));
    }
    if (last != 0) continue;
    const int on = 1;
    ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  return unexpected(ErrorKind::unavailable,
                    fmt::format("could not connect to {} port {}: {}", host, port, std::strerror(last)));
}

Result<void> wait_for(int fd, short events, const Limits& limits) {
  SLUICE_CHECK(limits.check());
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  ::poll(&waiting, 1, limits.wait_ms(kStopLatencyMs));
  return {};
}

}  // namespace sluice::git::wire
