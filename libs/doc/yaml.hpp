// YAML <-> JSON as Go's sigs.k8s.io/yaml reads and prints it.
//
// Reading follows the YAML 1.1 rules that go-yaml keeps for Kubernetes: a plain
// `yes` stays a string, `0o17` and `0x1F` are integers, merge keys (`<<`) and
// anchors are resolved, duplicate keys are an error. Errors are `invalid` and
// start with "line L, column C: ".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "doc/json.hpp"

namespace sluice::doc {

// Bounds on what others wrote; past them the answer is `too_large`.
struct YamlLimits {
  std::size_t max_documents = 100'000;
  std::size_t max_depth = 256;
  std::size_t max_nodes = 10'000'000;  // counted after aliases are expanded
};

struct YamlDocument {
  Json value;    // null for an empty document
  int line = 1;  // 1-based line of its first content
};

// Each document of a stream, empty ones left out. A BOM and CRLF are accepted.
base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlLimits& limits = {});
// Exactly one document; an empty text gives null; `invalid` on a second one.
base::Result<Json> parse_yaml(std::string_view text, const YamlLimits& limits = {});

// As sigs.k8s.io/yaml prints: keys sorted, sequences not indented below their
// key, strings quoted where a YAML 1.1 reader would take them for another
// type, block scalars for text of several lines. Ends with a newline.
std::string print_yaml(const Json& value);

}  // namespace sluice::doc
