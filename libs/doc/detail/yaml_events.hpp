// libyaml's events, and the errors of reading. Private to libs/doc.
#pragma once

#include <fmt/format.h>
#include <yaml.h>

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace sluice::doc {

// Thrown by the reader's parts, and caught where it is called.
struct Stop {
  base::ErrorKind kind;
  std::string message;
};

// Where in the text a value begins; both count from 1.
struct Mark {
  std::size_t line = 1;
  std::size_t column = 1;
  Mark() = default;
  Mark(const yaml_mark_t& mark) : line(mark.line + 1), column(mark.column + 1) {}
};

inline std::string at(const Mark& mark, std::string_view what) {
  return fmt::format("line {}, column {}: {}", mark.line, mark.column, what);
}

inline std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

// libyaml's parser over a text that outlives it, and the event it is at.
class Events {
 public:
  explicit Events(std::string_view text) : text_(text) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Events() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  const yaml_event_t& next() {
    yaml_event_delete(&event_);
    if (yaml_parser_parse(&parser_, &event_) == 0) fail();
    return event_;
  }

 private:
  [[noreturn]] void fail() const;
  std::string unreadable() const;

  std::string_view text_;
  yaml_parser_t parser_{};
  yaml_event_t event_{};
};

}  // namespace sluice::doc
