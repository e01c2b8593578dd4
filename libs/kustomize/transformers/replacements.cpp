// Replacements: a value read from one object (or given), written into others.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "doc/yaml_scalar.hpp"
#include "kustomize/fields/field_path.hpp"
#include "kustomize/objects/go_json.hpp"
#include "kustomize/objects/selector.hpp"
#include "kustomize/objects/steps.hpp"
#include "kustomize/transformers/transformers.hpp"
#include "text/find.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;

auto invalid(const std::string& message) { return unexpected(ErrorKind::invalid, message); }

// Part `index` of a text with delimiters: counted, as there may be one for each byte of it.
// Nothing if there are fewer parts.
std::optional<std::string_view> part_of(std::string_view text, std::string_view delimiter, std::int64_t index) {
  for (std::size_t start = 0; index >= 0; --index) {
    const std::size_t end = text::find_text(text, delimiter, start);
    if (index == 0) return text.substr(start, end == text.npos ? end : end - start);
    if (end == text.npos) return std::nullopt;
    start = end + delimiter.size();
  }
  return std::nullopt;
}

// The ids that kustomize compares here know nothing of cluster scope.
std::vector<ResId> all_ids(const Resource& resource) {
  std::vector<ResId> ids{resource.id()};
  for (ResId& id : resource.past_ids()) ids.push_back(std::move(id));
  return ids;
}

std::string_view ns_or_default(std::string_view ns) { return ns.empty() ? "default" : ns; }

std::string field_path_of(const ReplacementSource& source) {
  return source.field_path.empty() ? "metadata.name" : source.field_path;
}

Result<const Resource*> find_source(const ResourceSet& set, const ReplacementSource& source) {
  const auto chosen = [&](const Resource& resource) {
    const auto ids = all_ids(resource);
    return std::any_of(ids.begin(), ids.end(), [&](const ResId& id) {
      return (source.name.empty() || source.name == id.name) &&
             (source.namespace_.empty() || ns_or_default(source.namespace_) == ns_or_default(id.ns)) &&
             id.gvk.selected_by(source.gvk);
    });
  };
  std::vector<const Resource*> found;
  const auto consider = [&](const Resource* resource) {
    if (found.size() < 2 && chosen(*resource)) found.push_back(resource);
  };
  if (source.name.empty()) {
    for (const auto& resource : set.items()) {
      SLUICE_CHECK(take_step());
      consider(resource.get());
    }
  } else {
    for (const Resource* resource : set.find_named(source.name)) consider(resource);
  }
  const std::string wanted = ResId{source.gvk, source.name, source.namespace_}.str();
  if (found.empty()) {
    return unexpected(ErrorKind::not_found, fmt::format("source: nothing is selected by {}, of which {} is wanted",
                                                        wanted, field_path_of(source)));
  }
  if (found.size() > 1) {
    return invalid(fmt::format("source: {} selects {} and {}", wanted, found[0]->describe(), found[1]->describe()));
  }
  return found[0];
}

// A scalar counts as its text, as it was written.
struct Source {
  Json value;
  std::string text;
  bool untyped = false;
};

Result<Source> source_value(const ResourceSet& set, const ReplacementSpec& spec) {
  if (spec.source && spec.source_value) return invalid("source and sourceValue exclude each other");
  if (spec.source_value) return Source{*spec.source_value, *spec.source_value, true};
  const ReplacementSource& source = *spec.source;
  SLUICE_TRY(const Resource* resource, find_source(set, source));
  const std::string path = field_path_of(source);
  auto value = lookup_field(resource->value, split_field_path(path));
  if (!value)
    return unexpected(std::move(value).error().with_context(fmt::format("source {}, {}", resource->describe(), path)));
  const bool scalar = *value != nullptr && !(*value)->is_structured();
  const ScalarState state = scalar ? state_of(*resource, **value) : ScalarState{};
  const bool null = *value == nullptr || ((*value)->is_null() && !state.untyped);
  if (null || ((*value)->is_structured() && (*value)->empty())) {
    return unexpected(ErrorKind::not_found, fmt::format("source {} has no field {}", resource->describe(), path));
  }
  if (source.options.delimiter.empty()) return Source{**value, state.text, state.untyped};
  if ((*value)->is_structured()) return invalid("source: a delimiter needs a scalar");
  const auto found = part_of(state.text, source.options.delimiter, source.options.index);
  if (!found) {
    return invalid(
        fmt::format("source: index {} is out of bounds for \"{}\"", source.options.index, state.text.substr(0, 200)));
  }
  const std::string part(*found);
  return Source{part, part, state.untyped};
}

