// Provider (notification.toolkit.fluxcd.io/v1beta3): where alerts are sent.
// Plain data; docs/spec/provider.md says what each field means.
#pragma once

#include <optional>
#include <string>

#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "api/references.hpp"

namespace sluice::api {

// The values of `spec.type` that have an implementation here.
namespace provider_type {
inline constexpr std::string_view kGeneric = "generic";
inline constexpr std::string_view kGenericHmac = "generic-hmac";
inline constexpr std::string_view kSlack = "slack";
}  // namespace provider_type

struct ProviderSpec {
  std::string type;
  std::optional<base::Duration> interval;  // read and not used, as upstream
  std::string channel;
  std::string username;
  std::string address;
  std::optional<base::Duration> timeout;
  std::string proxy;  // deprecated upstream in favour of proxySecretRef
  std::optional<LocalObjectReference> proxy_secret_ref;
  std::optional<LocalObjectReference> secret_ref;
  std::string service_account_name;
  std::optional<LocalObjectReference> cert_secret_ref;
  bool suspend = false;
  std::string commit_status_expr;
  bool operator==(const ProviderSpec&) const = default;
};

// Upstream's v1beta3 has no status. Ours is an addition that readers may
// ignore: without it nobody would learn that a field is not honoured.
struct ProviderStatus {
  std::int64_t observed_generation = 0;
  Conditions conditions;
  bool operator==(const ProviderStatus&) const = default;
};

struct Provider {
  ObjectMeta metadata;
  ProviderSpec spec;
  ProviderStatus status;
};

// `invalid`, with a message that starts with the field ("spec.type: ...").
base::Result<Provider> parse_provider(const doc::Json& object);
doc::Json to_json(const ProviderStatus& status);

// `timeout`, else 15 s as upstream has it.
base::Duration effective_timeout(const ProviderSpec& spec);

}  // namespace sluice::api
