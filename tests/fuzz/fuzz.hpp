// What the fuzz targets share.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace sluice::fuzz {

[[noreturn]] inline void fail(const char* what, std::string_view input) {
  std::fprintf(stderr, "%s:\n%.*s\n", what, static_cast<int>(input.size()), input.data());
  std::abort();
}

}  // namespace sluice::fuzz
