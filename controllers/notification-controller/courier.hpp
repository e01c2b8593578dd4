// Takes one notification to its Provider: reads the Secrets, formats, sends,
// and says what the answer means. Runs on the loop; outlives its calls.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/provider.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "endpoint.hpp"
#include "http/client.hpp"
#include "kube/client.hpp"
#include "notification.hpp"
#include "room.hpp"
#include "rt/runtime.hpp"

namespace sluice::notification_controller {

class Courier {
 public:
  virtual ~Courier() = default;
  // Errors as judge_answer; those of the Provider and its Secrets are never `invalid`.
  // Messages are safe to show.
  virtual rt::Task<base::Result<void>> deliver(api::Provider provider, Notification notification, std::string id) = 0;
};

// Reads the Secrets of a Provider from the server, each time anew: they are not
// cached and not watched, so the daemon needs no right to list Secrets.
rt::Task<base::Result<Endpoint>> read_endpoint(std::shared_ptr<kube::Client> client, api::Provider provider);

class HttpCourier final : public Courier {
 public:
  HttpCourier(rt::Runtime& runtime, std::shared_ptr<kube::Client> client, base::Logger log);
  rt::Task<base::Result<void>> deliver(api::Provider provider, Notification notification, std::string id) override;
  // Closes the connection kept for a Provider that is gone.
  void forget(const api::ObjectKey& provider);

  // Connections are kept for the next message, of one namespace so many at most (rt::FairShares): those that were
  // used last, and for so long.
  static constexpr std::size_t kMaxKept = 32;
  static constexpr std::chrono::milliseconds kKeptFor{60'000};
  std::size_t kept() const noexcept { return kept_.size(); }

 private:
  struct Connection {
    std::string fingerprint;
    std::shared_ptr<http::Client> client;
    base::SteadyPoint since{};  // it is idle
  };
  using Kept = std::map<api::ObjectKey, Connection>;
  base::Result<std::shared_ptr<http::Client>> connection_for(const api::ObjectKey& provider, const Endpoint& endpoint);
  // For the next message. Makes room by closing what of the same namespace was used longest ago.
  void keep(const api::ObjectKey& provider, std::string fingerprint, std::shared_ptr<http::Client> client);
  Kept::iterator drop(Kept::iterator connection);

  rt::Runtime& runtime_;
  std::shared_ptr<kube::Client> client_;
  base::Logger log_;
  Kept kept_;  // none of those that something is being sent on
  Room room_{kMaxKept};
};

}  // namespace sluice::notification_controller
