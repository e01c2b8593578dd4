// A Kubernetes API server in memory, for unit tests: optimistic locking, merge
// patches, the status subresource, finalizers, generations, watches with
// resource versions, and faults on demand. Lives on one loop.
//
//   auto kube = std::make_shared<test::FakeKube>();
//   kube->put(kFoos, object);                                  // as if by somebody else
//   kube->fail_next("patch", {ErrorKind::conflict, ...}, 3);   // the next three patches
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"

namespace sluice::test {

inline base::Error make_error(base::ErrorKind kind, std::string message) {
  base::Error error;
  error.kind = kind;
  error.message = std::move(message);
  return error;
}

inline void merge_into(doc::Json& target, const doc::Json& patch) { target.merge_patch(patch); }

class FakeKube final : public kube::Client, public std::enable_shared_from_this<FakeKube> {
 public:
  struct Request {
    std::string verb;
    std::string plural;
    api::ObjectKey key;
    doc::Json body;
    std::string manager;
    std::string subresource;
  };

  // --- what tests do ---
  std::vector<Request> requests;
  // Called before each request is served; for racing writes.
  std::function<void(const Request&)> before;
  // Answers of raw_get(), by path; discovery for one.
  std::map<std::string, doc::Json> raw;
  // Discovery (apidiscovery.k8s.io/v2) that serves these.
  void serve(const std::vector<kube::Resource>& resources) {
    for (const char* path : {"/api", "/apis"}) raw[path] = doc::Json{{"items", doc::Json::array()}};
    for (const auto& resource : resources) {
      doc::Json kind = {{"resource", resource.plural}, {"scope", resource.namespaced ? "Namespaced" : "Cluster"}};
      kind["responseKind"] = {{"group", resource.group}, {"version", resource.version}, {"kind", resource.kind}};
      doc::Json version = {{"version", resource.version}, {"resources", doc::Json::array({kind})}};
      doc::Json group = {{"metadata", {{"name", resource.group}}}, {"versions", doc::Json::array({version})}};
      raw[resource.group.empty() ? "/api" : "/apis"]["items"].push_back(std::move(group));
    }
  }
  // Who answers those that speak as somebody else; this server, unless set.
  std::function<std::shared_ptr<kube::Client>(const std::string& user, const std::vector<std::string>& groups)> as;
  // Every request takes this long.
  std::chrono::milliseconds latency{0};

  void fail_next(const std::string& verb, base::Error error, int times = 1) {
    for (int i = 0; i < times; ++i) faults_[verb].push_back(error);
  }
  void clear_faults() { faults_.clear(); }
  std::size_t count(const std::string& verb, const std::string& plural = {}) const {
    std::size_t n = 0;
    for (const auto& request : requests) n += request.verb == verb && (plural.empty() || request.plural == plural);
    return n;
  }
  doc::Json object(const kube::Resource& resource, const api::ObjectKey& key) const {
    const auto kind = store_.find(resource.plural);
    if (kind == store_.end()) return nullptr;
    const auto it = kind->second.find(key);
    return it == kind->second.end() ? doc::Json(nullptr) : it->second;
  }
  std::vector<doc::Json> all(const kube::Resource& resource) const {
    std::vector<doc::Json> found;
    const auto kind = store_.find(resource.plural);
    if (kind == store_.end()) return found;
    for (const auto& [key, value] : kind->second) found.push_back(value);
    return found;
  }
  // Creates or replaces. A changed spec moves the generation.
  void put(const kube::Resource& resource, doc::Json object) {
    const api::ObjectKey key = api::key_of(object);
    const doc::Json old = this->object(resource, key);
    object["apiVersion"] = resource.api_version();
    object["kind"] = resource.kind;
    auto& meta = object["metadata"];
    if (old.is_null()) {
      if (!meta.contains("uid")) meta["uid"] = "uid-" + std::to_string(++uid_);
      meta["generation"] = 1;
    } else {
      meta["uid"] = old["metadata"]["uid"];
      const bool changed = old.value("spec", doc::Json()) != object.value("spec", doc::Json());
      meta["generation"] = old["metadata"]["generation"].get<std::int64_t>() + (changed ? 1 : 0);
    }
    meta["resourceVersion"] = std::to_string(++version_);
    store_[resource.plural][key] = object;
    publish(resource, old.is_null() ? kube::WatchEventType::added : kube::WatchEventType::modified, object);
  }
  // Deletes as the server does: with finalizers only the mark is set.
  void erase(const kube::Resource& resource, const api::ObjectKey& key) {
    doc::Json object = this->object(resource, key);
    if (object.is_null()) return;
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    const auto finalizers = object["metadata"].value("finalizers", doc::Json::array());
    if (!finalizers.empty()) {
      object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
      store_[resource.plural][key] = object;
      publish(resource, kube::WatchEventType::modified, object);
      return;
    }
    store_[resource.plural].erase(key);
    publish(resource, kube::WatchEventType::deleted, object);
  }
  // Ends all open watches of a resource with this answer; nothing: in order.
  void cut_watches(const kube::Resource& resource, std::optional<base::Error> error) {
    for (auto* watch : watches_) {
      if (watch->plural == resource.plural) watch->end(error);
    }
  }
  void bookmark(const kube::Resource& resource) {
    doc::Json object = doc::Json::object();
    object["metadata"]["resourceVersion"] = std::to_string(version_);
    publish(resource, kube::WatchEventType::bookmark, object);
  }
  std::size_t open_watches() const { return watches_.size(); }
  std::string version() const { return std::to_string(version_); }

