// What a Snapshot holds; made by the cache.
#pragma once

#include "git/snapshot.hpp"
#include "git/store/file_lock.hpp"
#include "git/store/object_store.hpp"

namespace sluice::git {

struct Snapshot::State {
  store::FileLock lock;  // shared: nobody removes the folder meanwhile
  store::ObjectStore store;
  Commit commit;
};

}  // namespace sluice::git
