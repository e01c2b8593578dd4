// Labels and annotations that are one value in several places.
//
// What one run of a label or annotation transformer creates in several maps of
// an object (metadata.labels, a selector, the labels of a pod template) is one
// YAML node in kustomize. Whatever later changes one of these entries in place
// (another transformer, a merge patch, a replacement) changes them all.
//
// What ends it: an entry that is taken out is out, a map that is written anew
// has entries of its own, and a JSON patch rebuilds the whole object.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

class SharedEntries {
 public:
  using SetField = std::function<base::Result<void>(doc::Json&)>;

  bool empty() const { return groups_.empty(); }
  void clear() { groups_.clear(); }
  // Values of entries by their key; each is in a map of `object`, and those of a key are one from here on.
  using Entries = std::map<std::string, std::vector<const doc::Json*>>;
  void share(const doc::Json& object, const Entries& entries);
  // Runs `set` on a field of `object`, and gives what it makes of an entry to those that share it.
  base::Result<void> set(doc::Json& object, doc::Json& field, const SetField& set);
  // The map or list `part` of `object` is about to be written anew.
  void forget(const doc::Json& object, const doc::Json& part);

  // A merge moves entries and drops some. Between these two calls a mark, which
  // no YAML can hold, stands for each entry.
  void put_marks(doc::Json& object) const;
  void take_marks(doc::Json& object);
  // In between: the value that a mark stands for; null if `dest` is none.
  const doc::Json* value_of(const doc::Json& dest) const;
  // In between: what the entries of a mark get.
  void take(const doc::Json& mark, doc::Json value);

 private:
  struct Group {
    std::string key;
    doc::Json value;
    std::vector<std::string> maps;  // JSON pointers
  };

  static std::size_t group_of(const doc::Json& value);
  static std::vector<doc::Json*> entries_of(doc::Json& object, Group& group);
  static void spread(doc::Json& object, Group& group);
  void drop_single();

  std::vector<Group> groups_;
};

}  // namespace sluice::kustomize
