// One object on its way through the layers of a build, with what kustomize has
// to remember about it: the names it had before, and what was put around them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "doc/yaml.hpp"
#include "kustomize/objects/id.hpp"
#include "kustomize/objects/shared_entries.hpp"
#include "kustomize/objects/written_texts.hpp"

namespace sluice::kustomize {

class Provenance;

enum class Behavior { unspecified, create, merge, replace };

struct PastId {
  std::string name;
  std::string ns;  // the effective one
  std::string kind;
  bool operator==(const PastId&) const = default;
};

struct Resource {
  doc::Json value;
  std::vector<PastId> past;  // oldest first; grows each time a name may change
  std::vector<std::string> prefixes;
  std::vector<std::string> suffixes;
  bool wants_hash = false;
  std::size_t patched = 0;  // how often; a validator must not, whatever comes of it
  bool allow_name_change = false;  // of a patch: it may rename its target
  bool allow_kind_change = false;
  Behavior behavior = Behavior::unspecified;
  bool generated = false;  // ... and kustomize has noted it
  std::vector<doc::EmptyNull> empty_nulls;  // which a merge removes
  std::vector<doc::PlainText> plain_texts;  // which a generator that is merged in takes over
  std::vector<std::uint64_t> quoted;        // places of strings that make a string of what a patch puts there
  std::vector<std::uint64_t> flow;          // places of maps and lists in flow style, where an empty text is no null
  std::vector<WrittenText> written;         // by replacements
  SharedEntries shared;  // labels and annotations that are one value in several places
  std::vector<std::string> var_names;  // vars that take their value from here
  std::shared_ptr<Provenance> provenance;  // null unless asked for
  std::string file;                    // where it was read, for messages
  int line = 0;
  std::vector<std::string> patched_by;  // entries of a Flux spec, for messages

  Gvk gvk() const { return Gvk::of(value); }
  std::string_view name() const { return doc::find_string(value, {"metadata", "name"}); }
  std::string_view ns() const { return doc::find_string(value, {"metadata", "namespace"}); }
  std::string_view kind() const { return doc::find_string(value, {"kind"}); }
  // What is no string counts as its text, null as nothing.
  std::string name_text() const;
  std::string kind_text() const;
  void set_name(std::string name) { value["metadata"]["name"] = std::move(name); }
  void set_ns(const std::string& ns);  // "" removes the field

  ResId id() const { return {gvk(), std::string(name()), std::string(ns())}; }
  // id().key() without the id.
  std::string key() const;
  ResId original_id() const;
  // original_id().gvk, as views of the object and of its past.
  GvkView original_gvk() const;
  // The past ids with the group and version of today, oldest first.
  std::vector<ResId> past_ids() const;
  void remember_id();
  // `invalid` where kustomize finds no kind or name, now or at a time when they were remembered.
  base::Result<void> check_identity() const;
  // kustomize keeps its notes on an object in annotations, and so reads them
  // from what it is given.
  void read_notes();
  // kustomize prints a null without text as an empty string in flow style and in annotations.
  void settle_empty_nulls();
  // What happens where a JSON patch takes an object through JSON: nulls as
  // above, but for annotations, and an annotation `1.10` without quotes is 1.1.
  void settle_for_json();

  // "Deployment/shop/web (apps/web.yaml:12)", for messages.
  std::string describe() const;
};

// What kustomize's notes begin with.
inline constexpr std::string_view kNotePrefix = "internal.config.kubernetes.io/";
// Takes kustomize's notes out of the annotations.
void drop_notes(doc::Json& annotations);
// Text of a scalar as YAML has it; "" for a list or map.
std::string scalar_text(const doc::Json& value);
// metadata.labels or metadata.annotations as text; what is no scalar is left out.
std::optional<std::string> metadata_text(const doc::Json& object, const char* map, const std::string& key);

}  // namespace sluice::kustomize
