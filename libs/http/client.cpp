#include "http/client.hpp"

#include <deque>

#include "base/clock.hpp"
#include "http/detail/connection.hpp"
#include "http/detail/slots.hpp"
#include "http/detail/tls.hpp"

namespace sluice::http {
namespace {

using detail::Connection;
using detail::Slots;

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

class PooledClient final : public Client {
 public:
  PooledClient(Url url, ClientOptions options, std::shared_ptr<boost::asio::ssl::context> context)
      : url_(std::move(url)),
        options_(std::move(options)),
        context_(std::move(context)),
        slots_(std::make_shared<Slots>(options_.max_connections)),
        stream_slots_(std::make_shared<Slots>(options_.max_streams)) {}

  rt::Task<base::Result<Response>> send(Request request) override {
    const Slots::Lease lease = co_await slots_->acquire();
    std::unique_ptr<Connection> kept = take_idle();
    if (kept) {
      Request copy = request;  // for the second attempt
      auto first = co_await kept->exchange(std::move(copy), options_.request_timeout, options_.max_body);
      if (first.reusable) keep(std::move(kept));
      // RFC 9110, 9.2.2 would have only idempotent methods retried. Nothing of an
      // answer on a kept connection means that the server closed it while idle.
      if (first.response || !first.nothing_came) co_return std::move(first.response);
    }
    auto fresh = co_await detail::connect(url_, options_.tls, context_, options_.connect_timeout, options_.user_agent);
    if (!fresh) co_return base::unexpected(std::move(fresh).error());
    auto exchange = co_await (*fresh)->exchange(std::move(request), options_.request_timeout, options_.max_body);
    if (exchange.reusable) keep(*std::move(fresh));
    co_return std::move(exchange.response);
  }

  rt::Task<base::Result<std::unique_ptr<ResponseStream>>> open(Request request) override {
    Slots::Lease lease = co_await stream_slots_->acquire();
    auto fresh = co_await detail::connect(url_, options_.tls, context_, options_.connect_timeout, options_.user_agent);
    if (!fresh) co_return base::unexpected(std::move(fresh).error());
    auto head = co_await (*fresh)->open(std::move(request), options_.request_timeout);
    if (!head) co_return base::unexpected(std::move(head).error());
    co_return std::make_unique<StreamOnConnection>(*std::move(fresh), *std::move(head), std::move(lease));
  }

  base::Result<void> update_tls(TlsOptions tls) override {
    if (url_.scheme == "https") {
      SLUICE_TRY(context_, detail::make_client_context(tls));
      idle_.clear();
    }
    options_.tls = std::move(tls);
    return {};
  }

  const Url& url() const override { return url_; }

 private:
  std::unique_ptr<Connection> take_idle() {
    const auto oldest = base::system_clock().steady() - options_.idle_timeout;
    while (!idle_.empty() && idle_.front().since < oldest) idle_.pop_front();
    if (idle_.empty()) return nullptr;
    auto connection = std::move(idle_.back().connection);  // the warmest one
    idle_.pop_back();
    return connection;
  }
  void keep(std::unique_ptr<Connection> connection) {
    idle_.push_back({std::move(connection), base::system_clock().steady()});
  }

  Url url_;
  ClientOptions options_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::shared_ptr<Slots> slots_;
  std::shared_ptr<Slots> stream_slots_;
  std::deque<Idle> idle_;  // longest unused first
};

}  // namespace

base::Result<std::shared_ptr<Client>> Client::create(rt::Runtime&, const std::string& url, ClientOptions options) {
  SLUICE_TRY(Url parsed, Url::parse(url));
  std::shared_ptr<boost::asio::ssl::context> context;
  if (parsed.scheme == "https") {
    SLUICE_TRY(context, detail::make_client_context(options.tls));
  }
  return std::shared_ptr<Client>(
      std::make_shared<PooledClient>(std::move(parsed), std::move(options), std::move(context)));
}

}  // namespace sluice::http
