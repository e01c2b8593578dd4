#include "kustomize/fields/field_tree.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kustomize/objects/growth.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using doc::Json;

// Fields found in one walk, before any is set. More of them are not worth their memory.
constexpr std::size_t kMaxFound = 4096;

}  // namespace

FieldTree::FieldTree(const Specs& specs, const GvkView& kind, CreateKind create) : create_(create) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const FieldSpec& spec = *specs[i];
    if (kind.selected_by(spec.gvk)) paths_.push_back({&spec, i, split_path(spec.path, '/')});
  }
  nodes_.emplace_back();
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if (add(i)) continue;
    nodes_.clear();
    return;
  }
}

// False if the tree would not do what the paths do one after the other.
bool FieldTree::add(std::size_t path) {
  const std::vector<std::string>& steps = paths_[path].steps;
  const bool create = paths_[path].spec->create && create_ != CreateKind::none;
  if (steps.size() > Growth::kMaxDepth) return false;
  std::size_t at = 0;
  for (const std::string& step : steps) {
    std::string_view name = step;
    const bool list = name.ends_with("[]");
    if (list) name.remove_suffix(2);
    if (name.empty() || !nodes_[at].ends.empty()) return false;
    const std::vector<std::size_t>& children = nodes_[at].children;
    const auto same =
        std::find_if(children.begin(), children.end(), [&](std::size_t child) { return nodes_[child].name == name; });
    const bool known = same != children.end();
    const std::size_t next = known ? *same : nodes_.size();
    if (known && nodes_[next].list != list) return false;
    if (!known) {
      nodes_.push_back({name, list, false, nodes_[at].depth + 1, path, {}, {}});
      nodes_[at].children.push_back(next);
    }
    nodes_[next].create |= create && !list;
    at = next;
  }
  // Of paths that are equal all create their field, or none.
  Node& end = nodes_[at];
  const bool differs = !end.ends.empty() && paths_[end.ends.front()].spec->create != paths_[path].spec->create;
  if (!end.children.empty() || differs) return false;
  end.ends.push_back(path);
  return true;
}

class FieldTree::Walk {
 public:
  explicit Walk(const FieldTree& tree) : tree_(tree), failed_(tree.paths_.size()) {}

  // False if more is found than should be kept.
  bool run(Json& object) {
    go(object, tree_.nodes_.front());
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.path < b.path; });
    return found_.size() <= kMaxFound;
  }

  std::optional<Failure> set_all(Resource& resource, const Set& set) const {
    for (const Found& found : found_) {
      if (found.path > failed_) break;
      if (Steps::ended()) return Failure{cancelled().error, tree_.paths_[found.path].spec};
      const Path& path = tree_.paths_[found.path];
      const auto set_one = [&](Json& field) { return set(field, path.number); };
      auto done = resource.shared.empty() ? set_one(*found.field)
                                          : resource.shared.set(resource.value, *found.field, set_one);
      if (!done) return Failure{std::move(done).error(), path.spec};
    }
    if (failed_ == tree_.paths_.size()) return std::nullopt;
    const Path& path = tree_.paths_[failed_];
    return Failure{no_map_before(*path.spec, path.steps[failed_depth_]), path.spec};
  }

 private:
  struct Found {
    std::size_t path;
    Json* field;
  };

  void go(Json& value, const Node& node) {
    if (!node.ends.empty()) return keep(value, node);
    if (value.is_null() || found_.size() > kMaxFound) return;
    if (value.is_array()) {
      for (Json& element : value) go(element, node);
    } else if (value.is_object()) {
      for (const std::size_t child : node.children) member(value, tree_.nodes_[child]);
    } else if (!node.children.empty() && node.first < failed_) {
      failed_ = node.first;
      failed_depth_ = node.depth;
    }
  }

  void keep(Json& value, const Node& node) {
    for (const std::size_t path : node.ends) {
      if (path >= failed_ || found_.size() > kMaxFound) return;
      found_.push_back({path, &value});
    }
  }

  void member(Json& map, const Node& node) {
    auto found = map.find(node.name);
    if (found == map.end()) {
      if (!node.create) return;
      found = map.emplace(std::string(node.name), Json()).first;
    }
    if (found->is_null()) {
      if (node.list) *found = Json::array();
      if (node.create) *found = node.ends.empty() || tree_.create_ == CreateKind::map ? Json::object() : Json("");
    }
    go(*found, node);
  }

  const FieldTree& tree_;
  std::vector<Found> found_;
  std::size_t failed_;  // the first path that met a scalar before its end
  std::size_t failed_depth_ = 0;
};

std::optional<FieldTree::Failure> FieldTree::visit(Resource& resource, const Set& set) const {
  if (paths_.empty()) return std::nullopt;
  if (nodes_.empty()) return visit_one_by_one(resource, set);
  Walk walk(*this);
  return walk.run(resource.value) ? walk.set_all(resource, set) : visit_one_by_one(resource, set);
}

std::optional<FieldTree::Failure> FieldTree::visit_one_by_one(Resource& resource, const Set& set) const {
  for (const Path& path : paths_) {
    auto done = visit_path(resource, *path.spec, path.steps, create_,
                           [&](Json& field) { return set(field, path.number); });
    if (!done) return Failure{std::move(done).error(), path.spec};
  }
  return std::nullopt;
}

const FieldTree& FieldTrees::of(const GvkView& kind) {
  key_ = id_key(kind, {}, {});
  const auto known = trees_.find(key_);
  if (known != trees_.end()) return known->second;
  return trees_.try_emplace(key_, specs_, kind, create_).first->second;
}

}  // namespace sluice::kustomize
