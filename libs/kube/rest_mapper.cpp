#include "kube/rest_mapper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kube/detail/declarations.hpp"
#include "kube/detail/discovery.hpp"
#include "kube/reflector.hpp"

namespace sluice::kube {

using base::ErrorKind;
using base::Result;
using detail::Declaration;
using doc::Json;

namespace {

// Between looks at a server that starts, or at discovery that lags behind a definition.
constexpr std::chrono::milliseconds kLookAgain{200};

base::Error no_match(const std::string& what) {
  base::Error error;
  error.kind = ErrorKind::not_found;
  error.reason = RestMapper::kNoKindMatch;
  error.message = fmt::format("the API server does not serve {}; is its CustomResourceDefinition installed?", what);
  return error;
}

base::Error incomplete(const std::string& what, std::string_view why) {
  base::Error error;
  error.kind = ErrorKind::unavailable;
  error.reason = RestMapper::kDiscoveryIncomplete;
  error.message = fmt::format("whether the API server serves {} is not known: {}", what, why);
  return error;
}

bool is_outage(ErrorKind kind) {
  return kind == ErrorKind::unavailable || kind == ErrorKind::timeout || kind == ErrorKind::rate_limited;
}

// Tells of definitions that come, change and go.
class Definitions final : public ReflectorSink {
 public:
  explicit Definitions(std::function<void()> changed) : changed_(std::move(changed)) {}
  void list_began(const std::string&, ListMark mark, bool) override { mark_ = mark; }
  void list_ended(const std::string&, ListMark mark) override {
    const std::size_t gone = std::erase_if(known_, [&](const auto& entry) { return entry.second.mark != mark; });
    news_ = news_ || gone > 0;
    if (std::exchange(news_, false)) changed_();
  }
  void seen(Json object) override {
    Known& known = known_[std::string(api::name_of(object))];
    const std::string_view version = api::resource_version_of(object);
    known.mark = mark_;
    if (known.version == version) return;
    known.version = version;
    news_ = true;
    // A list tells at its end, once for all.
    if (is_current && is_current()) {
      news_ = false;
      changed_();
    }
  }
  void seen_unreadable(Json object) override { seen(std::move(object)); }
  void removed(Json last) override {
    if (known_.erase(std::string(api::name_of(last))) > 0) changed_();
  }
  void not_served(bool) override {}
  std::function<bool()> is_current;

 private:
  struct Known {
    std::string version;
    ListMark mark = 0;
  };
  std::function<void()> changed_;
  std::unordered_map<std::string, Known> known_;
  ListMark mark_ = 0;
  bool news_ = false;
};

}  // namespace

struct RestMapper::Impl : std::enable_shared_from_this<RestMapper::Impl> {
  // What all share who ask at the same time; no outcome if whoever ran it was cancelled.
  struct Round {
    rt::Notify ended;
    std::optional<Result<void>> outcome;
  };

  std::shared_ptr<Client> client;
  RestMapperOptions options;
  detail::Discovery discovery;
  std::optional<base::SteadyPoint> refreshed;
  bool invalidated = false;
  bool is_ready = true;             // as the server said at the last discovery
  bool readiness_is_known = false;  // it may not tell us
  std::shared_ptr<Round> refreshing;
  std::map<api::GroupKind, std::shared_ptr<Round>> settling;
  rt::Notify changes;
  std::vector<std::function<void()>> listeners;
  std::unique_ptr<Definitions> definitions;
  std::unique_ptr<Reflector> reflector;

  static base::SteadyPoint now() { return base::system_clock().steady(); }
  bool is_recent() const { return refreshed && now() - *refreshed < options.min_refresh; }

  static rt::Task<Result<void>> refresh(std::shared_ptr<Impl> self);
  static rt::Task<Result<void>> discover(std::shared_ptr<Impl> self);
  template <class Key>
  static rt::Task<Result<Resource>> look_up(std::shared_ptr<Impl> self, Key key, api::GroupKind kind);
  static rt::Task<Result<void>> settle_once(std::shared_ptr<Impl> self, api::GroupKind kind);
  static rt::Task<Result<void>> settle(std::shared_ptr<Impl> self, api::GroupKind kind);
  static rt::Task<void> follow(std::shared_ptr<Impl> self);
  void tell();

