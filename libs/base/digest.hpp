// Content digests in the form `<algorithm>:<hex>` (OCI image spec, "Digests").
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::base {

enum class DigestAlgorithm { sha1, sha256, sha384, sha512 };

std::string_view to_string(DigestAlgorithm algorithm) noexcept;
Result<DigestAlgorithm> parse_digest_algorithm(std::string_view name);

// Feeds bytes, yields one digest. Reusable after finish().
class Hasher {
 public:
  explicit Hasher(DigestAlgorithm algorithm = DigestAlgorithm::sha256);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void update(std::string_view bytes);
  // Lower-case hex of what was fed since construction or the last finish.
  std::string finish_hex();
  // `<algorithm>:<hex>`.
  std::string finish_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);
// "sha256:<hex>"
std::string sha256_digest(std::string_view bytes);
// Lower-case hex of HMAC (RFC 2104) over `bytes`.
std::string hmac_hex(DigestAlgorithm algorithm, std::string_view key, std::string_view bytes);

struct Digest {
  DigestAlgorithm algorithm = DigestAlgorithm::sha256;
  std::string hex;  // lower case, of the length that the algorithm has

  // `invalid` for an unknown algorithm, a wrong length or a non-hex digit.
  static Result<Digest> parse(std::string_view text);
  std::string str() const;
  bool operator==(const Digest&) const = default;
};

// RFC 4648 with padding. Decoding skips ASCII white space, as Kubernetes
// Secret values may hold line ends; anything else outside the alphabet is `invalid`.
std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);

}  // namespace sluice::base
