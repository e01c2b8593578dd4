#include "kustomize/patches/merge_notes.hpp"

#include <algorithm>

#include "doc/yaml_scalar.hpp"

namespace sluice::kustomize {
namespace {

using doc::Json;

// Calls `visit(value, place)` on each string, map and list.
template <typename Visit>
void each_value(const Json& value, std::uint64_t place, const Visit& visit) {
  if (value.is_string()) visit(value, place);
  if (!value.is_structured()) return;
  visit(value, place);
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) each_value(child, doc::place_of(place, key), visit);
  } else {
    for (std::size_t i = 0; i < value.size(); ++i) each_value(value[i], doc::place_of(place, i), visit);
  }
}

template <typename Visit>
void each_scalar(Json& value, const Visit& visit) {
  if (!value.is_structured()) return visit(value);
  for (Json& child : value) each_scalar(child, visit);
}

// Where the content of a map or list is; it stays there when the value moves.
const void* content_of(const Json& value) {
  if (value.is_object()) return value.get_ptr<const Json::object_t*>();
  return value.get_ptr<const Json::array_t*>();
}

// Finds what a resource knows by place in a value of its shape.
void find_style(const Json& value, const Resource& resource, std::unordered_set<const Json*>& quoted,
                std::unordered_set<const void*>& flow) {
  if (resource.quoted.empty() && resource.flow.empty()) return;
  const std::unordered_set<std::uint64_t> in_quotes(resource.quoted.begin(), resource.quoted.end());
  const std::unordered_set<std::uint64_t> in_flow(resource.flow.begin(), resource.flow.end());
  each_value(value, 0, [&](const Json& each, std::uint64_t place) {
    if (each.is_string()) {
      if (in_quotes.contains(place)) quoted.insert(&each);
    } else if (in_flow.contains(place)) {
      flow.insert(content_of(each));
    }
  });
}

// Quotes that nobody saw, as kustomize put them there itself.
bool needs_quotes(const std::string& text) {
  return doc::is_ambiguous_string(text) || text.find('\n') != std::string::npos;
}

}  // namespace

// Nulls are found again by their place: nothing moves them before the first patch.
void MergeNotes::take(Resource& target) {
  for (const doc::EmptyNull& null : target.empty_nulls) {
    if (!target.value.contains(null.place)) continue;
    if (const Json& value = target.value.at(null.place); value.is_null()) empty_nulls.insert(&value);
  }
  target.empty_nulls.clear();
  find_style(target.value, target, quoted, flow);
  const auto keep = [&](WrittenText note) {
    if (!target.value.contains(note.place)) return;
    const Json& value = target.value.at(note.place);
    if (value == note.value) written.emplace(&value, std::move(note));
  };
  for (WrittenText& note : target.written) keep(std::move(note));
  target.written.clear();
  for (const doc::PlainText& note : target.plain_texts) {
    if (note.value.is_string()) keep({note.place, note.value, note.text, false});
  }
  shared = std::move(target.shared);
  if (!shared.empty()) shared.put_marks(target.value);
}

void MergeNotes::give_back(Resource& target) {
  if (!shared.empty()) shared.take_marks(target.value);
  target.shared = std::move(shared);
  // A merge asks for strings, and so makes one of what has no type.
  if (!written.empty()) {
    each_scalar(target.value, [&](Json& value) {
      const auto note = written.find(&value);
      if (note != written.end() && note->second.untyped && !value.is_string() && !note->second.text.empty()) {
        value = note->second.text;
      }
    });
  }
  target.quoted.clear();
  target.flow.clear();
  if (quoted.empty() && flow.empty()) return;
  each_value(target.value, 0, [&](const Json& each, std::uint64_t place) {
    if (each.is_string()) {
      if (quoted.contains(&each)) target.quoted.push_back(place);
    } else if (flow.contains(content_of(each))) {
      target.flow.push_back(place);
    }
  });
}

void MergeNotes::take_style(const Json& dest, const Json& patch) {
  if (!dest.empty() || patch.empty()) return;
  if (flow.contains(content_of(patch))) {
    flow.insert(content_of(dest));
  } else {
    flow.erase(content_of(dest));
  }
}

void MergeNotes::read(const Resource& patch, const Json& content) {
  find_style(content, patch, quoted, flow);
  for (const doc::PlainText& plain : patch.plain_texts) {
    if (content.contains(plain.place) && content[plain.place] == plain.value) {
      texts.emplace(&content[plain.place], plain.text);
    }
  }
}

void MergeNotes::override(Json& old, const Json& patch) {
  const bool in_quotes = quoted.contains(&old);
  const bool known = written.erase(&old) > 0 && !in_quotes;
  old = known ? patch : overridden(old, in_quotes, patch);
}

Json MergeNotes::overridden(const Json& old, bool in_quotes, const Json& patch) const {
  const auto text = texts.find(&patch);
  const bool is_text = patch.is_string() && text == texts.end();
  if (is_text || !old.is_string()) return patch;
  if (!in_quotes && !needs_quotes(old.get_ref<const std::string&>())) return patch;
  return text != texts.end() ? text->second : scalar_text(patch);
}

}  // namespace sluice::kustomize
