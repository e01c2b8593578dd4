// The client of one Kubernetes API server. Runs on the loop.
//
//   SLUICE_TRY(auto config, kube::load_config({}));           // kubeconfig or in-cluster
//   SLUICE_TRY(auto client, kube::Client::create(runtime, config));
//   auto pods = co_await client->list(kPods, {.namespace_ = "default"});
//
// Objects are JSON as the server prints them. Errors carry the server's
// Status: kind by HTTP status, `reason` its machine-readable reason, message
// its message ("Kubernetes API Conventions", section "Response Status Kind").
// 429 and 503 with Retry-After are retried within the request's timeout;
// everything else is the caller's to decide.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/config.hpp"
#include "rt/runtime.hpp"

namespace sluice::kube {

// A kind as the server serves it ("API terminology": resource type).
struct Resource {
  std::string group;
  std::string version;
  std::string kind;
  std::string plural;
  bool namespaced = true;
  bool operator==(const Resource&) const = default;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};

struct ListOptions {
  std::string namespace_;  // empty: all
  std::string label_selector;
  std::string field_selector;
  std::int64_t page_size = 100;  // objects; 0: no limit
  std::string resource_version;  // empty: most recent; "0": any, from the server's cache
  bool metadata_only = false;    // PartialObjectMetadata
  std::string continue_token;    // ListPage::next of the page before; empty: the first page
  std::uint64_t max_bytes = 0;   // of the answer, which is `too_large` beyond; 0: 256 MiB
};

struct ListPage {
  std::vector<doc::Json> items;  // each with apiVersion and kind filled in
  std::string resource_version;
  std::string next;         // continue token; empty: this is the last page
  std::uint64_t bytes = 0;  // of the answer
};

struct ObjectList {
  std::vector<doc::Json> items;  // each with apiVersion and kind filled in
  std::string resource_version;
};

enum class WatchEventType { added, modified, deleted, bookmark };
struct WatchEvent {
  WatchEventType type = WatchEventType::added;
  doc::Json object;
  bool is_known = false;  // WatchOptions::knows said so; of the object there is no more than its resourceVersion
};
struct WatchOptions {
  std::string namespace_;
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;  // where to start; from a list or an event
  bool metadata_only = false;
  std::chrono::seconds timeout{290};  // asked of the server; it ends the watch then
  // Whether this version of an object that was added or modified is known already, as it was the answer to a
  // write: the event is not read then. Called right before next() returns it; unset: none is. A client may not ask.
  std::function<bool(const api::ObjectKey& key, std::string_view uid, std::string_view version)> knows;
};

// An open watch. Destroying it closes its connection.
class Watch {
 public:
  virtual ~Watch() = default;
  // The next event; no value when the server ended the watch in the ordinary
  // way. `gone`: the resourceVersion has expired, list again. `unavailable`:
  // the connection broke, within an event or between two, or nothing came for
  // longer than the timeout asked for.
  virtual rt::Task<base::Result<std::optional<WatchEvent>>> next() = 0;
};

struct ApplyOptions {
  std::string field_manager;
  bool force = true;  // take over fields that others own
  bool dry_run = false;
  // The answer needs no more than metadata: PartialObjectMetadata, of servers that can print that.
  bool metadata_only = false;
};
enum class PatchType { merge, json, strategic };
struct PatchOptions {
  std::string field_manager;
  std::string subresource;  // "status", "scale", or empty
  bool dry_run = false;
};
struct DeleteOptions {
  std::string propagation = "Background";
  std::string uid;               // precondition, if not empty
  std::string resource_version;  // precondition, if not empty
  bool dry_run = false;
};

// Requests sent, by verb, since the start ("apply", "patch", "get", "list", ...).
using RequestCounter = std::function<void(const std::string& verb, int http_status, std::chrono::nanoseconds took)>;

class Client {
 public:
  static base::Result<std::shared_ptr<Client>> create(rt::Runtime& runtime, Config config);
  virtual ~Client() = default;

  // `not_found`: there is no such object. `unavailable` with reason "NotServed": the server knows no such
  // resource, which says nothing of the object (remove() too); see on_not_served().
  virtual rt::Task<base::Result<doc::Json>> get(Resource resource, api::ObjectKey key) = 0;
  // One page. `gone`: the continue token has expired. See pages.hpp for whole lists that may be large.
  virtual rt::Task<base::Result<ListPage>> list_page(Resource resource, ListOptions options) = 0;
  // All objects, held at once: for lists that are known to be short. A continue token that
  // expired half-way restarts the list once.
  rt::Task<base::Result<ObjectList>> list(Resource resource, ListOptions options);
  virtual rt::Task<base::Result<std::unique_ptr<Watch>>> watch(Resource resource, WatchOptions options) = 0;
  virtual rt::Task<base::Result<doc::Json>> create(Resource resource, doc::Json object, std::string field_manager) = 0;
  // The same for whoever wants to know only that it was made: the answer is not read.
  virtual rt::Task<base::Result<void>> create_unread(Resource resource, doc::Json object, std::string field_manager);
  virtual rt::Task<base::Result<doc::Json>> update(Resource resource, doc::Json object, std::string field_manager) = 0;
  // Server-side apply ("Server-Side Apply" in the Kubernetes documentation).
  virtual rt::Task<base::Result<doc::Json>> apply(Resource resource, doc::Json object, ApplyOptions options) = 0;
  virtual rt::Task<base::Result<doc::Json>> patch(Resource resource, api::ObjectKey key, PatchType type,
                                                  doc::Json patch, PatchOptions options) = 0;
  virtual rt::Task<base::Result<void>> remove(Resource resource, api::ObjectKey key, DeleteOptions options) = 0;
  // A GET of any path ("/version", "/openapi/v3").
  virtual rt::Task<base::Result<doc::Json>> raw_get(std::string path) = 0;
  // Whether a GET of this path is answered with 2xx; the answer may be any text ("/readyz").
  virtual rt::Task<base::Result<void>> probe(std::string path);

  // The same server and connections, speaking as somebody else
  // ("Authentication: User impersonation"). Without a user every request of the
  // new client is refused as `invalid`: it would run with our own rights.
  virtual std::shared_ptr<Client> impersonate(std::string user, std::vector<std::string> groups) = 0;
  // The same with UID and extra fields; a fake may know users and groups only.
  virtual std::shared_ptr<Client> impersonate_as(Impersonation who);
  // The same server, connections and identity, for requests that are made for `owner` (a namespace):
  // they take its share of the connections and of the pool, so that those which the server lets
  // hang, behind a slow webhook, hold up no other owner's, nor the daemon's (owner "": as created).
  // Those who are impersonated from the new client take the same share.
  virtual std::shared_ptr<Client> on_behalf_of(std::string owner) = 0;
  virtual void on_request(RequestCounter counter) = 0;
  // Called when the server knows no such resource. One listener, for all who share the connections.
  virtual void on_not_served(std::function<void(const Resource&)>) {}
  // How far the server's clock is ahead of ours, to the second; zero while they agree or nothing is known.
  virtual base::Duration clock_skew() const { return {}; }
};

}  // namespace sluice::kube
