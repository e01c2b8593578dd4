// How much of somebody else's archive we are willing to read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::archive {

// Crossing any of these ends the reading with `too_large`. The defaults leave
// room for the largest monorepos known to us (the Linux kernel: 90,000 files,
// 1.5 GiB) and stop what can only be an attack or a mistake.
struct Limits {
  std::size_t max_entries = 250'000;
  std::uint64_t max_total_bytes = 4ULL << 30U;  // of the uncompressed archive, headers included
  std::uint64_t max_file_bytes = 512ULL << 20U;
  std::size_t max_path_bytes = 2048;
  // Uncompressed bytes for one compressed byte. Deflate reaches 1030:1 on
  // zeros; manifests that repeat each other reach about 100:1.
  std::uint64_t max_ratio = 500;
  // Below this many uncompressed bytes the ratio does not matter.
  std::uint64_t ratio_floor_bytes = 8ULL << 20U;
};

}  // namespace sluice::archive
