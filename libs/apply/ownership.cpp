#include "apply/ownership.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "api/names.hpp"
#include "api/object_meta.hpp"

namespace sluice::apply {

using doc::Json;

namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
constexpr std::array kStaleAnnotations{kLastApplied, api::annotation::kLegacyKustomizeChecksum,
                                       api::annotation::kLegacySyncChecksum};
constexpr std::array kStaleLabels{api::annotation::kLegacySyncGcMark};

// 64 bits, order matters (the mixer of wyhash, in plain C++).
class Mix {
 public:
  void add(std::uint64_t value) noexcept {
    const unsigned __int128 product =
        static_cast<unsigned __int128>(state_ ^ value ^ 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    state_ = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    state_ += 0x94d049bb133111ebULL;
  }
  void add(std::string_view text) noexcept {
    add(text.size());
    while (text.size() >= 8) {
      std::uint64_t word = 0;
      text.copy(reinterpret_cast<char*>(&word), 8);
      add(word);
      text.remove_prefix(8);
    }
    std::uint64_t rest = 0;
    text.copy(reinterpret_cast<char*>(&rest), text.size());
    add(rest);
  }
  void add(const Json& value) noexcept {
    // Servers print what we sent as they like: 80 is 80, signed or not.
    const auto type = value.is_number_unsigned() ? Json::value_t::number_integer : value.type();
    add(static_cast<std::uint64_t>(type));
    switch (value.type()) {
      case Json::value_t::object:
        add(value.size());
        for (const auto& [key, member] : value.items()) {
          add(std::string_view(key));
          add(member);
        }
        break;
      case Json::value_t::array:
        add(value.size());
        for (const Json& element : value) add(element);
        break;
      case Json::value_t::string: add(std::string_view(value.get_ref<const std::string&>())); break;
      case Json::value_t::boolean: add(value.get<bool>() ? 1U : 0U); break;
      case Json::value_t::number_float: add(std::bit_cast<std::uint64_t>(value.get<double>())); break;
      case Json::value_t::number_integer:
      case Json::value_t::number_unsigned: add(static_cast<std::uint64_t>(value.get<std::int64_t>())); break;
      default: break;
    }
  }
  std::uint64_t value() const noexcept { return state_ == 0 ? 1 : state_; }

 private:
  std::uint64_t state_ = 0x2545f4914f6cdd1dULL;
};

bool same(const Json& left, const Json& right) { return left == right; }

// The element of a list that a key of fieldsV1 names; null where there is none.
const Json* element_of(const Json* list, std::string_view key) {
  if (list == nullptr || !list->is_array() || key.size() < 2) return nullptr;
  const std::string_view text = key.substr(2);
  if (key[0] == 'i') {
    std::size_t index = 0;
    for (const char digit : text) {
      if (digit < '0' || digit > '9' || index > list->size()) return nullptr;
      index = index * 10 + static_cast<std::size_t>(digit - '0');
    }
    return index < list->size() ? &(*list)[index] : nullptr;
  }
  const auto wanted = doc::parse_json(text);
  if (!wanted) return nullptr;
  for (const Json& element : *list) {
    if (key[0] == 'v') {
      if (same(element, *wanted)) return &element;
      continue;
    }
    if (!element.is_object() || !wanted->is_object()) continue;
    bool matches = true;
    for (const auto& [name, value] : wanted->items()) {
      const auto found = element.find(name);
      if (found == element.end() || !same(*found, value)) {
        matches = false;
        break;
      }
    }
    if (matches) return &element;
  }
  return nullptr;
}

const Json* child_of(const Json* value, std::string_view key) {
  if (key.starts_with("f:")) {
    if (value == nullptr || !value->is_object()) return nullptr;
    const auto found = value->find(key.substr(2));
    return found == value->end() ? nullptr : &*found;
  }
  return element_of(value, key);
}

// `fields` is a part of fieldsV1, `value` what lies there in the object, if anything.
void add_owned(Mix& mix, const Json& fields, const Json* value) {
  if (!fields.is_object() || fields.empty()) {  // a leaf: all that is below is ours
    value == nullptr ? mix.add(std::uint64_t{7}) : mix.add(*value);
    return;
  }
  mix.add(fields.size());
  for (const auto& [key, below] : fields.items()) {
    mix.add(std::string_view(key));
    if (key == ".") {
      mix.add(value == nullptr ? 0U : static_cast<std::uint64_t>(value->type()));
    } else {
      add_owned(mix, below, child_of(value, key));
    }
  }
}

const Json* managed_fields(const Json& object) {
  const Json* entries = doc::find(object, {"metadata", "managedFields"});
  return entries != nullptr && entries->is_array() ? entries : nullptr;
}

bool is_applied_by(const Json& entry, std::string_view manager) {
  return doc::find_string(entry, {"manager"}) == manager && doc::find_string(entry, {"operation"}) == "Apply" &&
         doc::find_string(entry, {"subresource"}).empty();
}

const Json* applied_fields(const Json& object, std::string_view manager) {
  const Json* entries = managed_fields(object);
  if (entries == nullptr) return nullptr;
  for (const Json& entry : *entries) {
    if (!is_applied_by(entry, manager)) continue;
    const auto fields = entry.find("fieldsV1");
    if (fields != entry.end() && fields->is_object()) return &*fields;
  }
  return nullptr;
}

// A path is a member of the set if nothing is below it, or "." is.
bool is_subset(const Json& fields, const Json& of) {
  if (!fields.is_object() || !of.is_object()) return false;
  if (fields.empty()) return of.empty() || of.contains(".");
  for (const auto& [key, below] : fields.items()) {
    const auto found = of.find(key);
    const bool is_there = found == of.end() ? of.empty() && key == "." : is_subset(below, *found);
    if (!is_there) return false;
  }
  return true;
}

bool is_foreign(const Json& entry, const std::vector<ForeignManager>& foreign) {
  if (!doc::find_string(entry, {"subresource"}).empty()) return false;
  const std::string_view manager = doc::find_string(entry, {"manager"});
  const std::string_view operation = doc::find_string(entry, {"operation"});
  return std::any_of(foreign.begin(), foreign.end(), [&](const ForeignManager& candidate) {
    return candidate.operation == operation && manager.starts_with(candidate.prefix);
  });
}

// Both as tries; a path that is a member and has members below is marked by ".".
void merge_fields(Json& into, const Json& from) {
  if (!into.is_object()) into = Json::object();
  if (!from.is_object()) return;
  const bool into_leaf = into.empty();
  const bool from_leaf = from.empty();
  if (into_leaf && from_leaf) return;
  for (const auto& [key, below] : from.items()) {
    const auto found = into.find(key);
    if (found == into.end()) {
      into[key] = below;
    } else {
      merge_fields(*found, below);
    }
  }
  if (into_leaf || from_leaf) into["."] = Json::object();
}

std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Json operation(const char* op, std::string path) {
  Json out = Json::object();
  out["op"] = op;
  out["path"] = std::move(path);
  return out;
}

// managedFields with what is foreign folded into our entry; nothing if none is.
std::optional<Json> merged_managers(const Json& entries, std::string_view own,
                                    const std::vector<ForeignManager>& foreign) {
  Json kept = Json::array();
  Json ours;
  for (const Json& entry : entries) {
    if (ours.is_null() && is_applied_by(entry, own)) ours = entry;
  }
  bool seen_ours = false;
  bool edited = false;
  for (const Json& entry : entries) {
    if (!seen_ours && is_applied_by(entry, own)) {
      seen_ours = true;
      continue;
    }
    if (!is_foreign(entry, foreign)) {
      kept.push_back(entry);
      continue;
    }
    edited = true;
    if (ours.is_null()) {
      ours = entry;
      ours["manager"] = own;
      ours["operation"] = "Apply";
      continue;
    }
    const auto fields = entry.find("fieldsV1");
    if (fields == entry.end() || !fields->is_object() || fields->empty()) continue;
    Json& into = ours["fieldsV1"];
    if (!into.is_object() || into.empty()) {
      into = *fields;
    } else {
      merge_fields(into, *fields);
    }
  }
  if (!edited) return std::nullopt;
  kept.push_back(std::move(ours));
  return kept;
}

}  // namespace

std::uint64_t hash_of(const Json& document) noexcept {
  Mix mix;
  mix.add(document);
  return mix.value();
}

std::uint64_t content_hash(const Json& object) {
  Mix mix;
  for (const auto& [key, value] : object.items()) {
    if (key == "status") continue;
    mix.add(std::string_view(key));
    if (key != "metadata" || !value.is_object()) {
      mix.add(value);
      continue;
    }
    for (const auto& [name, part] : value.items()) {
      if (name == "managedFields" || name == "resourceVersion" || name == "generation" || name == "uid" ||
          name == "creationTimestamp" || name == "selfLink") {
        continue;
      }
      mix.add(std::string_view(name));
      mix.add(part);
    }
  }
  return mix.value();
}

std::uint64_t owned_hash(const Json& object, std::string_view manager) {
  if (managed_fields(object) == nullptr) return content_hash(object);
  const Json* fields = applied_fields(object, manager);
  if (fields == nullptr) return 0;
  Mix mix;
  add_owned(mix, *fields, &object);
  return mix.value();
}

bool owns_all_of(const Json& live, const Json& answer, std::string_view manager) {
  const Json* wanted = applied_fields(answer, manager);
  const Json* owned = applied_fields(live, manager);
  return wanted != nullptr && owned != nullptr && is_subset(*wanted, *owned);
}

bool has_applied(const Json& object, std::string_view manager, std::initializer_list<std::string_view> path) {
  const Json* fields = applied_fields(object, manager);
  for (const std::string_view name : path) {
    if (fields == nullptr || !fields->is_object()) return false;
    const auto found = fields->find("f:" + std::string(name));
    fields = found == fields->end() ? nullptr : &*found;
  }
  return fields != nullptr;
}

std::vector<ForeignManager> foreign_managers(std::string_view own, const std::vector<std::string>& overridden) {
  std::vector<ForeignManager> all{
      {"kubectl", "Apply"}, {"kubectl", "Update"}, {"before-first-apply", "Update"}, {std::string(own), "Update"}};
  for (const std::string& name : overridden) {
    all.push_back({name, "Apply"});
    all.push_back({name, "Update"});
  }
  return all;
}

bool needs_takeover(const Json& object, const std::vector<ForeignManager>& foreign) {
  if (api::annotation_of(object, api::annotation::kSsa) == api::annotation_value::kSsaMerge) return false;
  for (const std::string_view key : kStaleAnnotations) {
    const Json* annotations = doc::find(object, {"metadata", "annotations"});
    if (annotations != nullptr && annotations->is_object() && annotations->contains(key)) return true;
  }
  for (const std::string_view key : kStaleLabels) {
    const Json* labels = doc::find(object, {"metadata", "labels"});
    if (labels != nullptr && labels->is_object() && labels->contains(key)) return true;
  }
  const Json* entries = managed_fields(object);
  if (entries == nullptr) return false;
  return std::any_of(entries->begin(), entries->end(),
                     [&foreign](const Json& entry) { return is_foreign(entry, foreign); });
}

std::optional<Json> takeover_patch(const Json& object, std::string_view own,
                                   const std::vector<ForeignManager>& foreign) {
  if (!needs_takeover(object, foreign)) return std::nullopt;
  Json patch = Json::array();
  const auto remove = [&](std::string_view where, std::string_view key) {
    const Json* map = doc::find(object, {"metadata", where});
    if (map == nullptr || !map->is_object() || !map->contains(key)) return;
    patch.push_back(operation("remove", "/metadata/" + std::string(where) + "/" + escaped(key)));
  };
  for (const std::string_view key : kStaleAnnotations) remove("annotations", key);
  for (const std::string_view key : kStaleLabels) remove("labels", key);
  if (const Json* entries = managed_fields(object)) {
    if (auto merged = merged_managers(*entries, own, foreign)) {
      Json replace = operation("replace", "/metadata/managedFields");
      replace["value"] = *std::move(merged);
      patch.push_back(std::move(replace));
    }
  }
  if (patch.empty()) return std::nullopt;
  Json lock = operation("replace", "/metadata/resourceVersion");
  lock["value"] = api::resource_version_of(object);
  patch.insert(patch.begin(), std::move(lock));
  return patch;
}

}  // namespace sluice::apply
