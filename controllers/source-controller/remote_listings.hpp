// Lists the references of remote repositories, once for all who ask at the same
// time. Lives on the loop; owned by the reconciler.
//
// A Git host that serves one repository to a hundred GitRepositories sees one
// request where their polls meet, not a hundred. Who may share: the same URL
// with the same credentials, compared by a hash, so that no secret is kept here
// and nobody sees what his own credentials would not show him.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "git/remote.hpp"
#include "rt/runtime.hpp"

namespace sluice::source_controller {

struct ListingRequest {
  git::Endpoint endpoint;
  git::Auth auth;
  std::chrono::milliseconds timeout{};
  api::ObjectKey asker;
  // How old a listing may be, counted from when it began.
  base::Duration max_age{};
  // Nothing that began before now will do: somebody says that there is news.
  bool fresh = false;
};

struct Listing {
  std::shared_ptr<const git::RefList> refs;
  // The conversation, to fetch with; null where somebody else's listing was
  // shared. It may then be used by one job at a time.
  std::shared_ptr<git::Remote> remote;
};

class RemoteListings {
 public:
  // Both outlive it.
  RemoteListings(rt::Runtime& runtime, const base::Clock& clock) : runtime_(runtime), clock_(clock) {}

  // Errors are those of git::Remote::connect, the same for all who shared it.
  rt::Task<base::Result<Listing>> list(ListingRequest request);

 private:
  using Refs = std::shared_ptr<const git::RefList>;
  // A listing that is on its way.
  struct Flight {
    std::optional<base::Result<Refs>> result;  // nothing: it was given up
    rt::Notify landed;
    std::string owner;                // the namespace whose share of the pool it takes
    std::atomic<bool> begun = false;  // it has a thread
    bool awaited = false;
  };
  struct Entry {
    api::ObjectKey last_asker;
    bool shared = false;  // more than one object asks for this
    Refs refs;            // kept only where that is so
    base::SteadyPoint began{};
    base::SteadyPoint last_used{};
    std::shared_ptr<Flight> flight;  // the newest one
  };
  class Lead;

  Entry& note(const std::string& key, const ListingRequest& request);
  void forget_old();

  rt::Runtime& runtime_;
  const base::Clock& clock_;
  std::map<std::string, Entry> entries_;
};

}  // namespace sluice::source_controller