// A scalar keeps its type and takes over the text.
Result<void> put_text(Json& field, const std::string& text, const ScalarState& before) {
  if (before.untyped) {
    field = untyped_value(text);
    return {};
  }
  const auto time = before.is_time ? doc::timestamp_as_json(text) : std::nullopt;
  if (before.is_time && !time) return invalid(fmt::format("\"{}\" can't be written over a time", text.substr(0, 200)));
  if (field.is_string()) {
    field = time ? *time : text;
    return {};
  }
  Json value = doc::resolve_plain_scalar(text);
  const bool fits = field.is_number_float() ? value.is_number()
                    : field.is_number()     ? value.is_number_integer()
                                            : value.type() == field.type();
  if (!fits) {
    return invalid(fmt::format("\"{}\" can't be written over a {}", text.substr(0, 200), field.type_name()));
  }
  field = std::move(value);
  return {};
}

// The text that goes into a field, where it is a scalar.
std::string text_for(const ScalarState& before, const Source& source, const FieldOptions& options) {
  if (options.delimiter.empty()) return source.text;
  if (options.index < 0) return source.text + options.delimiter + before.text;
  const auto part = part_of(before.text, options.delimiter, options.index);
  if (!part) return before.text + options.delimiter + source.text;
  std::string text = before.text;
  return text.replace(static_cast<std::size_t>(part->data() - before.text.data()), part->size(), source.text);
}

Result<void> write_field(Json& target, const ScalarState& before, const Source& source, const FieldOptions& options) {
  const bool whole = target.is_structured() || (before.untyped && source.value.is_structured());
  if (!whole) return put_text(target, text_for(before, source, options), before);
  if (!options.delimiter.empty() && target.is_structured()) return invalid("a delimiter needs a scalar");
  target = source.untyped ? untyped_value(source.text) : source.value;
  return {};
}

MakeMissing shape_of(const Json& value, bool create) {
  if (!create) return MakeMissing::no;
  return value.is_object() ? MakeMissing::map : value.is_array() ? MakeMissing::list : MakeMissing::scalar;
}

// Where a path goes on behind a string that holds JSON or YAML, the value is
// written into that text. False if this is no such path.
Result<bool> write_into_text(Resource& resource, const FieldPath& path, const Source& source, MakeMissing make,
                             Growth& growth) {
  Json& object = resource.value;
  Json* holder = nullptr;
  std::size_t step = 1;
  for (; step < path.size(); ++step) {
    const FieldPath start(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(step));
    const auto found = lookup_field(object, start);
    if (!found || *found == nullptr || (*found)->is_structured()) continue;
    holder = const_cast<Json*>(*found);  // of `object`, which may be changed
    break;
  }
  if (holder == nullptr || !holder->is_string()) return false;
  const std::string text = holder->get<std::string>();
  doc::YamlReading reading;
  reading.stop = Steps::token();
  auto inner = doc::parse_yaml(text, reading);
  if (!inner || !inner->is_structured()) return false;
  const FieldPath rest(path.begin() + static_cast<std::ptrdiff_t>(step), path.end());
  auto found = match_fields(*inner, rest, make);
  if (!found || found->empty()) return false;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = text[first] == '{' || text[first] == '[';
  for (const FoundField& field : *found) {
    // A value that is no text of the field's type can't be written there; kustomize leaves it then.
    const bool fits = field.created || field.value->is_string() || field.value->is_structured() ||
                      doc::resolve_plain_scalar(source.text).type() == field.value->type();
    if (!fits && is_json) return true;
    const ScalarState before{scalar_text(*field.value), field.created, false};
    SLUICE_CHECK(write_field(*field.value, before, source, {}));
  }
  std::string printed =
      is_json ? go_json(*inner, text.find('\n') != std::string::npos && text.find("  ") != std::string::npos)
              : doc::print_yaml(*inner);
  while (!is_json && printed.ends_with('\n')) printed.pop_back();
  SLUICE_CHECK(growth.add_text(printed.size()));
  SLUICE_CHECK(resource.shared.set(object, *holder, [&](Json& field) -> Result<void> {
    field = std::move(printed);
    return {};
  }));
  return true;
}

std::vector<std::string> steps_of(Json::json_pointer place) {
  std::vector<std::string> steps;
  for (; !place.empty(); place.pop_back()) steps.push_back(place.back());
  return {steps.rbegin(), steps.rend()};
}

