#include "kube/detail/exec_plugin.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "doc/json.hpp"

extern char** environ;

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::size_t kMaxOutput = 1U << 20U;
constexpr std::chrono::milliseconds kLook{20};  // how often the end of the plugin is looked for

// Ours, overlaid with the plugin's, each name once: with two of a name, which counts is up to the program.
std::vector<std::string> environment_of(const ExecPlugin& plugin) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const auto& [name, value] : plugin.env) variables.insert_or_assign(name, value);
  doc::Json info{
      {"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", {{"interactive", false}}}};
  if (auto cluster = doc::parse_json(plugin.cluster_info)) info["spec"]["cluster"] = *std::move(cluster);
  variables.insert_or_assign("KUBERNETES_EXEC_INFO", doc::print_json(info));
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// A plugin that runs, as the leader of its own process group. Not running any
// more, and waited for, when this is destroyed.
class Child {
 public:
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Child() = default;
  ~Child() {
    if (output_ >= 0) ::close(output_);
    if (pid_ > 0) {
      kill_group();
      while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
      }
    }
  }

  Result<void> start(const ExecPlugin& plugin) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::unexpected(ErrorKind::io, "cannot make a pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t signals;
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);

    std::vector<std::string> arguments{plugin.command};
    arguments.insert(arguments.end(), plugin.args.begin(), plugin.args.end());
    std::vector<std::string> variables = environment_of(plugin);
    std::vector<char*> argv = pointers(arguments);
    std::vector<char*> envp = pointers(variables);
    pid_t pid = 0;
    const int failed =
        ::posix_spawnp(&pid, plugin.command.c_str(), &actions, &attributes, argv.data(), envp.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
    if (failed != 0) {
      return base::unexpected(ErrorKind::unauthorized, fmt::format("exec plugin '{}' cannot be started: {}",
                                                                   plugin.command, std::string(::strerror(failed))));
    }
    pid_ = pid;
    ::fcntl(output_, F_SETFL, O_NONBLOCK);
    return {};
  }

  // Waits a moment for output, and takes what is there.
  void read_into(std::string& output, std::chrono::milliseconds patience) {
    pollfd readable{closed_ ? -1 : output_, POLLIN, 0};
    ::poll(&readable, 1, static_cast<int>(patience.count()));
    std::array<char, 4096> buffer{};
    while (!closed_ && output.size() <= kMaxOutput) {
      const ssize_t got = ::read(output_, buffer.data(), buffer.size());
      if (got > 0) {
        output.append(buffer.data(), static_cast<std::size_t>(got));
        continue;
      }
      closed_ = got == 0 || (errno != EAGAIN && errno != EINTR);
      return;
    }
  }

  // True once it has ended. Its group's id stays ours until then.
  bool has_ended() {
    if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) != 0) pid_ = -1;
    return pid_ < 0;
  }
  bool succeeded() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }
  std::string status() const {
    return WIFEXITED(status_) ? fmt::format("status {}", WEXITSTATUS(status_))
                              : fmt::format("signal {}", WTERMSIG(status_));
  }

 private:
  void kill_group() const { ::kill(-pid_, SIGKILL); }

  pid_t pid_ = 0;
  int output_ = -1;
  int status_ = 0;
  bool closed_ = false;
};

}  // namespace

Result<std::string> run_exec_plugin(const ExecPlugin& plugin, std::chrono::milliseconds limit, std::stop_token stop) {
  Child child;
  SLUICE_CHECK(child.start(plugin));
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::string output;
  // It is over when the program ends. Its output may be closed before that, or
  // be held open after it by a helper that it left behind.
  while (!child.has_ended()) {
    if (stop.stop_requested()) {
      return base::unexpected(ErrorKind::cancelled, fmt::format("exec plugin '{}' was cancelled", plugin.command));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return base::unexpected(ErrorKind::timeout, fmt::format("exec plugin '{}' did not end within {} s",
                                                              plugin.command, limit.count() / 1000));
    }
    child.read_into(output, kLook);
    if (output.size() > kMaxOutput) {
      return base::unexpected(ErrorKind::too_large, fmt::format("exec plugin '{}' prints over 1 MiB", plugin.command));
    }
  }
  child.read_into(output, std::chrono::milliseconds(0));
  if (!child.succeeded()) {
    return base::unexpected(ErrorKind::unauthorized,
                            fmt::format("exec plugin '{}' failed with {}", plugin.command, child.status()));
  }
  return output;
}

}  // namespace sluice::kube::detail
