#include "controller/endpoints.hpp"

#include <utility>

namespace sluice::controller {

namespace {

using Responder = std::function<http::Reply(const http::Request&)>;

rt::Task<http::Reply> respond(Responder responder, http::Request request) { co_return responder(request); }

http::Reply plain(int status, std::string text) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

std::string path_of(const http::Request& request) { return request.target.substr(0, request.target.find('?')); }

base::Result<std::unique_ptr<http::Server>> serve(rt::Runtime& runtime, const std::string& address,
                                                  Responder responder) {
  if (address.empty() || address == "0") return std::unique_ptr<http::Server>();
  auto handler = [responder = std::move(responder)](http::Request request) {
    return respond(responder, std::move(request));
  };
  return http::Server::start(runtime, address, std::move(handler));
}

}  // namespace

base::Result<std::unique_ptr<http::Server>> serve_metrics(rt::Runtime& runtime, const std::string& address,
                                                          std::shared_ptr<const Metrics> metrics) {
  return serve(runtime, address, [metrics = std::move(metrics)](const http::Request& request) {
    if (path_of(request) != "/metrics") return plain(404, "not found\n");
    return http::Reply{200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics->text()};
  });
}

base::Result<std::unique_ptr<http::Server>> serve_health(rt::Runtime& runtime, const std::string& address,
                                                         std::function<std::string()> why_not_ready) {
  return serve(runtime, address, [why_not_ready = std::move(why_not_ready)](const http::Request& request) {
    const std::string path = path_of(request);
    // An answer at all proves that the loop turns.
    if (path == "/healthz") return plain(200, "ok");
    if (path != "/readyz") return plain(404, "not found\n");
    std::string why = why_not_ready();
    return why.empty() ? plain(200, "ok") : plain(503, std::move(why));
  });
}

}  // namespace sluice::controller
