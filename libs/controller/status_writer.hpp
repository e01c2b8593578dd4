// Writes one object's status during one run: one request at a time, only what
// has changed, and safe against others who write to the object. Runs on the
// loop; private to this library.
//
// As upstream's patch helper (fluxcd/pkg runtime/patch), a write is a merge
// patch on the status subresource under the controller's field manager, with
// the resourceVersion as lock: a 409 reads the object anew and tries again.
#pragma once

#include <functional>
#include <memory>
#include <string>

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
  // `on_written` gets the object as the server answered.
  StatusWriter(std::shared_ptr<kube::Client> client, kube::Resource resource, std::string field_manager,
               const doc::Json& object, std::function<void(doc::Json)> on_written);

  // Makes the object's status equal `status`. `not_found` when the object is
  // gone or has been replaced by another of that name; `conflict` after several
  // lost races. A server that does not answer is asked again for two seconds.
  rt::Task<base::Result<void>> write(doc::Json status);
  // As the server last answered.
  const doc::Json& known() const noexcept { return known_; }

 private:
  rt::Task<base::Result<void>> write_alone(doc::Json status);
  rt::Task<base::Result<void>> refresh();
  void take_in(doc::Json object);

  std::shared_ptr<kube::Client> client_;
  kube::Resource resource_;
  std::string field_manager_;
  api::ObjectKey key_;
  std::string uid_;
  std::string resource_version_;
  doc::Json known_;  // status
  std::function<void(doc::Json)> on_written_;
  bool busy_ = false;
  rt::Notify idle_;
};

}  // namespace sluice::controller
