// In whose name an object is reconciled: the daemon's own, or that of a service account of the
// object's namespace. On the loop.
#pragma once

#include <memory>
#include <string>

#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"

namespace sluice::sources {

struct Identity {
  std::string namespace_;
  std::string account;  // "" is the daemon itself
  bool operator==(const Identity&) const = default;

  // spec.serviceAccountName of an object in `space`, else --default-service-account.
  static Identity of(std::string_view space, const std::string& named, const std::string& fallback) {
    return {std::string(space), named.empty() ? fallback : named};
  }
  bool is_own() const noexcept { return account.empty(); }
  // Speaks as it, with no other rights.
  std::shared_ptr<kube::Client> client(std::shared_ptr<kube::Client> own) const;
};

// The API server asks nobody whether an account that is impersonated exists; an account without rights
// and one that is gone look alike. A daemon with few rights may not look at accounts: unknown.
enum class AccountState { exists, gone, unknown };
rt::Task<base::Result<AccountState>> find_account(std::shared_ptr<kube::Client> own, Identity identity);

}  // namespace sluice::sources
