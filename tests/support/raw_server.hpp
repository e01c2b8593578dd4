// A server that answers every connection with the same bytes and then closes
// it, after `hold`. For injecting faults that a sane server does not have.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace sluice::test {

class RawServer {
 public:
  explicit RawServer(std::string answer, std::chrono::milliseconds hold = std::chrono::milliseconds(0))
      : answer_(std::move(answer)), hold_(hold), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("raw server cannot listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~RawServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  int port() const { return port_; }

 private:
  void serve() {
    while (!stopping_) {
      const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      char request[4096];
      static_cast<void>(::recv(peer, request, sizeof request, 0));
      static_cast<void>(::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL));
      const auto until = std::chrono::steady_clock::now() + hold_;
      while (!stopping_ && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      ::close(peer);
    }
  }

  std::string answer_;
  std::chrono::milliseconds hold_;
  int listener_;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::test
