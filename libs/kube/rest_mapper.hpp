// Which resource serves a kind: discovery, kept and refreshed. Runs on the loop.
//
// There are three answers, and they are told apart:
//
//   served    the resource
//   not served   Error not_found, reason kNoKindMatch: proved; objects of the kind are gone
//   unknown   Error unavailable, reason kDiscoveryIncomplete: ask again; nothing may be dropped
//
// What is known to be served stays so until the opposite is proved, whatever a discovery leaves
// out: a server that starts lists no custom kinds for a while, and a group whose backend is away
// is listed without resources. What counts as proof is in docs/decisions/0008-proof-of-absence.md.
//
// Proof takes about two seconds (RestMapperOptions::gap) the first time that a kind is found
// missing. A question waits for it, and for discovery that lags behind a new definition.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::kube {

struct RestMapperOptions {
  // Between the first and the last discovery that lack the kind.
  base::Duration gap = std::chrono::seconds(2);
  // The same where the definitions may not be read, so that there is less to go by.
  base::Duration blind_gap = std::chrono::seconds(10);
  // How long a question waits for a server that starts, or a definition that is not served yet.
  base::Duration patience = std::chrono::seconds(5);
  base::Duration min_refresh = std::chrono::seconds(1);
};

// One for each server, shared by all that use it. Copies are the same mapper.
class RestMapper {
 public:
  static constexpr std::string_view kNoKindMatch = "NoKindMatch";
  static constexpr std::string_view kDiscoveryIncomplete = "DiscoveryIncomplete";

  explicit RestMapper(std::shared_ptr<Client> client, RestMapperOptions options = {});
  RestMapper(const RestMapper&) = default;
  RestMapper& operator=(const RestMapper&) = default;
  ~RestMapper();

  // The resource of a kind. Of a kind that is served under other versions only, this is "not served".
  rt::Task<base::Result<Resource>> resource_for(api::GroupVersionKind kind);
  // Any served version of a group and kind, the server's preferred one first.
  rt::Task<base::Result<Resource>> resource_for_group_kind(std::string group, std::string kind);

  // What is known may have changed: the next question asks the server, at most once a second.
  void invalidate();
  // Somebody was told that a kind that we know is not served: it is looked up again.
  void doubt(const api::GroupKind& kind);

  // The one owner of freshness: watches CustomResourceDefinitions, and at each change invalidates
  // and tells the listeners. Once for each mapper; the caller needs the right to list and watch them.
  void follow_definitions(rt::Runtime& runtime, base::Logger log);
  // Called after each change that follow_definitions() sees.
  void on_change(std::function<void()> listener);
  // Notified along with the listeners.
  rt::Notify& changes();
  // Definitions are being watched right now, so that no change of them is missed.
  bool hears_of_changes() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// True if another look at the server may show the kind that this error is about.
bool is_about_unserved_kind(const base::Error& error) noexcept;

}  // namespace sluice::kube
