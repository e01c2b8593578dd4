#include "artifact/store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "archive/fd.hpp"
#include "artifact/detail/path.hpp"

namespace sluice::artifact {

namespace fs = std::filesystem;
using archive::Fd;
using archive::os_error;
using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr const char* kPartial = ".partial";
// What upstream leaves beside each of its artifacts.
constexpr std::string_view kLockSuffix = ".lock";

base::Unexpected io_error(std::string_view what, const fs::path& path, const std::error_code& error) {
  return unexpected(ErrorKind::io, fmt::format("{} '{}': {}", what, path.string(), error.message()));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string folder_of(const Owner& owner) {
  return fmt::format("{}/{}/{}", lower(owner.kind), owner.key.namespace_, owner.key.name);
}

bool is_path_of(const Owner& owner, std::string_view path) {
  const std::string folder = folder_of(owner) + "/";
  return path.starts_with(folder) && detail::is_artifact_path(path);
}

// Makes a folder's entries survive a loss of power. Best effort: some file
// systems refuse it, and what is lost is noticed by its digest and built anew.
void sync_folder(const fs::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) static_cast<void>(::fsync(fd.get()));
}

// Passes bytes to a file, counting and hashing them.
class HashingFile final : public archive::ByteSink {
 public:
  HashingFile(int fd, std::string label, base::DigestAlgorithm algorithm)
      : file_(fd, std::move(label)), hasher_(algorithm) {}
  Result<void> write(std::string_view bytes) override {
    hasher_.update(bytes);
    size_ += static_cast<std::int64_t>(bytes.size());
    return file_.write(bytes);
  }
  std::string digest() { return hasher_.finish_digest(); }
  std::int64_t size() const noexcept { return size_; }

 private:
  archive::FdSink file_;
  base::Hasher hasher_;
  std::int64_t size_ = 0;
};

// A file that is removed unless it was renamed to where it belongs. It is locked
// while it lives, so that nobody else takes it for a leftover.
class PartialFile {
 public:
  static Result<PartialFile> create(const fs::path& folder) {
    std::random_device random;
    fs::path path = folder / fmt::format("{:08x}{:08x}", random(), random());
    Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return os_error(errno, "creating", path.string());
    PartialFile file(std::move(fd), std::move(path));
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) return os_error(errno, "locking", file.path().string());
    return file;
  }
  ~PartialFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  PartialFile(PartialFile&& other) noexcept : fd_(std::move(other.fd_)), path_(std::exchange(other.path_, {})) {}
  PartialFile& operator=(PartialFile&&) = delete;

  int fd() const noexcept { return fd_.get(); }
  const fs::path& path() const noexcept { return path_; }

  Result<void> become(const fs::path& target) {
    if (::fsync(fd_.get()) != 0) return os_error(errno, "writing", path_.string());
    if (::rename(path_.c_str(), target.c_str()) != 0) return os_error(errno, "renaming to", target.string());
    path_.clear();
    sync_folder(target.parent_path());
    return {};
  }

