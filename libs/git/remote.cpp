#include "git/remote.hpp"

#include <fmt/core.h>

#include "base/digest.hpp"
#include "git/wire/remote_state.hpp"

namespace sluice::git {

using base::Result;
using base::unexpected;

namespace {

constexpr std::string_view kHidden = "***";
constexpr std::size_t kShortest = 4;  // a shorter secret would be found in innocent words

void hide(std::string& text, std::string_view secret) {
  if (secret.size() < kShortest) return;
  for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += kHidden.size()) {
    text.replace(at, secret.size(), kHidden);
  }
}

// A server may say back whatever it was sent; messages quote it.
base::Error without_secrets(base::Error error, const Auth& auth) {
  if (const auto* http = std::get_if<HttpAuth>(&auth)) {
    hide(error.message, http->password);
    hide(error.message, http->bearer_token);
    if (!http->password.empty()) hide(error.message, base::base64_encode(http->username + ":" + http->password));
  } else if (const auto* ssh = std::get_if<SshAuth>(&auth)) {
    hide(error.message, ssh->passphrase);
  }
  return error;
}

}  // namespace

Result<void> Remote::State::open() {
  const auto doing = fmt::format("listing the references of '{}'", endpoint.display());
  connection.reset();
  auto made = wire::make_connection(endpoint, auth);
  if (!made) return unexpected(std::move(made).error());
  connection = *std::move(made);
  auto stream = connection->advertisement(limits);
  if (!stream) return unexpected(without_secrets(std::move(stream).error(), auth).with_context(doing));
  auto listed = wire::read_advertisement(**stream);
  if (!listed) return unexpected(without_secrets(std::move(listed).error(), auth).with_context(doing));
  advertisement = *std::move(listed);
  return {};
}

Result<wire::ShallowUpdate> Remote::State::fetch(const wire::FetchRequest& request, const wire::PackSink& sink) {
  const auto doing = fmt::format("fetching from '{}'", endpoint.display());
  if (!advertisement.can("side-band-64k")) {
    return unexpected(base::ErrorKind::unsupported, doing + ": the server does not offer side-band-64k");
  }
  auto stream = connection->exchange(wire::encode_request(request, advertisement), limits);
  if (!stream) return unexpected(without_secrets(std::move(stream).error(), auth).with_context(doing));
  auto update = wire::read_pack(**stream, advertisement.can("shallow"), sink);
  if (!update) return unexpected(without_secrets(std::move(update).error(), auth).with_context(doing));
  return update;
}

Remote::Remote(std::unique_ptr<State> state) : state_(std::move(state)) {}
Remote::~Remote() = default;
Remote::Remote(Remote&&) noexcept = default;
Remote& Remote::operator=(Remote&&) noexcept = default;

void Remote::continue_with(std::stop_token stop) { state_->limits.stop = std::move(stop); }

const Endpoint& Remote::endpoint() const noexcept { return state_->endpoint; }
const RefList& Remote::refs() const noexcept { return state_->advertisement.refs; }

Result<Remote> Remote::connect(Endpoint endpoint, Auth auth, std::chrono::milliseconds timeout, std::stop_token stop) {
  auto state = std::make_unique<State>();
  state->endpoint = std::move(endpoint);
  state->auth = std::move(auth);
  state->limits = {.deadline = std::chrono::steady_clock::now() + timeout, .stop = std::move(stop)};
  SLUICE_CHECK(state->open());
  return Remote(std::move(state));
}

Result<RefList> list_refs(Endpoint endpoint, Auth auth, std::chrono::milliseconds timeout, std::stop_token stop) {
  SLUICE_TRY(const Remote remote, Remote::connect(std::move(endpoint), std::move(auth), timeout, std::move(stop)));
  return remote.refs();
}

}  // namespace sluice::git
