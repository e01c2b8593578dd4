#include "kube/client.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "http/client.hpp"
#include "kube/detail/clock_skew.hpp"
#include "kube/detail/credentials.hpp"
#include "kube/detail/paths.hpp"
#include "kube/detail/retry.hpp"
#include "kube/detail/status.hpp"
#include "kube/detail/watch_stream.hpp"

// g++ 12 inlines one half of Asio's frame allocator and then misses the other (GCC bug 109224).
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

constexpr std::chrono::seconds kWatchSlack{30};   // after which a watch that should have ended is dead
constexpr std::size_t kParseOnPool = 64U << 10U;  // larger answers are parsed off the loop

// A watch that waits for its turn would wait for minutes: these bound a fault, not a load. Of
// one namespace; and of the daemon besides, whatever namespaces do.
constexpr std::size_t kMaxWatches = 1024;
constexpr std::size_t kReservedWatches = 512;
// Requests of the daemon itself (leases, Events, lists) that always find a connection.
constexpr std::size_t kReservedConnections = 8;
constexpr std::size_t kMaxRefusal = 256U << 10U;  // of the body of a refused watch that is read

constexpr const char* kJson = "application/json";
constexpr const char* kMetadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
constexpr const char* kMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
constexpr const char* kRatherMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

struct Call {
  std::string verb;  // as the request counter names it
  std::string method = "GET";
  std::string target;
  std::string accept = kJson;
  std::string content_type;
  std::string body;
  std::uint64_t max_answer = 0;  // bytes; 0: the client's bound
};

// What all clients of one server share, whoever they speak as.
struct Transport {
  rt::Runtime& runtime;
  std::shared_ptr<http::Client> http;
  detail::Credentials credentials;
  RequestCounter counter;
  detail::ClockSkew skew = {};
  std::function<void(const Resource&)> not_served = {};
};

const char* content_type(PatchType type) {
  switch (type) {
    case PatchType::merge: return "application/merge-patch+json";
    case PatchType::json: return "application/json-patch+json";
    case PatchType::strategic: return "application/strategic-merge-patch+json";
  }
  return kJson;
}

// A namespaced object without a namespace cannot exist, so it is not there to
// be read or deleted. Writing one is `invalid` (detail::object_path).
bool cannot_exist(const Resource& resource, const api::ObjectKey& key) {
  return resource.namespaced && key.namespace_.empty();
}
base::Unexpected not_there(const Resource& resource, const api::ObjectKey& key) {
  return base::unexpected(ErrorKind::not_found,
                          fmt::format("{} '{}' is namespaced and has no namespace", resource.kind, key.name));
}

http::Headers identity_of(const Impersonation& who) {
  http::Headers identity;
  if (who.user.empty()) return identity;
  identity.add("Impersonate-User", who.user);
  for (const std::string& group : who.groups) identity.add("Impersonate-Group", group);
  if (!who.uid.empty()) identity.add("Impersonate-Uid", who.uid);
  for (const auto& [key, values] : who.extra) {
    for (const std::string& value : values) identity.add("Impersonate-Extra-" + detail::percent_encode(key), value);
  }
  return identity;
}

// What a stream says that was refused: enough of it for a Status.
rt::Task<std::string> read_refusal(http::ResponseStream& stream) {
  std::string body;
  while (body.size() < kMaxRefusal) {
    auto piece = co_await stream.read_some(std::chrono::seconds(10));
    if (!piece || piece->empty()) break;
    body += *piece;
  }
  co_return body;
}

class ApiClient final : public Client {
 public:
  // Without `who` it speaks as itself.
  ApiClient(std::shared_ptr<Transport> transport, std::optional<Impersonation> who, std::string owner = {})
      : transport_(std::move(transport)),
        who_(std::move(who)),
        identity_(who_ ? identity_of(*who_) : http::Headers{}),
        is_nobody_(who_ && who_->user.empty()),
        owner_(std::move(owner)) {}

