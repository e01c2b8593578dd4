// Where a Provider sends to, and with which credentials: the Provider and its
// Secrets, read and checked. Pure.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "api/provider.hpp"
#include "base/masks.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "http/client.hpp"

namespace sluice::notification_controller {

struct Endpoint {
  std::string type;
  http::Url url;
  http::TlsOptions tls;
  std::string token;
  http::Headers headers;  // from the Secret
  std::string channel;
  std::string username;
  base::Duration timeout{};
  // What must not be seen by others: address, token, header values.
  std::shared_ptr<base::Masks> masks = std::make_shared<base::Masks>();
  // Changes when a connection made for another endpoint may not be used.
  std::string fingerprint;

  // All text that comes back from a receiver or from the network passes through here.
  std::string mask(std::string text) const { return masks->apply(std::move(text)); }
};

// How long one delivery may take: what the spec says, and 2 minutes at the most.
base::Duration delivery_timeout(const api::ProviderSpec& spec);

// Which Secrets `resolve_endpoint` wants to see; keys of `data` that it reads.
struct EndpointSecrets {
  doc::Json secret;  // of spec.secretRef; null if there is no such reference
  doc::Json cert;    // of spec.certSecretRef
};

// `invalid`, naming the field, or the Secret and key; never a value of a Secret.
base::Result<Endpoint> resolve_endpoint(const api::Provider& provider, const EndpointSecrets& secrets);

}  // namespace sluice::notification_controller
