#include "kube/client.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "http/client.hpp"
#include "kube/detail/credentials.hpp"
#include "kube/detail/paths.hpp"
#include "kube/detail/status.hpp"
#include "kube/detail/watch_stream.hpp"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr int kMaxAttempts = 10;
constexpr std::chrono::seconds kMaxRetryTime{30};
constexpr std::chrono::seconds kDefaultRetryAfter{1};
constexpr std::chrono::seconds kWatchSlack{30};   // after which a watch that should have ended is dead
constexpr std::size_t kParseOnPool = 64U << 10U;  // larger answers are parsed off the loop

constexpr const char* kJson = "application/json";
constexpr const char* kMetadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
constexpr const char* kMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

struct Call {
  std::string verb;  // as the request counter names it
  std::string method = "GET";
  std::string target;
  std::string accept = kJson;
  std::string content_type;
  std::string body;
};

// What all clients of one server share, whoever they speak as.
struct Transport {
  rt::Runtime& runtime;
  std::shared_ptr<http::Client> http;
  detail::Credentials credentials;
  RequestCounter counter;
};

const char* content_type(PatchType type) {
  switch (type) {
    case PatchType::merge: return "application/merge-patch+json";
    case PatchType::json: return "application/json-patch+json";
    case PatchType::strategic: return "application/strategic-merge-patch+json";
  }
  return kJson;
}

bool should_wait_and_retry(const http::Response& response) {
  // 503 without Retry-After is an outage, which callers back off from by their own rules.
  return response.status == 429 || (response.status == 503 && response.headers.contains("Retry-After"));
}

class ApiClient final : public Client {
 public:
  ApiClient(std::shared_ptr<Transport> transport, http::Headers identity)
      : transport_(std::move(transport)), identity_(std::move(identity)) {}

