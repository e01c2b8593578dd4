// The patch appliers: an object, and a patch for it behind a line of "===".
#include <cstdint>

#include "doc/yaml.hpp"
#include "fuzz/fuzz.hpp"
#include "kustomize/patches/json_patch.hpp"
#include "kustomize/patches/strategic_merge.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = text.find("===\n");
  if (cut == std::string_view::npos) return 0;
  doc::YamlLimits limits;
  limits.max_nodes = 20'000;
  const auto object = doc::parse_yaml(text.substr(0, cut), limits);
  const auto patch = doc::parse_yaml(text.substr(cut + 4), limits);
  if (!object || !patch || !object->is_object()) return 0;
  if (const auto operations = kustomize::parse_json_patch(*patch)) {
    doc::Json copy = *object;
    kustomize::Growth growth;
    (void)kustomize::apply_json_patch(copy, *operations, growth);
  }
  if (patch->is_object()) {
    doc::Json copy = *object;
    kustomize::MergeNotes notes;
    (void)kustomize::strategic_merge(copy, *patch, *kustomize::Schema::builtin(), notes);
  }
  return 0;
}