// Calls `visit(number of the place)` on all values from the top to the one at `pointer`.
template <typename Visit>
void each_place(const Resource& resource, const Json::json_pointer& pointer, const Visit& visit) {
  const Json* at = &resource.value;
  std::uint64_t place = 0;
  visit(place);
  for (const std::string& step : steps_of(pointer)) {
    Json::json_pointer next;
    next.push_back(step);
    if (!at->contains(next)) return;
    place = at->is_array() ? doc::place_of(place, std::stoul(step)) : doc::place_of(place, std::string_view(step));
    at = &at->at(next);
    visit(place);
  }
}

bool in_flow(const Resource& resource, const Json::json_pointer& pointer) {
  bool found = false;
  each_place(resource, pointer, [&](std::uint64_t place) {
    found = found || std::find(resource.flow.begin(), resource.flow.end(), place) != resource.flow.end();
  });
  return found;
}

std::uint64_t place_at(const Resource& resource, const Json::json_pointer& pointer) {
  std::uint64_t last = 0;
  each_place(resource, pointer, [&](std::uint64_t place) { last = place; });
  return last;
}

Result<void> write_found(Resource& resource, const FoundField& field, const Source& source, const FieldOptions& options,
                         std::size_t level, Growth& growth) {
  static const Json::json_pointer kAnnotations("/metadata/annotations");
  const bool scalar = !field.value->is_structured();
  if (!scalar) resource.shared.forget(resource.value, *field.value);
  // Notes looked through.
  SLUICE_CHECK(growth.spend((resource.written.size() + resource.plain_texts.size() + resource.flow.size()) / 64));
  ScalarState before = scalar && !field.created ? state_of(resource, *field.value) : ScalarState{};
  // Annotations are text from the start.
  const bool annotation = !field.place.empty() && field.place.parent_pointer() == kAnnotations;
  if (field.created && annotation && !source.value.is_structured()) *field.value = "";
  before.untyped = before.untyped || (field.created && scalar && !(annotation && field.value->is_string()));
  if (field.filled) resource.flow.push_back(place_at(resource, *field.filled));
  const std::string text = scalar || source.untyped ? text_for(before, source, options) : std::string();
  const SetField write = [&](Json& into) -> Result<void> {
    SLUICE_CHECK(growth.add(source.value, level));
    SLUICE_CHECK(growth.add_text(Growth::text_size(into)));
    SLUICE_CHECK(write_field(into, before, source, options));
    // Nothing is no text in flow style, so that kustomize writes quotes there.
    if (into.is_null() && text.empty() && in_flow(resource, field.place)) into = "";
    return {};
  };
  SLUICE_CHECK(resource.shared.set(resource.value, *field.value, write));
  if (!scalar && source.untyped) before.untyped = true;
  if (!scalar && !source.untyped) return {};
  note_written(resource, field.place, before, text);
  if (field.created && annotation && untyped_value(text) != text) {
    resource.plain_texts.push_back({field.place, untyped_value(text), text});  // as if read without quotes
  }
  return {};
}

Result<void> write_target(Resource& resource, const ReplacementTarget& target, const Source& source, Growth& growth) {
  static const std::vector<std::string> kName{"metadata.name"};
  for (const std::string& text : target.field_paths.empty() ? kName : target.field_paths) {
    const FieldPath path = split_field_path(text);
    SLUICE_CHECK(growth.add(Json(), path.size()));  // before any of it is made
    const MakeMissing make = shape_of(source.value, target.options.create);
    SLUICE_TRY(const bool done, write_into_text(resource, path, source, make, growth));
    if (done) continue;
    auto found = match_fields(resource.value, path, make);
    if (!found) {
      return unexpected(std::move(found).error().with_context(
          fmt::format("target {}, {}", resource.describe().substr(0, 400), text.substr(0, 200))));
    }
    if (found->empty()) {
      return unexpected(ErrorKind::not_found, fmt::format("target {} has no field {}",
                                                          resource.describe().substr(0, 400), text.substr(0, 200)));
    }
    for (const FoundField& field : *found) {
      if (auto done = write_found(resource, field, source, target.options, path.size(), growth); !done) {
        const std::string where = fmt::format("target {}, {}", resource.describe().substr(0, 400), text.substr(0, 200));
        return unexpected(std::move(done).error().with_context(where));
      }
    }
  }
  return {};
}

