// crds/ and libs/api describe the same objects. What either side has and the
// other lacks, or has otherwise, is a fault.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "api/kind.hpp"
#include "doc/yaml.hpp"

using namespace sluice;
using api::FieldInfo;
using api::FieldType;
using doc::Json;

namespace {

using Faults = std::vector<std::string>;

std::set<std::string> strings(const Json& object, const char* key) {
  return object.contains(key) ? object.at(key).get<std::set<std::string>>() : std::set<std::string>();
}

// The `type` and `format` that the schema of a field of this type has.
std::pair<std::string, std::string> schema_type(FieldType type) {
  switch (type) {
    case FieldType::string:
    case FieldType::duration: return {"string", ""};
    case FieldType::time: return {"string", "date-time"};
    case FieldType::boolean: return {"boolean", ""};
    case FieldType::integer: return {"integer", "int64"};
    case FieldType::string_map:
    case FieldType::object: return {"object", ""};
  }
  return {};
}

bool same_default(const FieldInfo& field, const Json& of_schema) {
  if (field.type != FieldType::duration || !field.fallback.is_string() || !of_schema.is_string()) {
    return field.fallback == of_schema;
  }
  // "60s" and "1m0s" say the same.
  const auto ours = base::parse_duration(field.fallback.get<std::string>());
  const auto theirs = base::parse_duration(of_schema.get<std::string>());
  return ours && theirs && *ours == *theirs;
}

void compare_fields(const std::vector<FieldInfo>& fields, const Json& schema, const std::string& path, Faults& faults);

// `schema` is that of one value, or of one element of a list.
void compare_value(const FieldInfo& field, const Json& schema, const std::string& path, Faults& faults) {
  const auto [type, format] = schema_type(field.type);
  if (schema.value("type", "") != type) faults.push_back(path + ": type is " + schema.value("type", "none"));
  if (schema.value("format", "") != format) faults.push_back(path + ": format is " + schema.value("format", "none"));
  const std::set<std::string> allowed(field.allowed_values.begin(), field.allowed_values.end());
  if (strings(schema, "enum") != allowed) faults.push_back(path + ": the allowed values differ");
  const bool is_map = schema.contains("additionalProperties");
  if (is_map != (field.type == FieldType::string_map)) faults.push_back(path + ": one is a map, the other is not");
  if (is_map && schema["additionalProperties"].value("type", "") != "string") {
    faults.push_back(path + ": is not a map of strings");
  }
  // A duration in a spec is guarded by a pattern, as the API server knows no such type.
  if (field.type == FieldType::duration && path.rfind("spec", 0) == 0 && !schema.contains("pattern")) {
    faults.push_back(path + ": a duration without a pattern");
  }
  compare_fields(field.fields, schema, path, faults);
}

void compare_field(const FieldInfo& field, const Json& schema, const std::string& path, Faults& faults) {
  if (!same_default(field, schema.value("default", Json()))) faults.push_back(path + ": the defaults differ");
  if ((schema.value("type", "") == "array") != field.is_list) {
    faults.push_back(path + ": one is a list, the other is not");
    return;
  }
  compare_value(field, field.is_list ? schema.at("items") : schema, path, faults);
}

void compare_fields(const std::vector<FieldInfo>& fields, const Json& schema, const std::string& path, Faults& faults) {
  auto properties = schema.value("properties", Json::object());
  std::set<std::string> required;
  for (const auto& field : fields) {
    const auto at = path + "." + field.name;
    if (field.is_required) required.insert(field.name);
    if (!properties.contains(field.name)) {
      faults.push_back(at + ": the CRD lacks it");
      continue;
    }
    compare_field(field, properties[field.name], at, faults);
    properties.erase(field.name);
  }
  for (const auto& [name, unused] : properties.items()) faults.push_back(path + "." + name + ": libs/api lacks it");
  if (strings(schema, "required") != required) faults.push_back(path + ": the required fields differ");
}

Json crd_of(const api::KindInfo& kind) {
  const auto name = "crds/" + kind.gvk.group + "_" + kind.plural + ".yaml";
  std::ifstream file(name);
  INFO(name);
  REQUIRE(file);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto parsed = doc::parse_yaml(text);
  REQUIRE(parsed);
  return *parsed;
}

Json& schema_of(Json& crd) { return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]; }

Faults compare(const api::KindInfo& kind, Json crd) {
  Faults faults;
  auto& schema = schema_of(crd);
  // Until the first reconciliation no generation is observed; kstatus needs to
  // see that. It is the only default that stands on an object.
  auto status = schema["status"];
  status.erase("default");
  compare_fields(kind.spec, schema["spec"], "spec", faults);
  compare_fields(kind.status, status, "status", faults);
  return faults;
}

}  // namespace

