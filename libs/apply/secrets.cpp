#include "apply/secrets.hpp"

#include "base/digest.hpp"
#include "doc/json.hpp"

namespace sluice::apply {

void add_secrets(const std::vector<Manifest>& objects, base::Masks& masks) {
  for (const Manifest& manifest : objects) {
    if (!manifest.id.group.empty() || manifest.id.kind != "Secret") continue;
    const auto object = doc::parse_json(manifest.text);
    if (!object) continue;
    for (const std::string_view map : {"data", "stringData"}) {
      const doc::Json* values = doc::find(*object, {map});
      if (values == nullptr || !values->is_object()) continue;
      for (const auto& [key, value] : values->items()) {
        if (!value.is_string()) {
          if (value.is_primitive()) masks.add(doc::print_json(value));
          continue;
        }
        const auto& text = value.get_ref<const std::string&>();
        masks.add(text);
        if (const auto decoded = base::base64_decode(text)) masks.add(*decoded);
      }
    }
  }
}

}  // namespace sluice::apply
