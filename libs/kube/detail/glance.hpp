// What the line of a watch is about, without reading all of it. Pure; private to libs/kube.
//
// What a daemon writes it is answered with at once, and told a second time by its watch. Finding out that
// an event says nothing new takes a walk over its bytes, which is a small part of what reading it takes.
#pragma once

#include <optional>
#include <string_view>

namespace sluice::kube::detail {

struct Glance {
  std::string_view type;  // "ADDED"
  std::string_view namespace_;
  std::string_view name;
  std::string_view uid;
  std::string_view resource_version;
};

// Nothing where any of them but the namespace is missing, or the line is not what a server prints. No proof
// that the line is JSON: good for nothing but passing over an event.
std::optional<Glance> glance_at(std::string_view line);

}  // namespace sluice::kube::detail
