#include "archive/stream.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace sluice::archive {

using base::ErrorKind;
using base::Result;

base::Unexpected os_error(int error, std::string_view what, std::string_view path) {
  const ErrorKind kind = error == ENOENT ? ErrorKind::not_found : ErrorKind::io;
  return base::unexpected(kind, fmt::format("{} '{}': {}", what, path, std::generic_category().message(error)));
}

Result<std::size_t> MemorySource::read(std::span<char> into) {
  const std::size_t count = std::min(into.size(), rest_.size());
  std::copy_n(rest_.data(), count, into.data());
  rest_.remove_prefix(count);
  return count;
}

Result<FileSource> FileSource::open(const std::string& path) {
  // Without O_NONBLOCK, opening a fifo would wait for its writer.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return os_error(errno, "opening", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, "opening", path);
  if (!S_ISREG(status.st_mode)) {
    return base::unexpected(ErrorKind::io, fmt::format("opening '{}': not a regular file", path));
  }
  return FileSource(std::move(fd), path);
}

Result<std::size_t> FileSource::read(std::span<char> into) {
  while (true) {
    const ssize_t got = ::read(fd_.get(), into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return os_error(errno, "reading", path_);
  }
}

Result<void> StringSink::write(std::string_view more) {
  bytes += more;
  return {};
}

Result<void> FdSink::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno != EINTR) {
      return os_error(errno, "writing", label_);
    }
  }
  return {};
}

}  // namespace sluice::archive
