#include "kustomize/objects/origin.hpp"

#include "base/file_view.hpp"
#include "doc/yaml.hpp"

namespace sluice::kustomize {
namespace {

// Paths here may lead above the folder that is built, which join_path refuses.
std::string clean_join(const std::string& base, const std::string& entry) {
  std::vector<std::string> parts;
  for (const std::string& text : {base, entry}) {
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = std::min(text.find('/', start), text.size());
      const std::string part = text.substr(start, end - start);
      start = end + 1;
      if (part.empty() || part == ".") continue;
      if (part == ".." && !parts.empty() && parts.back() != "..") {
        parts.pop_back();
      } else {
        parts.push_back(part);
      }
    }
  }
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : "/") + part;
  return joined;
}

// kustomize writes all annotations of the object anew here.
void annotate(Resource& resource, const char* key, std::string text) {
  doc::Json& annotations = resource.value["metadata"]["annotations"];
  resource.shared.forget(resource.value, annotations);
  annotations[key] = std::move(text);
}

// One field in the order of kustomize's struct, not sorted.
void field(std::string& out, const char* indent, const char* name, const std::string& value) {
  if (value.empty()) return;
  out += indent + doc::print_yaml({{name, value}});
}

}  // namespace

Origin Origin::append(const std::string& entry) const {
  Origin origin = *this;
  origin.path = clean_join(path, entry);
  return origin;
}

Origin Origin::builtin(const std::string& file, const std::string& kind_name) const {
  Origin origin;
  origin.repo = repo;
  origin.ref = ref;
  origin.configured_in = clean_join(path, file.substr(file.rfind('/') + 1));
  origin.api_version = "builtin";
  origin.kind = kind_name;
  return origin;
}

std::string Origin::yaml() const {
  std::string out;
  field(out, "", "path", path);
  field(out, "", "repo", repo);
  field(out, "", "ref", ref);
  field(out, "", "configuredIn", configured_in);
  if (!kind.empty()) {
    out += "configuredBy:\n";
    field(out, "  ", "apiVersion", api_version);
    field(out, "  ", "kind", kind);
    field(out, "  ", "name", name);
    field(out, "  ", "namespace", namespace_);
  }
  return out.empty() ? "{}\n" : out;
}

void set_origin(Resource& resource, const Origin& origin) { annotate(resource, kOriginAnnotation, origin.yaml()); }

bool has_origin(const Resource& resource) {
  return metadata_text(resource.value, "annotations", kOriginAnnotation).has_value();
}

void note_transformer(const ResourceSet& set, const Origin& origin) {
  const std::string text = origin.yaml();
  std::string item = "- ";
  for (std::size_t i = 0; i < text.size(); ++i) {
    item += text[i];
    if (text[i] == '\n' && i + 1 < text.size()) item += "  ";
  }
  for (const auto& resource : set.items()) {
    if (!has_origin(*resource)) {
      set_origin(*resource, origin);
      continue;
    }
    const auto before = metadata_text(resource->value, "annotations", kTransformationsAnnotation);
    annotate(*resource, kTransformationsAnnotation, before.value_or("") + item);
    // They are text from here on, also on a way through JSON.
    std::erase_if(resource->plain_texts, [](const doc::PlainText& written) {
      return written.place.to_string().starts_with("/metadata/annotations/");
    });
  }
}

base::Result<void> tidy_annotations(doc::Json& object, bool keep_origin, bool keep_transformations) {
  const auto meta = object.emplace("metadata", doc::Json::object()).first;  // which a List may lack
  if (!meta->is_object()) return {};
  const auto annotations = meta->find("annotations");
  if (annotations == meta->end()) return {};
  // kustomize reads a map and writes it anew: what is none is lost, and it panics at a list.
  if (annotations->is_array() && !annotations->empty()) {
    return base::unexpected(base::ErrorKind::invalid, "metadata.annotations: a map is expected, not a list");
  }
  if (annotations->is_object()) {
    drop_notes(*annotations);
    if (!keep_origin) annotations->erase(kOriginAnnotation);
    if (!keep_transformations) annotations->erase(kTransformationsAnnotation);
    for (auto& [key, value] : annotations->items()) {
      if (!value.is_string()) value = scalar_text(value);
    }
  }
  if (!annotations->is_object() || annotations->empty()) meta->erase("annotations");
  return {};
}

Origin plugin_origin(const Resource& plugin) {
  Origin origin;
  const auto text = metadata_text(plugin.value, "annotations", kOriginAnnotation);
  const auto read = doc::parse_yaml(text.value_or(""));
  if (read) origin.configured_in = doc::find_string(*read, {"path"});
  origin.api_version = doc::find_string(plugin.value, {"apiVersion"});
  origin.kind = plugin.kind();
  origin.name = plugin.name();
  origin.namespace_ = plugin.ns();
  return origin;
}

}  // namespace sluice::kustomize
