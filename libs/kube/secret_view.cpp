#include "kube/secret_view.hpp"

#include <algorithm>
#include <utility>

#include "base/digest.hpp"

namespace sluice::kube {

namespace {

const Resource& secrets_resource() {
  static const Resource resource{"", "v1", "Secret", "secrets", true};
  return resource;
}

constexpr std::size_t kShortEncoded = 1024;  // of these all forms cost little

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string scalar_text(const doc::Json& value) {
  return value.is_string() ? value.get<std::string>() : doc::print_json(value);
}

}  // namespace

SecretView::SecretView(doc::Json secret, std::string name, std::shared_ptr<base::Masks> masks)
    : secret_(std::move(secret)), name_(std::move(name)), masks_(std::move(masks)) {}

std::string SecretView::where(std::string_view key) const {
  return "key '" + std::string(key) + "' of Secret '" + name_ + "'";
}

bool SecretView::has(std::string_view key) const { return doc::find(secret_, {"data", key}) != nullptr; }

base::Result<std::optional<std::string>> SecretView::decode(std::string_view key, bool is_secret) const {
  const auto* value = doc::find(secret_, {"data", key});
  if (value == nullptr || !value->is_string()) return std::optional<std::string>();
  auto decoded = base::base64_decode(value->get_ref<const std::string&>());
  if (!decoded) return base::unexpected(base::ErrorKind::invalid, where(key) + " is not base64");
  if (is_secret && masks_) masks_->add(*decoded);
  return std::optional<std::string>(*std::move(decoded));
}

base::Result<std::optional<std::string>> SecretView::find(std::string_view key) const { return decode(key, true); }
base::Result<std::optional<std::string>> SecretView::find_public(std::string_view key) const {
  return decode(key, false);
}

base::Result<std::optional<std::string>> SecretView::find_trimmed(std::string_view key) const {
  SLUICE_TRY(auto value, find(key));
  if (value) *value = trimmed(*value);
  return value;
}

base::Result<std::string> SecretView::require(std::string_view key) const {
  SLUICE_TRY(auto value, find(key));
  if (!value) return base::unexpected(base::ErrorKind::invalid, where(key) + " is missing");
  if (value->empty()) return base::unexpected(base::ErrorKind::invalid, where(key) + " is empty");
  return *std::move(value);
}

base::Result<std::string> SecretView::require_trimmed(std::string_view key) const {
  SLUICE_TRY(std::string value, require(key));
  value = trimmed(value);
  if (value.empty()) return base::unexpected(base::ErrorKind::invalid, where(key) + " is empty");
  return value;
}

base::Result<SecretView::Data> SecretView::all(std::initializer_list<std::string_view> public_keys) const {
  Data data;
  const auto* encoded = doc::find(secret_, {"data"});
  if (encoded == nullptr || !encoded->is_object()) return data;
  for (const auto& [key, value] : encoded->items()) {
    const bool is_public = std::find(public_keys.begin(), public_keys.end(), key) != public_keys.end();
    SLUICE_TRY(auto decoded, decode(key, !is_public));
    if (decoded) data.emplace(key, *std::move(decoded));
  }
  return data;
}

void mask_secret(const doc::Json& object, base::Masks& masks) {
  if (api::kind_of(object) != "Secret") return;
  for (const char* field : {"data", "stringData"}) {
    const auto* values = doc::find(object, {field});
    if (values == nullptr || !values->is_object()) continue;
    for (const auto& [key, value] : values->items()) {
      if (value.is_null()) continue;
      const std::string text = scalar_text(value);
      const bool is_encoded = std::string_view(field) == "data" && value.is_string();
      const auto decoded = is_encoded ? base::base64_decode(text) : base::Result<std::string>(std::string());
      if (is_encoded && decoded) masks.add(*decoded);
      // A long one in base64 is known with the value itself.
      const bool is_known =
          is_encoded && decoded && text.size() > kShortEncoded && base::base64_encode(*decoded) == text;
      if (!is_known) masks.add(text);
    }
  }
}

rt::Task<base::Result<SecretView>> read_secret(std::shared_ptr<Client> client, api::ObjectKey key,
                                               std::shared_ptr<base::Masks> masks) {
  std::string name = key.str();
  auto getting = client->get(secrets_resource(), std::move(key));
  auto secret = co_await std::move(getting);
  if (!secret) co_return base::unexpected(std::move(secret).error().with_context("Secret '" + name + "'"));
  co_return SecretView(*std::move(secret), std::move(name), std::move(masks));
}

}  // namespace sluice::kube