Result<void> write_targets(ResourceSet& set, const ReplacementTarget& target, const Source& source) {
  if (!target.select) return invalid("a target needs select");
  SLUICE_TRY(const ObjectSelector chosen, ObjectSelector::compile(*target.select));
  std::vector<ObjectSelector> rejects;
  for (const SelectorSpec& spec : target.reject) {
    SLUICE_TRY(ObjectSelector reject, ObjectSelector::compile(spec));
    rejects.push_back(std::move(reject));
  }
  const auto rejected = [&](const Resource& resource, const std::vector<ResId>& ids) -> Result<bool> {
    for (std::size_t i = 0; i < rejects.size(); ++i) {
      const SelectorSpec& spec = target.reject[i];
      const bool labels = !spec.label_selector.empty() || !spec.annotation_selector.empty();
      if (labels && rejects[i].matches_labels(resource.value)) return true;
      if (!spec.by_id()) continue;
      SLUICE_TRY(const bool hit, rejects[i].matches_any(ids));
      if (hit) return true;
    }
    return false;
  };
  const auto write = [&](Resource& resource) -> Result<void> {
    SLUICE_CHECK(take_step());
    const auto ids = all_ids(resource);
    if (!chosen.matches_labels(resource.value)) return {};
    SLUICE_TRY(const bool spared, rejected(resource, ids));
    if (spared) return {};
    SLUICE_TRY(const bool hit, chosen.matches_any(ids));
    return hit ? write_target(resource, target, source, set.growth()) : Result<void>{};
  };
  if (is_plain(target.select->name)) {
    for (Resource* resource : set.find_named(target.select->name)) SLUICE_CHECK(write(*resource));
  } else {
    for (const auto& resource : set.items()) SLUICE_CHECK(write(*resource));
  }
  return {};
}

// One replacement or a list of them.
Result<std::vector<ReplacementSpec>> load_file(const ReplacementSpec& spec, const Folder& folder) {
  if (spec.source || spec.has_targets) return invalid("path excludes source and targets");
  SLUICE_TRY(const Json value, folder.load_yaml(spec.path));
  std::vector<ReplacementSpec> loaded;
  for (const Json& entry : value.is_array() ? value : Json::array({value})) {
    auto parsed = parse_replacement(entry, "", Strictness::config);
    if (!parsed) return unexpected(std::move(parsed).error().with_context(folder.path_of(spec.path)));
    parsed->entry = value.is_array() ? fmt::format("{}: [{}]", spec.entry, loaded.size()) : spec.entry;
    loaded.push_back(*std::move(parsed));
  }
  return loaded;
}

Result<void> replace_one(ResourceSet& set, const ReplacementSpec& spec) {
  if ((!spec.source && !spec.source_value) || !spec.has_targets) {
    return invalid("a replacement needs a source and at least one target");
  }
  SLUICE_TRY(const Source source, source_value(set, spec));
  for (const ReplacementTarget& target : spec.targets) SLUICE_CHECK(write_targets(set, target, source));
  return {};
}

}  // namespace

Result<std::vector<ReplacementSpec>> load_replacements(std::vector<ReplacementSpec> specs, const Folder& folder) {
  std::vector<ReplacementSpec> loaded;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    ReplacementSpec& spec = specs[i];
    spec.entry = fmt::format("replacements[{}]", i);
    if (spec.path.empty()) {
      loaded.push_back(std::move(spec));
      continue;
    }
    spec.entry.append(" ").append(spec.path);
    auto file = load_file(spec, folder);
    if (!file) return unexpected(std::move(file).error().with_context(spec.entry));
    std::move(file->begin(), file->end(), std::back_inserter(loaded));
  }
  return loaded;
}

Result<void> replace_fields(ResourceSet& set, const std::vector<ReplacementSpec>& replacements) {
  for (const ReplacementSpec& spec : replacements) {
    SLUICE_CHECK(take_step());
    if (auto done = replace_one(set, spec); !done) return unexpected(std::move(done).error().with_context(spec.entry));
    const bool renames = std::any_of(spec.targets.begin(), spec.targets.end(), [](const ReplacementTarget& target) {
      return target.field_paths.empty() ||
             std::any_of(target.field_paths.begin(), target.field_paths.end(), [](const std::string& path) {
               return path.starts_with("metadata.n") || path.starts_with("kind") || path.starts_with("apiVersion");
             });
    });
    if (renames) set.changed_all();
  }
  return {};
}

}  // namespace sluice::kustomize
