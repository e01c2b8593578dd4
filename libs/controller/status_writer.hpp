// Writes one object's status during one run: one request at a time, only what
// has changed, and safe against others who write to the object. Runs on the
// loop; private to this library.
//
// As upstream's patch helper (fluxcd/pkg runtime/patch), a write is a merge
// patch on the status subresource under the controller's field manager, with
// the resourceVersion as lock: a 409 reads the object anew. If only its spec or metadata have
// moved, the write is tried again. If its status has, somebody else has come to another
// result (a replica that had the lease, a person): this one is stale, and forcing it would
// lose what the other says, objects of its inventory above all. Then nothing is written any
// more but the inventory, as the union of both, and the run is to be abandoned. So it is when
// the object is older than what the run began with, as etcd was restored: the run is about
// something that never was.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/conditions.hpp"
#include "api/object_meta.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"
#include "rt/runtime.hpp"

namespace sluice::controller {

// The JSON Merge Patch (RFC 7396) that makes `after` of `before`; an empty
// object where they are equal. Lists are replaced whole.
doc::Json merge_patch_between(const doc::Json& before, const doc::Json& after);

class StatusWriter {
 public:
  // `on_read` gets the object as the server answered.
  StatusWriter(std::shared_ptr<kube::Client> client, kube::Resource resource, std::string field_manager,
               const doc::Json& object, std::function<void(doc::Json)> on_read);

  // Makes the object's status equal `status`. `not_found` when the object is
  // gone or has been replaced by another of that name; `conflict` after several
  // lost races, and for good once is_stale(). A server that does not answer is asked
  // again for two seconds.
  rt::Task<base::Result<void>> write(doc::Json status);
  // Somebody else has written the status since this writer last knew it.
  bool is_stale() const noexcept { return stale_; }
  // Called when that is found.
  void on_stale(std::function<void()> callback) { on_stale_ = std::move(callback); }
  // Gets, in place of `on_read`, what the server answered with an older version than it had answered with before.
  void on_went_back(std::function<void(doc::Json)> callback) { on_went_back_ = std::move(callback); }
  // As the server last answered.
  const doc::Json& known() const noexcept { return known_; }

 private:
  rt::Task<base::Result<void>> write_alone(doc::Json status);
  rt::Task<base::Result<doc::Json>> send(doc::Json change);
  rt::Task<base::Result<void>> refresh();
  rt::Task<void> keep_inventory(doc::Json status);
  bool may_be_ours(const doc::Json& status) const;
  void take_in(doc::Json object);

  std::shared_ptr<kube::Client> client_;
  kube::Resource resource_;
  std::string field_manager_;
  api::ObjectKey key_;
  std::string uid_;
  std::string resource_version_;
  doc::Json known_;                  // status
  std::vector<doc::Json> in_doubt_;  // sent, but no answer came
  std::function<void(doc::Json)> on_read_;
  std::function<void(doc::Json)> on_went_back_;
  std::function<void()> on_stale_;
  bool went_back_ = false;
  bool stale_ = false;
  bool busy_ = false;
  rt::Notify idle_;
};

}  // namespace sluice::controller
