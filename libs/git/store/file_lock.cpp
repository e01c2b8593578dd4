#include "git/store/file_lock.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace sluice::git::store {

using base::Result;

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(10);

// The file may have been removed between our opening and our locking it; then
// the lock guards nothing.
bool still_named(int fd, const std::filesystem::path& file) {
  struct stat ours {};
  struct stat named {};
  return ::fstat(fd, &ours) == 0 && ::stat(file.c_str(), &named) == 0 && ours.st_ino == named.st_ino &&
         ours.st_dev == named.st_dev;
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& file, Mode mode, const KeepWaiting& keep_waiting) {
  for (;;) {
    FileLock lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (lock.fd_ < 0) {
      return base::unexpected(base::ErrorKind::io,
                              fmt::format("could not open '{}': {}", file.string(), std::strerror(errno)));
    }
    while (::flock(lock.fd_, (mode == Mode::shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
      SLUICE_CHECK(keep_waiting());
      std::this_thread::sleep_for(kPollInterval);
    }
    if (!still_named(lock.fd_, file)) continue;
    ::futimens(lock.fd_, nullptr);  // when it was last used
    return lock;
  }
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace sluice::git::store