  // What a round of settle() has found.
  struct Finding {
    enum class Verdict {
      served,
      gone,
      unknown,  // and likely to stay so for a while
      lagging,  // unknown, and likely to be known in a moment
      young,    // missing, for too short a time
    } verdict = Verdict::unknown;
    base::Duration pause{};  // before the next look
    std::string why;
  };
  static rt::Task<Finding> look(std::shared_ptr<Impl> self, api::GroupKind kind);
};

// --- discovery ---

// One discovery at a time; whoever comes meanwhile waits for its end.
rt::Task<Result<void>> RestMapper::Impl::refresh(std::shared_ptr<Impl> self) {
  while (self->refreshing) {
    const std::shared_ptr<Round> round = self->refreshing;
    co_await round->ended.wait();
    if (round->outcome) co_return *round->outcome;
  }
  struct Ended {
    Impl& impl;
    ~Ended() {
      const std::shared_ptr<Round> round = std::move(impl.refreshing);
      impl.refreshing.reset();
      round->ended.notify_all();
    }
  };
  self->refreshing = std::make_shared<Round>();
  const Ended ended{*self};
  self->invalidated = false;
  auto outcome = co_await discover(self);
  if (!outcome) self->invalidated = true;
  self->refreshing->outcome = outcome;
  co_return outcome;
}

rt::Task<Result<void>> RestMapper::Impl::discover(std::shared_ptr<Impl> self) {
  // Before the lists: a server that is ready by now has all of its groups in them.
  auto ready = co_await self->client->probe("/readyz");
  const ErrorKind kind = ready ? ErrorKind::internal : ready.error().kind;
  self->readiness_is_known = ready || kind == ErrorKind::unavailable || kind == ErrorKind::timeout;
  self->is_ready = ready || !self->readiness_is_known;
  auto core = co_await self->client->raw_get("/api");
  if (!core) co_return base::unexpected(std::move(core).error().with_context("discovery"));
  auto groups = co_await self->client->raw_get("/apis");
  if (!groups) co_return base::unexpected(std::move(groups).error().with_context("discovery"));
  SLUICE_CO_CHECK(self->discovery.take(*core, *groups, self->is_ready, now()));
  self->refreshed = now();
  co_return Result<void>();
}

// --- proof ---

rt::Task<RestMapper::Impl::Finding> RestMapper::Impl::look(std::shared_ptr<Impl> self, api::GroupKind kind) {
  using Verdict = Finding::Verdict;
  if (!self->is_recent() || self->invalidated) {
    auto refreshed = co_await refresh(self);
    if (!refreshed) co_return Finding{Verdict::unknown, {}, refreshed.error().message};
  }
  const auto* known = self->discovery.find(kind);
  if (known != nullptr && known->confirmed) co_return Finding{Verdict::served, {}, {}};
  if (!self->is_ready) co_return Finding{Verdict::lagging, kLookAgain, "the API server is not ready"};
  if (self->discovery.is_stale(kind.group)) {
    co_return Finding{Verdict::unknown, {}, fmt::format("the backend of the group {} does not answer", kind.group)};
  }
  const base::SteadyPoint since = self->discovery.missing_since(kind, now());
  auto declared = co_await detail::find_declaration(self->client, kind);
  if (!declared) co_return Finding{Verdict::unknown, {}, declared.error().message};
  if (*declared == Declaration::definition) {
    co_return Finding{Verdict::lagging, kLookAgain,
                      "there is a CustomResourceDefinition of it, which is not served yet, or no more"};
  }
  if (*declared == Declaration::service && !self->discovery.lists(kind.group)) {
    co_return Finding{Verdict::unknown, {}, fmt::format("the APIService of the group {} is not served", kind.group)};
  }
  const bool blind = *declared == Declaration::unseen;
  if (blind && !self->readiness_is_known) {
    co_return Finding{
        Verdict::unknown,
        {},
        "neither CustomResourceDefinitions and APIServices nor /readyz may be read; give one of these rights"};
  }
  const base::Duration age = *self->refreshed - since;
  const base::Duration gap = blind ? self->options.blind_gap : self->options.gap;
  if (age >= gap) co_return Finding{Verdict::gone, {}, {}};
  co_return Finding{Verdict::young, gap - age, {}};
}

// Finds out what became of a kind that is not confirmed. Success: look again at what is known.
rt::Task<Result<void>> RestMapper::Impl::settle(std::shared_ptr<Impl> self, api::GroupKind kind) {
  const base::SteadyPoint started = now();
  // What is known need not wait for more: it stays known.
  const base::Duration patience =
      self->discovery.find(kind) != nullptr ? base::Duration::zero() : self->options.patience;
  for (;;) {
    const Finding found = co_await look(self, kind);
    if (found.verdict == Finding::Verdict::served) co_return Result<void>();
    if (found.verdict == Finding::Verdict::gone) {
      self->discovery.drop(kind);
      co_return base::unexpected(no_match(kind.str()));
    }
    const bool has_patience = now() - started < patience;
    if (found.verdict == Finding::Verdict::unknown || (found.verdict == Finding::Verdict::lagging && !has_patience)) {
      co_return base::unexpected(incomplete(kind.str(), found.why));
    }
    co_await rt::sleep_for(found.pause);
    self->invalidated = true;
  }
}

rt::Task<Result<void>> RestMapper::Impl::settle_once(std::shared_ptr<Impl> self, api::GroupKind kind) {
  while (self->settling.contains(kind)) {
    const std::shared_ptr<Round> round = self->settling[kind];
    co_await round->ended.wait();
    if (round->outcome) co_return *round->outcome;
  }
  struct Ended {
    Impl& impl;
    api::GroupKind kind;
    std::shared_ptr<Round> round;
    ~Ended() {
      impl.settling.erase(kind);
      round->ended.notify_all();
    }
  };
  const auto round = std::make_shared<Round>();
  self->settling[kind] = round;
  const Ended ended{*self, kind, round};
  auto outcome = co_await settle(self, kind);
  round->outcome = outcome;
  co_return outcome;
}

// --- questions ---

template <class Key>
rt::Task<Result<Resource>> RestMapper::Impl::look_up(std::shared_ptr<Impl> self, Key key, api::GroupKind kind) {
  if (self->invalidated || !self->refreshed) {
    // Confirmed or not, it is looked at again; but at most once a second.
    if (!self->is_recent()) {
      auto refreshed = co_await refresh(self);
      if (!refreshed && self->discovery.find(key) == nullptr) {
        // A server that is away says nothing of the kind; what else is wrong somebody has to mend.
        base::Error error = std::move(refreshed).error();
        if (is_outage(error.kind)) error = incomplete(key.str(), error.message);
        co_return base::unexpected(std::move(error));
      }
    }
  }
  const auto* known = self->discovery.find(key);
  if (known != nullptr && known->confirmed) co_return known->resource;
  auto settled = co_await settle_once(self, kind);
  known = self->discovery.find(key);
  if (settled) {
    if (known != nullptr && known->confirmed) co_return known->resource;
    // The kind is served, and the group whole: not under this version.
    if (self->discovery.is_stale(kind.group) || !self->is_ready) {
      if (known != nullptr) co_return known->resource;
      co_return base::unexpected(incomplete(key.str(), "its group is not whole"));
    }
    if constexpr (std::is_same_v<Key, api::GroupVersionKind>) self->discovery.drop(key);
    co_return base::unexpected(no_match(key.str()));
  }
  if (settled.error().reason == kNoKindMatch) co_return base::unexpected(no_match(key.str()));
  // Not known to be gone: what is known of it stays.
  if (known != nullptr) co_return known->resource;
  co_return base::unexpected(std::move(settled).error());
}

rt::Task<Result<Resource>> RestMapper::resource_for(api::GroupVersionKind kind) {
  const api::GroupKind group_kind = kind.group_kind();
  auto found = co_await Impl::look_up(impl_, std::move(kind), group_kind);
  co_return found;
}

rt::Task<Result<Resource>> RestMapper::resource_for_group_kind(std::string group, std::string kind) {
  const api::GroupKind key{std::move(group), std::move(kind)};
  auto found = co_await Impl::look_up(impl_, key, key);
  co_return found;
}

// --- freshness ---

RestMapper::RestMapper(std::shared_ptr<Client> client, RestMapperOptions options) : impl_(std::make_shared<Impl>()) {
  impl_->client = std::move(client);
  impl_->options = options;
  impl_->client->on_not_served([weak = std::weak_ptr<Impl>(impl_)](const Resource& resource) {
    const auto self = weak.lock();
    if (!self) return;
    self->discovery.doubt({resource.group, resource.kind});
    self->invalidated = true;
  });
}
RestMapper::~RestMapper() = default;

void RestMapper::invalidate() { impl_->invalidated = true; }
void RestMapper::doubt(const api::GroupKind& kind) {
  impl_->discovery.doubt(kind);
  impl_->invalidated = true;
}

void RestMapper::Impl::tell() {
  invalidated = true;
  changes.notify_all();
  for (std::size_t i = 0; i < listeners.size(); ++i) listeners[i]();
}

rt::Task<void> RestMapper::Impl::follow(std::shared_ptr<Impl> self) {
  auto ended = co_await self->reflector->run();
  static_cast<void>(ended);
}

void RestMapper::follow_definitions(rt::Runtime& runtime, base::Logger log) {
  if (impl_->reflector) return;
  const std::weak_ptr<Impl> weak = impl_;
  impl_->definitions = std::make_unique<Definitions>([weak] {
    if (const auto self = weak.lock()) self->tell();
  });
  ReflectorOptions options;
  options.resource = detail::kDefinitions;
  options.metadata_only = true;
  impl_->reflector = std::make_unique<Reflector>(impl_->client, base::system_clock(), std::move(log),
                                                 std::move(options), *impl_->definitions);
  impl_->definitions->is_current = [weak] {
    const auto self = weak.lock();
    return self && self->reflector->is_current();
  };
  runtime.spawn("definitions", Impl::follow(impl_), rt::AtShutdown::cancel);
}

void RestMapper::on_change(std::function<void()> listener) { impl_->listeners.push_back(std::move(listener)); }
rt::Notify& RestMapper::changes() { return impl_->changes; }
bool RestMapper::hears_of_changes() const { return impl_->reflector && impl_->reflector->is_current(); }

bool is_about_unserved_kind(const base::Error& error) noexcept {
  return error.reason == RestMapper::kNoKindMatch || error.reason == RestMapper::kDiscoveryIncomplete;
}

}  // namespace sluice::kube