  rt::Task<Result<Json>> get(Resource resource, api::ObjectKey key) override {
    if (cannot_exist(resource, key)) co_return not_there(resource, key);
    SLUICE_CO_TRY(std::string path, detail::object_path(resource, key.namespace_, key.name));
    Call request{"get", "GET", std::move(path), kJson, {}, {}};
    auto answer = co_await call(std::move(request));
    if (!answer) co_return base::unexpected(about_object(resource, std::move(answer).error()));
    co_return answer;
  }

  rt::Task<Result<ListPage>> list_page(Resource resource, ListOptions options) override {
    const bool first = options.continue_token.empty();
    const detail::Query query{{"labelSelector", options.label_selector},
                              {"fieldSelector", options.field_selector},
                              {"limit", options.page_size > 0 ? std::to_string(options.page_size) : ""},
                              {"continue", options.continue_token},
                              {"resourceVersion", first ? options.resource_version : ""}};
    SLUICE_CO_TRY(std::string path, detail::collection_path(resource, options.namespace_));
    Call request{"list", "GET", detail::with_query(std::move(path), query), kJson, {}, {}, options.max_bytes};
    if (options.metadata_only) request.accept = kMetadataList;
    std::uint64_t bytes = 0;
    auto answer = co_await call(std::move(request), &bytes);
    if (!answer) co_return base::unexpected(std::move(answer).error());
    auto page = read_page(resource, *std::move(answer), options.metadata_only);
    if (page) page->bytes = bytes;
    co_return page;
  }

  rt::Task<Result<std::unique_ptr<Watch>>> watch(Resource resource, WatchOptions options) override {
    detail::Query query{{"watch", "true"},
                        {"allowWatchBookmarks", "true"},
                        {"labelSelector", options.label_selector},
                        {"fieldSelector", options.field_selector},
                        {"resourceVersion", options.resource_version},
                        {"timeoutSeconds", std::to_string(options.timeout.count())}};
    SLUICE_CO_TRY(std::string path, detail::collection_path(resource, options.namespace_));
    Call request{"watch", "GET", detail::with_query(std::move(path), query), kJson, {}, {}};
    if (options.metadata_only) request.accept = kMetadata;
    auto watch = co_await open_watch(std::move(request), options.timeout + kWatchSlack, std::move(options.knows));
    co_return watch;
  }

