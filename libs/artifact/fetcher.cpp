#include "artifact/fetcher.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "archive/stream.hpp"
#include "archive/unpack.hpp"
#include "artifact/packed_tree.hpp"
#include "base/digest.hpp"

namespace sluice::artifact {

using base::ErrorKind;
using base::Result;
using TreePointer = std::shared_ptr<const Tree>;

namespace {

constexpr std::size_t kPiece = 1U << 20U;  // of the archive held in memory
constexpr std::size_t kMaxClients = 64;

// Where an archive is kept that does not fit into one piece; removed with this.
class Spool {
 public:
  Spool() = default;
  ~Spool() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  Result<void> append(std::string_view bytes, const std::string& folder) {
    if (fd_ < 0) {
      path_ = folder + "/download-XXXXXX";
      fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
      if (fd_ < 0) return base::unexpected(ErrorKind::io, std::string("cannot make a file: ") + std::strerror(errno));
    }
    archive::FdSink sink(fd_, path_);
    return sink.write(bytes);
  }
  bool is_used() const noexcept { return fd_ >= 0; }
  const std::string& path() const noexcept { return path_; }

 private:
  int fd_ = -1;
  std::string path_;
};

// An archive on its way: shared with the pool, which may still work on it when
// the coroutine is cancelled.
struct Incoming {
  explicit Incoming(base::DigestAlgorithm algorithm) : hasher(algorithm) {}
  base::Hasher hasher;
  std::string buffer;
  std::uint64_t bytes = 0;
  Spool spool;
};

Result<void> spool_piece(Incoming& incoming, const std::string& folder) {
  incoming.hasher.update(incoming.buffer);
  auto written = incoming.spool.append(incoming.buffer, folder);
  incoming.buffer.clear();
  return written;
}

struct UnpackJob {
  base::Digest expected;
  std::string folder;  // of the cache
  std::string target;
  archive::Limits limits;
};

// Gives the archive to `read`, from its beginning.
template <class Read>
auto read_archive(const Incoming& incoming, const Read& read) -> decltype(read(std::declval<archive::ByteSource&>())) {
  if (incoming.spool.is_used()) {
    SLUICE_TRY(archive::FileSource file, archive::FileSource::open(incoming.spool.path()));
    return read(file);
  }
  archive::MemorySource memory(incoming.buffer);
  return read(memory);
}

// As files in a folder.
Result<UnpackedTree> unpack_to_folder(const Incoming& incoming, const UnpackJob& job, std::stop_token stop) {
  SLUICE_TRY(const archive::UnpackReport report, read_archive(incoming, [&](archive::ByteSource& source) {
               return archive::unpack_to_folder(source, job.target, job.limits, stop);
             }));
  UnpackedTree tree;
  tree.bytes = report.bytes;
  tree.folder = job.target;
  tree.manifest = std::make_shared<const TreeManifest>();
  SLUICE_TRY(tree.files, base::make_disk_view(job.target, TreeManifest::kMaxFileSize));
  return tree;
}

// As one file. Nothing: the tree is too large for an index in memory.
Result<std::optional<UnpackedTree>> unpack_to_pack(const Incoming& incoming, const UnpackJob& job,
                                                   std::stop_token stop) {
  SLUICE_TRY(PackWriter pack, PackWriter::create(job.folder));
  auto report = read_archive(
      incoming, [&](archive::ByteSource& source) { return archive::read_tar_gz(source, job.limits, pack, stop); });
  auto packed = report ? pack.finish() : Result<PackedTree>(base::unexpected(std::move(report).error()));
  if (pack.has_too_many()) return std::nullopt;
  if (!packed) return base::unexpected(std::move(packed).error());
  UnpackedTree tree;
  tree.bytes = report->bytes;
  tree.manifest = std::move(packed->manifest);
  tree.files = std::move(packed->files);
  return tree;
}

Result<UnpackedTree> unpack(const Incoming& incoming, const UnpackJob& job, std::stop_token stop) {
  SLUICE_TRY(std::optional<UnpackedTree> packed, unpack_to_pack(incoming, job, stop));
  if (packed) return *std::move(packed);
  return unpack_to_folder(incoming, job, std::move(stop));
}

Result<UnpackedTree> verify_and_unpack(Incoming& incoming, const UnpackJob& job, std::stop_token stop) {
  if (incoming.spool.is_used() && !incoming.buffer.empty()) SLUICE_CHECK(spool_piece(incoming, job.folder));
  if (!incoming.spool.is_used()) incoming.hasher.update(incoming.buffer);
  const std::string found = incoming.hasher.finish_hex();
  if (found != job.expected.hex) {
    return base::unexpected(ErrorKind::untrusted, "the digest of the downloaded archive is " +
                                                      std::string(base::to_string(job.expected.algorithm)) + ":" +
                                                      found + ", and the source promises " + job.expected.str());
  }
  auto unpacked = unpack(incoming, job, stop);
  if (!unpacked) return base::unexpected(std::move(unpacked).error().with_context("unpacking the archive"));
  return unpacked;
}

// Bytes that the answer's head announces; nothing if it does not.
std::optional<std::uint64_t> announced_length(const http::ResponseStream& stream) {
  const std::string_view text = stream.headers().find("Content-Length");
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

base::Unexpected too_large(std::uint64_t bound) {
  return base::unexpected(ErrorKind::too_large, "the archive is larger than " + std::to_string(bound) + " bytes");
}

constexpr std::string_view kTooSlow = "TooSlow";

bool is_worth_retrying(const base::Error& error) {
  return error.kind == ErrorKind::unavailable || (error.kind == ErrorKind::timeout && error.reason != kTooSlow);
}

// Whether a download goes on fast enough.
class Pace {
 public:
  Pace(const FetcherOptions& options, base::SteadyPoint deadline)
      : options_(options), deadline_(deadline), window_began_(base::system_clock().steady()) {}

  Result<void> count(std::size_t bytes) {
    const base::SteadyPoint now = base::system_clock().steady();
    if (now >= deadline_) return too_slow("the artifact could not be fetched in the time that there is for it");
    bytes_ += bytes;
    if (now - window_began_ < options_.rate_window) return {};
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.rate_window).count();
    if (bytes_ < options_.min_bytes_in_window) {
      return too_slow("the server sent only " + std::to_string(bytes_) + " bytes in " + std::to_string(seconds) +
                      " seconds");
    }
    window_began_ = now;
    bytes_ = 0;
    return {};
  }
  // How long to wait for the next piece.
  std::chrono::nanoseconds patience() const {
    const auto left = deadline_ - base::system_clock().steady();
    return std::max<std::chrono::nanoseconds>(std::min<std::chrono::nanoseconds>(left, options_.idle_timeout),
                                              std::chrono::milliseconds(1));
  }

 private:
  static base::Unexpected too_slow(std::string message) {
    base::Error error;
    error.kind = ErrorKind::timeout;
    error.reason = kTooSlow;
    error.message = std::move(message);
    return base::unexpected(std::move(error));
  }

  const FetcherOptions& options_;
  base::SteadyPoint deadline_;
  base::SteadyPoint window_began_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

// One download that several may wait for. Without a result at its end, who led
// it was cancelled, and another one must lead.
struct Fetcher::Flight {
  std::string url;
  std::optional<Result<TreePointer>> result;
  bool ended = false;
  rt::Notify changed;
};

Result<std::shared_ptr<Fetcher>> Fetcher::create(rt::Runtime& runtime, FetcherOptions options) {
  SLUICE_TRY(auto cache, TreeCache::open(runtime, options.cache));
  return std::shared_ptr<Fetcher>(new Fetcher(runtime, std::move(options), std::move(cache)));
}

Result<std::shared_ptr<http::Client>> Fetcher::client_for(const http::Url& url) {
  const std::string origin = url.origin();
  const auto found = clients_.find(origin);
  if (found != clients_.end()) return found->second;
  http::ClientOptions options;
  options.user_agent = "sluice-fetcher";
  SLUICE_TRY(auto made, http::Client::create(runtime_, origin, std::move(options)));
  if (clients_.size() >= kMaxClients) clients_.clear();
  clients_[origin] = made;
  return made;
}

rt::Task<Result<TreePointer>> Fetcher::fetch(api::Artifact artifact, std::string owner) {
  for (;;) {
    if (auto tree = cache_->find(artifact.digest)) co_return tree;
    const auto found = flights_.find(artifact.digest);
    if (found == flights_.end()) break;
    const std::shared_ptr<Flight> flight = found->second;
    while (!flight->ended) co_await flight->changed.wait();
    // Another server's failure is not an answer for this one.
    if (flight->result && (*flight->result || flight->url == artifact.url)) co_return *flight->result;
  }
  const auto flight = std::make_shared<Flight>();
  flight->url = artifact.url;
  flights_[artifact.digest] = flight;
  // However this ends, cancellation included.
  struct Landing {
    Fetcher& fetcher;
    std::string digest;
    std::shared_ptr<Flight> flight;
    ~Landing() {
      flight->ended = true;
      fetcher.flights_.erase(digest);
      flight->changed.notify_all();
    }
  };
  const Landing landing{*this, artifact.digest, flight};
  auto fetched = co_await fetch_alone(std::move(artifact), std::move(owner));
  flight->result = fetched;
  co_return fetched;
}

rt::Task<Result<TreePointer>> Fetcher::fetch_alone(api::Artifact artifact, std::string owner) {
  const base::SteadyPoint deadline =
      base::system_clock().steady() + std::chrono::duration_cast<base::Duration>(options_.total_timeout);
  std::chrono::milliseconds delay = options_.retry_delay;
  for (int attempt = 0;; ++attempt) {
    auto unpacking = download_and_unpack(artifact, owner, deadline);
    auto unpacked = co_await std::move(unpacking);
    if (unpacked) co_return cache_->add(artifact.digest, *std::move(unpacked));
    const bool again =
        is_worth_retrying(unpacked.error()) && attempt < options_.retries && base::system_clock().steady() < deadline;
    if (!again) {
      co_return base::unexpected(std::move(unpacked).error().with_context("artifact " + artifact.url));
    }
    co_await rt::sleep_for(delay);
    delay *= 2;
  }
}

rt::Task<Result<UnpackedTree>> Fetcher::download_and_unpack(api::Artifact artifact, std::string owner,
                                                            base::SteadyPoint deadline) {
  if (artifact.digest.empty()) co_return base::unexpected(ErrorKind::untrusted, "the source gives no digest for it");
  SLUICE_CO_TRY(base::Digest expected, base::Digest::parse(artifact.digest));
  SLUICE_CO_TRY(http::Url url, http::Url::parse(artifact.url));
  if (!options_.host_override.empty()) {
    SLUICE_CO_TRY(const http::Url other, http::Url::parse(url.scheme + "://" + options_.host_override));
    url.host = other.host;
    url.port = other.port;
  }
  // A fully qualified name may end in a dot; the Host header must not.
  if (url.host.ends_with('.')) url.host.pop_back();
  SLUICE_CO_TRY(const std::shared_ptr<http::Client> client, client_for(url));
  ++downloads_;
  http::Request request;
  request.target = url.target;
  request.owner = owner;
  auto opened = co_await client->open(std::move(request));
  SLUICE_CO_TRY(const std::unique_ptr<http::ResponseStream> stream, std::move(opened));
  if (stream->status() != 200) {
    const http::Response answer{stream->status(), stream->headers(), {}};
    co_return base::unexpected(http::status_error(answer, "download"));
  }
  std::uint64_t bound = options_.max_archive_bytes;
  if (artifact.size && *artifact.size > 0) bound = std::min(bound, static_cast<std::uint64_t>(*artifact.size));
  if (announced_length(*stream).value_or(0) > bound) co_return too_large(bound);

  const auto incoming = std::make_shared<Incoming>(expected.algorithm);
  Pace pace(options_, deadline);
  for (;;) {
    auto reading = stream->read_some(pace.patience());
    auto piece = co_await std::move(reading);
    SLUICE_CO_TRY(const std::string bytes, std::move(piece));
    if (bytes.empty()) break;
    SLUICE_CO_CHECK(pace.count(bytes.size()));
    incoming->bytes += bytes.size();
    if (incoming->bytes > bound) co_return too_large(bound);
    incoming->buffer += bytes;
    if (incoming->buffer.size() < kPiece) continue;
    auto spool = [incoming, folder = cache_->folder()](std::stop_token) { return spool_piece(*incoming, folder); };
    auto spooling = rt::run_blocking(runtime_, owner, std::move(spool));
    auto spooled = co_await std::move(spooling);
    SLUICE_CO_CHECK(std::move(spooled));
  }
  const auto job = std::make_shared<const UnpackJob>(
      UnpackJob{expected, cache_->folder(), cache_->path_of(artifact.digest), options_.limits});
  auto unpack = [incoming, job](std::stop_token stop) { return verify_and_unpack(*incoming, *job, stop); };
  auto unpacking = rt::run_blocking(runtime_, std::move(owner), std::move(unpack));
  auto unpacked = co_await std::move(unpacking);
  co_return unpacked;
}

}  // namespace sluice::artifact
