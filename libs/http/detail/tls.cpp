#include "http/detail/tls.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

namespace sluice::http::detail {

using base::ErrorKind;
using base::Result;

namespace {

struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
struct KeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct StoreDeleter {
  void operator()(X509_STORE* store) const noexcept { X509_STORE_free(store); }
};
using Certificate = std::unique_ptr<X509, CertificateDeleter>;
using Store = std::shared_ptr<X509_STORE>;

std::string take_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

base::Unexpected bad_pem(const char* field, std::string_view fault) {
  return base::unexpected(ErrorKind::invalid, fmt::format("{} is not usable PEM: {}", field, fault));
}

std::unique_ptr<BIO, BioDeleter> bio_of(const std::string& pem) {
  return std::unique_ptr<BIO, BioDeleter>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// OpenSSL would ask the terminal for a pass phrase.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Result<std::vector<Certificate>> read_certificates(const char* field, const std::string& pem) {
  std::vector<Certificate> out;
  const auto bio = bio_of(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr)) {
    out.emplace_back(certificate);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string reason = take_reason();
  if (!at_end) return bad_pem(field, reason);
  if (out.empty()) return bad_pem(field, "there is no certificate in it");
  return out;
}

// The machine's CA certificates take a megabyte and are the same for all.
Result<Store> system_store() {
  static std::mutex mutex;
  static std::weak_ptr<X509_STORE> shared;
  const std::lock_guard lock(mutex);
  if (Store store = shared.lock()) return store;
  Store store(X509_STORE_new(), StoreDeleter{});
  if (!store || X509_STORE_set_default_paths(store.get()) != 1) {
    return base::unexpected(ErrorKind::io, "the system's trust store cannot be used: " + take_reason());
  }
  shared = store;
  return store;
}

Result<Store> store_of(const std::string& ca_pem) {
  if (ca_pem.empty()) return system_store();
  SLUICE_TRY(const auto certificates, read_certificates("the CA certificate", ca_pem));
  Store store(X509_STORE_new(), StoreDeleter{});
  for (const Certificate& certificate : certificates) {
    if (!store || X509_STORE_add_cert(store.get(), certificate.get()) != 1) {
      return bad_pem("the CA certificate", take_reason());
    }
  }
  return store;
}

Result<void> use_identity(SSL_CTX* context, const TlsOptions& options) {
  SLUICE_TRY(const auto chain, read_certificates("the client certificate", options.certificate_pem));
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
    return bad_pem("the client certificate", take_reason());
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return bad_pem("the client certificate", take_reason());
  }
  const auto bio = bio_of(options.key_pem);
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  if (!key) {
    const bool encrypted = options.key_pem.find("ENCRYPTED") != std::string::npos;
    const std::string reason = take_reason();
    return bad_pem("the client key", encrypted ? "it is encrypted, and there is nobody to ask for the pass phrase"
                                               : reason);
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return base::unexpected(ErrorKind::invalid, "the client key does not belong to the client certificate");
  }
  return {};
}

// --- a socket as OpenSSL sees it: as BIO_s_socket, but a peer that is gone raises no SIGPIPE ---

int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(fd_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && would_block()) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(fd_of(bio), data, static_cast<std::size_t>(size), 0);
  if (got < 0 && would_block()) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    BIO_meth_set_create(made, bio_create);
    return made;
  }();
  return method;
}

bool is_address(const std::string& name) {
  in6_addr address{};
  return ::inet_pton(AF_INET, name.c_str(), &address) == 1 || ::inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

// Alerts by which a peer refuses the certificate that we showed, or misses one (RFC 8446, 6.2).
bool refuses_our_certificate(int reason) {
  switch (reason - SSL_AD_REASON_OFFSET) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

}  // namespace

Result<TlsContext> make_client_context(const TlsOptions& options) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context) return base::unexpected(ErrorKind::internal, "OpenSSL cannot make a context: " + take_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // An idle connection keeps no record buffers (2 x 17 KiB), and a record is
  // read by one recv instead of two: its header's and its body's.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  constexpr unsigned char kHttp11[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context.get(), kHttp11, sizeof kHttp11 - 1);
  SLUICE_TRY(const Store store, store_of(options.ca_pem));
  SSL_CTX_set1_cert_store(context.get(), store.get());
  if (!options.certificate_pem.empty()) SLUICE_CHECK(use_identity(context.get(), options));
  SSL_CTX_set_verify(context.get(), options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  // The system's store stays shared for as long as a context uses it.
  SSL_CTX* raw = context.get();
  return TlsContext(raw, [context = std::move(context), store](SSL_CTX*) {});
}

Result<TlsSession> make_session(const TlsContext& context, int fd, const std::string& name) {
  ERR_clear_error();
  TlsSession session(SSL_new(context.get()));
  BIO* bio = session ? BIO_new(socket_method()) : nullptr;
  if (bio == nullptr) return base::unexpected(ErrorKind::internal, "OpenSSL cannot make a session: " + take_reason());
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  SSL_set_bio(session.get(), bio, bio);
  SSL_set_connect_state(session.get());
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), name.c_str());
    return session;
  }
  // OpenSSL compares the name as RFC 9525 asks. A trailing dot is no part of a certificate's name.
  const std::string host = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
  SSL_set_tlsext_host_name(session.get(), host.c_str());
  SSL_set_hostflags(session.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (SSL_set1_host(session.get(), host.c_str()) != 1) {
    return base::unexpected(ErrorKind::invalid, fmt::format("'{}' cannot be a name in a certificate", name));
  }
  return session;
}

base::Error tls_failure(SSL* session, int result, int saved_errno, ErrorKind fallback) {
  base::Error error;
  error.kind = fallback;
  const int reason = result == SSL_ERROR_SSL ? ERR_GET_REASON(ERR_peek_last_error()) : 0;
  const long verdict = SSL_get_verify_result(session);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
    error.kind = ErrorKind::untrusted;
    error.message = fmt::format("its certificate is not trusted: {}", X509_verify_cert_error_string(verdict));
    ERR_clear_error();
  } else if (refuses_our_certificate(reason)) {
    error.kind = ErrorKind::unauthorized;
    error.message = "it does not accept our client certificate, or wants one: " + take_reason();
  } else if (result == SSL_ERROR_SSL && reason != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    error.message = take_reason();
  } else if (result == SSL_ERROR_SYSCALL && saved_errno != 0) {
    error.kind = ErrorKind::unavailable;
    error.message = std::strerror(saved_errno);
    ERR_clear_error();
  } else {
    error.kind = ErrorKind::unavailable;
    error.message = "the server closed the connection";
    ERR_clear_error();
  }
  return error;
}

}  // namespace sluice::http::detail
