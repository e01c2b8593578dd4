// From the files of an artifact to the manifests of a Kustomization, and the
// memory of what was rendered before. Pure but for that memory.
//
// A render is a function of the bytes that it reads and of a part of the spec.
// It is not repeated while these stand: not for another run of the same
// artifact, and not for another artifact in which the files that it read are
// the same (a commit that touches another application of the repository).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/kustomization.hpp"
#include "api/object_meta.hpp"
#include "apply/manifest.hpp"
#include "base/file_view.hpp"
#include "base/result.hpp"
#include "doc/json.hpp"
#include "kustomize/kustomize.hpp"
#include "post_build.hpp"

namespace sluice::kustomize_controller {

struct Rendered {
  std::shared_ptr<const std::vector<apply::Manifest>> manifests;
  std::string digest;                             // of the built YAML, as upstream counts it for history
  std::vector<std::string> warnings;              // of the build
  std::vector<std::string> derived_secrets = {};  // DerivedSecrets of the build
};

// What of a Kustomization decides about the result, as text; equal texts render
// equal results from equal files. `variables` are those of spec.postBuild.
std::string render_key(const doc::Json& kustomization, const api::StringMap& variables);

struct RenderInput {
  api::Kustomization kustomization;
  apply::Owner owner;
  Substitution substitution;  // of spec.postBuild
};

// Reasons of errors that are told under another condition reason than BuildFailed.
inline constexpr const char* kPathNotFound = "PathNotFound";  // spec.path is no folder of the artifact
inline constexpr const char* kEncrypted = "Encrypted";        // a Secret that would have to be decrypted

// Builds, sets common metadata and makes manifests. Errors name the object, the
// file and its line.
// With a cache, folders below that were built before and stand are not built again.
// `cancelled` soon after `stop` is asked for.
base::Result<Rendered> render(const base::FileView& files, const RenderInput& input,
                              kustomize::BuildCache* layers = nullptr, std::stop_token stop = {});

// What was rendered last. There is room for thousands of ordinary builds; past it, those that
// nobody asked for longest are kept in outline only: rendered again when they are asked for, but
// who they name stays known, or what another Kustomization has taken over would be deleted. On the loop.
class RenderCache {
 public:
  explicit RenderCache(std::size_t max_bytes = std::size_t{256} << 20U) : max_bytes_(max_bytes) {}

  using Records = std::map<std::string, std::string, std::less<>>;
  struct Entry {
    std::string key;              // render_key
    std::string artifact_digest;  // for which the result is known to stand
    Records records;              // what was read
    std::shared_ptr<const Rendered> rendered;
  };

  // The entry, if it was rendered with this key. It stands if its digest is the
  // artifact's or, proven by RecordingView::still_holds, its records hold.
  std::shared_ptr<const Entry> find(const api::ObjectKey& owner, const std::string& key);
  // The entry, whatever it was rendered with; of one in outline the manifests are `id` and `skip`.
  std::shared_ptr<const Entry> last(const api::ObjectKey& owner) const;
  void put(const api::ObjectKey& owner, Entry entry);
  void forget(const api::ObjectKey& owner);
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Kept {
    api::ObjectKey owner;
    std::shared_ptr<const Entry> entry;
    std::size_t bytes;
    bool is_outline;
  };
  void shorten(std::list<Kept>::iterator kept);

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;  // of all; mostly texts of manifests
  std::size_t outline_bytes_ = 0;
  std::list<Kept> whole_;     // the latest first
  std::list<Kept> outlines_;  // the latest first
  std::unordered_map<api::ObjectKey, std::list<Kept>::iterator> entries_;
};

}  // namespace sluice::kustomize_controller
