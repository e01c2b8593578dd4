#include "courier.hpp"

#include <utility>

#include "message.hpp"

namespace sluice::notification_controller {

namespace {

// An answer is read to judge a delivery and to log its beginning; what is longer tells no more.
constexpr std::uint64_t kMaxAnswer = 64U << 10U;
// So long after the request's own limit, which knows whether the answer has begun, the delivery is given up.
constexpr base::Duration kAfterLimit = std::chrono::milliseconds(250);

const kube::Resource& secrets_resource() {
  static const kube::Resource resource{"", "v1", "Secret", "secrets", true};
  return resource;
}

rt::Task<base::Result<doc::Json>> read_secret(std::shared_ptr<kube::Client> client, api::ObjectKey key,
                                              std::string field) {
  rt::Task<base::Result<doc::Json>> getting = client->get(secrets_resource(), key);
  auto secret = co_await std::move(getting);
  if (secret) co_return *std::move(secret);
  const std::string what = "spec." + field + ": Secret '" + key.str() + "'";
  co_return base::unexpected(std::move(secret).error().with_context(what));
}

// Taken in or not, the status says so, whatever became of the body: sending it again would only
// bring the same answer. But Slack's Web API answers 200 whatever happens, and says in the body what did.
bool tells_by_status(const Endpoint& endpoint, const base::Error& error) {
  if (error.http_status == 0) return false;
  if (error.kind == base::ErrorKind::too_large) return true;
  const bool is_web_api = endpoint.type == api::provider_type::kSlack && !endpoint.token.empty();
  return !is_web_api || error.http_status >= 300;
}

}  // namespace

rt::Task<base::Result<Endpoint>> read_endpoint(std::shared_ptr<kube::Client> client, api::Provider provider) {
  EndpointSecrets secrets;
  const std::string space = provider.metadata.namespace_;
  if (provider.spec.secret_ref) {
    rt::Task<base::Result<doc::Json>> reading =
        read_secret(client, api::resolve(*provider.spec.secret_ref, space), "secretRef");
    auto secret = co_await std::move(reading);
    SLUICE_CO_TRY(secrets.secret, std::move(secret));
  }
  if (provider.spec.cert_secret_ref) {
    rt::Task<base::Result<doc::Json>> reading =
        read_secret(client, api::resolve(*provider.spec.cert_secret_ref, space), "certSecretRef");
    auto secret = co_await std::move(reading);
    SLUICE_CO_TRY(secrets.cert, std::move(secret));
  }
  co_return resolve_endpoint(provider, secrets);
}

HttpCourier::HttpCourier(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, base::Logger log)
    : runtime_(runtime), client_(std::move(client)), log_(std::move(log)) {}

base::Result<std::shared_ptr<http::Client>> HttpCourier::connection_for(const api::ObjectKey& provider,
                                                                        const Endpoint& endpoint) {
  const auto known = kept_.find(provider);
  if (known != kept_.end()) {
    const Connection found = known->second;
    drop(known);
    if (found.fingerprint == endpoint.fingerprint) return found.client;
  }
  http::ClientOptions options;
  options.tls = endpoint.tls;
  options.max_connections = 1;
  options.connect_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(endpoint.timeout);
  options.request_timeout = options.connect_timeout;
  options.idle_timeout = kKeptFor;
  options.max_body = kMaxAnswer;
  options.user_agent = "notification-controller";
  return http::Client::create(runtime_, endpoint.url.origin(), std::move(options));
}

HttpCourier::Kept::iterator HttpCourier::drop(Kept::iterator connection) {
  room_.give_back(connection->first.namespace_);
  return kept_.erase(connection);
}

void HttpCourier::keep(const api::ObjectKey& provider, std::string fingerprint, std::shared_ptr<http::Client> client) {
  forget(provider);
  const base::SteadyPoint now = base::system_clock().steady();
  for (auto it = kept_.begin(); it != kept_.end();) it = it->second.since + kKeptFor <= now ? drop(it) : std::next(it);
  const std::string& space = provider.namespace_;
  while (!room_.has_room(space)) {
    auto oldest = kept_.end();
    for (auto it = kept_.lower_bound({space, std::string()}); it != kept_.end() && it->first.namespace_ == space;
         ++it) {
      if (oldest == kept_.end() || it->second.since < oldest->second.since) oldest = it;
    }
    if (oldest == kept_.end()) return;
    drop(oldest);
  }
  room_.take(space);
  kept_[provider] = {std::move(fingerprint), std::move(client), now};
}

void HttpCourier::forget(const api::ObjectKey& provider) {
  const auto known = kept_.find(provider);
  if (known != kept_.end()) drop(known);
}

rt::Task<base::Result<void>> HttpCourier::deliver(api::Provider provider, Notification notification, std::string id) {
  const base::Duration timeout = delivery_timeout(provider.spec);
  const api::ObjectKey key = provider.metadata.key();
  rt::Task<base::Result<Endpoint>> reading = read_endpoint(client_->on_behalf_of(key.namespace_), std::move(provider));
  auto found = co_await std::move(reading);
  // Whatever is wrong with the Provider, it is not the fault of the message.
  if (!found) {
    base::Error error = std::move(found).error();
    if (error.kind == base::ErrorKind::invalid) error.kind = base::ErrorKind::unavailable;
    co_return base::unexpected(std::move(error));
  }
  const Endpoint endpoint = *std::move(found);
  auto connected = connection_for(key, endpoint);
  if (!connected) {
    base::Error error = std::move(connected).error();
    error.kind = base::ErrorKind::unavailable;
    error.message = endpoint.mask(std::move(error.message));
    co_return base::unexpected(std::move(error));
  }
  const std::shared_ptr<http::Client> client = *std::move(connected);
  http::Request request = make_request(notification, endpoint, id);
  request.owner = key.namespace_;  // whose names these are
  rt::Task<base::Result<http::Response>> sending = client->send(std::move(request));
  rt::Task<base::Result<http::Response>> limited =
      rt::with_timeout(std::move(sending), timeout + kAfterLimit, "the delivery");
  auto answer = co_await std::move(limited);
  if (answer) keep(key, endpoint.fingerprint, client);
  if (!answer && tells_by_status(endpoint, answer.error())) {
    log_.info("a receiver's answer did not come whole; its status counts",
              {{"provider", key.str()}, {"status", answer.error().http_status}, {"id", id}});
    http::Response status_alone;
    status_alone.status = answer.error().http_status;
    answer = std::move(status_alone);
  }
  base::Result<void> outcome;
  if (answer) {
    outcome = judge_answer(endpoint, *answer);
    if (!outcome && log_.enabled(base::LogLevel::debug)) {
      log_.debug("a receiver refused a notification",
                 {{"provider", key.str()}, {"status", answer->status}, {"answer", answer_for_log(endpoint, *answer)}});
    }
  } else {
    outcome = base::unexpected(std::move(answer).error());
  }
  if (outcome) co_return base::Result<void>();
  base::Error error = std::move(outcome).error();
  error.message = endpoint.mask(std::move(error.message));
  co_return base::unexpected(std::move(error));
}

}  // namespace sluice::notification_controller
