// What Sluice knows of each kind it owns, as data: names, and every field of
// spec and status with its type.
//
// The description is made from the same field tables that the parsers and
// printers walk (detail/fields.hpp), so it cannot differ from them; a test
// holds it against the CRDs in both directions. Pure; the returned references
// live as long as the process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/object_meta.hpp"
#include "doc/json.hpp"

namespace sluice::api {

enum class FieldType { string, boolean, integer, duration, time, string_map, object };
std::string_view to_string(FieldType type) noexcept;

struct FieldInfo {
  std::string name;
  FieldType type = FieldType::string;  // of the value, or of each element of a list
  bool is_list = false;
  bool is_required = false;
  doc::Json fallback;                         // the CRD's `default`; null where it has none
  std::vector<std::string> allowed_values;    // empty: any
  std::vector<FieldInfo> fields;              // of an object
  std::string unsupported_note;               // why it is not honoured yet; "" if it is
  std::vector<std::string> supported_values;  // the only ones honoured; then the note is about the others
};

struct KindInfo {
  GroupVersionKind gvk;
  std::string plural;
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::vector<FieldInfo> spec;
  std::vector<FieldInfo> status;
};

const std::vector<KindInfo>& all_kinds();
// Null for a kind that Sluice does not own.
const KindInfo* find_kind(std::string_view kind);

// A part of the contract that no daemon of ours honours yet.
struct UnsupportedField {
  std::string path;  // "spec.verify", "spec.dependsOn[].readyExpr"
  std::string note;  // one line: what is missing
  bool operator==(const UnsupportedField&) const = default;
};

// All of a kind; for documents and tests.
std::vector<UnsupportedField> unsupported_fields(std::string_view kind);
// Those that `object` really asks for. A field that is absent, null, false or
// empty asks for nothing.
std::vector<UnsupportedField> unsupported_fields_of(const doc::Json& object);
// The same as one sentence for a condition; "" when all is honoured.
std::string unsupported_message(const doc::Json& object);

}  // namespace sluice::api
