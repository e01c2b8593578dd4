// A Kubernetes API server in memory, for unit tests: optimistic locking, merge
// patches, the status subresource, finalizers, generations, lists in pages, watches with
// resource versions, ownership of fields, users and their rights, incomplete discovery, and
// faults on demand. Lives on one loop.
//
//   auto kube = std::make_shared<test::FakeKube>();
//   kube->put(kFoos, object);                                  // as if by somebody else
//   kube->fail_next("patch", {ErrorKind::conflict, ...}, 3);   // the next three patches
#pragma once

#include <algorithm>
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
#include "support/fake_fields.hpp"

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
    std::string user;   // whom it was made as; empty: the owner of the client
    std::string owner;  // on whose behalf; empty: the daemon's
  };

  // --- what tests do ---
  std::vector<Request> requests;
  // Called before each request is served; for racing writes.
  std::function<void(const Request&)> before;
  // Answers of raw_get(), by path; discovery for one.
  std::map<std::string, doc::Json> raw;
  // Discovery (apidiscovery.k8s.io/v2) that serves these. `stale`: groups that are listed without
  // resources, as one whose backend does not answer.
  void serve(const std::vector<kube::Resource>& resources, const std::vector<std::string>& stale = {}) {
    std::map<std::string, std::map<std::string, doc::Json>> kinds;  // by group and version
    for (const auto& resource : resources) {
      doc::Json kind = {{"resource", resource.plural}, {"scope", resource.namespaced ? "Namespaced" : "Cluster"}};
      kind["responseKind"] = {{"group", resource.group}, {"version", resource.version}, {"kind", resource.kind}};
      kinds[resource.group][resource.version].push_back(std::move(kind));
    }
    for (const auto& group : stale) kinds[group].try_emplace("v1", doc::Json::array());
    for (const char* path : {"/api", "/apis"}) raw[path] = doc::Json{{"items", doc::Json::array()}};
    for (const auto& [name, by_version] : kinds) {
      doc::Json group = {{"metadata", {{"name", name}}}, {"versions", doc::Json::array()}};
      for (const auto& [version, list] : by_version) {
        const bool is_stale = std::find(stale.begin(), stale.end(), name) != stale.end();
        group["versions"].push_back({{"version", version},
                                     {"resources", is_stale ? doc::Json::array() : list},
                                     {"freshness", is_stale ? "Stale" : "Current"}});
      }
      raw[name.empty() ? "/api" : "/apis"]["items"].push_back(std::move(group));
    }
  }
  // What /readyz says; nothing: that it is.
  std::optional<base::Error> not_ready;
  // Refuses requests by who makes them.
  std::function<std::optional<base::Error>(const Request&)> authorize;
  // Keeps metadata.managedFields as the server does, but for lists, which have one owner each:
  // appliers own what they apply, and what they leave out goes when nobody else owns it; who changes
  // a field in another way takes it from them.
  bool tracks_fields = false;
  // Who answers those that speak as somebody else; this server, unless set. See Request::user.
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
    publish(resource, old.is_null() ? kube::WatchEventType::added : kube::WatchEventType::modified, object, old);
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
  // etcd comes back from a backup, in which versions are older; what is stored is as it was.
  void restore(std::uint64_t version) {
    version_ = version;
    history_.clear();
    for (auto& [plural, objects] : store_) {
      for (auto& [key, object] : objects) object["metadata"]["resourceVersion"] = std::to_string(version);
    }
  }
  struct Backup {
    std::map<std::string, std::map<api::ObjectKey, doc::Json>> store;
    std::uint64_t version = 0;
  };
  Backup back_up() const { return {store_, version_}; }
  // etcd comes back from it: nobody is told, and watches from later versions go on to say nothing.
  void put_back(const Backup& backup) {
    store_ = backup.store;
    version_ = backup.version;
    history_.clear();
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
  rt::Task<base::Result<kube::ListPage>> list_page(kube::Resource resource, kube::ListOptions options) override {
    const api::ObjectKey scope{options.namespace_, ""};
    // How a reflector asks for the server's version.
    const bool looks = options.page_size == 1 && options.metadata_only && options.max_bytes == 0;
    auto starting =
        begin(made(looks ? "look" : "list", resource.plural, scope, doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    // A continue token is the version of the list and where to go on.
    kube::ListPage page;
    std::vector<doc::Json> found;
    std::size_t from = 0;
    page.resource_version = std::to_string(version_);
    if (const auto colon = options.continue_token.find(':'); colon != std::string::npos) {
      const auto snapshot = snapshots_.find(options.continue_token.substr(0, colon));
      if (snapshot == snapshots_.end()) co_return base::unexpected(base::ErrorKind::gone, "the token has expired");
      found = snapshot->second;
      page.resource_version = snapshot->first;
      from = std::stoul(options.continue_token.substr(colon + 1));
    } else {
      for (auto& object : all(resource)) {
        if (!selects(object, options.label_selector, options.field_selector)) continue;
        const bool inside = options.namespace_.empty() || api::namespace_of(object) == options.namespace_;
        if (inside) found.push_back(std::move(object));
      }
    }
    const std::size_t limit = options.page_size > 0 ? static_cast<std::size_t>(options.page_size) : found.size();
    const std::size_t to = std::min(found.size(), from + limit);
    for (std::size_t i = from; i < to; ++i) {
      doc::Json object = found[i];
      if (options.metadata_only) object = metadata_of(object);
      page.bytes += doc::print_json(object).size();
      page.items.push_back(std::move(object));
    }
    if (options.max_bytes > 0 && page.bytes > options.max_bytes) {
      co_return base::unexpected(base::ErrorKind::too_large, "the body is over the limit");
    }
    if (to < found.size()) {
      page.next = page.resource_version + ":" + std::to_string(to);
      snapshots_[page.resource_version] = std::move(found);
    }
    co_return page;
  }
  // Continue tokens that were given out are good no more.
  void expire_lists() { snapshots_.clear(); }
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
    opened->knows = options.knows;
    if (!options.resource_version.empty()) opened->from = std::stoull(options.resource_version);
    // What happened between the list and now.
    for (const auto& [version, plural, event, before_it] : history_) {
      if (plural == resource.plural && version > std::stoull(options.resource_version)) opened->push(event, before_it);
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
    if (tracks_fields) fields::take_fields(old, object, manager);
    put(resource, std::move(object));
    co_return this->object(resource, key);
  }
  rt::Task<base::Result<doc::Json>> apply(kube::Resource resource, doc::Json object,
                                          kube::ApplyOptions options) override {
    const api::ObjectKey key = api::key_of(object);
    auto starting = begin(made("apply", resource.plural, key, object, options.field_manager, std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    const auto answered = [&options](doc::Json whole) { return options.metadata_only ? metadata_of(whole) : whole; };
    const doc::Json before = this->object(resource, key);
    doc::Json merged = before.is_null() ? doc::Json::object() : before;
    if (tracks_fields) {
      auto applied = fields::apply_fields(merged, object, options);
      if (!applied) co_return base::unexpected(std::move(applied).error());
      // The server leaves the resourceVersion alone when an apply changes nothing.
      if (merged == before) co_return answered(before);
    } else {
      merge_into(merged, object);
    }
    if (options.dry_run) co_return answered(std::move(merged));
    put(resource, std::move(merged));
    co_return answered(this->object(resource, key));
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
    const doc::Json before = object;
    merge_into(object, patch);
    if (tracks_fields) fields::take_fields(before, object, options.field_manager);
    const bool gone =
        api::is_being_deleted(object) && object["metadata"].value("finalizers", doc::Json::array()).empty();
    put(resource, object);
    if (gone) erase_now(resource, key);
    co_return gone ? object : this->object(resource, key);
  }
  rt::Task<base::Result<void>> remove(kube::Resource resource, api::ObjectKey key,
                                      kube::DeleteOptions options) override {
    auto starting = begin(made("delete", resource.plural, key, doc::Json(), std::string(), std::string()));
    auto started = co_await std::move(starting);
    SLUICE_CO_CHECK(std::move(started));
    auto found = existing(resource, key);
    if (!found) co_return base::unexpected(std::move(found).error());
    const bool is_meant =
        (options.uid.empty() || options.uid == api::uid_of(*found)) &&
        (options.resource_version.empty() || options.resource_version == api::resource_version_of(*found));
    if (!is_meant) co_return base::unexpected(base::ErrorKind::conflict, "the preconditions do not hold");
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
  rt::Task<base::Result<void>> probe(std::string) override {
    if (not_ready) co_return base::unexpected(*not_ready);
    co_return base::Result<void>();
  }
  std::shared_ptr<kube::Client> impersonate(std::string user, std::vector<std::string> groups) override {
    if (as) return as(user, groups);
    return std::make_shared<User>(shared_from_this(), std::move(user));
  }
  std::shared_ptr<kube::Client> on_behalf_of(std::string owner) override {
    return std::make_shared<User>(shared_from_this(), std::string(), std::move(owner));
  }
  void on_request(kube::RequestCounter) override {}

 private:
  // The same server, asked as somebody.
  class User final : public kube::Client {
   public:
    User(std::shared_ptr<FakeKube> kube, std::string name, std::string owner = {})
        : kube_(std::move(kube)), name_(std::move(name)), owner_(std::move(owner)) {}
    rt::Task<base::Result<doc::Json>> get(kube::Resource resource, api::ObjectKey key) override {
      return as_me(&FakeKube::get, std::move(resource), std::move(key));
    }
    rt::Task<base::Result<kube::ListPage>> list_page(kube::Resource resource, kube::ListOptions options) override {
      return as_me(&FakeKube::list_page, std::move(resource), std::move(options));
    }
    rt::Task<base::Result<std::unique_ptr<kube::Watch>>> watch(kube::Resource resource,
                                                               kube::WatchOptions options) override {
      return as_me(&FakeKube::watch, std::move(resource), std::move(options));
    }
    rt::Task<base::Result<doc::Json>> create(kube::Resource resource, doc::Json object, std::string manager) override {
      return as_me(&FakeKube::create, std::move(resource), std::move(object), std::move(manager));
    }
    rt::Task<base::Result<doc::Json>> update(kube::Resource resource, doc::Json object, std::string manager) override {
      return as_me(&FakeKube::update, std::move(resource), std::move(object), std::move(manager));
    }
    rt::Task<base::Result<doc::Json>> apply(kube::Resource resource, doc::Json object,
                                            kube::ApplyOptions options) override {
      return as_me(&FakeKube::apply, std::move(resource), std::move(object), std::move(options));
    }
    rt::Task<base::Result<doc::Json>> patch(kube::Resource resource, api::ObjectKey key, kube::PatchType type,
                                            doc::Json patch, kube::PatchOptions options) override {
      return as_me(&FakeKube::patch, std::move(resource), std::move(key), type, std::move(patch), std::move(options));
    }
    rt::Task<base::Result<void>> remove(kube::Resource resource, api::ObjectKey key,
                                        kube::DeleteOptions options) override {
      return as_me(&FakeKube::remove, std::move(resource), std::move(key), std::move(options));
    }
    rt::Task<base::Result<doc::Json>> raw_get(std::string path) override {
      return as_me(&FakeKube::raw_get, std::move(path));
    }
    std::shared_ptr<kube::Client> impersonate(std::string user, std::vector<std::string> groups) override {
      if (kube_->as) return kube_->as(user, groups);
      return std::make_shared<User>(kube_, std::move(user), owner_);
    }
    std::shared_ptr<kube::Client> on_behalf_of(std::string owner) override {
      return std::make_shared<User>(kube_, name_, std::move(owner));
    }
    void on_request(kube::RequestCounter) override {}

   private:
    // A request is noted before the first wait, so whose it is cannot be mixed up.
    template <class R, class... Arguments>
    rt::Task<R> as_me(rt::Task<R> (FakeKube::*method)(Arguments...), Arguments... arguments) {
      return ask(kube_, name_, owner_, method, std::move(arguments)...);
    }
    template <class R, class... Arguments>
    static rt::Task<R> ask(std::shared_ptr<FakeKube> kube, std::string name, std::string owner,
                           rt::Task<R> (FakeKube::*method)(Arguments...), Arguments... arguments) {
      kube->speaker_ = std::move(name);
      kube->on_behalf_of_ = std::move(owner);
      rt::Task<R> task = ((*kube).*method)(std::move(arguments)...);
      R answer = co_await std::move(task);
      co_return answer;
    }
    std::shared_ptr<FakeKube> kube_;
    std::string name_;
    std::string owner_;
  };

  static doc::Json metadata_of(const doc::Json& object) {
    return {{"apiVersion", "meta.k8s.io/v1"}, {"kind", "PartialObjectMetadata"}, {"metadata", object["metadata"]}};
  }

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

    // What happens behind its end is not told, as on a connection that has broken. `before` is the state before it,
    // if any: to those who watch what has a label, an object that loses it is deleted.
    void push(kube::WatchEvent event, const doc::Json& before) {
      if (ended) return;
      if (event.type != kube::WatchEventType::bookmark) {
        const std::uint64_t version = std::stoull(std::string(api::resource_version_of(event.object)));
        if (version <= from) return;
        from = version;
        if (!namespace_.empty() && api::namespace_of(event.object) != namespace_) return;
        if (!selects(event.object, "", field_selector)) return;
        const bool is_selected = selects(event.object, label_selector, "");
        if (!is_selected && (before.is_null() || !selects(before, label_selector, ""))) return;
        if (!is_selected) event.type = kube::WatchEventType::deleted;
      }
      events.push_back(std::move(event));
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
        const doc::Json& object = event->object;
        const bool is_news =
            event->type == kube::WatchEventType::added || event->type == kube::WatchEventType::modified;
        const std::string version(api::resource_version_of(object));
        if (is_news && knows && knows(api::key_of(object), api::uid_of(object), version)) {
          event->object = {{"metadata", {{"resourceVersion", version}}}};
          event->is_known = true;
        }
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
    decltype(kube::WatchOptions::knows) knows;
    std::uint64_t from = 0;  // the version that was told last
    std::deque<kube::WatchEvent> events;
    bool ended = false;
    std::optional<base::Error> failure;
    rt::Notify changed;
  };

  // Not a braced list where it is awaited: g++ 12 destroys those twice.
  Request made(std::string verb, std::string plural, api::ObjectKey key, doc::Json body, std::string manager,
               std::string subresource) {
    return {std::move(verb),
            std::move(plural),
            std::move(key),
            std::move(body),
            std::move(manager),
            std::move(subresource),
            std::exchange(speaker_, {}),
            std::exchange(on_behalf_of_, {})};
  }
  rt::Task<base::Result<void>> begin(Request request) {
    if (latency.count() > 0) co_await rt::sleep_for(latency);
    requests.push_back(request);
    if (before) before(request);
    if (authorize) {
      if (auto refusal = authorize(request)) co_return base::unexpected(*std::move(refusal));
    }
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
  void publish(const kube::Resource& resource, kube::WatchEventType type, const doc::Json& object,
               const doc::Json& before_it = nullptr) {
    const kube::WatchEvent event{type, object};
    if (type != kube::WatchEventType::bookmark) history_.emplace_back(version_, resource.plural, event, before_it);
    for (auto* watch : watches_) {
      if (watch->plural == resource.plural) watch->push(event, before_it);
    }
  }

  std::map<std::string, std::map<api::ObjectKey, doc::Json>> store_;
  std::vector<std::tuple<std::uint64_t, std::string, kube::WatchEvent, doc::Json>> history_;  // with the state before
  std::map<std::string, std::deque<base::Error>> faults_;
  std::list<FakeWatch*> watches_;
  std::map<std::string, std::vector<doc::Json>> snapshots_;  // lists that are not told to their end, by version
  std::string speaker_;                                      // who makes the next request,
  std::string on_behalf_of_;                                 // and for whom
  std::uint64_t version_ = 100;
  int uid_ = 0;
};

}  // namespace sluice::test
