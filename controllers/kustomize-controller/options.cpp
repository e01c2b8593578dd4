#include "options.hpp"

namespace sluice::kustomize_controller {

void add_flags(controller::FlagSet& flags, KustomizeOptions& options) {
  flags.add("concurrent-ssa", options.concurrent_ssa, "How many objects of one Kustomization are applied at once.");
  flags.add("override-manager", options.override_managers,
            "Field manager whose changes of applied objects are undone; may be given several times.");
  flags.add("override-manager-before-dry-run", options.override_before_dry_run,
            "Take the fields of kubectl and of --override-manager over before the dry run of an object, for those whose "
            "record of managed fields makes it fail.");
  flags.add("custom-apply-stage-kinds", options.custom_apply_stage_kinds,
            "Comma-separated kinds (group/Kind) that are applied after definitions and before all others.");
  flags.add("artifact-folder", options.artifact_folder,
            "Folder for unpacked artifacts; default: the temporary folder.");
  flags.accept_without_effect("no-remote-bases", true, "bases by URL are refused in any case.");
  flags.accept_without_effect("http-retry", false, "a download that fails is tried again with the object's backoff.");
  flags.accept_without_effect("sops-age-secret", false, "encrypted manifests are not decrypted yet.");
  flags.accept_without_effect("sops-vault-configmap", false, "encrypted manifests are not decrypted yet.");
  flags.accept_without_effect("default-decryption-service-account", false,
                              "encrypted manifests are not decrypted yet.");
}

base::Result<std::set<api::GroupKind>> custom_stage_of(const KustomizeOptions& options) {
  std::set<api::GroupKind> kinds;
  std::string_view rest = options.custom_apply_stage_kinds;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    const std::size_t slash = part.find('/');
    if (slash == std::string_view::npos || slash + 1 == part.size()) {
      return base::unexpected(base::ErrorKind::invalid,
                              "--custom-apply-stage-kinds: '" + std::string(part) + "' is not of the form group/Kind");
    }
    kinds.insert({std::string(part.substr(0, slash)), std::string(part.substr(slash + 1))});
  }
  return kinds;
}

}  // namespace sluice::kustomize_controller
