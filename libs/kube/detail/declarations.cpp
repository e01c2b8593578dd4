#include "kube/detail/declarations.hpp"

namespace sluice::kube::detail {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

bool is_denied(const base::Error& error) {
  return error.kind == ErrorKind::forbidden || error.kind == ErrorKind::unauthorized;
}

// The API requires that a definition is named "<plural>.<group>".
bool is_of_group(std::string_view definition, const std::string& group) {
  const auto dot = definition.find('.');
  return dot != std::string_view::npos && definition.substr(dot + 1) == group;
}

// A definition's metadata does not name its kind, and 300 whole ones are 30 MB; so those of the
// group are read one by one.
rt::Task<Result<bool>> is_defined(std::shared_ptr<Client> client, api::GroupKind kind) {
  ListOptions options;
  options.metadata_only = true;
  auto listed = co_await client->list(kDefinitions, std::move(options));
  SLUICE_CO_TRY(const ObjectList definitions, std::move(listed));
  for (const Json& definition : definitions.items) {
    if (!is_of_group(api::name_of(definition), kind.group)) continue;
    auto read = co_await client->get(kDefinitions, api::key_of(definition));
    if (!read && read.error().kind == ErrorKind::not_found) continue;
    SLUICE_CO_TRY(const Json whole, std::move(read));
    if (doc::find_string(whole, {"spec", "names", "kind"}) == kind.kind) co_return true;
  }
  co_return false;
}

// APIServices of groups that the server serves by itself name no service.
rt::Task<Result<bool>> is_served_by_another(std::shared_ptr<Client> client, std::string group) {
  auto listed = co_await client->list(kServices, ListOptions());
  SLUICE_CO_TRY(const ObjectList services, std::move(listed));
  for (const Json& service : services.items) {
    const Json* backend = doc::find(service, {"spec", "service"});
    if (backend == nullptr || backend->is_null()) continue;
    if (doc::find_string(service, {"spec", "group"}) == group) co_return true;
  }
  co_return false;
}

}  // namespace

rt::Task<Result<Declaration>> find_declaration(std::shared_ptr<Client> client, api::GroupKind kind) {
  auto defined = co_await is_defined(client, kind);
  if (!defined && is_denied(defined.error())) co_return Declaration::unseen;
  if (!defined) co_return base::unexpected(std::move(defined).error());
  if (*defined) co_return Declaration::definition;
  auto served = co_await is_served_by_another(client, kind.group);
  if (!served && is_denied(served.error())) co_return Declaration::unseen;
  if (!served) co_return base::unexpected(std::move(served).error());
  co_return *served ? Declaration::service : Declaration::none;
}

}  // namespace sluice::kube::detail
