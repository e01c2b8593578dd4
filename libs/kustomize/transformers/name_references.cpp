// Names that changed, followed to the fields that hold them.
//
// A field holds the name that an object had when it was written, or any name
// since. Candidates are found by that name in an index; kustomize's rules then
// choose: kind by the rule, namespace, role references, and where several are
// left the prefixes and suffixes that referrer and target share.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "kustomize/fields/field_tree.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;
using Candidates = std::vector<const Resource*>;

// What is asked of a candidate again and again. References are followed by what
// objects were called before the first of them was.
struct Target {
  const Resource* resource;
  std::size_t position;
  Gvk gvk;
  std::string name;
  std::string own_ns;       // as the object says it
  std::string ns;           // effective, now
  std::string original_ns;  // effective, at first

  Target(const Resource& object, std::size_t position)
      : resource(&object), position(position), gvk(object.gvk()), name(object.name()), own_ns(object.ns()),
        ns(effective_ns(gvk, own_ns)), original_ns(ns) {
    if (object.past.empty()) return;
    const PastId& first = object.past.front();
    original_ns = effective_ns({gvk.group, gvk.version, first.kind}, first.ns);
  }
  // True if it is or was of a kind that the selector matches, under some name.
  bool was(const GvkView& selector) const {
    return std::any_of(resource->past.begin(), resource->past.end(), [&](const PastId& id) {
      return GvkView{gvk.group, gvk.version, id.kind}.selected_by(selector);
    });
  }
};

// True if the shorter list is the end of the longer one. kustomize compares
// from the back and takes an empty list for the end of none but itself.
bool same_ending(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const std::size_t count = std::min(a.size(), b.size());
  if (count == 0) return a.empty() && b.empty();
  return std::equal(a.end() - static_cast<std::ptrdiff_t>(count), a.end(),
                    b.end() - static_cast<std::ptrdiff_t>(count));
}

bool affixes_match(const Resource& a, const Resource& b, bool allow_empty) {
  const auto match = [&](const auto& x, const auto& y) {
    return (allow_empty && (x.empty() || y.empty())) || same_ending(x, y);
  };
  return match(a.prefixes, b.prefixes) && match(a.suffixes, b.suffixes);
}

class TargetIndex {
 public:
  using Positions = std::vector<std::size_t>;

  explicit TargetIndex(const ResourceSet& set) {
    targets_.reserve(set.size());
    by_name_.reserve(set.size());
    for (const auto& resource : set.items()) {
      if (Steps::ended()) return;
      const Target& target = targets_.emplace_back(*resource, targets_.size());
      original_namespaces_[target.original_ns].insert(target.ns);
      for (const PastId& id : resource->past) {
        Positions& positions = by_name_[{id.name, target.ns}];
        if (positions.empty() || positions.back() != target.position) positions.push_back(target.position);
      }
    }
  }

  const Target& at(std::size_t position) const { return targets_[position]; }
  // Objects that ever had this name, in order; null for none.
  const Positions* named(std::string_view name) const {
    if (!std::exchange(names_indexed_, true)) index_names();
    const auto found = by_name_only_.find(name);
    return found == by_name_only_.end() ? nullptr : &found->second;
  }
  // The same of those that are in `ns` now.
  const Positions* named(std::string_view name, std::string_view ns) const {
    const auto found = by_name_.find({name, ns});
    return found == by_name_.end() ? nullptr : &found->second;
  }
  // Current namespaces of the objects that were in `ns` at first; null for none.
  const std::set<std::string>* from_namespace(const std::string& ns) const {
    const auto found = original_namespaces_.find(ns);
    return found == original_namespaces_.end() ? nullptr : &found->second;
  }

 private:
  // Views of what the targets and their past ids hold.
  using NameAndNs = std::pair<std::string_view, std::string_view>;
  struct Hash {
    std::size_t operator()(const NameAndNs& key) const {
      const std::hash<std::string_view> hash;
      return hash(key.first) * 31 + hash(key.second);
    }
  };

  // Only objects without a namespace ask for names alone.
  void index_names() const {
    for (const Target& target : targets_) {
      for (const PastId& id : target.resource->past) {
        Positions& positions = by_name_only_[id.name];
        if (positions.empty() || positions.back() != target.position) positions.push_back(target.position);
      }
    }
  }

  std::vector<Target> targets_;
  std::unordered_map<NameAndNs, Positions, Hash> by_name_;
  mutable std::unordered_map<std::string_view, Positions> by_name_only_;
  mutable bool names_indexed_ = false;
  std::unordered_map<std::string, std::set<std::string>> original_namespaces_;
};

