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
  // Closes the connections kept for a Provider that is gone.
  void forget(const api::ObjectKey& provider);

 private:
  struct Connection {
    std::string fingerprint;
    std::shared_ptr<http::Client> client;
  };
  base::Result<std::shared_ptr<http::Client>> connection_for(const api::ObjectKey& provider, const Endpoint& endpoint);

  rt::Runtime& runtime_;
  std::shared_ptr<kube::Client> client_;
  base::Logger log_;
  std::map<api::ObjectKey, Connection> connections_;
};

}  // namespace sluice::notification_controller
