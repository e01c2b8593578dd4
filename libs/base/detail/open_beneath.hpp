// Opens files below a folder without ever leaving it, whatever others do to
// the tree meanwhile. Private to libs/base.
//
// Looking first where a path leads and opening it then would leave a moment in
// which a segment can be swapped for a link to somewhere else.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace sluice::base::detail {

// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  ~Fd();
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

enum class OpenMethod {
  best,  // openat2(2) where the kernel has it
  walk,  // segment by segment; what other kernels and strict seccomp profiles get
};

// Opens the clean relative `path` ("" is `root` itself) with open(2)'s `flags`.
// Links are followed while they stay below; on failure errno says why: EXDEV
// for a link that leaves the root (an absolute one always does, unless
// `root_is_all`), ELOOP for links in circles.
Fd open_beneath(int root, bool root_is_all, std::string_view path, int flags, OpenMethod method = OpenMethod::best);

// True if `path` is there and no link is on the way to it; false also where the
// kernel can't tell in one call.
bool is_without_links(int root, const std::string& path);

}  // namespace sluice::base::detail
