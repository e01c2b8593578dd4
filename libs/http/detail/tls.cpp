#include "http/detail/tls.hpp"

#include <openssl/ssl.h>

namespace sluice::http::detail {

namespace ssl = boost::asio::ssl;

namespace {

base::Unexpected bad_pem(const char* field, const boost::system::error_code& ec) {
  return base::unexpected(base::ErrorKind::invalid, std::string(field) + " is not usable PEM: " + ec.message());
}

}  // namespace

base::Result<std::shared_ptr<ssl::context>> make_client_context(const TlsOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  boost::system::error_code ec;
  if (options.ca_pem.empty()) {
    context->set_default_verify_paths(ec);
    if (ec) return bad_pem("the system's trust store", ec);
  } else {
    context->add_certificate_authority(boost::asio::buffer(options.ca_pem), ec);
    if (ec) return bad_pem("the CA certificate", ec);
  }
  if (!options.certificate_pem.empty()) {
    context->use_certificate_chain(boost::asio::buffer(options.certificate_pem), ec);
    if (ec) return bad_pem("the client certificate", ec);
    context->use_private_key(boost::asio::buffer(options.key_pem), ssl::context::pem, ec);
    if (ec) return bad_pem("the client key", ec);
    if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
      return base::unexpected(base::ErrorKind::invalid, "the client key does not belong to the client certificate");
    }
  }
  context->set_verify_mode(options.insecure_skip_verify ? ssl::verify_none : ssl::verify_peer, ec);
  if (ec) return bad_pem("the verify mode", ec);
  return context;
}

}  // namespace sluice::http::detail
