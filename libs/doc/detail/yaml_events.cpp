#include "doc/detail/yaml_events.hpp"

#include <algorithm>

namespace sluice::doc {

using base::ErrorKind;

void Events::fail() const {
  if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
  if (parser_.error == YAML_READER_ERROR) throw Stop{ErrorKind::invalid, unreadable()};
  std::string message = parser_.problem ? parser_.problem : "not YAML";
  if (parser_.context != nullptr) {
    message += fmt::format(", {} that begins at line {}", parser_.context, parser_.context_mark.line + 1);
  }
  throw Stop{ErrorKind::invalid, at(parser_.problem_mark, message)};
}

// The reader tells only how many bytes into the text its problem is.
std::string Events::unreadable() const {
  const std::string_view before = text_.substr(0, parser_.problem_offset);
  Mark mark;
  mark.line = 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
  mark.column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 == 0
  const bool control = std::string_view(parser_.problem).starts_with("control");
  return at(mark, control ? "control characters are not allowed" : "invalid UTF-8");
}

}  // namespace sluice::doc
