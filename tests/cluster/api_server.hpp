// The kube-apiserver that $KUBECONFIG names, as a process that a test may take
// away for a while. It is started again with its own command line; etcd, and with
// it all state, stays.
#pragma once

#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
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
    const std::string port = "--secure-port=" + config->server.substr(config->server.rfind(':') + 1);
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
    // Whoever started it may not have taken note yet; the port is free when it is gone.
    while (!is_child_ && !command_line(std::to_string(pid_)).empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
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
  bool is_child_ = false;
  bool is_up_ = true;
  std::vector<std::string> arguments_;
  std::string folder_;
};

}  // namespace sluice::test
