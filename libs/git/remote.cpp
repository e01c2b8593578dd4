#include "git/remote.hpp"

#include <fmt/core.h>

#include "git/wire/remote_state.hpp"

namespace sluice::git {

using base::Result;
using base::unexpected;

Result<void> Remote::State::open() {
  const auto doing = fmt::format("listing the references of '{}'", endpoint.display());
  connection.reset();
  auto made = wire::make_connection(endpoint, auth);
  if (!made) return unexpected(std::move(made).error());
  connection = *std::move(made);
  auto stream = connection->advertisement(limits);
  if (!stream) return unexpected(std::move(stream).error().with_context(doing));
  auto listed = wire::read_advertisement(**stream);
  if (!listed) return unexpected(std::move(listed).error().with_context(doing));
  advertisement = *std::move(listed);
  return {};
}

Result<wire::ShallowUpdate> Remote::State::fetch(const wire::FetchRequest& request, const wire::PackSink& sink) {
  const auto doing = fmt::format("fetching from '{}'", endpoint.display());
  if (!advertisement.can("side-band-64k")) {
    return unexpected(base::ErrorKind::unsupported, doing + ": the server does not offer side-band-64k");
  }
  auto stream = connection->exchange(wire::encode_request(request, advertisement), limits);
  if (!stream) return unexpected(std::move(stream).error().with_context(doing));
  auto update = wire::read_pack(**stream, advertisement.can("shallow"), sink);
  if (!update) return unexpected(std::move(update).error().with_context(doing));
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
