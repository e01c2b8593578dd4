// OpenSSL: contexts from PEM texts, sessions on a non-blocking socket, and
// what its errors mean. Private to libs/http.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/result.hpp"
#include "http/client.hpp"

namespace sluice::http::detail {

using TlsContext = std::shared_ptr<SSL_CTX>;

// `invalid`, naming the field, if a PEM does not parse, is encrypted, or key
// and certificate do not match.
base::Result<TlsContext> make_client_context(const TlsOptions& options);

struct SslDeleter {
  void operator()(SSL* session) const noexcept { SSL_free(session); }
};
using TlsSession = std::unique_ptr<SSL, SslDeleter>;

// A session that reads and writes `fd`, and expects a certificate issued to
// `name` (a host name, also sent as SNI, or an address). `internal` if OpenSSL
// is out of memory.
base::Result<TlsSession> make_session(const TlsContext& context, int fd, const std::string& name);

// What the last failed operation on `session` came to, `result` being what
// SSL_get_error said. `unauthorized` if the peer refuses our client certificate
// (in TLS 1.3 that is heard only after the handshake), `untrusted` if its own
// does not verify, else `fallback`.
base::Error tls_failure(SSL* session, int result, int saved_errno, base::ErrorKind fallback);

}  // namespace sluice::http::detail
