#include "api/inventory.hpp"

#include "api/detail/common_tables.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"

namespace sluice::api {

namespace {

constexpr char kSeparator = '_';
constexpr std::string_view kColon = "__";

// cli-utils: only the names of these kinds may hold a colon.
bool may_hold_colon(std::string_view group, std::string_view kind) {
  return group == "rbac.authorization.k8s.io" &&
         (kind == "Role" || kind == "ClusterRole" || kind == "RoleBinding" || kind == "ClusterRoleBinding");
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (auto hit = text.find(from); hit != std::string_view::npos; hit = text.find(from, at)) {
    out.append(text, at, hit - at).append(to);
    at = hit + from.size();
  }
  return out.append(text, at);
}

base::Unexpected bad_id(std::string_view id) {
  return base::unexpected(base::ErrorKind::invalid,
                          "inventory id \"" + std::string(id) + "\": must be <namespace>_<name>_<group>_<kind>");
}

}  // namespace

std::string ObjectId::str() const {
  std::string out = namespace_;
  out += kSeparator;
  out += may_hold_colon(group, kind) ? replace_all(name, ":", kColon) : name;
  out += kSeparator;
  out += group;
  out += kSeparator;
  return out += kind;
}

std::string ObjectId::display() const {
  std::string out = kind + "/";
  if (!namespace_.empty()) out += namespace_ + "/";
  return out += name;
}

base::Result<ObjectId> ObjectId::parse(std::string_view id) {
  // The name may hold "__", so the other parts are cut off from both ends.
  const auto first = id.find(kSeparator);
  const auto last = id.rfind(kSeparator);
  if (first == std::string_view::npos || last <= first) return bad_id(id);
  const auto middle = id.substr(first + 1, last - first - 1);  // <name>_<group>
  const auto split = middle.rfind(kSeparator);
  if (split == std::string_view::npos) return bad_id(id);
  ObjectId out;
  out.namespace_ = id.substr(0, first);
  out.name = replace_all(middle.substr(0, split), kColon, ":");
  out.group = middle.substr(split + 1);
  out.kind = id.substr(last + 1);
  if (out.name.empty() || out.kind.empty()) return bad_id(id);
  return out;
}

base::Result<ObjectId> ObjectId::of(const doc::Json& object) {
  SLUICE_TRY(auto gvk, gvk_of(object));
  const auto name = name_of(object);
  if (name.empty()) return base::unexpected(base::ErrorKind::invalid, "metadata.name: is required");
  return ObjectId{std::string(namespace_of(object)), std::string(name), std::move(gvk.group), std::move(gvk.kind)};
}

base::Result<ResourceInventory> parse_inventory(const doc::Json& value) {
  ResourceInventory out;
  if (value.is_null()) return out;
  SLUICE_CHECK(detail::read(value, detail::FieldPath("status.inventory"), out));
  return out;
}

doc::Json to_json(const ResourceInventory& inventory) { return detail::write(inventory); }

}  // namespace sluice::api

std::size_t std::hash<sluice::api::ObjectId>::operator()(const sluice::api::ObjectId& id) const noexcept {
  std::size_t seed = std::hash<sluice::api::GroupKind>{}({id.group, id.kind});
  seed ^= std::hash<sluice::api::ObjectKey>{}({id.namespace_, id.name}) + 0x9e3779b97f4a7c15ULL + (seed << 6U) +
          (seed >> 2U);
  return seed;
}
