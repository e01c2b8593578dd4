#include "base/detail/open_beneath.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <deque>
#include <vector>

namespace sluice::base::detail {
namespace {

constexpr int kMaxLinks = 40;    // as the kernel
constexpr int kMaxAgain = 1000;  // openat2 gives up with EAGAIN when a rename races with a ".."

Fd failed(int error) {
  errno = error;
  return Fd();
}

Fd open_by_kernel(int root, const std::string& path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_MAGICLINKS | resolve;
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != EINTR && (errno != EAGAIN || attempt >= kMaxAgain)) return Fd();
  }
}

// Puts the segments of `path` before what is still to be walked.
void push_front(std::deque<std::string>& ahead, std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (slash != 0 && path.substr(0, slash) != ".") segments.emplace_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  ahead.insert(ahead.begin(), segments.begin(), segments.end());
}

bool read_link(int folder, const std::string& name, std::string& target) {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t size = ::readlinkat(folder, name.c_str(), buffer.data(), buffer.size());
  if (size < 0) return false;
  target.assign(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

// Each folder on the way is held open, so ".." in a link is a step back on
// this list and not a question to a tree that may have been moved.
Fd open_by_walking(int root, bool root_is_all, std::string_view path, int flags) {
  std::deque<std::string> ahead;
  push_front(ahead, path);
  std::vector<Fd> folders;
  const auto here = [&] { return folders.empty() ? root : folders.back().get(); };
  for (int links = 0; !ahead.empty();) {
    const std::string name = std::move(ahead.front());
    ahead.pop_front();
    if (name == "..") {
      if (folders.empty() && !root_is_all) return failed(EXDEV);
      if (!folders.empty()) folders.pop_back();
      continue;
    }
    Fd next(::openat(here(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!next || ::fstat(next.get(), &status) != 0) return Fd();
    if (S_ISLNK(status.st_mode)) {
      std::string target;
      if (++links > kMaxLinks) return failed(ELOOP);
      if (!read_link(here(), name, target)) return Fd();
      if (target.starts_with('/')) {
        if (!root_is_all) return failed(EXDEV);
        folders.clear();
      }
      push_front(ahead, target);
    } else if (ahead.empty()) {
      // Opened by the name again, as a file that was opened with O_PATH cannot
      // be read; a link that took its place meanwhile is refused with ELOOP.
      return Fd(::openat(here(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    } else if (S_ISDIR(status.st_mode)) {
      folders.push_back(std::move(next));
    } else {
      return failed(ENOTDIR);
    }
  }
  return Fd(::openat(here(), ".", flags | O_CLOEXEC));
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd open_beneath(int root, bool root_is_all, std::string_view path, int flags, OpenMethod method) {
  static std::atomic<bool> kernel_can = true;
  if (method == OpenMethod::best && kernel_can) {
    Fd opened = open_by_kernel(root, path.empty() ? "." : std::string(path), flags,
                               root_is_all ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
    // EPERM is how seccomp profiles refuse a call that they do not know.
    if (opened || (errno != ENOSYS && errno != EPERM)) return opened;
    kernel_can = errno != ENOSYS;
  }
  return open_by_walking(root, root_is_all, path, flags);
}

bool is_without_links(int root, const std::string& path) {
  return static_cast<bool>(
      open_by_kernel(root, path.empty() ? "." : path, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
}

}  // namespace sluice::base::detail
