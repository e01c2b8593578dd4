// Whole builds of small trees: files are cut out of the bytes at lines "=== NAME".
#include <cstdint>
#include <map>
#include <string>

#include "fuzz/fuzz.hpp"
#include "kustomize/kustomize.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::map<std::string, std::string, std::less<>> files;
  for (std::size_t at = text.find("=== "); at != std::string_view::npos && files.size() < 16;) {
    const std::size_t line = text.find('\n', at);
    if (line == std::string_view::npos) break;
    const std::size_t next = text.find("=== ", line);
    files.emplace(text.substr(at + 4, line - at - 4), text.substr(line + 1, next - line - 1));
    at = next;
  }
  const auto view = base::make_memory_view(std::move(files));
  kustomize::BuildOptions options;
  options.limits.max_objects = 1000;
  options.limits.max_layers = 16;
  options.limits.yaml.max_nodes = 50'000;
  kustomize::BuildCache cache(1U << 20U);
  options.cache = &cache;
  const auto first = kustomize::build(*view, "", options);
  const auto second = kustomize::build(*view, "", options);
  options.cache = nullptr;
  options.provenance = true;
  const auto third = kustomize::build(*view, "", options);
  const auto printed = [](const auto& result) { return result ? kustomize::print(*result) : result.error().message; };
  if (printed(first) != printed(second) || printed(first) != printed(third)) fuzz::fail("builds differ", text);
  (void)kustomize::build_flux(*view, "", {}, options);
  return 0;
}
