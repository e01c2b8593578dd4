// Paths of artifacts. Pure; private to this library.
#pragma once

#include <string>
#include <string_view>

namespace sluice::artifact::detail {

// One part of an artifact's path: letters, digits and "-_.+~", not starting
// with a dot. So a path of such parts is never hidden, never leaves its root
// and needs no escaping in a URL.
bool is_path_part(std::string_view part) noexcept;

// `<kind>/<namespace>/<name>/<file>`, each a path part.
bool is_artifact_path(std::string_view path) noexcept;

}  // namespace sluice::artifact::detail
