// Which proxy serves a URL. Pure; private to libs/http.
#pragma once

#include <string>

#include "http/client.hpp"

namespace sluice::http::detail {

struct ProxyEnvironment {
  std::string https;  // HTTPS_PROXY
  std::string http;   // HTTP_PROXY
  std::string all;    // ALL_PROXY
  std::string none;   // NO_PROXY
};

// The proxy's URL, or "" for a direct connection (Go: httpproxy.Config).
std::string choose_proxy(const Url& url, const ProxyEnvironment& environment);

// "Basic ..." from the user and password in a proxy's URL.
std::string proxy_authorization(const Url& proxy);

}  // namespace sluice::http::detail
