#include "post_build.hpp"

#include <algorithm>
#include <utility>

#include "api/names.hpp"
#include "base/digest.hpp"
#include "doc/yaml.hpp"
#include "kube/secret_view.hpp"
#include "text/envsubst.hpp"

namespace sluice::kustomize_controller {

using base::ErrorKind;
using base::Result;

namespace {

std::string without_line_ends(std::string value) {
  std::erase(value, '\n');
  return value;
}

// The data of a ConfigMap, or of a Secret, which is base64.
Result<void> take_in(const doc::Json& object, bool is_secret, api::StringMap& variables) {
  const doc::Json* data = doc::find(object, {"data"});
  if (data == nullptr || !data->is_object()) return {};
  for (const auto& [key, value] : data->items()) {
    if (!value.is_string()) continue;
    std::string text = value.get<std::string>();
    if (is_secret) {
      SLUICE_TRY(text, base::base64_decode(text));
    }
    variables[key] = without_line_ends(std::move(text));
  }
  return {};
}

}  // namespace

rt::Task<Result<api::StringMap>> read_variables(std::shared_ptr<kube::Client> client, api::PostBuild post_build,
                                                std::string space, std::shared_ptr<base::Masks> masks) {
  api::StringMap variables;
  for (const api::SubstituteReference& ref : post_build.substitute_from) {
    const bool is_secret = ref.kind == "Secret";
    kube::Resource resource{"", "v1", ref.kind, is_secret ? "secrets" : "configmaps", true};
    api::ObjectKey key{space, ref.name};
    auto found = co_await client->get(std::move(resource), std::move(key));
    if (!found && found.error().kind == ErrorKind::not_found && ref.optional) continue;
    const std::string doing = "substitute from '" + ref.kind + "/" + ref.name + "'";
    if (!found) co_return base::unexpected(std::move(found).error().with_context(doing));
    if (is_secret) kube::mask_secret(*found, *masks);
    auto taken = take_in(*found, is_secret, variables);
    if (!taken) co_return base::unexpected(std::move(taken).error().with_context(doing));
  }
  for (const auto& [name, value] : post_build.substitute) variables[name] = without_line_ends(value);
  co_return variables;
}

Result<void> check_variable_names(const api::StringMap& variables) {
  for (const auto& [name, value] : variables) {
    if (text::is_variable_name(name)) continue;
    return base::unexpected(ErrorKind::invalid,
                            "spec.postBuild: '" + name +
                                "' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'");
  }
  return {};
}

Result<doc::Json> substitute_in(doc::Json object, const Substitution& substitution) {
  if (substitution.variables.empty() && !substitution.always) return object;
  const auto is_off = [&object](auto read) {
    return read(object, api::annotation::kSubstitute) == api::annotation_value::kDisabled;
  };
  if (is_off(api::annotation_of) || is_off(api::label_of)) return object;
  const std::string before = doc::print_yaml(object);
  if (before.find('$') == std::string::npos) return object;
  const text::VariableLookup lookup = [&substitution](std::string_view name) -> std::optional<std::string> {
    const auto found = substitution.variables.find(name);
    if (found != substitution.variables.end()) return found->second;
    return substitution.strict ? std::nullopt : std::optional<std::string>(std::string());
  };
  auto after = text::substitute(before, lookup);
  if (!after) return base::unexpected(std::move(after).error().with_context("variable substitution failed"));
  auto read = doc::parse_yaml(*after);
  if (!read) return base::unexpected(std::move(read).error().with_context("not YAML after variable substitution"));
  return read;
}

}  // namespace sluice::kustomize_controller
