// The kube-apiserver that $KUBECONFIG names, as a process that a test may take
// away for a while. It is started again with its own command line; etcd, and with
// it all state, stays.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "kube/config.hpp"

namespace sluice::test {

class ApiServer {
 public:
  ApiServer() {
    auto config = kube::load_config({});
    REQUIRE(config);
    const std::string number = config->server.substr(config->server.rfind(':') + 1);
    const std::string port = "--secure-port=" + number;
    port_ = static_cast<std::uint16_t>(std::stoi(number));
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      auto arguments = command_line(name);
      if (arguments.size() < 2 || arguments[0].find("kube-apiserver") == std::string::npos) continue;
      if (std::find(arguments.begin(), arguments.end(), port) == arguments.end()) continue;
      pid_ = std::stoi(name);
      arguments_ = std::move(arguments);
      folder_ = std::filesystem::read_symlink(entry.path() / "cwd");
    }
    REQUIRE(pid_ > 0);
  }
  ~ApiServer() {
    thaw();
    start_if_stopped();
    // The last test of the program may be this one: what it has started ends with it.
  }
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  void stop() {
    ::kill(pid_, SIGKILL);
    if (is_child_) ::waitpid(pid_, nullptr, 0);
    // It may be another's child. Its command line goes with its memory and its main thread becomes a zombie, both
    // before its sockets are closed; so the port itself says when it is free.
    while (!is_port_free()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    is_up_ = false;
  }

  void start_if_stopped() {
    if (!is_up_) start();
  }

  // It takes connections and answers nothing, as a machine does that swaps.
  void freeze() { ::kill(pid_, SIGSTOP); }
  void thaw() {
    if (is_up_) ::kill(pid_, SIGCONT);
  }

  void start() {
    std::vector<char*> argv;
    for (auto& argument : arguments_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string log = folder_ + "/kube-apiserver-again.log";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (std::freopen(log.c_str(), "ab", stdout) == nullptr || std::freopen(log.c_str(), "ab", stderr) == nullptr ||
          ::chdir(folder_.c_str()) != 0) {
        ::_exit(127);
      }
      ::execv(arguments_[0].c_str(), argv.data());
      ::_exit(127);
    }
    is_child_ = true;
    is_up_ = true;
  }

 private:
  bool is_port_free() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return is_free;
  }
  static std::vector<std::string> command_line(const std::string& pid) {
    std::ifstream in("/proc/" + pid + "/cmdline", std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(in), {}};
    std::vector<std::string> arguments;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = all.find('\0', at);
      arguments.push_back(all.substr(at, end - at));
      if (end == std::string::npos) break;
      at = end + 1;
    }
    return arguments;
  }

  pid_t pid_ = 0;
  std::uint16_t port_ = 0;
  bool is_child_ = false;
  bool is_up_ = true;
  std::vector<std::string> arguments_;
  std::string folder_;
};

}  // namespace sluice::test
