// TLS contexts from PEM texts. Private to libs/http.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "base/result.hpp"
#include "http/client.hpp"

namespace sluice::http::detail {

// `invalid`, naming the field, if a PEM does not parse or key and certificate do not match.
base::Result<std::shared_ptr<boost::asio::ssl::context>> make_client_context(const TlsOptions& options);

}  // namespace sluice::http::detail
