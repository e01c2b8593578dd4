// Where each field of an object came from: the file and line that it was read
// at, or the entry that changed it last. Kept only when a build asks for it.
//
// A tree beside the object's value. After each step the two values are
// compared and what differs is put down to the step; elements of lists are
// found again by their content or their name, so that a list that grew at the
// front still knows where its elements are from.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "doc/json.hpp"
#include "kustomize/kustomize.hpp"

namespace sluice::kustomize {

class Provenance {
 public:
  // All fields come from one place: a generated object.
  Provenance(const doc::Json& value, FieldSource source);
  // Fields have lines of their own, by JSON pointer.
  Provenance(const doc::Json& value, const std::string& file, const std::map<std::string, int>& lines);

  // Puts down to `source` what makes `after` differ from `before`.
  void change(const doc::Json& before, const doc::Json& after, const FieldSource& source);

  // One entry for each scalar and each empty map and list of the value.
  std::vector<FieldOrigin> fields(const doc::Json& value) const;

 private:
  using Source = std::shared_ptr<const FieldSource>;
  struct Node {
    Source source;
    std::map<std::string, Node, std::less<>> members;
    std::vector<Node> elements;
  };

  static Node make(const doc::Json& value, const Source& source);
  static Node read(const doc::Json& value, const std::string& pointer, const std::string& file,
                   const std::map<std::string, int>& lines);
  static void change(Node& node, const doc::Json& before, const doc::Json& after, const Source& source);
  static void change_list(Node& node, const doc::Json& before, const doc::Json& after, const Source& source);
  static void collect(const Node& node, const doc::Json& value, const doc::Json::json_pointer& at,
                      std::vector<FieldOrigin>& fields);

  Node root_;
};

}  // namespace sluice::kustomize
