// The time as the API server has it: ours, moved by how far the server's clock is
// ahead (Client::clock_skew). For what is written to objects and compared with
// times that others wrote there; a machine whose clock is wrong then tells the
// same story as all others. Nothing for measuring: steady() is ours.
#pragma once

#include <memory>
#include <utility>

#include "base/clock.hpp"
#include "kube/client.hpp"

namespace sluice::kube {

class ServerClock final : public base::Clock {
 public:
  // `ours` outlives it.
  ServerClock(const base::Clock& ours, std::shared_ptr<const Client> client) : ours_(ours), client_(std::move(client)) {}
  base::TimePoint now() const override {
    return ours_.now() + std::chrono::duration_cast<base::TimePoint::duration>(client_->clock_skew());
  }
  base::SteadyPoint steady() const override { return ours_.steady(); }

 private:
  const base::Clock& ours_;
  std::shared_ptr<const Client> client_;
};

}  // namespace sluice::kube
