#include "archive/gzip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cstdlib>

namespace sluice::archive {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::size_t kPiece = 32U << 10U;
constexpr int kGzipWindow = 15 + 16;  // zlib's way of asking for gzip instead of zlib framing
constexpr int kUnknownSystem = 255;   // RFC 1952, 2.3.1, "OS"
// An artifact is packed at every commit and read a few times within the
// cluster. Of 4000 manifests (6 MB of tar) level 1 makes 380 kB in 14 ms, level
// 6 makes 290 kB in 29 ms, level 9 makes 277 kB in 101 ms.
constexpr int kLevel = Z_BEST_SPEED;

// zlib takes its input as non-const and does not write to it.
Bytef* zlib_input(const char* bytes) { return reinterpret_cast<Bytef*>(const_cast<char*>(bytes)); }

}  // namespace

struct GzipReader::State {
  State(ByteSource& source, const Limits& bounds) : compressed(source), limits(bounds) {
    if (inflateInit2(&zlib, kGzipWindow) != Z_OK) std::abort();
  }
  ~State() { inflateEnd(&zlib); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Makes sure that input is there unless the source has ended.
  Result<void> refill() {
    if (zlib.avail_in > 0 || source_ended) return {};
    SLUICE_TRY(const std::size_t got, compressed.read(input));
    source_ended = got == 0;
    zlib.next_in = zlib_input(input.data());
    zlib.avail_in = static_cast<uInt>(got);
    return {};
  }

  Result<void> check_bounds() const {
    if (total_out > limits.max_total_bytes) {
      return base::unexpected(ErrorKind::too_large,
                              fmt::format("archive unpacks to more than {} bytes", limits.max_total_bytes));
    }
    if (total_out > limits.ratio_floor_bytes && total_out / limits.max_ratio >= total_in) {
      return base::unexpected(ErrorKind::too_large,
                              fmt::format("archive unpacks to over {} times its size ({} bytes from {}), as a "
                                          "decompression bomb would",
                                          limits.max_ratio, total_out, total_in));
    }
    return {};
  }

  ByteSource& compressed;
  Limits limits;
  z_stream zlib{};
  std::array<char, kPiece> input{};
  std::uint64_t total_in = 0;
  std::uint64_t total_out = 0;
  bool source_ended = false;
  bool between_members = true;
  bool any_member = false;
};

GzipReader::GzipReader(ByteSource& compressed, const Limits& limits)
    : state_(std::make_unique<State>(compressed, limits)) {}
GzipReader::~GzipReader() = default;

std::uint64_t GzipReader::uncompressed_bytes() const noexcept { return state_->total_out; }

Result<std::size_t> GzipReader::read(std::span<char> into) {
  State& s = *state_;
  while (true) {
    SLUICE_CHECK(s.refill());
    if (s.zlib.avail_in == 0) {
      if (s.between_members && s.any_member) return std::size_t{0};
      return base::unexpected(ErrorKind::invalid,
                              s.any_member || s.total_in > 0 ? "gzip stream is truncated" : "gzip stream is empty");
    }
    if (s.between_members) {
      if (s.any_member && inflateReset(&s.zlib) != Z_OK) std::abort();
      s.between_members = false;
    }
    s.zlib.next_out = reinterpret_cast<Bytef*>(into.data());
    s.zlib.avail_out = static_cast<uInt>(std::min<std::size_t>(into.size(), 1U << 30U));
    const uInt room = s.zlib.avail_out;
    const uInt had = s.zlib.avail_in;
    const int code = ::inflate(&s.zlib, Z_NO_FLUSH);
    s.total_in += had - s.zlib.avail_in;
    const std::size_t got = room - s.zlib.avail_out;
    s.total_out += got;
    if (code == Z_STREAM_END) {
      s.between_members = true;
      s.any_member = true;
    } else if (code == Z_MEM_ERROR) {
      std::abort();
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      const char* why = s.zlib.msg != nullptr ? s.zlib.msg : "unexpected data";
      return base::unexpected(ErrorKind::invalid,
                              s.any_member ? fmt::format("gzip stream has other bytes after its end ({})", why)
                                           : fmt::format("gzip stream is damaged: {}", why));
    }
    SLUICE_CHECK(s.check_bounds());
    if (got > 0) return got;
  }
}

struct GzipWriter::State {
  explicit State(ByteSink& sink) : out(sink) {
    if (deflateInit2(&zlib, kLevel, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      std::abort();
    }
    header.os = kUnknownSystem;
    deflateSetHeader(&zlib, &header);
  }
  ~State() { deflateEnd(&zlib); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  ByteSink& out;
  z_stream zlib{};
  gz_header header{};
  std::array<char, kPiece> output{};
};

GzipWriter::GzipWriter(ByteSink& out) : state_(std::make_unique<State>(out)) {}
GzipWriter::~GzipWriter() = default;

Result<void> GzipWriter::write(std::string_view bytes) {
  constexpr std::size_t kMost = 1U << 30U;  // zlib counts in 32 bits
  while (!bytes.empty()) {
    SLUICE_CHECK(deflate(bytes.substr(0, kMost), Z_NO_FLUSH));
    bytes.remove_prefix(std::min(bytes.size(), kMost));
  }
  return {};
}

Result<void> GzipWriter::finish() { return deflate({}, Z_FINISH); }

Result<void> GzipWriter::deflate(std::string_view bytes, int flush) {
  State& s = *state_;
  s.zlib.next_in = zlib_input(bytes.data());
  s.zlib.avail_in = static_cast<uInt>(bytes.size());
  do {
    s.zlib.next_out = reinterpret_cast<Bytef*>(s.output.data());
    s.zlib.avail_out = static_cast<uInt>(s.output.size());
    if (::deflate(&s.zlib, flush) == Z_STREAM_ERROR) std::abort();
    const std::size_t got = s.output.size() - s.zlib.avail_out;
    if (got > 0) SLUICE_CHECK(s.out.write(std::string_view(s.output.data(), got)));
  } while (s.zlib.avail_out == 0);
  return {};
}

}  // namespace sluice::archive
