#include "base/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace sluice::base {
namespace {

struct AlgorithmInfo {
  DigestAlgorithm algorithm;
  std::string_view name;
  std::size_t hex_length;
};
constexpr std::array<AlgorithmInfo, 4> kAlgorithms{{{DigestAlgorithm::sha1, "sha1", 40},
                                                    {DigestAlgorithm::sha256, "sha256", 64},
                                                    {DigestAlgorithm::sha384, "sha384", 96},
                                                    {DigestAlgorithm::sha512, "sha512", 128}}};

const AlgorithmInfo& info(DigestAlgorithm algorithm) {
  for (const AlgorithmInfo& entry : kAlgorithms) {
    if (entry.algorithm == algorithm) return entry;
  }
  std::abort();
}

const EVP_MD* evp(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::sha1: return EVP_sha1();
    case DigestAlgorithm::sha256: return EVP_sha256();
    case DigestAlgorithm::sha384: return EVP_sha384();
    case DigestAlgorithm::sha512: return EVP_sha512();
  }
  std::abort();
}

// OpenSSL fails here only when out of memory or misused.
void must(int ok) {
  if (ok != 1) std::abort();
}

std::string to_hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(size * 2);
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(kDigits[bytes[i] >> 4U]);
    out.push_back(kDigits[bytes[i] & 0xFU]);
  }
  return out;
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr unsigned char kNoDigit = 0xFF;

constexpr std::array<unsigned char, 256> kBase64Values = [] {
  std::array<unsigned char, 256> values{};
  values.fill(kNoDigit);
  for (std::size_t i = 0; i < kBase64.size(); ++i) {
    values[static_cast<unsigned char>(kBase64[i])] = static_cast<unsigned char>(i);
  }
  return values;
}();

}  // namespace

std::string_view to_string(DigestAlgorithm algorithm) noexcept { return info(algorithm).name; }

Result<DigestAlgorithm> parse_digest_algorithm(std::string_view name) {
  for (const AlgorithmInfo& entry : kAlgorithms) {
    if (entry.name == name) return entry.algorithm;
  }
  return unexpected(ErrorKind::invalid, "unknown digest algorithm '" + std::string(name) + "'");
}

struct Hasher::State {
  DigestAlgorithm algorithm;
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  explicit State(DigestAlgorithm a) : algorithm(a) { restart(); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  void restart() { must(EVP_DigestInit_ex(context, evp(algorithm), nullptr)); }
};

Hasher::Hasher(DigestAlgorithm algorithm) : state_(std::make_unique<State>(algorithm)) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::string_view bytes) { must(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size())); }

std::string Hasher::finish_hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  must(EVP_DigestFinal_ex(state_->context, out.data(), &size));
  state_->restart();
  return to_hex(out.data(), size);
}

std::string Hasher::finish_digest() { return std::string(to_string(state_->algorithm)) + ":" + finish_hex(); }

// Not through EVP: its first digest in a process reads openssl.cnf and learns
// hundreds of names, which costs more than all else that a short command does.
std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out{};
  SHA256_CTX context;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  must(SHA256_Init(&context));
  must(SHA256_Update(&context, bytes.data(), bytes.size()));
  must(SHA256_Final(out.data(), &context));
#pragma GCC diagnostic pop
  return to_hex(out.data(), out.size());
}

std::string sha256_digest(std::string_view bytes) { return "sha256:" + sha256_hex(bytes); }

std::string hmac_hex(DigestAlgorithm algorithm, std::string_view key, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  if (HMAC(evp(algorithm), key.data(), static_cast<int>(key.size()), data, bytes.size(), out.data(), &size) ==
      nullptr) {
    std::abort();
  }
  return to_hex(out.data(), size);
}

Result<Digest> Digest::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return unexpected(ErrorKind::invalid, "digest '" + std::string(text) + "' has no algorithm before a colon");
  }
  SLUICE_TRY(const DigestAlgorithm algorithm, parse_digest_algorithm(text.substr(0, colon)));
  const std::string_view hex = text.substr(colon + 1);
  if (hex.size() != info(algorithm).hex_length || hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return unexpected(ErrorKind::invalid, "digest '" + std::string(text) + "' is not " +
                                              std::to_string(info(algorithm).hex_length) + " lower-case hex digits");
  }
  return Digest{algorithm, std::string(hex)};
}

std::string Digest::str() const { return std::string(to_string(algorithm)) + ":" + hex; }

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8U) | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= count ? kBase64[(group >> (18U - 6U * k)) & 63U] : '=');
    }
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  unsigned group = 0;
  std::size_t digits = 0;
  std::size_t padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const unsigned value = kBase64Values[static_cast<unsigned char>(c)];
    if (value == kNoDigit || padding > 0) {
      return unexpected(ErrorKind::invalid, "not base64: unexpected character");
    }
    group = (group << 6U) | value;
    if (++digits % 4 == 0) {
      out.push_back(static_cast<char>(group >> 16U & 0xFFU));
      out.push_back(static_cast<char>(group >> 8U & 0xFFU));
      out.push_back(static_cast<char>(group & 0xFFU));
      group = 0;
    }
  }
  const std::size_t rest = digits % 4;
  if (rest == 1 || (digits + padding) % 4 != 0 || padding > 2) {
    return unexpected(ErrorKind::invalid, "not base64: wrong length or padding");
  }
  if (rest == 2) out.push_back(static_cast<char>(group >> 4U & 0xFFU));
  if (rest == 3) {
    out.push_back(static_cast<char>(group >> 10U & 0xFFU));
    out.push_back(static_cast<char>(group >> 2U & 0xFFU));
  }
  return out;
}

}  // namespace sluice::base