  rt::Task<Result<Json>> create(Resource resource, Json object, std::string field_manager) override {
    SLUICE_CO_TRY(Call request, creation(resource, object, std::move(field_manager)));
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<void>> create_unread(Resource resource, Json object, std::string field_manager) override {
    SLUICE_CO_TRY(Call request, creation(resource, object, std::move(field_manager)));
    auto answer = co_await exchange(std::move(request));
    if (!answer) co_return base::unexpected(std::move(answer).error());
    co_return Result<void>();
  }

  rt::Task<Result<Json>> update(Resource resource, Json object, std::string field_manager) override {
    SLUICE_CO_TRY(std::string path, detail::object_path(resource, api::namespace_of(object), api::name_of(object)));
    std::string target = detail::with_query(std::move(path), {{"fieldManager", field_manager}});
    Call request{"update", "PUT", std::move(target), kJson, kJson, doc::print_json(object)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<Json>> apply(Resource resource, Json object, ApplyOptions options) override {
    SLUICE_CO_TRY(std::string path, detail::object_path(resource, api::namespace_of(object), api::name_of(object)));
    std::string target = detail::with_query(std::move(path), {{"fieldManager", options.field_manager},
                                                              {"force", options.force ? "true" : "false"},
                                                              {"dryRun", options.dry_run ? "All" : ""}});
    // JSON is YAML; the media type is the one that names server-side apply.
    Call request{"apply", "PATCH", std::move(target), kJson, "application/apply-patch+yaml", doc::print_json(object)};
    if (options.metadata_only) request.accept = kRatherMetadata;
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<Json>> patch(Resource resource, api::ObjectKey key, PatchType type, Json patch,
                               PatchOptions options) override {
    SLUICE_CO_TRY(std::string path, detail::object_path(resource, key.namespace_, key.name, options.subresource));
    std::string target = detail::with_query(
        std::move(path), {{"fieldManager", options.field_manager}, {"dryRun", options.dry_run ? "All" : ""}});
    Call request{"patch", "PATCH", std::move(target), kJson, content_type(type), doc::print_json(patch)};
    auto answer = co_await call(std::move(request));
    co_return answer;
  }

  rt::Task<Result<void>> remove(Resource resource, api::ObjectKey key, DeleteOptions options) override {
    if (cannot_exist(resource, key)) co_return not_there(resource, key);
    SLUICE_CO_TRY(std::string path, detail::object_path(resource, key.namespace_, key.name));
    Json body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", options.propagation}};
    if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
    if (!options.resource_version.empty()) body["preconditions"]["resourceVersion"] = options.resource_version;
    if (options.dry_run) body["dryRun"] = Json::array({"All"});
    Call request{"delete", "DELETE", std::move(path), kJson, kJson, doc::print_json(body)};
    auto answer = co_await call(std::move(request));
    if (!answer) co_return base::unexpected(about_object(resource, std::move(answer).error()));
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

  rt::Task<Result<void>> probe(std::string path) override {
    Call request{"get", "GET", std::move(path), "*/*", {}, {}};
    auto answer = co_await exchange(std::move(request));
    if (!answer) co_return base::unexpected(std::move(answer).error());
    co_return Result<void>();
  }

  std::shared_ptr<Client> impersonate(std::string user, std::vector<std::string> groups) override {
    return impersonate_as({std::move(user), {}, std::move(groups), {}});
  }

  std::shared_ptr<Client> impersonate_as(Impersonation who) override {
    return std::make_shared<ApiClient>(transport_, std::move(who), owner_);
  }

  std::shared_ptr<Client> on_behalf_of(std::string owner) override {
    return std::make_shared<ApiClient>(transport_, who_, std::move(owner));
  }

  void on_request(RequestCounter counter) override { transport_->counter = std::move(counter); }
  void on_not_served(std::function<void(const Resource&)> listener) override {
    transport_->not_served = std::move(listener);
  }
  base::Duration clock_skew() const override { return transport_->skew.value(); }

 private:
  static Result<Call> creation(const Resource& resource, const Json& object, std::string field_manager) {
    if (resource.namespaced && api::namespace_of(object).empty()) {
      return base::unexpected(ErrorKind::invalid, fmt::format("{} '{}' is namespaced and has no namespace",
                                                              resource.kind, api::name_of(object)));
    }
    SLUICE_TRY(std::string path, detail::collection_path(resource, api::namespace_of(object)));
    std::string target = detail::with_query(std::move(path), {{"fieldManager", std::move(field_manager)}});
    return Call{"create", "POST", std::move(target), kJson, kJson, doc::print_json(object)};
  }

  // Whoever asks for one object takes "not found" for "gone".
  base::Error about_object(const Resource& resource, base::Error error) const {
    if (error.kind != ErrorKind::not_found || error.reason != detail::kNotServed) return error;
    if (transport_->not_served) transport_->not_served(resource);
    error.kind = ErrorKind::unavailable;
    return std::move(error).with_context(fmt::format("the API server knows no {} at the moment", resource.plural));
  }

  http::Request to_request(const Call& request) const {
    http::Request message;
    message.method = request.method;
    message.target = request.target;
    message.body = request.body;
    message.max_body = request.max_answer;
    message.owner = owner_;
    // Applying the same twice is applying it once.
    message.replayable = request.verb == "apply";
    message.headers.set("Accept", request.accept);
    if (!request.content_type.empty()) message.headers.set("Content-Type", request.content_type);
    for (const auto& [name, value] : identity_.all()) message.headers.add(name, value);
    return message;
  }

  void count(const std::string& verb, int status, std::chrono::steady_clock::time_point started) const {
    if (transport_->counter) transport_->counter(verb, status, std::chrono::steady_clock::now() - started);
  }

  Result<void> check_identity() const {
    if (!is_nobody_) return {};
    return base::unexpected(ErrorKind::invalid, "impersonation names no user; refused to act with our own rights");
  }

  struct Attempts {
    detail::Retries retries{std::chrono::steady_clock::now()};
    bool renewed = false;  // the credentials
  };

  // How long to wait before the call is tried again; or the error that the answer is.
  Result<std::chrono::milliseconds> pause_after(const http::Response& refusal, const Call& request,
                                                detail::Credentials::Generation used, Attempts& attempts) const {
    if (refusal.status == 401 && !attempts.renewed && transport_->credentials.expire(used)) {
      attempts.renewed = true;
      return std::chrono::milliseconds::zero();
    }
    base::Error error = detail::error_of(refusal, request.method + " " + request.target);
    if (error.kind == ErrorKind::forbidden && transport_->credentials.are_sent() &&
        error.message.find("\"system:anonymous\"") != std::string::npos) {
      // It passes over what it does not understand: user and password, since Kubernetes 1.19.
      error.kind = ErrorKind::unauthorized;
      error.message += "; the API server takes us for nobody, as it does not read the kind of credentials that we send";
    }
    const auto wait = attempts.retries.wait_after(refusal, error, std::chrono::steady_clock::now());
    if (!wait) return base::unexpected(std::move(error));
    return *wait;
  }

  // Sends, honours Retry-After, renews credentials once on 401, and parses; `bytes`: of the answer.
  rt::Task<Result<Json>> call(Call request, std::uint64_t* bytes = nullptr) {
    auto response = co_await exchange(std::move(request));
    if (!response) co_return base::unexpected(std::move(response).error());
    if (bytes != nullptr) *bytes = response->body.size();
    auto parsed = co_await parse(*std::move(response));
    co_return parsed;
  }

  // The answer, which is 2xx.
  rt::Task<Result<http::Response>> exchange(Call request) {
    SLUICE_CO_CHECK(check_identity());
    Attempts attempts;
    for (;;) {
      http::Request message = to_request(request);
      auto authorized = co_await transport_->credentials.authorize(message, *transport_->http);
      if (!authorized) co_return base::unexpected(std::move(authorized).error());
      const auto started = std::chrono::steady_clock::now();
      auto response = co_await transport_->http->send(std::move(message));
      count(request.verb, response ? response->status : 0, started);
      if (!response) co_return base::unexpected(std::move(response).error());
      transport_->skew.observe(response->headers.find("Date"), base::system_clock().now());
      if (response->status >= 200 && response->status < 300) co_return response;
      const auto pause = pause_after(*response, request, *authorized, attempts);
      if (!pause) co_return base::unexpected(pause.error());
      co_await rt::sleep_for(*pause);
    }
  }

  // The same for a watch, whose answer is a stream.
  rt::Task<Result<std::unique_ptr<Watch>>> open_watch(Call request, std::chrono::nanoseconds idle,
                                                      detail::Knows knows) {
    SLUICE_CO_CHECK(check_identity());
    Attempts attempts;
    for (;;) {
      http::Request message = to_request(request);
      auto authorized = co_await transport_->credentials.authorize(message, *transport_->http);
      if (!authorized) co_return base::unexpected(std::move(authorized).error());
      const auto started = std::chrono::steady_clock::now();
      auto stream = co_await transport_->http->open(std::move(message));
      count(request.verb, stream ? (*stream)->status() : 0, started);
      if (!stream) co_return base::unexpected(std::move(stream).error());
      transport_->skew.observe((*stream)->headers().find("Date"), base::system_clock().now());
      if ((*stream)->status() == 200) {
        co_return detail::make_watch(*std::move(stream), idle, {transport_->runtime, owner_, kParseOnPool},
                                     std::move(knows));
      }
      http::Response refused{(*stream)->status(), (*stream)->headers(), {}};
      std::string body = co_await read_refusal(**stream);
      stream->reset();
      refused.body = std::move(body);
      const auto pause = pause_after(refused, request, *authorized, attempts);
      if (!pause) co_return base::unexpected(pause.error());
      co_await rt::sleep_for(*pause);
    }
  }

  rt::Task<Result<Json>> parse(http::Response response) {
    if (response.body.size() < kParseOnPool) co_return doc::parse_json(response.body);
    auto body = std::make_shared<std::string>(std::move(response.body));
    auto work = [body](std::stop_token) { return doc::parse_json(*body); };
    rt::Task<Result<Json>> parsing = rt::run_blocking(transport_->runtime, owner_, std::move(work));
    auto parsed = co_await std::move(parsing);
    co_return parsed;
  }

  static Result<ListPage> read_page(const Resource& resource, Json answer, bool metadata_only) {
    ListPage page;
    page.resource_version = std::string(doc::find_string(answer, {"metadata", "resourceVersion"}));
    page.next = std::string(doc::find_string(answer, {"metadata", "continue"}));
    const auto items = answer.find("items");
    if (items == answer.end() || !items->is_array()) return page;
    page.items.reserve(items->size());
    for (Json& item : *items) {
      if (!item.is_object()) {
        return base::unexpected(ErrorKind::unavailable,
                                fmt::format("list of {}: an item is no object", resource.plural));
      }
      // The items of a typed list do not repeat what they are.
      if (!metadata_only) {
        item["apiVersion"] = resource.api_version();
        item["kind"] = resource.kind;
      }
      page.items.push_back(std::move(item));
    }
    return page;
  }

  std::shared_ptr<Transport> transport_;
  std::optional<Impersonation> who_;
  http::Headers identity_;
  bool is_nobody_;
  std::string owner_;
};

}  // namespace

rt::Task<Result<void>> Client::create_unread(Resource resource, Json object, std::string field_manager) {
  auto answer = co_await create(std::move(resource), std::move(object), std::move(field_manager));
  if (!answer) co_return base::unexpected(std::move(answer).error());
  co_return Result<void>();
}

rt::Task<Result<void>> Client::probe(std::string path) {
  auto answer = co_await raw_get(std::move(path));
  if (!answer) co_return base::unexpected(std::move(answer).error());
  co_return Result<void>();
}

std::shared_ptr<Client> Client::impersonate_as(Impersonation who) {
  return impersonate(std::move(who.user), std::move(who.groups));
}

Result<std::shared_ptr<Client>> Client::create(rt::Runtime& runtime, Config config) {
  http::ClientOptions options;
  options.max_connections = config.max_connections;
  options.max_streams = kMaxWatches;
  options.reserved_connections = kReservedConnections;
  options.reserved_streams = kReservedWatches;
  options.tls.ca_pem = config.ca_pem;
  options.tls.server_name = config.tls_server_name;
  options.tls.insecure_skip_verify = config.insecure_skip_tls_verify;
  options.tls.certificate_pem = config.client_certificate_pem;
  options.tls.key_pem = config.client_key_pem;
  options.proxy = config.proxy_url;
  if (const auto url = http::Url::parse(config.server); url && options.proxy.empty()) {
    options.proxy = http::proxy_from_environment(*url);
  }
  std::optional<Impersonation> who = config.impersonate;
  auto client = http::Client::create(runtime, config.server, std::move(options));
  if (!client) return base::unexpected(std::move(client).error().with_context("kubeconfig"));
  auto transport = std::make_shared<Transport>(
      Transport{runtime, *std::move(client), detail::Credentials(runtime, std::move(config)), {}});
  return std::shared_ptr<Client>(std::make_shared<ApiClient>(std::move(transport), std::move(who)));
}

}  // namespace sluice::kube
