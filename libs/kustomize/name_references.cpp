// Names that changed, followed to the fields that hold them.
//
// A field holds the name that an object had when it was written, or any name
// since. Candidates are found by that name in an index; kustomize's rules then
// choose: kind by the rule, namespace, role references, and where several are
// left the prefixes and suffixes that referrer and target share.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "kustomize/transformers.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using doc::Json;
using Candidates = std::vector<const Resource*>;

// What is asked of a candidate again and again.
struct Target {
  const Resource* resource;
  ResId id;
  std::vector<ResId> past;
  std::size_t position;
  std::string ns;           // effective, now
  std::string original_ns;  // effective, at first
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
  explicit TargetIndex(const ResourceSet& set) {
    targets_.reserve(set.size());
    for (const auto& resource : set.items()) {
      const std::size_t position = targets_.size();
      Target target{resource.get(), resource->id(), resource->past_ids(), position, "", ""};
      target.ns = target.id.effective_ns();
      target.original_ns = target.past.empty() ? target.ns : std::string(target.past.front().effective_ns());
      original_namespaces_[target.original_ns].insert(target.ns);
      std::set<std::string_view> names;
      for (const ResId& id : target.past) names.insert(id.name);
      for (const std::string_view name : names) by_name_[std::string(name)].push_back(position);
      for (const std::string_view name : names) by_name_and_ns_[key(name, target.ns)].push_back(position);
      targets_.push_back(std::move(target));
    }
  }

  const Target& at(std::size_t position) const { return targets_[position]; }
  const std::vector<std::size_t>* named(const std::string& name) const { return find(by_name_, name); }
  const std::vector<std::size_t>* named(const std::string& name, std::string_view ns) const {
    return find(by_name_and_ns_, key(name, ns));
  }
  // Current namespaces of the objects that were in `ns` at first; null for none.
  const std::set<std::string>* from_namespace(const std::string& ns) const {
    const auto found = original_namespaces_.find(ns);
    return found == original_namespaces_.end() ? nullptr : &found->second;
  }

 private:
  using Positions = std::unordered_map<std::string, std::vector<std::size_t>>;
  static std::string key(std::string_view name, std::string_view ns) {
    return std::string(name).append("\x1f").append(ns);
  }
  static const std::vector<std::size_t>* find(const Positions& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
  }

  std::vector<Target> targets_;
  Positions by_name_;
  Positions by_name_and_ns_;
  std::unordered_map<std::string, std::set<std::string>> original_namespaces_;
};

// One object whose fields are looked at.
class Referrer {
 public:
  Referrer(Resource& resource, const TargetIndex& index) : resource_(resource), index_(index) {
    const ResId id = resource.id();
    cluster_scoped_ = id.gvk.cluster_scoped();
    namespaces_.insert(std::string(kNoNamespace));
    namespaces_.insert(std::string(id.effective_ns()));
    own_ns_ = id.effective_ns();
    if (id.gvk.kind == "RoleBinding") add_subject_namespaces();
  }

  Result<void> follow(Json& field, const Gvk& kind, bool role_ref) {
    kind_ = &kind;
    role_ref_ = role_ref;
    if (field.is_null()) return {};
    if (field.is_object()) return follow_map(field);
    if (!field.is_array()) return follow_scalar(field);
    for (Json& element : field) {
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
    if (target != nullptr && target->id.name != old_name) field = target->id.name;
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
    map["name"] = target->id.name;
    // An empty namespace stands for any here, and is not written.
    if (!target->id.ns.empty()) map["namespace"] = target->id.ns;
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
    return cluster_scoped_ || namespaces_.contains(target.ns) || subject_namespaces_.contains(target.id.ns);
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
      if (other.id.name == first.id.name && (!with_ns || other.id.ns == first.id.ns)) continue;
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
    const auto was = [&](const Gvk& kind) {
      return std::any_of(target.past.begin(), target.past.end(),
                         [&](const ResId& id) { return id.gvk.selected_by(kind); });
    };
    if (!was(*kind_)) return false;
    if (role_ref_) {
      const Json* group = doc::find(resource_.value, {"roleRef", "apiGroup"});
      const Json* kind = doc::find(resource_.value, {"roleRef", "kind"});
      if (group != nullptr && kind != nullptr && !was({scalar_text(*group), "", scalar_text(*kind)})) return false;
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

struct Rule {
  const Gvk* target;
  FieldSpec spec;
  std::vector<std::string> path;
  bool role_ref;
};

// The rules for one kind of referrer.
std::vector<Rule> rules_for(const std::vector<NameReference>& all, const Gvk& referrer) {
  std::vector<Rule> rules;
  for (const NameReference& reference : all) {
    for (const FieldSpec& spec : reference.referrers) {
      if (!referrer.selected_by(spec.gvk)) continue;
      rules.push_back(
          {&reference.target, {{}, spec.path, false}, split_path(spec.path, '/'), spec.path.ends_with("roleRef/name")});
    }
  }
  return rules;
}

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

Result<void> fix_name_references(ResourceSet& set, const std::vector<NameReference>& all) {
  for (const auto& resource : set.items()) SLUICE_CHECK(check_subjects(*resource));
  const TargetIndex index(set);
  std::unordered_map<std::string, std::vector<Rule>> by_kind;
  for (const auto& resource : set.items()) {
    const Gvk original = resource->original_id().gvk;
    const auto [found, added] = by_kind.try_emplace(original.str());
    if (added) found->second = rules_for(all, original);
    if (found->second.empty()) continue;
    Referrer referrer(*resource, index);
    for (const Rule& rule : found->second) {
      const SetField follow = [&](Json& field) -> Result<void> {
        const std::size_t before = text_in(field);
        SLUICE_CHECK(referrer.follow(field, *rule.target, rule.role_ref));
        return set.growth().change_text(before, text_in(field));
      };
      auto done = visit_path(*resource, rule.spec, rule.path, CreateKind::none, follow);
      if (!done) {
        return base::unexpected(std::move(done).error().with_context(
            fmt::format("{}: name reference {}", resource->describe(), rule.spec.path)));
      }
    }
  }
  set.changed_all();
  return {};
}

}  // namespace sluice::kustomize