TEST_CASE("every field of a CRD has a descriptor and every descriptor a field, of one type") {
  for (const auto& kind : api::all_kinds()) {
    INFO(kind.gvk.str());
    CHECK(compare(kind, crd_of(kind)) == Faults{});
  }
}

TEST_CASE("each kind has the names that its CRD gives it") {
  for (const auto& kind : api::all_kinds()) {
    INFO(kind.gvk.str());
    const auto crd = crd_of(kind);
    const auto& spec = crd["spec"];
    CHECK(crd["metadata"]["name"] == kind.plural + "." + kind.gvk.group);
    CHECK(spec["group"] == kind.gvk.group);
    CHECK(spec["names"]["kind"] == kind.gvk.kind);
    CHECK(spec["names"]["plural"] == kind.plural);
    CHECK(spec["names"].value("shortNames", std::vector<std::string>()) == kind.short_names);
    CHECK(spec["names"]["categories"].get<std::vector<std::string>>() == kind.categories);
    CHECK(spec["scope"] == "Namespaced");
    REQUIRE(spec["versions"].size() == 1);
    CHECK(spec["versions"][0]["name"] == kind.gvk.version);
    CHECK(spec["versions"][0]["subresources"].contains("status"));
  }
}

TEST_CASE("every CRD has a kind and its file is named after it") {
  std::set<std::string> expected;
  for (const auto& kind : api::all_kinds()) expected.insert(kind.gvk.group + "_" + kind.plural + ".yaml");
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("crds")) {
    if (entry.path().extension() == ".yaml") found.insert(entry.path().filename().string());
  }
  CHECK(found == expected);
}

TEST_CASE("every field of a CRD says what it is for") {
  const std::function<void(const Json&, const std::string&)> walk = [&](const Json& schema, const std::string& path) {
    const auto properties = schema.value("properties", Json::object());
    for (const auto& [name, property] : properties.items()) {
      INFO(path << "." << name);
      CHECK_FALSE(property.value("description", "").empty());
      walk(property.contains("items") ? property["items"] : property, path + "." + name);
    }
  };
  for (const auto& kind : api::all_kinds()) {
    auto crd = crd_of(kind);
    walk(schema_of(crd)["spec"], kind.gvk.kind + ".spec");
    walk(schema_of(crd)["status"], kind.gvk.kind + ".status");
  }
}

TEST_CASE("the comparison sees each way in which the two can differ") {
  const auto* kind = api::find_kind("GitRepository");
  REQUIRE(kind != nullptr);
  auto crd = crd_of(*kind);
  auto& spec = schema_of(crd)["spec"];
  auto& properties = spec["properties"];

  SECTION("a field that only the code has") {
    properties["ref"]["properties"].erase("tag");
    CHECK(compare(*kind, crd) == Faults{"spec.ref.tag: the CRD lacks it"});
  }
  SECTION("a field that only the CRD has") {
    properties["include"]["items"]["properties"]["mode"] = {{"type", "string"}};
    CHECK(compare(*kind, crd) == Faults{"spec.include.mode: libs/api lacks it"});
  }
  SECTION("another type") {
    properties["suspend"]["type"] = "string";
    CHECK(compare(*kind, crd) == Faults{"spec.suspend: type is string"});
  }
  SECTION("required on one side") {
    spec["required"] = {"url"};
    CHECK(compare(*kind, crd) == Faults{"spec: the required fields differ"});
  }
  SECTION("another default") {
    properties["timeout"]["default"] = "61s";
    CHECK(compare(*kind, crd) == Faults{"spec.timeout: the defaults differ"});
  }
  SECTION("a default on one side") {
    properties["suspend"]["default"] = true;
    CHECK(compare(*kind, crd) == Faults{"spec.suspend: the defaults differ"});
  }
  SECTION("another set of values") {
    properties["provider"]["enum"].push_back("gcp");
    CHECK(compare(*kind, crd) == Faults{"spec.provider: the allowed values differ"});
  }
  SECTION("a list on one side") {
    properties["ignore"] = {{"type", "array"}, {"items", {{"type", "string"}}}};
    CHECK(compare(*kind, crd) == Faults{"spec.ignore: one is a list, the other is not"});
  }
  SECTION("a duration without a guard") {
    properties["interval"].erase("pattern");
    CHECK(compare(*kind, crd) == Faults{"spec.interval: a duration without a pattern"});
  }
  SECTION("a status field") {
    schema_of(crd)["status"]["properties"]["artifact"]["properties"]["size"]["format"] = "int32";
    CHECK(compare(*kind, crd) == Faults{"status.artifact.size: format is int32"});
  }
}