// One object whose fields are looked at.
class Referrer {
 public:
  Referrer(Resource& resource, const TargetIndex& index) : resource_(resource), index_(index) {
    const GvkView gvk = GvkView::of(resource.value);
    cluster_scoped_ = gvk.cluster_scoped();
    own_ns_ = effective_ns(gvk, resource.ns());
    namespaces_.insert(std::string(kNoNamespace));
    namespaces_.insert(own_ns_);
    if (gvk.kind == "RoleBinding") add_subject_namespaces();
  }

  Result<void> follow(Json& field, const Gvk& kind, bool role_ref) {
    kind_ = &kind;
    role_ref_ = role_ref;
    if (field.is_null()) return {};
    if (field.is_object()) return follow_map(field);
    if (!field.is_array()) return follow_scalar(field);
    for (Json& element : field) {
      SLUICE_CHECK(take_step());
      if (element.is_null()) continue;
      if (element.is_array()) return base::unexpected(ErrorKind::invalid, "a name or a map with a name is expected");
      SLUICE_CHECK(element.is_object() ? follow_map(element) : follow_scalar(element));
    }
    return {};
  }

 private:
  void add_subject_namespaces() {
    const auto subjects = resource_.value.find("subjects");
    if (subjects == resource_.value.end() || !subjects->is_array()) return;
    for (const Json& subject : *subjects) {
      if (doc::find_string(subject, {"kind"}) != "ServiceAccount") continue;
      const std::string_view ns = doc::find_string(subject, {"namespace"});
      if (!ns.empty()) subject_namespaces_.insert(std::string(ns));
    }
  }

  Result<void> follow_scalar(Json& field) const {
    const std::string old_name = scalar_text(field);
    SLUICE_TRY(const Target* target, choose(old_name, reachable(old_name), false));
    if (target != nullptr && target->name != old_name) field = target->name;
    return {};
  }

  Result<void> follow_map(Json& map) const {
    const auto name = map.find("name");
    if (name == map.end()) return base::unexpected(ErrorKind::invalid, "the map has no field `name`");
    const std::string old_name = scalar_text(*name);
    std::vector<std::size_t> candidates = reachable(old_name);
    if (const auto ns = map.find("namespace"); ns != map.end() && !ns->is_null()) {
      keep_namespace(candidates, scalar_text(*ns));
    }
    SLUICE_TRY(const Target* target, choose(old_name, std::move(candidates), true));
    if (target == nullptr) return {};
    map["name"] = target->name;
    // An empty namespace stands for any here, and is not written.
    if (!target->own_ns.empty()) map["namespace"] = target->own_ns;
    return {};
  }

  // Objects that ever had this name and that the referrer may refer to.
  std::vector<std::size_t> reachable(const std::string& name) const {
    std::vector<std::size_t> found;
    const auto add = [&](const std::vector<std::size_t>* positions) {
      if (positions != nullptr) found.insert(found.end(), positions->begin(), positions->end());
    };
    if (cluster_scoped_) {
      add(index_.named(name));
      return found;
    }
    for (const std::string& ns : namespaces_) add(index_.named(name, ns));
    for (const std::string& ns : subject_namespaces_) {
      if (!namespaces_.contains(ns)) add(index_.named(name, ns));
    }
    std::erase_if(found, [&](std::size_t position) { return !may_see(index_.at(position)); });
    std::sort(found.begin(), found.end());
    return found;
  }

  bool may_see(const std::string& ns) const {
    return cluster_scoped_ || namespaces_.contains(ns) || subject_namespaces_.contains(ns);
  }
  // A subject's namespace is compared with what the object says, without the default.
  bool may_see(const Target& target) const {
    return cluster_scoped_ || namespaces_.contains(target.ns) || subject_namespaces_.contains(target.own_ns);
  }

  // Of candidates for a reference with a namespace: those that were there at
  // first, or, where nothing that can be seen was, those that are there now.
  void keep_namespace(std::vector<std::size_t>& candidates, const std::string& ns) const {
    const std::set<std::string>* now = index_.from_namespace(ns);
    const bool original =
        now != nullptr && std::any_of(now->begin(), now->end(), [&](const std::string& each) { return may_see(each); });
    std::erase_if(candidates, [&](std::size_t position) {
      const Target& target = index_.at(position);
      return (original ? target.original_ns : target.ns) != ns || ns == kNoNamespace;
    });
  }

