// Bytes that come and bytes that go, a piece at a time, so that an archive of
// any size passes through a fixed amount of memory. Blocking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "archive/fd.hpp"
#include "base/result.hpp"

namespace sluice::archive {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills some or all of `into` (not empty) and returns how much; 0 at the end.
  virtual base::Result<std::size_t> read(std::span<char> into) = 0;
};

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual base::Result<void> write(std::string_view bytes) = 0;
};

// Bytes that somebody else owns and keeps alive.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : rest_(bytes) {}
  // A temporary would be gone before the first read.
  template <class T>
    requires std::is_same_v<T, std::string>
  explicit MemorySource(T&&) = delete;
  base::Result<std::size_t> read(std::span<char> into) override;

 private:
  std::string_view rest_;
};

class FileSource final : public ByteSource {
 public:
  // Opens a regular file and follows no symbolic link in its last segment.
  // `not_found`, `io`.
  static base::Result<FileSource> open(const std::string& path);
  base::Result<std::size_t> read(std::span<char> into) override;

 private:
  FileSource(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  std::string path_;
};

class StringSink final : public ByteSink {
 public:
  base::Result<void> write(std::string_view bytes) override;
  std::string bytes;
};

// Writes to a descriptor that somebody else owns. `io` names `label`.
class FdSink final : public ByteSink {
 public:
  FdSink(int fd, std::string label) : fd_(fd), label_(std::move(label)) {}
  base::Result<void> write(std::string_view bytes) override;

 private:
  int fd_;
  std::string label_;
};

// "<what> '<path>': <strerror(error)>", of kind `not_found` for ENOENT and `io` for all else.
base::Unexpected os_error(int error, std::string_view what, std::string_view path);

}  // namespace sluice::archive
