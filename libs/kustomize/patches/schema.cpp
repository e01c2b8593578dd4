#include "kustomize/patches/schema.hpp"

#include <cstring>
#include <map>

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using doc::Json;

std::string kind_key(std::string_view group, std::string_view version, std::string_view kind) {
  return std::string(group).append("/").append(version).append("/").append(kind);
}

bool lists_merge(std::string_view strategy) {
  return strategy == "merge" || strategy.starts_with("merge,") || strategy.ends_with(",merge");
}

void add_keys(Schema::Field& field, std::string_view keys) {
  while (!keys.empty()) {
    const std::size_t comma = std::min(keys.find(','), keys.size());
    field.keys.emplace_back(keys.substr(0, comma));
    keys.remove_prefix(std::min(comma + 1, keys.size()));
  }
}

constexpr std::string_view kRefPrefix = "#/definitions/";

// The definition that a property leads to, through a reference, list or map.
std::string target_of(const Json& property) {
  if (!property.is_object()) return {};
  if (const std::string_view ref = doc::find_string(property, {"$ref"}); ref.starts_with(kRefPrefix)) {
    return std::string(ref.substr(kRefPrefix.size()));
  }
  for (const char* inner : {"items", "additionalProperties"}) {
    if (const auto found = property.find(inner); found != property.end()) return target_of(*found);
  }
  return {};
}

// Definitions may nest schemas without a name; these get a type of their own.
struct Reader {
  std::vector<std::unique_ptr<Schema::Type>>& types;
  const std::map<std::string, const Schema::Type*, std::less<>>& named;

  const Schema::Type* type_of(const Json& property, int depth) {
    if (const auto found = named.find(target_of(property)); found != named.end()) return found->second;
    const Json* inner = &property;
    while (inner->is_object() && !inner->contains("properties") && inner->contains("items")) inner = &(*inner)["items"];
    if (!inner->is_object() || !inner->contains("properties") || depth > 64) return nullptr;
    types.push_back(std::make_unique<Schema::Type>());
    Schema::Type* type = types.back().get();
    read(*inner, *type, depth + 1);
    return type;
  }

  void read(const Json& definition, Schema::Type& type, int depth) {
    const Json* properties = doc::find(definition, {"properties"});
    if (properties == nullptr || !properties->is_object()) return;
    for (const auto& [name, property] : properties->items()) {
      Schema::Field field;
      field.type = type_of(property, depth);
      const std::string_view strategy = doc::find_string(property, {"x-kubernetes-patch-strategy"});
      field.has_strategy = !strategy.empty();
      field.merge = lists_merge(strategy);
      if (field.has_strategy) read_keys(property, field);
      type.fields.emplace(name, std::move(field));
    }
  }

  static void read_keys(const Json& property, Schema::Field& field) {
    if (const Json* keys = doc::find(property, {"x-kubernetes-list-map-keys"}); keys != nullptr && keys->is_array()) {
      for (const Json& key : *keys) {
        if (key.is_string()) field.keys.push_back(key.get<std::string>());
      }
    } else {
      add_keys(field, doc::find_string(property, {"x-kubernetes-patch-merge-key"}));
    }
  }
};

// A kind has a namespace if one of the paths that read it has one.
std::set<std::string, std::less<>> cluster_kinds_of(const Json& openapi) {
  std::set<std::string, std::less<>> cluster, namespaced;
  const Json* paths = doc::find(openapi, {"paths"});
  if (paths == nullptr || !paths->is_object()) return cluster;
  for (const auto& [path, operations] : paths->items()) {
    const Json* gvk = doc::find(operations, {"get", "x-kubernetes-group-version-kind"});
    if (gvk == nullptr || !gvk->is_object()) continue;
    const std::string name = Gvk{std::string(doc::find_string(*gvk, {"group"})),
                                 std::string(doc::find_string(*gvk, {"version"})), ""}
                                 .api_version() +
                             "/" + std::string(doc::find_string(*gvk, {"kind"}));
    (path.find("namespaces/{namespace}") != std::string::npos ? namespaced : cluster).insert(name);
  }
  for (const std::string& name : namespaced) cluster.erase(name);
  return cluster;
}

}  // namespace

