// An object as it is to be applied, made ready once and kept small: its text,
// and what can be said about it without reading the text again. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/inventory.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

// Who owns what is applied; its two labels are put on every object.
struct Owner {
  std::string group;          // label prefix, "kustomize.toolkit.fluxcd.io"
  std::string name;           // value of label `<group>/name`
  std::string namespace_;     // value of label `<group>/namespace`
  std::string field_manager;  // "kustomize-controller"

  api::ObjectKey key() const { return {namespace_, name}; }
};

struct Manifest {
  api::ObjectId id;        // as written; the namespace of a cluster-scoped object may be set
  std::string version;     // of its apiVersion
  std::string text;        // JSON, with the owner labels on it
  std::uint64_t hash = 0;  // of the text's document
  std::string origin;      // "apps/web.yaml:12", for messages; may be empty
  // Annotations of the object that say how to apply it.
  bool skip = false;            // `ssa: Ignore` or `reconcile: disabled`
  bool if_not_present = false;  // `ssa: IfNotPresent`
  bool merge = false;           // `ssa: Merge`
  bool force = false;           // `force: enabled`
  bool may_vanish = false;      // a Job that is deleted some time after it has finished
  // What is wrong with the object, where a server that is asked would answer with a
  // value that nobody may read: it is refused in its stage, with these words.
  std::string refusal;
};


// Puts the labels on, takes off what only a server may write and the keys of
// Flux's early versions, and sets the fields without which server-side apply
// sees a difference where there is none (protocol of a port). A Secret's stringData
// becomes data.
// `invalid` without apiVersion, kind or name.
base::Result<Manifest> make_manifest(doc::Json object, const Owner& owner, std::string origin = {});
// Stops at the first error.
base::Result<std::vector<Manifest>> make_manifests(std::vector<doc::Json> objects, const Owner& owner);

}  // namespace sluice::apply