  // --- kube::Client ---
  rt::Task<base::Result<doc::Json>> get(kube::Resource resource, api::ObjectKey key) override {
    auto starting = begin(made("get", resource.plural, key, doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    co_return existing(resource, key);
  }
  rt::Task<base::Result<kube::ObjectList>> list(kube::Resource resource, kube::ListOptions options) override {
    const api::ObjectKey scope{options.namespace_, ""};
    auto starting = begin(made("list", resource.plural, scope, doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    kube::ObjectList found;
    found.resource_version = std::to_string(version_);
    for (auto& object : all(resource)) {
      if (!selects(object, options.label_selector, options.field_selector)) continue;
      if (options.namespace_.empty() || api::namespace_of(object) == options.namespace_) {
        found.items.push_back(std::move(object));
      }
    }
    co_return found;
  }
  rt::Task<base::Result<std::unique_ptr<kube::Watch>>> watch(kube::Resource resource,
                                                             kube::WatchOptions options) override {
    doc::Json body = doc::Json::object();
    body["resourceVersion"] = options.resource_version;
    const api::ObjectKey scope{options.namespace_, ""};
    auto starting = begin(made("watch", resource.plural, scope, body, std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    auto opened = std::make_unique<FakeWatch>(shared_from_this(), resource.plural, options.namespace_);
    opened->label_selector = options.label_selector;
    opened->field_selector = options.field_selector;
    // What happened between the list and now.
    for (const auto& [version, plural, event] : history_) {
      if (plural == resource.plural && version > std::stoull(options.resource_version)) opened->push(event);
    }
    co_return std::unique_ptr<kube::Watch>(std::move(opened));
  }
  rt::Task<base::Result<doc::Json>> create(kube::Resource resource, doc::Json object, std::string manager) override {
    const api::ObjectKey key = api::key_of(object);
    auto starting = begin(made("create", resource.plural, key, object, manager, std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    if (!this->object(resource, key).is_null()) {
      co_return base::unexpected(base::ErrorKind::already_exists, key.str() + " already exists");
    }
    put(resource, std::move(object));
    co_return this->object(resource, key);
  }
  rt::Task<base::Result<doc::Json>> update(kube::Resource resource, doc::Json object, std::string manager) override {
    const api::ObjectKey key = api::key_of(object);
    auto starting = begin(made("update", resource.plural, key, object, manager, std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    SLUICE_CO_TRY(const doc::Json old, existing(resource, key));
    SLUICE_CO_CHECK(check_version(old, object));
    put(resource, std::move(object));
    co_return this->object(resource, key);
  }
  rt::Task<base::Result<doc::Json>> apply(kube::Resource resource, doc::Json object,
                                          kube::ApplyOptions options) override {
    const api::ObjectKey key = api::key_of(object);
    auto starting = begin(made("apply", resource.plural, key, object, options.field_manager, std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    doc::Json merged = this->object(resource, key);
    if (merged.is_null()) merged = doc::Json::object();
    merge_into(merged, object);
    if (options.dry_run) co_return merged;
    put(resource, std::move(merged));
    co_return this->object(resource, key);
  }
  rt::Task<base::Result<doc::Json>> patch(kube::Resource resource, api::ObjectKey key, kube::PatchType, doc::Json patch,
                                          kube::PatchOptions options) override {
    auto starting = begin(made("patch", resource.plural, key, patch, options.field_manager, options.subresource));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    SLUICE_CO_TRY(doc::Json object, existing(resource, key));
    SLUICE_CO_CHECK(check_version(object, patch));
    if (options.subresource == "status") {
      patch = doc::Json{{"status", patch.value("status", doc::Json::object())}};
    } else {
      patch.erase("status");
    }
    merge_into(object, patch);
    const bool gone =
        api::is_being_deleted(object) && object["metadata"].value("finalizers", doc::Json::array()).empty();
    put(resource, object);
    if (gone) erase_now(resource, key);
    co_return gone ? object : this->object(resource, key);
  }
  rt::Task<base::Result<void>> remove(kube::Resource resource, api::ObjectKey key, kube::DeleteOptions) override {
    auto starting = begin(made("delete", resource.plural, key, doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    auto found = existing(resource, key);
    if (!found) co_return base::unexpected(std::move(found).error());
    erase(resource, key);
    co_return base::Result<void>();
  }
  rt::Task<base::Result<doc::Json>> raw_get(std::string path) override {
    auto starting = begin(made("get", path, api::ObjectKey(), doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    if (const auto found = raw.find(path); found != raw.end()) co_return found->second;
    co_return base::unexpected(base::ErrorKind::not_found, path);
  }
  std::shared_ptr<kube::Client> impersonate(std::string user, std::vector<std::string> groups) override {
    if (as) return as(user, groups);
    return shared_from_this();
  }
  void on_request(kube::RequestCounter) override {}

 private:
  // A label's presence, and metadata.name; other selectors select all.
  static bool selects(const doc::Json& object, const std::string& labels, const std::string& fields) {
    constexpr std::string_view by_name = "metadata.name=";
    if (fields.starts_with(by_name) && api::name_of(object) != fields.substr(by_name.size())) return false;
    if (labels.empty() || labels.find_first_of("=!(, ") != std::string::npos) return true;
    return !api::label_of(object, labels).empty();
  }
  struct FakeWatch final : kube::Watch {
    FakeWatch(std::shared_ptr<FakeKube> owner, std::string resource, std::string space)
        : kube(std::move(owner)), plural(std::move(resource)), namespace_(std::move(space)) {
      kube->watches_.push_back(this);
    }
    ~FakeWatch() override { kube->watches_.remove(this); }
    FakeWatch(const FakeWatch&) = delete;
    FakeWatch& operator=(const FakeWatch&) = delete;

    void push(const kube::WatchEvent& event) {
      const bool bookmark = event.type == kube::WatchEventType::bookmark;
      if (!bookmark && !namespace_.empty() && api::namespace_of(event.object) != namespace_) return;
      if (!bookmark && !selects(event.object, label_selector, field_selector)) return;
      events.push_back(event);
      changed.notify_all();
    }
    void end(std::optional<base::Error> error) {
      ended = true;
      failure = std::move(error);
      changed.notify_all();
    }
    rt::Task<base::Result<std::optional<kube::WatchEvent>>> next() override {
      while (events.empty() && !ended) co_await changed.wait();
      if (!events.empty()) {
        std::optional<kube::WatchEvent> event = std::move(events.front());
        events.pop_front();
        co_return event;
      }
      if (failure) co_return base::unexpected(*failure);
      co_return std::optional<kube::WatchEvent>();
    }

    std::shared_ptr<FakeKube> kube;
    std::string plural;
    std::string namespace_;
    std::string label_selector;
    std::string field_selector;
    std::deque<kube::WatchEvent> events;
    bool ended = false;
    std::optional<base::Error> failure;
    rt::Notify changed;
  };

  // Not a braced list where it is awaited: g++ 12 destroys those twice.
  static Request made(std::string verb, std::string plural, api::ObjectKey key, doc::Json body, std::string manager,
                      std::string subresource) {
    return {std::move(verb), std::move(plural),  std::move(key),
            std::move(body), std::move(manager), std::move(subresource)};
  }
  rt::Task<base::Result<void>> begin(Request request) {
    if (latency.count() > 0) co_await rt::sleep_for(latency);
    requests.push_back(request);
    if (before) before(request);
    auto& faults = faults_[request.verb];
    if (faults.empty()) co_return base::Result<void>();
    base::Error fault = std::move(faults.front());
    faults.pop_front();
    co_return base::unexpected(std::move(fault));
  }
  base::Result<doc::Json> existing(const kube::Resource& resource, const api::ObjectKey& key) const {
    doc::Json found = object(resource, key);
    if (found.is_null()) return base::unexpected(base::ErrorKind::not_found, key.str() + " not found");
    return found;
  }
  static base::Result<void> check_version(const doc::Json& stored, const doc::Json& sent) {
    const auto version = api::resource_version_of(sent);
    if (version.empty() || version == api::resource_version_of(stored)) return {};
    return base::unexpected(base::ErrorKind::conflict, "the object has been modified");
  }
  void erase_now(const kube::Resource& resource, const api::ObjectKey& key) {
    doc::Json last = object(resource, key);
    last["metadata"]["resourceVersion"] = std::to_string(++version_);
    store_[resource.plural].erase(key);
    publish(resource, kube::WatchEventType::deleted, last);
  }
  void publish(const kube::Resource& resource, kube::WatchEventType type, const doc::Json& object) {
    const kube::WatchEvent event{type, object};
    if (type != kube::WatchEventType::bookmark) history_.emplace_back(version_, resource.plural, event);
    for (auto* watch : watches_) {
      if (watch->plural == resource.plural) watch->push(event);
    }
  }

  std::map<std::string, std::map<api::ObjectKey, doc::Json>> store_;
  std::vector<std::tuple<std::uint64_t, std::string, kube::WatchEvent>> history_;
  std::map<std::string, std::deque<base::Error>> faults_;
  std::list<FakeWatch*> watches_;
  std::uint64_t version_ = 100;
  int uid_ = 0;
};

}  // namespace sluice::test
