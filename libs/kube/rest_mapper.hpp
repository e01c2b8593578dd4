// Which resource serves a kind: discovery, kept and refreshed. Runs on the loop.
#pragma once

#include <memory>
#include <string>

#include "api/object_meta.hpp"
#include "kube/client.hpp"

namespace sluice::kube {

// One per client, shared by all that use it.
class RestMapper {
 public:
  explicit RestMapper(std::shared_ptr<Client> client);
  ~RestMapper();
  // The resource of a kind. An unknown kind triggers one new discovery (shared
  // by all who ask meanwhile, and not more often than once a second); `not_found`
  // with reason "NoKindMatch" if the server still does not serve it.
  rt::Task<base::Result<Resource>> resource_for(api::GroupVersionKind kind);
  // Any served version of a group and kind, the preferred one first.
  rt::Task<base::Result<Resource>> resource_for_group_kind(std::string group, std::string kind);
  // Forgets all; the next question asks the server.
  void invalidate();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice::kube
