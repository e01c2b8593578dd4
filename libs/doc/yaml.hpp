// YAML <-> JSON as Go's sigs.k8s.io/yaml reads and prints it.
//
// Reading follows the YAML 1.1 rules that go-yaml keeps for Kubernetes: a plain
// `yes` stays a string, `0o17` and `0x1F` are integers, merge keys (`<<`) and
// anchors are resolved, duplicate keys are an error. Errors are `invalid` and
// start with "line L, column C: ".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stop_token>
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
  // Of them, those that are copies of anchored values: so many, and four times
  // what the text itself holds.
  std::size_t max_copies = 200'000;
};

// Ways of reading that differ between the libraries in use around Kubernetes.
struct YamlReading {
  YamlLimits limits;
  // As go-yaml v2 and sigs.k8s.io/yaml read configuration: a plain `yes`, `on`
  // or `n` is a boolean, of a key that is there twice the last one counts, merged
  // maps (`<<`) included, and what JSON cannot hold is `invalid`: .inf, .nan, keys
  // that are null or past 63 bits.
  bool version_1_1 = false;
  // Only the first document counts, be it empty; what follows is not looked at.
  bool first_document_only = false;
  // Errors say where and what, but quote nothing of the text, which may be secret.
  bool quote_nothing = false;
  // As kustomize reads objects, in what can be seen of it afterwards: plain
  // scalars in metadata.annotations of a document are the text that they are, be
  // they numbers, booleans or nulls; a plain date is written as a time with a
  // zone; keys must be strings below the top; empty_nulls, plain_texts and quoted are filled.
  bool as_kustomize = false;
  // ... of a document that is a List, not in its own metadata but in that of each element of `items`.
  bool items_are_objects = false;
  // ... but nulls there stay nulls: in a patch they delete.
  bool keep_annotation_nulls = false;
  // Fills YamlDocument::lines, which costs time and memory.
  bool note_lines = false;
  // Once it is asked for, reading ends in `cancelled`.
  std::stop_token stop;
};

// A null that is written as nothing at all: "field:", or {field: } in flow style.
struct EmptyNull {
  Json::json_pointer place;
  bool in_flow = false;
};

// A scalar without quotes that is not printed as it was written: 1e3, 0x10, ~.
struct PlainText {
  Json::json_pointer place;
  Json value;
  std::string text;
};

// The place of a member or element, given that of the map or list: a number
// that costs less to keep than a pointer. The top is 0.
std::uint64_t place_of(std::uint64_t parent, std::string_view key);
std::uint64_t place_of(std::uint64_t parent, std::size_t index);

// A key that is there again, and so counts instead of what it said before.
struct RepeatedKey {
  std::string place;  // JSON pointer
  int line = 0;
};

struct YamlDocument {
  Json value;    // null for an empty document
  int line = 1;  // 1-based line of its first content
  std::vector<EmptyNull> empty_nulls;
  std::vector<PlainText> plain_texts;    // anywhere; nulls among labels only
  std::vector<std::uint64_t> quoted;     // places of strings in quotes or blocks
  std::map<std::string, int> lines;  // by JSON pointer, of maps and lists as well
  std::vector<std::uint64_t> flow{};  // places of maps and lists in flow style, as_kustomize
  std::vector<RepeatedKey> repeated{};  // of a reading as YAML 1.1; the first hundred
};

// Each document of a stream, empty ones left out. A BOM, UTF-16 with a BOM and
// CRLF are accepted; as_kustomize also a BOM at any document, and "---#comment".
base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlReading& reading);
base::Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text, const YamlLimits& limits = {});
// Exactly one document; an empty text gives null; `invalid` on a second one.
base::Result<Json> parse_yaml(std::string_view text, const YamlReading& reading);
base::Result<Json> parse_yaml(std::string_view text, const YamlLimits& limits = {});

// As sigs.k8s.io/yaml prints: keys sorted, sequences not indented below their
// key, strings quoted where a YAML 1.1 reader would take them for another
// type, block scalars for text of several lines. Ends with a newline.
std::string print_yaml(const Json& value);

}  // namespace sluice::doc