  Result<const Target*> choose(const std::string& old_name, std::vector<std::size_t> candidates, bool with_ns) const {
    std::erase_if(candidates, [&](std::size_t position) { return !fits(index_.at(position)); });
    if (candidates.size() > 1) keep_affixes(candidates, true);
    if (candidates.size() > 1) keep_affixes(candidates, false);
    if (candidates.empty()) return nullptr;
    const Target& first = index_.at(candidates[0]);
    for (const std::size_t position : candidates) {
      const Target& other = index_.at(position);
      if (other.name == first.name && (!with_ns || other.own_ns == first.own_ns)) continue;
      return base::unexpected(ErrorKind::invalid, fmt::format("\"{}\" may be {} or {}", old_name,
                                                              first.resource->describe(), other.resource->describe()));
    }
    return &first;
  }

  void keep_affixes(std::vector<std::size_t>& candidates, bool allow_empty) const {
    std::erase_if(candidates, [&](std::size_t position) {
      return !affixes_match(*index_.at(position).resource, resource_, allow_empty);
    });
  }

  bool fits(const Target& target) const {
    if (!target.was(*kind_)) return false;
    if (role_ref_) {
      const Json* group = doc::find(resource_.value, {"roleRef", "apiGroup"});
      const Json* kind = doc::find(resource_.value, {"roleRef", "kind"});
      if (group != nullptr && kind != nullptr && !target.was(Gvk{scalar_text(*group), "", scalar_text(*kind)})) {
        return false;
      }
    }
    return cluster_scoped_ || target.ns == kNoNamespace || target.resource->kind() == "ServiceAccount" ||
           target.ns == own_ns_;
  }

  Resource& resource_;
  const TargetIndex& index_;
  bool cluster_scoped_ = false;
  std::string own_ns_;
  std::set<std::string> namespaces_;
  std::set<std::string> subject_namespaces_;
  const Gvk* kind_ = nullptr;
  bool role_ref_ = false;
};

// kustomize looks at the subjects of each role binding, whether a name changed or not.
Result<void> check_subjects(const Resource& resource) {
  if (resource.kind() != "RoleBinding") return {};
  const auto subjects = resource.value.find("subjects");
  if (subjects == resource.value.end() || !subjects->is_array()) return {};
  for (const Json& subject : *subjects) {
    if (doc::find_string(subject, {"kind"}) != "ServiceAccount") continue;
    const auto ns = subject.find("namespace");
    if (ns != subject.end() && !ns->is_string()) {
      return base::unexpected(ErrorKind::invalid, resource.describe() + ": the namespace of a subject is blank");
    }
  }
  return {};
}

// Bytes of the names in a field.
std::size_t text_in(const Json& field) {
  if (field.is_object()) {
    return doc::find_string(field, {"name"}).size() + doc::find_string(field, {"namespace"}).size();
  }
  std::size_t size = Growth::text_size(field);
  if (field.is_array()) {
    for (const Json& each : field) size += text_in(each);
  }
  return size;
}

}  // namespace

Result<void> fix_name_references(ResourceSet& set, const std::vector<NameReference>& rules) {
  for (const auto& resource : set.items()) {
    SLUICE_CHECK(take_step());
    SLUICE_CHECK(check_subjects(*resource));
  }
  FieldTree::Specs specs;
  std::vector<const Gvk*> targets;
  for (const NameReference& rule : rules) {
    for (const FieldSpec& spec : rule.referrers) {
      specs.push_back(&spec);
      targets.push_back(&rule.target);
    }
  }
  FieldTrees trees(specs, CreateKind::none);
  std::optional<TargetIndex> index;  // made for the first reference, as layers without any are many
  for (const auto& resource : set.items()) {
    std::optional<Referrer> referrer;
    SLUICE_CHECK(take_step());
    const auto follow = [&](Json& field, std::size_t number) -> Result<void> {
      if (!index) index.emplace(set);
      if (!referrer) referrer.emplace(*resource, *index);
      const std::size_t before = text_in(field);
      SLUICE_CHECK(referrer->follow(field, *targets[number], specs[number]->path.ends_with("roleRef/name")));
      return set.growth().change_text(before, text_in(field));
    };
    auto failed = trees.of(resource->original_gvk()).visit(*resource, follow);
    if (!failed) continue;
    return base::unexpected(std::move(failed->error).with_context(
        fmt::format("{}: name reference {}", resource->describe(), failed->spec->path)));
  }
  set.changed_all();
  return {};
}

}  // namespace sluice::kustomize
