#include "sources/identity.hpp"

#include <utility>

namespace sluice::sources {

using base::ErrorKind;

std::shared_ptr<kube::Client> Identity::client(std::shared_ptr<kube::Client> own) const {
  if (is_own()) return own;
  // The server adds the groups of a service account by itself, where none are named.
  return own->impersonate("system:serviceaccount:" + namespace_ + ":" + account, {});
}

rt::Task<base::Result<AccountState>> find_account(std::shared_ptr<kube::Client> own, Identity identity) {
  kube::Resource accounts{"", "v1", "ServiceAccount", "serviceaccounts", true};
  api::ObjectKey key{std::move(identity.namespace_), std::move(identity.account)};
  auto found = co_await own->get(std::move(accounts), std::move(key));
  if (found) co_return AccountState::exists;
  if (found.error().kind == ErrorKind::not_found) co_return AccountState::gone;
  if (found.error().kind == ErrorKind::forbidden) co_return AccountState::unknown;
  co_return base::unexpected(std::move(found).error());
}

}  // namespace sluice::sources
