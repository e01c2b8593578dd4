// The one way to read a Secret: decodes, says what is missing where, and lets the run's
// Masks know every value that it hands out, so that none of them reaches a condition, an
// Event or a log line. Errors name the Secret and the key, never a value.
//
//   auto reading = kube::read_secret(client, {space, ref.name}, run.context.masks);
//   auto secret = co_await std::move(reading);
//   SLUICE_CO_TRY(const std::string token, secret->require_trimmed("token"));
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "base/masks.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/task.hpp"

namespace sluice::kube {

class SecretView {
 public:
  // `secret` is the Secret's object; null or one without data has no keys. `name` is how
  // messages call it ("apps/git-auth"). Without `masks` nothing is registered: for
  // callers whose text does not leave the process.
  SecretView(doc::Json secret, std::string name, std::shared_ptr<base::Masks> masks);

  const std::string& name() const noexcept { return name_; }
  // "key 'token' of Secret 'apps/git-auth'"
  std::string where(std::string_view key) const;
  bool has(std::string_view key) const;

  // The decoded value; nothing where the key is not there. `invalid`: it is no base64.
  base::Result<std::optional<std::string>> find(std::string_view key) const;
  // Without white space around it, which editors and `echo` leave behind.
  base::Result<std::optional<std::string>> find_trimmed(std::string_view key) const;
  // `invalid` where the key is missing or empty.
  base::Result<std::string> require(std::string_view key) const;
  base::Result<std::string> require_trimmed(std::string_view key) const;
  // For what is no secret though it is kept in one: certificates of authorities, host keys,
  // user names, a type. Not masked.
  base::Result<std::optional<std::string>> find_public(std::string_view key) const;
  // All of them, registered but for those of `public_keys`.
  using Data = std::map<std::string, std::string, std::less<>>;
  base::Result<Data> all(std::initializer_list<std::string_view> public_keys = {}) const;

 private:
  base::Result<std::optional<std::string>> decode(std::string_view key, bool is_secret) const;

  doc::Json secret_;
  std::string name_;
  std::shared_ptr<base::Masks> masks_;
};

// Lets `masks` know the values of a Secret object, as it is stored or as a manifest has it:
// those of `data` (base64 or not) and of `stringData`, whatever their type. Other kinds
// have none.
void mask_secret(const doc::Json& object, base::Masks& masks);

// GET of the Secret; on the loop. The client's errors are prefixed with "Secret '<key>'".
rt::Task<base::Result<SecretView>> read_secret(std::shared_ptr<Client> client, api::ObjectKey key,
                                               std::shared_ptr<base::Masks> masks);

}  // namespace sluice::kube
