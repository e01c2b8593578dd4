// The YAML reader and printer: whatever is read is printed, and reads back the same.
#include <cstdint>
#include <cstdlib>

#include "doc/yaml.hpp"
#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::doc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  YamlReading reading;
  reading.limits.max_nodes = 20'000;
  for (const int way : {0, 1, 2}) {
    reading.as_kustomize = reading.note_lines = way == 1;
    reading.version_1_1 = way == 2;
    const auto documents = parse_yaml_stream(text, reading);
    if (!documents || way != 0) continue;
    for (const YamlDocument& document : *documents) {
      const auto again = parse_yaml(print_yaml(document.value));
      // A float and an integer of one value are printed alike, so texts are compared.
      if (!again || print_yaml(*again) != print_yaml(document.value)) sluice::fuzz::fail("does not read back", text);
    }
  }
  return 0;
}
