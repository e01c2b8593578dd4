#include "kube/detail/credentials.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <iterator>

#include "base/digest.hpp"
#include "doc/json.hpp"

extern char** environ;

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::chrono::seconds kTokenFileAge{60};  // as client-go; kubelet rotates well before expiry
constexpr std::chrono::seconds kPluginLimit{60};
constexpr std::size_t kPluginOutput = 1U << 20U;

}  // namespace

rt::Task<Result<void>> Credentials::authorize(http::Request& request, http::Client& client) {
  if (config_.exec) {
    const bool expired = plugin_expiry_ && base::system_clock().now() + std::chrono::seconds(10) >= *plugin_expiry_;
    if (!plugin_ran_ || expired) {
      auto ran = co_await run_plugin(client);
      if (!ran) co_return ran;
    }
  } else if (!config_.token_file.empty()) {
    const auto now = base::system_clock().steady();
    if (!token_read_ || now - *token_read_ > kTokenFileAge) {
      auto read = co_await read_token_file();
      if (!read) co_return read;
      token_read_ = now;
    }
  }
  if (!config_.token.empty()) {
    request.headers.set("Authorization", "Bearer " + config_.token);
  } else if (!config_.username.empty()) {
    request.headers.set("Authorization", "Basic " + base::base64_encode(config_.username + ":" + config_.password));
  }
  co_return Result<void>();
}

bool Credentials::expire() {
  token_read_.reset();
  plugin_ran_ = false;
  return config_.exec.has_value() || !config_.token_file.empty();
}

rt::Task<Result<void>> Credentials::read_token_file() {
  const std::string path = config_.token_file;
  auto token = co_await rt::run_blocking(runtime_, [path](std::stop_token) -> Result<std::string> {
    std::ifstream in(path, std::ios::binary);
    if (!in) return base::unexpected(ErrorKind::io, path + ": cannot be read");
    std::string text(std::istreambuf_iterator<char>(in), {});
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
  });
  if (!token) co_return base::unexpected(std::move(token).error());
  config_.token = *std::move(token);
  co_return Result<void>();
}

rt::Task<Result<void>> Credentials::run_plugin(http::Client& client) {
  const ExecPlugin plugin = *config_.exec;
  auto output =
      co_await rt::run_blocking(runtime_, [plugin](std::stop_token stop) { return run_exec_plugin(plugin, stop); });
  if (!output) co_return base::unexpected(std::move(output).error());
  const auto credential = doc::parse_json(*output);
  if (!credential || doc::find_string(*credential, {"kind"}) != "ExecCredential") {
    co_return base::unexpected(ErrorKind::unauthorized,
                               fmt::format("exec plugin '{}' did not print an ExecCredential", plugin.command));
  }
  config_.token = std::string(doc::find_string(*credential, {"status", "token"}));
  const std::string certificate(doc::find_string(*credential, {"status", "clientCertificateData"}));
  if (!certificate.empty()) {
    http::TlsOptions tls;
    tls.ca_pem = config_.ca_pem;
    tls.server_name = config_.tls_server_name;
    tls.insecure_skip_verify = config_.insecure_skip_tls_verify;
    tls.certificate_pem = certificate;
    tls.key_pem = std::string(doc::find_string(*credential, {"status", "clientKeyData"}));
    SLUICE_CO_CHECK(client.update_tls(std::move(tls)));
  }
  plugin_expiry_.reset();
  if (const auto expiry = doc::find_string(*credential, {"status", "expirationTimestamp"}); !expiry.empty()) {
    if (auto time = base::parse_time(expiry)) plugin_expiry_ = *time;
  }
  plugin_ran_ = true;
  co_return Result<void>();
}

Result<std::string> run_exec_plugin(const ExecPlugin& plugin, std::stop_token stop) {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return base::unexpected(ErrorKind::io, "cannot make a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);

  std::vector<std::string> arguments{plugin.command};
  arguments.insert(arguments.end(), plugin.args.begin(), plugin.args.end());
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  for (const auto& [name, value] : plugin.env) variables.push_back(name + "=" + value);
  variables.push_back(fmt::format(
      R"(KUBERNETES_EXEC_INFO={{"apiVersion":"{}","kind":"ExecCredential","spec":{{"interactive":false}}}})",
      plugin.api_version));
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
  };
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> envp = pointers(variables);
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, plugin.command.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  if (failed != 0) {
    ::close(pipe_ends[0]);
    return base::unexpected(ErrorKind::unauthorized, fmt::format("exec plugin '{}' cannot be started", plugin.command));
  }

  std::string output;
  const auto deadline = std::chrono::steady_clock::now() + kPluginLimit;
  bool ended = false;
  while (!ended && !stop.stop_requested() && std::chrono::steady_clock::now() < deadline &&
         output.size() <= kPluginOutput) {
    pollfd readable{pipe_ends[0], POLLIN, 0};
    if (::poll(&readable, 1, 100) <= 0) continue;
    std::array<char, 4096> buffer{};
    const ssize_t got = ::read(pipe_ends[0], buffer.data(), buffer.size());
    ended = got <= 0;
    if (got > 0) output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(pipe_ends[0]);
  if (!ended) ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!ended) {
    return base::unexpected(stop.stop_requested() ? ErrorKind::cancelled : ErrorKind::timeout,
                            fmt::format("exec plugin '{}' did not end in time", plugin.command));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return base::unexpected(ErrorKind::unauthorized,
                            fmt::format("exec plugin '{}' failed with status {}", plugin.command, WEXITSTATUS(status)));
  }
  return output;
}

}  // namespace sluice::kube::detail
