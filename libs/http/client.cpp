#include "http/client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <deque>
#include <optional>

#include "base/clock.hpp"
#include "http/detail/connection.hpp"
#include "http/detail/proxy.hpp"
#include "rt/fair_slots.hpp"

namespace sluice::http {
namespace {

using detail::Connection;
using detail::Wire;
using Slots = rt::FairSlots;

struct Idle {
  std::unique_ptr<Connection> connection;
  base::SteadyPoint since;
};

class StreamOnConnection final : public ResponseStream {
 public:
  StreamOnConnection(std::unique_ptr<Connection> connection, Response head, Slots::Lease lease)
      : lease_(std::move(lease)), connection_(std::move(connection)), head_(std::move(head)) {}
  int status() const override { return head_.status; }
  const Headers& headers() const override { return head_.headers; }
  rt::Task<base::Result<std::string>> read_some(std::chrono::nanoseconds idle) override {
    return connection_->read_some(idle);
  }
  void close() noexcept override { connection_->close(); }

 private:
  Slots::Lease lease_;
  std::unique_ptr<Connection> connection_;
  Response head_;
};

class PooledClient final : public Client, public std::enable_shared_from_this<PooledClient> {
 public:
  PooledClient(rt::Runtime& runtime, detail::Route route, ClientOptions options)
      : route_(std::move(route)),
        options_(std::move(options)),
        slots_(std::make_shared<Slots>(options_.max_connections, options_.reserved_connections)),
        stream_slots_(std::make_shared<Slots>(options_.max_streams, options_.reserved_streams)),
        reaper_(runtime.context()) {}

  rt::Task<base::Result<Response>> send(Request request) override {
    const std::uint64_t max_body = request.max_body > 0 ? request.max_body : options_.max_body;
    std::string owner = request.owner;
    auto wire = to_wire(std::move(request));
    if (!wire) co_return base::unexpected(std::move(wire).error());
    auto acquiring = slots_->acquire(owner);
    const Slots::Lease lease = co_await std::move(acquiring);
    std::uint64_t epoch = epoch_;
    if (std::unique_ptr<Connection> kept = take_idle()) {
      auto first = co_await kept->exchange(*wire, options_.request_timeout, max_body);
      if (first.reusable) keep(std::move(kept), epoch);
      // Nothing of an answer on a kept connection means, nearly always, that the
      // server closed it while it was idle; but it may have died at its work.
      const bool again = first.nothing_sent || (first.nothing_came && wire->replayable);
      if (first.response || !again) co_return std::move(first.response);
    }
    epoch = epoch_;
    auto connecting = detail::connect(route_, std::move(owner), options_.connect_timeout);
    auto fresh = co_await std::move(connecting);
    if (!fresh) co_return base::unexpected(std::move(fresh).error());
    auto exchange = co_await (*fresh)->exchange(*wire, options_.request_timeout, max_body);
    if (exchange.reusable) keep(*std::move(fresh), epoch);
    co_return std::move(exchange.response);
  }

  rt::Task<base::Result<std::unique_ptr<ResponseStream>>> open(Request request) override {
    std::string owner = request.owner;
    auto wire = to_wire(std::move(request));
    if (!wire) co_return base::unexpected(std::move(wire).error());
    auto acquiring = stream_slots_->acquire(owner);
    Slots::Lease lease = co_await std::move(acquiring);
    auto connecting = detail::connect(route_, std::move(owner), options_.connect_timeout);
    auto fresh = co_await std::move(connecting);
    if (!fresh) co_return base::unexpected(std::move(fresh).error());
    auto head = co_await (*fresh)->open(*wire, options_.request_timeout);
    if (!head) co_return base::unexpected(std::move(head).error());
    co_return std::make_unique<StreamOnConnection>(*std::move(fresh), *std::move(head), std::move(lease));
  }

  base::Result<void> update_tls(TlsOptions tls) override {
    if (route_.url.scheme == "https") {
      SLUICE_TRY(route_.context, detail::make_client_context(tls));
      route_.server_name = tls.server_name;
      ++epoch_;  // what is under way now is not kept
      idle_.clear();
    }
    options_.tls = std::move(tls);
    return {};
  }

  const Url& url() const override { return route_.url; }

 private:
  base::Result<Wire> to_wire(Request request) const {
    const bool absolute = route_.proxy && route_.url.scheme == "http";
    if (absolute && !route_.proxy->userinfo.empty()) {
      request.headers.set("Proxy-Authorization", detail::proxy_authorization(*route_.proxy));
    }
    return detail::serialize(std::move(request), route_.url, options_.user_agent, absolute);
  }

  std::unique_ptr<Connection> take_idle() {
    while (!idle_.empty()) {
      auto connection = std::move(idle_.back().connection);  // the warmest one
      idle_.pop_back();
      if (connection->is_quiet()) return connection;
    }
    return nullptr;
  }

  void keep(std::unique_ptr<Connection> connection, std::uint64_t epoch) {
    if (epoch != epoch_) return;
    idle_.push_back({std::move(connection), base::system_clock().steady()});
    if (!reaping_) reap_later();
  }

  // Closes what has been idle for too long, when it has, and not at the next request.
  void reap_later() {
    reaping_ = true;
    reaper_.expires_at(idle_.front().since + options_.idle_timeout);
    reaper_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = std::static_pointer_cast<PooledClient>(weak.lock());
      if (ec || !self) return;
      self->reaping_ = false;
      const auto oldest = base::system_clock().steady() - self->options_.idle_timeout;
      while (!self->idle_.empty() && self->idle_.front().since <= oldest) self->idle_.pop_front();
      if (!self->idle_.empty()) self->reap_later();
    });
  }

  detail::Route route_;
  ClientOptions options_;
  std::shared_ptr<Slots> slots_;
  std::shared_ptr<Slots> stream_slots_;
  std::deque<Idle> idle_;  // longest unused first
  boost::asio::steady_timer reaper_;
  bool reaping_ = false;
  std::uint64_t epoch_ = 0;  // of TLS options
};

}  // namespace

base::Result<std::shared_ptr<Client>> Client::create(rt::Runtime& runtime, const std::string& url,
                                                     ClientOptions options) {
  detail::Route route;
  route.runtime = &runtime;
  SLUICE_TRY(route.url, Url::parse(url));
  if (!options.proxy.empty()) {
    auto proxy = Url::parse(options.proxy);
    if (!proxy) return base::unexpected(std::move(proxy).error().with_context("proxy"));
    if (proxy->scheme != "http") {
      return base::unexpected(base::ErrorKind::unsupported, "proxy " + proxy->origin() + ": only http:// is supported");
    }
    route.proxy = *std::move(proxy);
  }
  if (route.url.scheme == "https") {
    SLUICE_TRY(route.context, detail::make_client_context(options.tls));
    route.server_name = options.tls.server_name;
  }
  return std::shared_ptr<Client>(std::make_shared<PooledClient>(runtime, std::move(route), std::move(options)));
}

std::string proxy_from_environment(const Url& url) {
  const auto read = [](const char* upper, const char* lower) {
    const char* value = std::getenv(lower);
    if (value == nullptr || *value == '\0') value = std::getenv(upper);
    return std::string(value == nullptr ? "" : value);
  };
  detail::ProxyEnvironment environment;
  environment.https = read("HTTPS_PROXY", "https_proxy");
  environment.http = read("HTTP_PROXY", "http_proxy");
  environment.all = read("ALL_PROXY", "all_proxy");
  environment.none = read("NO_PROXY", "no_proxy");
  return detail::choose_proxy(url, environment);
}

}  // namespace sluice::http
