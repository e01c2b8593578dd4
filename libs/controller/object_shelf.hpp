// The objects of one WatchCache. Most of them rest: in a fleet of a thousand, a few are at work at any
// moment, and as a tree of JSON an object takes four times the room of its text. So those that were asked
// for last are kept as trees, and the others as text, of which a tree is made again for whoever asks. Very
// large ones do not rest: their text is not read in an instant. On the loop.
#pragma once

#include <cstddef>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"
#include "kube/reflector.hpp"

namespace sluice::controller {

using Object = std::shared_ptr<const doc::Json>;

class ObjectShelf {
 public:
  // `whole`: so many are kept as trees.
  explicit ObjectShelf(std::size_t whole = std::numeric_limits<std::size_t>::max()) : whole_(whole) {}
  ObjectShelf(const ObjectShelf&) = delete;
  ObjectShelf& operator=(const ObjectShelf&) = delete;

  // Null where there is none. Who holds a tree that find() has given shares it with whoever asks meanwhile.
  Object find(const api::ObjectKey& key);
  // The same of an object that nobody is about to work with: it goes on resting.
  Object look(const api::ObjectKey& key) const;
  void put(const api::ObjectKey& key, Object object, kube::ListMark mark);
  void erase(const api::ObjectKey& key);

  // Of the last list that told of it; nothing where there is no such object.
  std::optional<kube::ListMark> mark(const api::ObjectKey& key) const;
  void set_mark(const api::ObjectKey& key, kube::ListMark mark);

  std::vector<api::ObjectKey> keys() const;
  std::size_t size() const noexcept { return entries_.size(); }
  // Those of which nothing but the text is kept.
  std::size_t resting() const noexcept { return resting_; }

 private:
  struct Entry {
    Object tree;                          // null while it rests
    std::weak_ptr<const doc::Json> lent;  // of one that rests: somebody may still hold the tree
    std::string text;                     // of an object that has rested; "" before
    kube::ListMark mark = 0;
    bool is_warm = false;               // in `warm_`; one with a tree that is not is too large to rest
    std::list<Entry*>::iterator place;  // there
  };
  static Object tree_of(const Entry& entry);
  void warm(Entry& entry);
  void line_up(Entry& entry);
  void step_out(Entry& entry);
  void cool();

  const std::size_t whole_;
  std::unordered_map<api::ObjectKey, Entry> entries_;
  std::list<Entry*> warm_;  // those that may have to rest; the one asked for last is in front
  std::size_t resting_ = 0;
};

}  // namespace sluice::controller
