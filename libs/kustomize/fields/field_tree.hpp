// The field specs for one kind as one tree of names, so that an object is
// walked once, however many specs there are.
//
//   spec/template/spec/volumes/secret/secretName            spec - template - spec - volumes - secret - secretName
//   spec/template/spec/containers/envFrom/secretRef/name                         \- containers - envFrom - ...
//
// What comes out is what visit_field() gives for one spec after the other. Where
// that can't be had from one walk (one path begins with another), they are
// visited one after the other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kustomize/fields/field_spec.hpp"

namespace sluice::kustomize {

class FieldTree {
 public:
  using Specs = std::vector<const FieldSpec*>;
  // `number`: the place of the spec in the list that the tree was made of.
  using Set = std::function<base::Result<void>(doc::Json& field, std::size_t number)>;
  struct Failure {
    base::Error error;
    const FieldSpec* spec;
  };

  // Of the specs those that match the kind. They must outlive the tree.
  FieldTree(const Specs& specs, const GvkView& kind, CreateKind create);
  // Calls `set` on the fields of each spec, in the order of the specs; the first failure ends it.
  std::optional<Failure> visit(Resource& resource, const Set& set) const;

 private:
  // A spec that matches the kind.
  struct Path {
    const FieldSpec* spec;
    std::size_t number;
    std::vector<std::string> steps;
  };
  struct Node {
    std::string_view name;              // a step, without "[]"
    bool list = false;                  // ... that was written with it
    bool create = false;                // a path through here creates what is missing
    std::size_t depth = 0;              // steps to here
    std::size_t first = 0;              // of the paths through here
    std::vector<std::size_t> ends;      // paths that end here
    std::vector<std::size_t> children;  // nodes
  };
  class Walk;

  bool add(std::size_t path);
  std::optional<Failure> visit_one_by_one(Resource& resource, const Set& set) const;

  std::vector<Path> paths_;
  std::vector<Node> nodes_;  // the first is the top; none if paths are visited one by one
  CreateKind create_;
};

// Trees by kind, each made when the first object of its kind comes along.
class FieldTrees {
 public:
  FieldTrees(FieldTree::Specs specs, CreateKind create) : specs_(std::move(specs)), create_(create) {}
  const FieldTree& of(const GvkView& kind);

 private:
  FieldTree::Specs specs_;
  CreateKind create_;
  std::unordered_map<std::string, FieldTree> trees_;
  std::string key_;  // kept for its memory
};

}  // namespace sluice::kustomize
