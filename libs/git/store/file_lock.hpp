// A lock that processes and threads share, named by a file (flock(2)). Let go
// when the object dies, or the process.
#pragma once

#include <filesystem>
#include <functional>

#include "base/result.hpp"

namespace sluice::git::store {

class FileLock {
 public:
  enum class Mode { shared, exclusive };
  // Asked again and again while waiting; its error ends the wait.
  using KeepWaiting = std::function<base::Result<void>()>;

  static base::Result<FileLock> acquire(const std::filesystem::path& file, Mode mode, const KeepWaiting& keep_waiting);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace sluice::git::store