const std::shared_ptr<const Schema>& Schema::builtin() {
  static const std::shared_ptr<const Schema> schema = [] {
    struct Row {
      enum { type, field, kind } what;
      const char *a, *b, *c;
      int target;
    };
    static constexpr Row rows[] = {
#define TYPE(name) {Row::type, name, "", "", 0},
#define FIELD(name, to, strategy, keys) {Row::field, name, strategy, keys, to},
#define KIND(group, version, kind_name, type_index) {Row::kind, group, version, kind_name, type_index},
#include "kustomize/patches/schema_table.inc"
#undef TYPE
#undef FIELD
#undef KIND
    };
    auto made = std::make_shared<Schema>();
    for (const Row& row : rows) {
      if (row.what != Row::type) continue;
      made->types_.push_back(std::make_unique<Type>());
      made->named_.emplace(row.a, made->types_.back().get());
    }
    std::size_t open = 0;  // the type behind the one being filled
    for (const Row& row : rows) {
      if (row.what == Row::type) {
        ++open;
      } else if (row.what == Row::field) {
        Field field;
        field.type = row.target < 0 ? nullptr : made->types_[static_cast<std::size_t>(row.target)].get();
        field.has_strategy = *row.b != '\0';
        field.merge = lists_merge(row.b);
        add_keys(field, row.c);
        made->types_[open - 1]->fields.emplace(row.a, std::move(field));
      } else {
        made->kinds_.emplace(kind_key(row.a, row.b, row.c), made->types_[static_cast<std::size_t>(row.target)].get());
      }
    }
    return std::shared_ptr<const Schema>(made);
  }();
  return schema;
}

base::Result<std::shared_ptr<const Schema>> Schema::parse(const Json& openapi, Builtin builtin) {
  if (!openapi.is_object()) return base::unexpected(ErrorKind::invalid, "an OpenAPI document is expected");
  static const Json kNone = Json::object();
  const Json* found = doc::find(openapi, {"definitions"});
  const Json* definitions = found != nullptr && found->is_object() ? found : &kNone;
  auto schema = std::make_shared<Schema>();
  std::map<std::string, Type*, std::less<>> own;
  for (const auto& [name, definition] : definitions->items()) {
    schema->types_.push_back(std::make_unique<Type>());
    own[name] = schema->types_.back().get();
  }
  const Schema& others = *Schema::builtin();
  if (builtin != Builtin::none) schema->named_ = others.named_;
  for (const auto& [name, type] : own) {
    if (builtin == Builtin::above) {
      schema->named_.emplace(name, type);
    } else {
      schema->named_.insert_or_assign(name, type);
    }
  }
  if (builtin == Builtin::below) schema->kinds_ = others.kinds_;
  Reader reader{schema->types_, schema->named_};
  for (const auto& [name, definition] : definitions->items()) {
    reader.read(definition, *own[name], 0);
    const Json* gvks = doc::find(definition, {"x-kubernetes-group-version-kind"});
    if (gvks == nullptr || !gvks->is_array()) continue;
    for (const Json& gvk : *gvks) {
      schema->kinds_[kind_key(doc::find_string(gvk, {"group"}), doc::find_string(gvk, {"version"}),
                              doc::find_string(gvk, {"kind"}))] = own[name];
    }
  }
  schema->cluster_kinds_ = cluster_kinds_of(openapi);
  if (builtin == Builtin::above) {
    for (const auto& [kind, type] : others.kinds_) schema->kinds_[kind] = type;
  }
  return std::shared_ptr<const Schema>(schema);
}

const Schema::Type* Schema::find(const Gvk& gvk) const {
  const auto found = kinds_.find(kind_key(gvk.group, gvk.version, gvk.kind));
  return found == kinds_.end() ? nullptr : found->second;
}

const Schema::Field* Schema::field(const Type* type, std::string_view name) {
  if (type == nullptr) return nullptr;
  const auto found = type->fields.find(name);
  return found == type->fields.end() ? nullptr : &found->second;
}

}  // namespace sluice::kustomize
