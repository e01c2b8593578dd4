#include "endpoint.hpp"

#include <algorithm>
#include <optional>

#include "base/digest.hpp"
#include "doc/yaml.hpp"
#include "kube/secret_view.hpp"

namespace sluice::notification_controller {

namespace {

constexpr std::size_t kMaxAddress = 2048;  // Flux
// Ours: headers are read and looked through for each delivery, and few receivers take more.
constexpr std::size_t kMaxHeaders = 64;
constexpr std::size_t kMaxHeaderBytes = 16U << 10U;
// Ours: a delivery holds up the Provider's others, and the end of the process.
constexpr base::Duration kLongestDelivery = std::chrono::minutes(2);

std::string_view trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

base::Unexpected invalid(std::string message) { return base::unexpected(base::ErrorKind::invalid, std::move(message)); }

// RFC 9110: a value with a line end would be read as further fields.
bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

bool is_field_name(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

std::string scalar_text(const doc::Json& value) {
  return value.is_string() ? value.get<std::string>() : doc::print_json(value);
}

base::Unexpected too_many_headers(const kube::SecretView& secret) {
  return invalid(secret.where("headers") + " holds over 64 headers, or over 16 KiB");
}

base::Result<void> read_headers(const kube::SecretView& secret, Endpoint& endpoint) {
  SLUICE_TRY(const auto text, secret.find("headers"));
  if (!text) return {};
  if (text->size() > kMaxHeaderBytes) return too_many_headers(secret);
  const auto parsed = doc::parse_yaml(*text);
  // Not the parser's message: it may quote what it read.
  if (!parsed || !(parsed->is_object() || parsed->is_null())) {
    return invalid(secret.where("headers") + " is not a YAML map of names to values");
  }
  if (parsed->size() > kMaxHeaders) return too_many_headers(secret);
  std::size_t bytes = 0;  // aliases make more of them than the text has
  for (const auto& [name, value] : parsed->items()) {
    if (!value.is_primitive() || !is_field_name(name) || !is_field_value(scalar_text(value))) {
      return invalid(secret.where("headers") + " holds a name or a value that no HTTP header can have");
    }
    bytes += name.size() + scalar_text(value).size();
    if (bytes > kMaxHeaderBytes) return too_many_headers(secret);
    endpoint.headers.set(name, scalar_text(value));
    endpoint.masks->add(scalar_text(value));
  }
  return {};
}

// What the spec or the Secret says the address is, and who says it.
base::Result<void> read_address(const api::ProviderSpec& spec, const std::optional<std::string>& from_secret,
                                const std::string& where, Endpoint& endpoint) {
  const std::string address(from_secret ? trim(*from_secret) : trim(spec.address));
  const std::string said_by = from_secret ? where : std::string("spec.address");
  if (address.empty()) {
    if (from_secret) return invalid(where + " is empty");
    return invalid("spec.address: is empty, and no Secret names an address");
  }
  if (address.size() > kMaxAddress) return invalid(said_by + ": is longer than 2048 bytes");
  auto url = http::Url::parse(address);
  // Not the parser's message: it may quote the address.
  if (!url || !is_field_value(address)) return invalid(said_by + ": is not an http or https URL");
  endpoint.url = *std::move(url);
  // The path holds the secret of a webhook; host and port say who is paid for it.
  for (const auto& part : {address, endpoint.url.target, endpoint.url.userinfo}) endpoint.masks->add(part);
  if (from_secret) {
    for (const auto& part : {endpoint.url.origin(), endpoint.url.host}) endpoint.masks->add(part);
  }
  return {};
}

base::Result<void> read_certificates(const kube::SecretView& secret, http::TlsOptions& tls) {
  SLUICE_TRY(const auto ca, secret.find_public("ca.crt"));
  SLUICE_TRY(const auto certificate, secret.find_public("tls.crt"));
  SLUICE_TRY(const auto key, secret.find("tls.key"));
  if (!ca && !certificate && !key)
    return invalid("Secret '" + secret.name() + "' has none of ca.crt, tls.crt, tls.key");
  if (certificate.has_value() != key.has_value()) {
    return invalid("Secret '" + secret.name() + "' must have both tls.crt and tls.key, or neither");
  }
  if (ca) tls.ca_pem = *ca;
  if (certificate) tls.certificate_pem = *certificate;
  if (key) tls.key_pem = *key;
  return {};
}

base::Result<void> read_secret(const api::Provider& provider, const doc::Json& json, Endpoint& endpoint) {
  const std::string name = provider.spec.secret_ref ? provider.spec.secret_ref->name : std::string();
  const kube::SecretView secret(json, name, endpoint.masks);
  SLUICE_TRY(const auto address, secret.find("address"));
  SLUICE_TRY(const auto token, secret.find("token"));
  SLUICE_TRY(const auto proxy, secret.find("proxy"));
  if (proxy) return invalid(secret.where("proxy") + ": sending through a proxy is not implemented");
  SLUICE_CHECK(read_headers(secret, endpoint));
  SLUICE_CHECK(read_address(provider.spec, address, secret.where("address"), endpoint));
  const bool signs = endpoint.type == api::provider_type::kGenericHmac;
  // Flux: the key of the signature is taken byte by byte, line end included.
  if (token) endpoint.token = signs ? *token : std::string(trim(*token));
  if (signs && endpoint.token.empty()) {
    return invalid(name.empty() ? "spec.secretRef: is required, for the key of the signature"
                                : secret.where("token") + " is missing or empty; it is the key of the signature");
  }
  if (!signs && !is_field_value(endpoint.token)) return invalid(secret.where("token") + " holds a control character");
  return {};
}

std::string fingerprint_of(const Endpoint& endpoint) {
  base::Hasher hasher;
  for (const std::string* part : {&endpoint.tls.ca_pem, &endpoint.tls.certificate_pem, &endpoint.tls.key_pem}) {
    hasher.update(std::to_string(part->size()) + ":" + *part);
  }
  hasher.update(endpoint.url.origin());
  hasher.update(base::format_duration(endpoint.timeout));
  return hasher.finish_hex();
}

}  // namespace

base::Duration delivery_timeout(const api::ProviderSpec& spec) {
  return std::min(api::effective_timeout(spec), kLongestDelivery);
}

base::Result<Endpoint> resolve_endpoint(const api::Provider& provider, const EndpointSecrets& secrets) {
  Endpoint endpoint;
  endpoint.type = provider.spec.type;
  endpoint.channel = provider.spec.channel;
  endpoint.username = provider.spec.username;
  endpoint.timeout = delivery_timeout(provider.spec);
  SLUICE_CHECK(read_secret(provider, secrets.secret, endpoint));
  if (provider.spec.cert_secret_ref) {
    const kube::SecretView cert(secrets.cert, provider.spec.cert_secret_ref->name, endpoint.masks);
    SLUICE_CHECK(read_certificates(cert, endpoint.tls));
  }
  endpoint.fingerprint = fingerprint_of(endpoint);
  return endpoint;
}

}  // namespace sluice::notification_controller
