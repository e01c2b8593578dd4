#include "apply/manifest.hpp"
#include "apply/detail/switches.hpp"

#include <utility>

#include "api/names.hpp"
#include "apply/detail/switches.hpp"
#include "apply/ownership.hpp"
#include "apply/vanished.hpp"
#include "base/digest.hpp"

namespace sluice::apply {

using doc::Json;

namespace {

constexpr const char* kServerFields[] = {"managedFields",     "resourceVersion", "uid",
                                         "creationTimestamp", "generation",      "selfLink"};

void strip(Json& object, bool is_definition) {
  // kstatus reads the status of a CRD's manifest; upstream leaves it, too.
  if (!is_definition) object.erase("status");
  Json& metadata = object["metadata"];
  for (const char* field : kServerFields) metadata.erase(field);
  const auto annotations = metadata.find("annotations");
  if (annotations != metadata.end() && annotations->is_object()) {
    annotations->erase(std::string(api::annotation::kLegacyKustomizeChecksum));
    annotations->erase(std::string(api::annotation::kLegacySyncChecksum));
    annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
    if (annotations->empty()) metadata.erase(annotations);
  }
  const auto labels = metadata.find("labels");
  if (labels != metadata.end() && labels->is_object()) labels->erase(std::string(api::annotation::kLegacySyncGcMark));
}

void default_protocols(Json* ports) {
  if (ports == nullptr || !ports->is_array()) return;
  for (Json& port : *ports) {
    if (port.is_object() && !port.contains("protocol")) port["protocol"] = "TCP";
  }
}

// Upstream's workloads and Services went through Go's structs, in which some
// fields are always there. Upstream owns those, and ours must, or each takeover
// would write to the object. Where there is no value, it is the server's default.
void default_struct(Json& parent, const char* key) {
  if (!parent.is_object()) return;
  Json& value = parent[key];
  if (value.is_null()) value = Json::object();
}

void default_service_ports(Json* ports) {
  default_protocols(ports);
  if (ports == nullptr || !ports->is_array()) return;
  for (Json& port : *ports) {
    if (!port.is_object() || port.contains("targetPort")) continue;
    const auto number = port.find("port");
    if (number != port.end() && number->is_number_integer()) port["targetPort"] = Json(*number);
  }
}

Json* at(Json& value, std::initializer_list<const char*> path) {
  Json* here = &value;
  for (const char* key : path) {
    if (!here->is_object()) return nullptr;
    const auto found = here->find(key);
    if (found == here->end()) return nullptr;
    here = &*found;
  }
  return here;
}

// The server fills in the protocol, which is part of a port's key in lists, so
// without it server-side apply takes one port for two.
// Facts: kubernetes/kubernetes#98576, structured-merge-diff#130.
void normalize_pod(Json* spec) {
  if (spec == nullptr) return;
  for (const char* list : {"containers", "initContainers"}) {
    Json* containers = at(*spec, {list});
    if (containers == nullptr || !containers->is_array()) continue;
    for (Json& container : *containers) {
      default_protocols(at(container, {"ports"}));
      default_struct(container, "resources");
    }
  }
}

void normalize_template(Json* pod_template) {
  if (pod_template == nullptr) return;
  default_struct(*pod_template, "metadata");
  normalize_pod(at(*pod_template, {"spec"}));
}

void normalize_workload(Json& object, const api::ObjectId& id) {
  Json* spec = at(object, {"spec"});
  if (spec == nullptr) return;
  if (id.kind == "Deployment") default_struct(*spec, "strategy");
  if (id.kind == "StatefulSet" || id.kind == "DaemonSet") default_struct(*spec, "updateStrategy");
  normalize_template(at(*spec, {"template"}));
}

// Numbers and booleans have to be in quotes. The server says so too, and repeats the value.
std::string first_not_a_string(const Json& object, const char* map) {
  const Json* values = doc::find(object, {map});
  if (values == nullptr || !values->is_object()) return {};
  for (const auto& [key, value] : values->items()) {
    if (value.is_string() || value.is_null()) continue;
    return std::string(map) + "." + key + " must be a string, and is a " + value.type_name() +
           (value.is_structured() ? "" : "; put the value in quotes");
  }
  return {};
}

std::string normalize_secret(Json& object) {
  std::string wrong = first_not_a_string(object, "stringData");
  if (wrong.empty()) wrong = first_not_a_string(object, "data");
  Json* plain = at(object, {"stringData"});
  if (!wrong.empty() || plain == nullptr || !plain->is_object()) return wrong;
  const Json strings = std::move(*plain);
  object.erase("stringData");
  Json& data = object["data"];
  if (!data.is_object()) data = Json::object();
  for (const auto& [key, value] : strings.items()) {
    // No value is an empty one.
    data[key] = value.is_string() ? base::base64_encode(value.get_ref<const std::string&>()) : std::string();
  }
  return {};
}

bool is_secret(const api::ObjectId& id) { return id.group.empty() && id.kind == "Secret"; }

void normalize(Json& object, const api::ObjectId& id) {
  if (id.group.empty() && id.kind == "Service") return default_service_ports(at(object, {"spec", "ports"}));
  if (id.group.empty() && id.kind == "Pod") return normalize_pod(at(object, {"spec"}));
  if (id.group == "apps" || (id.group == "batch" && id.kind == "Job")) return normalize_workload(object, id);
  if (id.group == "batch" && id.kind == "CronJob") {
    if (Json* job = at(object, {"spec", "jobTemplate"})) default_struct(*job, "metadata");
    return normalize_template(at(object, {"spec", "jobTemplate", "spec", "template"}));
  }
}

}  // namespace

base::Result<Manifest> make_manifest(Json object, const Owner& owner, std::string origin) {
  if (!object.is_object()) return base::unexpected(base::ErrorKind::invalid, origin + ": not an object");
  SLUICE_TRY(api::ObjectId id, api::ObjectId::of(object));
  SLUICE_TRY(const api::GroupVersionKind gvk, api::gvk_of(object));
  if (!object["metadata"].is_object()) object["metadata"] = Json::object();
  strip(object, id.kind == "CustomResourceDefinition");
  normalize(object, id);
  std::string refusal = is_secret(id) ? normalize_secret(object) : std::string();
  Json& labels = object["metadata"]["labels"];
  if (!labels.is_object()) labels = Json::object();
  labels[owner.group + "/name"] = owner.name;
  labels[owner.group + "/namespace"] = owner.namespace_;

  Manifest made;
  made.skip = is_switched_off(object);
  made.if_not_present = has_switch(object, api::annotation::kSsa, api::annotation_value::kSsaIfNotPresent);
  made.merge = has_switch(object, api::annotation::kSsa, api::annotation_value::kSsaMerge);
  made.force = has_switch(object, api::annotation::kForce, api::annotation_value::kEnabled);
  made.may_vanish = may_vanish(object);
  made.refusal = std::move(refusal);
  made.id = std::move(id);
  made.version = gvk.version;
  made.hash = hash_of(object);
  made.text = doc::print_json(object);
  made.text.shrink_to_fit();  // it is kept for as long as its owner, and would be half air
  made.origin = std::move(origin);
  return made;
}

base::Result<std::vector<Manifest>> make_manifests(std::vector<Json> objects, const Owner& owner) {
  std::vector<Manifest> made;
  made.reserve(objects.size());
  for (Json& object : objects) {
    SLUICE_TRY(Manifest one, make_manifest(std::move(object), owner));
    made.push_back(std::move(one));
  }
  return made;
}

}  // namespace sluice::apply
