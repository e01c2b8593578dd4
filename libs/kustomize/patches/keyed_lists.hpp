// Lists whose elements are known by keys, merged as kyaml does it.
//
// kyaml's outcome depends on its way of work when elements lack a key or share
// one, so that way is followed here; lists with one key that each element has,
// which is nearly all of them, take a shorter way to the same end.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

enum class ElementOutcome { gone, old, patch };
// Merges an element of the patch into one of the object; either may be null.
using MergeElement =
    std::function<base::Result<ElementOutcome>(doc::Json* old, doc::Json* patch, std::string_view name)>;

class KeyedLists {
 public:
  // No keys: a list of plain values.
  KeyedLists(const std::vector<std::string>& keys, MergeElement merge_element);

  // Comparisons of elements that a merge may need.
  std::size_t cost(const doc::Json& dest, const doc::Json* patch) const;
  // Leaves the result in `dest`. The patch may be null (the list is put in
  // order, that's all) or the same as `dest`.
  base::Result<void> merge(doc::Json& dest, doc::Json* patch);

 private:
  using Texts = std::vector<std::string>;
  using Elements = std::vector<doc::Json*>;

  bool is_simple(const doc::Json& dest, const doc::Json* patch) const;
  base::Result<void> merge_simple(doc::Json& dest, doc::Json* patch);
  base::Result<void> merge_by_values(doc::Json& dest, doc::Json* patch);
  std::vector<Texts> value_tuples(const Elements& dest, const Elements& patch) const;
  base::Result<doc::Json*> merge_tuple(const Texts& values, Elements& dest, const Elements& patch);
  base::Result<void> append_rest(Elements& items, const Elements& dest) const;

  Texts keys_;
  MergeElement merge_element_;
};

}  // namespace sluice::kustomize