  rt::Task<Result<Json>> get(Resource resource, api::ObjectKey key) override {
    Call request{"get", "GET", detail::resource_path(resource, key.namespace_, key.name), kJson, {}, {}};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<ObjectList>> list(Resource resource, ListOptions options) override {
    auto first = co_await list_pages(resource, options, true);
    if (first || first.error().kind != ErrorKind::gone) co_return first;
    // The continue token expired half-way: start again, in one piece.
    options.page_size = 0;
    auto whole = co_await list_pages(resource, options, false);
    co_return whole;
  }

  rt::Task<Result<std::unique_ptr<Watch>>> watch(Resource resource, WatchOptions options) override {
    detail::Query query{{"watch", "true"},
                        {"allowWatchBookmarks", "true"},
                        {"labelSelector", options.label_selector},
                        {"fieldSelector", options.field_selector},
                        {"resourceVersion", options.resource_version},
                        {"timeoutSeconds", std::to_string(options.timeout.count())}};
    Call request{"watch",
                 "GET",
                 detail::with_query(detail::resource_path(resource, options.namespace_, {}), query),
                 options.metadata_only ? kMetadata : kJson,
                 {},
                 {}};
    for (bool retried = false;; retried = true) {
      http::Request message = to_request(request);
      auto authorized = co_await transport_->credentials.authorize(message, *transport_->http);
      if (!authorized) co_return base::unexpected(std::move(authorized).error());
      const auto started = std::chrono::steady_clock::now();
      auto stream = co_await transport_->http->open(std::move(message));
      if (!stream) co_return base::unexpected(std::move(stream).error());
      count(request.verb, (*stream)->status(), started);
      if ((*stream)->status() == 200) co_return detail::make_watch(*std::move(stream), options.timeout + kWatchSlack);
      http::Response refused{(*stream)->status(), (*stream)->headers(), {}};
      auto body = co_await (*stream)->read_some(std::chrono::seconds(10));
      if (body) refused.body = *std::move(body);
      if (refused.status == 401 && !retried && transport_->credentials.expire()) continue;
      co_return base::unexpected(detail::error_of(refused, "watch of " + resource.plural));
    }
  }

  rt::Task<Result<Json>> create(Resource resource, Json object, std::string field_manager) override {
    const std::string target = detail::with_query(detail::resource_path(resource, api::namespace_of(object), {}),
                                                  {{"fieldManager", field_manager}});
    Call request{"create", "POST", target, kJson, kJson, doc::print_json(object)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<Json>> update(Resource resource, Json object, std::string field_manager) override {
    const std::string target =
        detail::with_query(detail::resource_path(resource, api::namespace_of(object), api::name_of(object)),
                           {{"fieldManager", field_manager}});
    Call request{"update", "PUT", target, kJson, kJson, doc::print_json(object)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<Json>> apply(Resource resource, Json object, ApplyOptions options) override {
    const std::string target =
        detail::with_query(detail::resource_path(resource, api::namespace_of(object), api::name_of(object)),
                           {{"fieldManager", options.field_manager},
                            {"force", options.force ? "true" : "false"},
                            {"dryRun", options.dry_run ? "All" : ""}});
    // JSON is YAML; the media type is the one that names server-side apply.
    Call request{"apply", "PATCH", target, kJson, "application/apply-patch+yaml", doc::print_json(object)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<Json>> patch(Resource resource, api::ObjectKey key, PatchType type, Json patch,
                               PatchOptions options) override {
    const std::string target =
        detail::with_query(detail::resource_path(resource, key.namespace_, key.name, options.subresource),
                           {{"fieldManager", options.field_manager}, {"dryRun", options.dry_run ? "All" : ""}});
    Call request{"patch", "PATCH", target, kJson, content_type(type), doc::print_json(patch)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<void>> remove(Resource resource, api::ObjectKey key, DeleteOptions options) override {
    Json body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", options.propagation}};
    if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
    if (!options.resource_version.empty()) body["preconditions"]["resourceVersion"] = options.resource_version;
    if (options.dry_run) body["dryRun"] = Json::array({"All"});
    Call request{"delete", "DELETE", detail::resource_path(resource, key.namespace_, key.name),
                 kJson,    kJson,    doc::print_json(body)};
    auto answer = co_await call(std::move(request));
    if (!answer) co_return base::unexpected(std::move(answer).error());
    co_return Result<void>();
  }

  rt::Task<Result<Json>> raw_get(std::string path) override {
    // Discovery answers in its aggregated form where the server has one.
    constexpr const char* kDiscovery =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    const bool discovery = path == "/api" || path == "/apis";
    Call request{"get", "GET", std::move(path), discovery ? kDiscovery : kJson, {}, {}};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  std::shared_ptr<Client> impersonate(std::string user, std::vector<std::string> groups) override {
    http::Headers identity;
    identity.set("Impersonate-User", std::move(user));
    for (std::string& group : groups) identity.add("Impersonate-Group", std::move(group));
    return std::make_shared<ApiClient>(transport_, std::move(identity));
  }

  void on_request(RequestCounter counter) override { transport_->counter = std::move(counter); }

 private:
  http::Request to_request(const Call& request) const {
    http::Request message;
    message.method = request.method;
    message.target = request.target;
    message.body = request.body;
    message.headers.set("Accept", request.accept);
    if (!request.content_type.empty()) message.headers.set("Content-Type", request.content_type);
    for (const auto& [name, value] : identity_.all()) message.headers.add(name, value);
    return message;
  }

  void count(const std::string& verb, int status, std::chrono::steady_clock::time_point started) const {
    if (transport_->counter) transport_->counter(verb, status, std::chrono::steady_clock::now() - started);
  }

  // Sends, honours Retry-After, renews credentials once on 401, and parses.
  rt::Task<Result<Json>> call(Call request) {
    const auto give_up = std::chrono::steady_clock::now() + kMaxRetryTime;
    bool renewed = false;
    for (int attempt = 1;; ++attempt) {
      http::Request message = to_request(request);
      auto authorized = co_await transport_->credentials.authorize(message, *transport_->http);
      if (!authorized) co_return base::unexpected(std::move(authorized).error());
      const auto started = std::chrono::steady_clock::now();
      auto response = co_await transport_->http->send(std::move(message));
      count(request.verb, response ? response->status : 0, started);
      if (!response) co_return base::unexpected(std::move(response).error());
      if (response->status >= 200 && response->status < 300) {
        auto parsed = co_await parse(*std::move(response));
        co_return parsed;
      }
      if (response->status == 401 && !renewed && transport_->credentials.expire()) {
        renewed = true;
        continue;
      }
      base::Error error = detail::error_of(*response, request.method + " " + request.target);
      const auto wait = error.retry_after.value_or(kDefaultRetryAfter);
      const bool time_left = std::chrono::steady_clock::now() + wait < give_up;
      if (!should_wait_and_retry(*response) || attempt >= kMaxAttempts || !time_left) {
        co_return base::unexpected(std::move(error));
      }
      co_await rt::sleep_for(wait);
    }
  }

  rt::Task<Result<Json>> parse(http::Response response) {
    if (response.body.size() < kParseOnPool) co_return doc::parse_json(response.body);
    auto body = std::make_shared<std::string>(std::move(response.body));
    auto work = [body](std::stop_token) { return doc::parse_json(*body); };
    rt::Task<Result<Json>> parsing = rt::run_blocking(transport_->runtime, std::move(work));
    auto parsed = co_await std::move(parsing);
    co_return parsed;
  }

  rt::Task<Result<ObjectList>> list_pages(Resource resource, ListOptions options, bool paged) {
    ObjectList all;
    std::string next;
    do {
      detail::Query query{{"labelSelector", options.label_selector},
                          {"fieldSelector", options.field_selector},
                          {"limit", paged && options.page_size > 0 ? std::to_string(options.page_size) : ""},
                          {"continue", next},
                          {"resourceVersion", next.empty() ? options.resource_version : ""}};
      const std::string target = detail::with_query(detail::resource_path(resource, options.namespace_, {}), query);
      Call request{"list", "GET", target, options.metadata_only ? kMetadataList : kJson, {}, {}};
      auto page = co_await call(std::move(request));
      if (!page) co_return base::unexpected(std::move(page).error());
      const auto items = page->find("items");
      if (items != page->end() && items->is_array()) {
        for (Json& item : *items) {
          // The items of a typed list do not repeat what they are.
          if (!options.metadata_only) {
            item["apiVersion"] = resource.api_version();
            item["kind"] = resource.kind;
          }
          all.items.push_back(std::move(item));
        }
      }
      all.resource_version = std::string(doc::find_string(*page, {"metadata", "resourceVersion"}));
      next = std::string(doc::find_string(*page, {"metadata", "continue"}));
    } while (!next.empty());
    co_return all;
  }

  std::shared_ptr<Transport> transport_;
  http::Headers identity_;
};

}  // namespace

Result<std::shared_ptr<Client>> Client::create(rt::Runtime& runtime, Config config) {
  http::ClientOptions options;
  options.max_connections = config.max_connections;
  options.tls.ca_pem = config.ca_pem;
  options.tls.server_name = config.tls_server_name;
  options.tls.insecure_skip_verify = config.insecure_skip_tls_verify;
  options.tls.certificate_pem = config.client_certificate_pem;
  options.tls.key_pem = config.client_key_pem;
  auto client = http::Client::create(runtime, config.server, std::move(options));
  if (!client) return base::unexpected(std::move(client).error().with_context("kubeconfig"));
  auto transport = std::make_shared<Transport>(
      Transport{runtime, *std::move(client), detail::Credentials(runtime, std::move(config)), {}});
  return std::shared_ptr<Client>(std::make_shared<ApiClient>(std::move(transport), http::Headers{}));
}

}  // namespace sluice::kube