 private:
  PartialFile(Fd fd, fs::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Fd fd_;
  fs::path path_;
};

// Removes what killed processes left: files that nobody holds a lock on.
Result<void> remove_leftovers(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const Fd fd(::open(at->path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlink(at->path().c_str()) != 0 && errno != ENOENT) return os_error(errno, "removing", at->path().string());
  }
  if (error) return io_error("listing", folder, error);
  return {};
}

// By this a file is known without reading it again.
using FileIdentity = std::tuple<dev_t, ino_t, off_t, time_t, long, time_t, long>;

FileIdentity identity_of(const struct stat& status) {
  return {status.st_dev,          status.st_ino,         status.st_size,        status.st_mtim.tv_sec,
          status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

// The kernel's file times move in steps of some milliseconds, so a file that was
// just written may be written again without it showing.
bool is_just_written(const struct stat& status) {
  constexpr auto kStep = std::chrono::milliseconds(100);
  const auto changed = std::chrono::seconds(status.st_ctim.tv_sec) + std::chrono::nanoseconds(status.st_ctim.tv_nsec);
  return std::chrono::system_clock::now().time_since_epoch() - changed < kStep;
}

Result<std::string> digest_of(int fd, const std::string& path, base::DigestAlgorithm algorithm,
                              const std::stop_token& stop) {
  base::Hasher hasher(algorithm);
  std::vector<char> buffer(128U << 10U);
  for (;;) {
    if (stop.stop_requested()) return unexpected(ErrorKind::cancelled, fmt::format("reading '{}'", path));
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error(errno, "reading", path);
    if (got == 0) return hasher.finish_digest();
    hasher.update({buffer.data(), static_cast<std::size_t>(got)});
  }
}

struct StoredFile {
  std::string name;
  timespec modified{};
};

bool is_older(const timespec& left, const timespec& right) {
  return left.tv_sec != right.tv_sec ? left.tv_sec < right.tv_sec : left.tv_nsec < right.tv_nsec;
}

// The artifacts in a folder, the oldest first; none where there is no folder.
Result<std::vector<StoredFile>> stored_files(const fs::path& folder) {
  std::vector<StoredFile> files;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    StoredFile file{at->path().filename().string(), {}};
    struct stat status {};
    if (std::string_view(file.name).ends_with(kLockSuffix)) continue;
    if (::lstat(at->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    file.modified = status.st_mtim;
    files.push_back(std::move(file));
  }
  if (error) return io_error("listing", folder, error);
  std::sort(files.begin(), files.end(),
            [](const StoredFile& left, const StoredFile& right) { return is_older(left.modified, right.modified); });
  return files;
}

}  // namespace

struct Store::State {
  State(StoreOptions o, const base::Clock& c) : options(std::move(o)), clock(c) {}

  StoreOptions options;
  const base::Clock& clock;
  std::mutex mutex;
  // Path -> file and digest that were found to agree.
  std::map<std::string, std::pair<FileIdentity, std::string>, std::less<>> known;

  fs::path local(std::string_view path) const { return options.root / path; }

  // `status` is from before the bytes were read.
  void remember(std::string_view path, const struct stat& status, const std::string& digest) {
    if (is_just_written(status)) return;
    const std::scoped_lock lock(mutex);
    known.insert_or_assign(std::string(path), std::pair(identity_of(status), digest));
  }

  bool is_known(std::string_view path, const struct stat& status, const std::string& digest) {
    const std::scoped_lock lock(mutex);
    const auto it = known.find(path);
    return it != known.end() && it->second.first == identity_of(status) && it->second.second == digest;
  }

  void forget(std::string_view path) {
    const std::scoped_lock lock(mutex);
    if (const auto it = known.find(path); it != known.end()) known.erase(it);
  }

  Result<void> unlink(std::string_view path) {
    forget(path);
    const fs::path file = local(path);
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) return os_error(errno, "removing", file.string());
    ::unlink((file.string() + std::string(kLockSuffix)).c_str());
    return {};
  }
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

const fs::path& Store::root() const noexcept { return state_->options.root; }

Result<std::shared_ptr<Store>> Store::open(StoreOptions options, const base::Clock& clock) {
  std::error_code error;
  if (!fs::is_directory(options.root, error)) {
    return unexpected(ErrorKind::io, fmt::format("storage path '{}' is not a folder", options.root.string()));
  }
  const fs::path partial = options.root / kPartial;
  fs::create_directory(partial, error);
  if (error) return io_error("making", partial, error);
  SLUICE_CHECK(remove_leftovers(partial));
  auto state = std::make_unique<State>(std::move(options), clock);
  return std::shared_ptr<Store>(new Store(std::move(state)));
}

Result<api::Artifact> Store::publish(const Owner& owner, std::string_view file, std::string_view revision,
                                     const Fill& fill) const {
  api::Artifact artifact;
  artifact.path = fmt::format("{}/{}", folder_of(owner), file);
  if (!detail::is_artifact_path(artifact.path)) {
    return unexpected(ErrorKind::invalid, fmt::format("'{}' cannot be the path of an artifact", artifact.path));
  }
  const fs::path target = state_->local(artifact.path);
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) {
    auto failure = io_error("making", target.parent_path(), error);
    failure.error.reason = kFolderFailed;
    return failure;
  }
  SLUICE_TRY(PartialFile partial, PartialFile::create(state_->options.root / kPartial));
  HashingFile sink(partial.fd(), partial.path().string(), state_->options.digest_algorithm);
  SLUICE_CHECK(fill(sink));
  artifact.digest = sink.digest();
  artifact.size = sink.size();
  SLUICE_CHECK(partial.become(target));
  artifact.revision = revision;
  artifact.url = url_of(artifact.path);
  artifact.last_update_time = state_->clock.now();
  return artifact;
}

Result<Condition> Store::check(const Owner& owner, const api::Artifact& artifact, std::stop_token stop) const {
  if (!is_path_of(owner, artifact.path)) return Condition::missing;
  const std::string file = state_->local(artifact.path).string();
  const Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return Condition::missing;
  if (!fd) return os_error(errno, "opening", file);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error(errno, "opening", file);
  if (!S_ISREG(status.st_mode)) return Condition::missing;
  if (state_->is_known(artifact.path, status, artifact.digest)) return Condition::whole;
  const auto expected = base::Digest::parse(artifact.digest);
  if (!expected) return Condition::damaged;
  SLUICE_TRY(const std::string actual, digest_of(fd.get(), file, expected->algorithm, stop));
  if (actual != expected->str()) return Condition::damaged;
  state_->remember(artifact.path, status, artifact.digest);
  return Condition::whole;
}

// Flux: fluxcd/pkg artifact/storage/gc.go. Older than the TTL goes; of the rest
// the newest `retention_records` stay, the current one counted among them.
Result<std::size_t> Store::collect(const Owner& owner, const api::Artifact& current) const {
  const std::string folder = folder_of(owner);
  SLUICE_TRY(const auto files, stored_files(state_->local(folder)));
  const auto now = state_->clock.now().time_since_epoch();
  std::size_t left = files.size();
  std::size_t removed = 0;
  for (const auto& file : files) {
    const std::string path = fmt::format("{}/{}", folder, file.name);
    if (path == current.path) continue;
    const auto modified = std::chrono::seconds(file.modified.tv_sec) + std::chrono::nanoseconds(file.modified.tv_nsec);
    const bool expired = now - modified > state_->options.retention_ttl;
    if (!expired && left <= state_->options.retention_records) continue;
    SLUICE_CHECK(state_->unlink(path));
    --left;
    ++removed;
  }
  return removed;
}

Result<void> Store::remove(const Owner& owner, const api::Artifact& artifact) const {
  if (!is_path_of(owner, artifact.path)) return {};
  return state_->unlink(artifact.path);
}

Result<std::size_t> Store::remove_all(const Owner& owner) const {
  const std::string folder = folder_of(owner);
  if (!detail::is_artifact_path(folder + "/x")) return std::size_t{0};
  SLUICE_TRY(const auto files, stored_files(state_->local(folder)));
  for (const auto& file : files) state_->forget(fmt::format("{}/{}", folder, file.name));
  std::error_code error;
  fs::remove_all(state_->local(folder), error);
  if (error) return io_error("removing", state_->local(folder), error);
  return files.size();
}

std::string Store::url_of(std::string_view path) const {
  const std::string& address = state_->options.advertised_address;
  const bool has_scheme = address.starts_with("http://") || address.starts_with("https://");
  return fmt::format("{}{}/{}", has_scheme ? "" : "http://", address, path);
}

Result<std::string> advertised_address(std::string_view asked_for, std::string_view listen_address,
                                       std::string_view hostname) {
  if (!asked_for.empty()) return std::string(asked_for);
  const auto colon = listen_address.rfind(':');
  if (colon == std::string_view::npos) {
    return unexpected(ErrorKind::invalid, fmt::format("'{}' is not an address such as ':9090'", listen_address));
  }
  const std::string_view host = listen_address.substr(0, colon);
  const std::string_view shown = host.empty() ? "localhost" : host == "0.0.0.0" ? hostname : host;
  return fmt::format("{}{}", shown, listen_address.substr(colon));
}

}  // namespace sluice::artifact
