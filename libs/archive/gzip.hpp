// gzip streams (RFC 1952), read with bounds and written reproducibly. Blocking.
#pragma once

#include <cstdint>
#include <memory>

#include "archive/limits.hpp"
#include "archive/stream.hpp"
#include "base/result.hpp"

namespace sluice::archive {

// Decompresses what `compressed` yields, which must outlive it. Several members
// in a row are one stream, as gzip and Go read them; the checksum of each is
// verified. `invalid` for what is not gzip, is damaged, ends early, or has
// bytes after its end; `too_large` beyond max_total_bytes or max_ratio.
class GzipReader final : public ByteSource {
 public:
  GzipReader(ByteSource& compressed, const Limits& limits);
  ~GzipReader() override;
  base::Result<std::size_t> read(std::span<char> into) override;
  std::uint64_t uncompressed_bytes() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Compresses into `out`, which must outlive it. The header holds neither time
// nor name nor system, so equal input gives equal output.
class GzipWriter final : public ByteSink {
 public:
  explicit GzipWriter(ByteSink& out);
  ~GzipWriter() override;
  base::Result<void> write(std::string_view bytes) override;
  // Writes the trailer. Nothing may be written afterwards.
  base::Result<void> finish();

 private:
  base::Result<void> deflate(std::string_view bytes, int flush);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::archive
