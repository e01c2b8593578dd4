// The objects of one layer, in their order, found by any id they have or had.
//
// The index makes every lookup constant time; whoever changes the identity of
// an object calls changed() (one object) or changed_all().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/growth.hpp"
#include "kustomize/objects/resource.hpp"

namespace sluice::kustomize {

class ResourceSet {
 public:
  using Items = std::vector<std::unique_ptr<Resource>>;

  const Items& items() const { return items_; }
  std::size_t size() const { return items_.size(); }

  // `already_exists` if an object with the same id is there.
  base::Result<void> append(std::unique_ptr<Resource> resource);
  base::Result<void> append_all(ResourceSet other);
  // Adds what a generator made, by its behavior: create, merge, replace.
  base::Result<void> absorb(std::unique_ptr<Resource> resource);

  // All that have or had this id, in order.
  std::vector<Resource*> find_any(const ResId& id) const;
  // All whose current name, or a past one, is `name`.
  std::vector<Resource*> find_named(std::string_view name) const;
  // The same with the kind as well as group, version and name, in any namespace.
  std::vector<Resource*> find_any_namespace(const ResId& id) const;

  // Drops objects whose value is null or empty, as deleted by a patch.
  void drop_empty();
  // Takes all objects out; put them back in another order with restore().
  Items take();
  void restore(Items items);

  void changed_all();
  // `already_exists` if two objects have one id now.
  base::Result<void> check_unique() const;

  ResourceSet clone() const;

  // The position of an object that has the id of one that was refused, and that looks the same in messages.
  std::optional<std::size_t> twin() const { return twin_; }

  // What transformers have copied into these objects.
  Growth& growth() { return growth_; }

 private:
  using Index = std::unordered_multimap<std::string, std::size_t>;
  // any_ and named_ are brought up to date where they are asked for: most layers only append.
  void index() const;
  std::vector<std::size_t> positions(const Index& index, const std::string& key) const;
  std::vector<Resource*> lookup(const Index& index, const std::string& key) const;

  Items items_;
  std::optional<std::size_t> twin_;
  Growth growth_;
  std::size_t listed_ = 0;                                // objects that current_ has
  std::unordered_map<std::string, std::size_t> current_;  // by current id
  mutable std::size_t indexed_ = 0;                       // objects that any_ and named_ have
  mutable Index any_;                                     // by current and past ids
  mutable Index named_;                                   // by name
};

}  // namespace sluice::kustomize
