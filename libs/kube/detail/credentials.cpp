#include "kube/detail/credentials.hpp"

#include <fmt/format.h>

#include "base/digest.hpp"
#include "doc/json.hpp"
#include "kube/detail/exec_plugin.hpp"
#include "kube/detail/kubeconfig.hpp"

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::chrono::seconds kTokenFileAge{60};    // as client-go; kubelet rotates well before expiry
constexpr std::chrono::seconds kTokenFileRetry{5};   // after a read that failed, while the old token stands
constexpr std::chrono::seconds kPluginLimit{60};
constexpr std::chrono::seconds kExpiryLeeway{10};

base::Unexpected bad_plugin(const ExecPlugin& plugin, std::string_view fault) {
  return base::unexpected(ErrorKind::unauthorized, fmt::format("exec plugin '{}' {}", plugin.command, fault));
}

}  // namespace

struct Credentials::Round {
  rt::Notify ended;
  std::optional<Result<void>> outcome;  // none if whoever ran it was cancelled
};

bool Credentials::is_due() const {
  if (config_.exec) return expired_ || (plugin_expiry_ && clock_.now() + kExpiryLeeway >= *plugin_expiry_);
  if (!config_.token_file.empty()) return expired_ || !token_file_due_ || clock_.steady() >= *token_file_due_;
  return false;
}

rt::Task<Result<Credentials::Generation>> Credentials::authorize(http::Request& request, http::Client& client) {
  if (is_due()) {
    auto renewed = co_await renew_once(client);
    if (!renewed) co_return base::unexpected(std::move(renewed).error());
  }
  if (!config_.token.empty()) {
    request.headers.set("Authorization", "Bearer " + config_.token);
  } else if (!config_.username.empty()) {
    request.headers.set("Authorization", "Basic " + base::base64_encode(config_.username + ":" + config_.password));
  }
  co_return generation_;
}

bool Credentials::expire(Generation used) {
  if (!config_.exec && config_.token_file.empty()) return false;
  if (used == generation_) expired_ = true;
  return true;
}

rt::Task<Result<void>> Credentials::renew_once(http::Client& client) {
  while (round_) {
    const std::shared_ptr<Round> round = round_;
    co_await round->ended.wait();
    if (round->outcome) co_return *round->outcome;
  }
  struct Ended {
    Credentials& credentials;
    ~Ended() {
      const std::shared_ptr<Round> round = std::move(credentials.round_);
      credentials.round_.reset();
      round->ended.notify_all();
    }
  };
  round_ = std::make_shared<Round>();
  const Ended ended{*this};
  auto outcome = co_await renew(client);
  round_->outcome = outcome;
  co_return outcome;
}

rt::Task<Result<void>> Credentials::renew(http::Client& client) {
  if (config_.exec) {
    auto ran = co_await run_plugin(client);
    if (!ran) co_return ran;
  } else {
    auto read = co_await read_token_file();
    if (!read) co_return read;
  }
  expired_ = false;
  ++generation_;
  co_return Result<void>();
}

rt::Task<Result<void>> Credentials::read_token_file() {
  const std::string path = config_.token_file;
  auto reading = rt::run_blocking(runtime_, [path](std::stop_token) { return read_file(path); });
  auto token = co_await std::move(reading);
  std::string text = token ? trimmed(*token) : std::string();
  if (!text.empty()) {
    config_.token = std::move(text);
    token_file_due_ = clock_.steady() + kTokenFileAge;
    co_return Result<void>();
  }
  // What was read before may still be good: the kubelet may be replacing the file right now.
  token_file_due_ = clock_.steady() + kTokenFileRetry;
  if (!config_.token.empty()) co_return Result<void>();
  if (!token) co_return base::unexpected(std::move(token).error());
  co_return base::unexpected(ErrorKind::unauthorized, path + " holds no token");
}

rt::Task<Result<void>> Credentials::run_plugin(http::Client& client) {
  const ExecPlugin plugin = *config_.exec;
  auto running = rt::run_blocking(
      runtime_, [plugin](std::stop_token stop) { return run_exec_plugin(plugin, kPluginLimit, stop); });
  auto output = co_await std::move(running);
  if (!output) co_return base::unexpected(std::move(output).error());
  const auto credential = doc::parse_json(*output);
  if (!credential || doc::find_string(*credential, {"kind"}) != "ExecCredential") {
    co_return bad_plugin(plugin, "did not print an ExecCredential");
  }
  if (const auto version = doc::find_string(*credential, {"apiVersion"}); version != plugin.api_version) {
    co_return bad_plugin(plugin, fmt::format("printed apiVersion '{}', not '{}'", version, plugin.api_version));
  }
  std::string token(doc::find_string(*credential, {"status", "token"}));
  const std::string certificate(doc::find_string(*credential, {"status", "clientCertificateData"}));
  if (token.empty() && certificate.empty()) co_return bad_plugin(plugin, "printed neither token nor certificate");
  if (!certificate.empty()) {
    http::TlsOptions tls;
    tls.ca_pem = config_.ca_pem;
    tls.server_name = config_.tls_server_name;
    tls.insecure_skip_verify = config_.insecure_skip_tls_verify;
    tls.certificate_pem = certificate;
    tls.key_pem = std::string(doc::find_string(*credential, {"status", "clientKeyData"}));
    SLUICE_CO_CHECK(client.update_tls(std::move(tls)));
  }
  config_.token = std::move(token);
  plugin_expiry_.reset();
  if (const auto expiry = doc::find_string(*credential, {"status", "expirationTimestamp"}); !expiry.empty()) {
    auto time = base::parse_time(expiry);
    if (!time) co_return bad_plugin(plugin, "printed an expirationTimestamp that is no time");
    plugin_expiry_ = *time;
  }
  co_return Result<void>();
}

}  // namespace sluice::kube::detail
