#include "post_build.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/names.hpp"
#include "doc/yaml.hpp"
#include "doc/yaml_place.hpp"
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

// Adds to `variables` what objects hold, as long as all of it is no more than a run may hold.
class Gatherer {
 public:
  explicit Gatherer(api::StringMap& variables) : variables_(variables) {}

  Result<void> take(const std::string& name, std::string value) {
    bytes_ += name.size() + value.size();
    if (bytes_ > kMaxReferencedBytes) {
      return base::unexpected(ErrorKind::too_large,
                              fmt::format("what spec.postBuild.substituteFrom names is more than {} MiB in all",
                                          kMaxReferencedBytes >> 20U));
    }
    variables_[name] = std::move(value);
    return {};
  }

 private:
  api::StringMap& variables_;
  std::size_t bytes_ = 0;
};

Result<void> take_config(const doc::Json& object, Gatherer& gatherer) {
  const doc::Json* data = doc::find(object, {"data"});
  if (data == nullptr || !data->is_object()) return {};
  for (const auto& [key, value] : data->items()) {
    if (value.is_string()) SLUICE_CHECK(gatherer.take(key, without_line_ends(value.get<std::string>())));
  }
  return {};
}

Result<void> take_secret(doc::Json object, const std::string& name, const std::shared_ptr<base::Masks>& masks,
                         Gatherer& gatherer) {
  SLUICE_TRY(auto values, kube::SecretView(std::move(object), name, masks).all());
  for (auto& [key, value] : values) {
    std::string text = without_line_ends(std::move(value));
    if (masks) masks->add(text);
    SLUICE_CHECK(gatherer.take(key, std::move(text)));
  }
  return {};
}

}  // namespace

rt::Task<Result<api::StringMap>> read_variables(std::shared_ptr<kube::Client> client, api::PostBuild post_build,
                                                std::string space, std::shared_ptr<base::Masks> masks) {
  const std::size_t references = post_build.substitute_from.size();
  if (references > kMaxReferences) {
    co_return base::unexpected(
        ErrorKind::too_large,
        fmt::format("spec.postBuild.substituteFrom has {} entries, more than {}", references, kMaxReferences));
  }
  api::StringMap variables;
  Gatherer gatherer(variables);
  for (const api::SubstituteReference& ref : post_build.substitute_from) {
    const bool is_secret = ref.kind == "Secret";
    kube::Resource resource{"", "v1", ref.kind, is_secret ? "secrets" : "configmaps", true};
    api::ObjectKey key{space, ref.name};
    auto found = co_await client->get(std::move(resource), std::move(key));
    if (!found && found.error().kind == ErrorKind::not_found && ref.optional) continue;
    const std::string doing = "substitute from '" + ref.kind + "/" + ref.name + "'";
    if (!found) co_return base::unexpected(std::move(found).error().with_context(doing));
    auto taken = is_secret ? take_secret(*std::move(found), space + "/" + ref.name, masks, gatherer)
                           : take_config(*found, gatherer);
    if (!taken) co_return base::unexpected(std::move(taken).error().with_context(doing));
  }
  for (const auto& [name, value] : post_build.substitute) variables[name] = without_line_ends(value);
  co_return variables;
}

Result<void> check_variable_names(const api::StringMap& variables) {
  for (const auto& [name, value] : variables) {
    if (text::is_variable_name(name)) continue;
    return base::unexpected(
        ErrorKind::invalid,
        "spec.postBuild: '" + name + "' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'");
  }
  return {};
}

namespace {

// "spec.containers[0].image" of the field that the line of a printed object belongs to; "" if nobody can tell.
std::string field_at(const std::string& yaml, std::size_t line) {
  std::string path;
  for (const doc::PlaceStep& step : doc::place_at_line(yaml, line)) {
    path += step.in_list ? "[" + std::to_string(step.index) + "]" : "." + step.key;
  }
  return path.starts_with('.') ? path.substr(1) : path;
}

std::string in_field(std::string_view doing, const std::string& yaml, std::size_t line) {
  const std::string field = line > 0 ? field_at(yaml, line) : std::string();
  return field.empty() ? std::string(doing) : std::string(doing) + " in " + field;
}

// The number behind `words` in a message; 0 where they are not in it.
std::size_t number_behind(std::string_view message, std::string_view words) {
  const std::size_t at = message.find(words);
  std::size_t number = 0;
  if (at != std::string_view::npos) {
    std::from_chars(message.data() + at + words.size(), message.data() + message.size(), number);
  }
  return number;
}

// What reading the result found wrong, without a word of it: it holds the values.
base::Unexpected not_yaml(const std::string& before, const std::string& after, const base::Error& error) {
  // Lines are those of the text before only while no value brought others.
  const bool same_lines =
      std::count(before.begin(), before.end(), '\n') == std::count(after.begin(), after.end(), '\n');
  constexpr std::string_view kBegins = " that begins at line ";
  const std::string_view message = error.message;
  const std::size_t begins = number_behind(message, kBegins);
  const std::size_t line = begins > 0 ? begins : number_behind(message, "line ");
  const std::size_t colon = message.find(": ");
  const std::string_view cause = colon == std::string_view::npos ? message : message.substr(colon + 2);
  const std::string why(cause.substr(0, cause.find(kBegins)));
  return base::unexpected(error.kind,
                          in_field("not YAML after variable substitution", before, same_lines ? line : 0) + ": " + why);
}

}  // namespace

void DerivedSecrets::note(base::Masks& masks, std::string_view name, std::string_view value, std::string_view made) {
  if (made.size() < value.size() && made.size() < base::Masks::kAnywhere) return;
  auto known = is_secret_.find(name);
  if (known == is_secret_.end()) {
    // It holds one, if there is something in it to mask. (Of more, apply() would leave the rest out.)
    const std::string_view start = value.substr(0, base::Masks::kMaxText);
    known = is_secret_.emplace(name, masks.apply(std::string(start)) != start).first;
  }
  if (!known->second || values_.contains(made)) return;
  if (values_.size() >= kMaxDerived || bytes_ + made.size() > kMaxBytes) return;
  bytes_ += made.size();
  values_.emplace(made);
  masks.add(made);
}

Result<doc::Json> substitute_in(doc::Json object, const Substitution& substitution, std::stop_token stop,
                                BuildBudget* budget) {
  if (stop.stop_requested()) return base::unexpected(ErrorKind::cancelled, "variable substitution was cancelled");
  if (substitution.variables.empty() && !substitution.always) return object;
  const auto is_off = [&object](auto read) {
    return read(object, api::annotation::kSubstitute) == api::annotation_value::kDisabled;
  };
  if (is_off(api::annotation_of) || is_off(api::label_of)) return object;
  const std::string before = doc::print_yaml(object);
  if (before.find('$') == std::string::npos) return object;
  const text::VariableLookup lookup = [&substitution](std::string_view name) -> std::optional<std::string_view> {
    const auto found = substitution.variables.find(name);
    if (found != substitution.variables.end()) return found->second;
    return substitution.strict ? std::nullopt : std::optional<std::string_view>("");
  };
  BuildBudget own;
  const bool is_shared = budget != nullptr;
  if (!is_shared) budget = &own;
  budget->work.stop = std::move(stop);
  std::size_t line = 0;
  text::DerivedListener on_derived;
  if (substitution.masks) {
    on_derived = [&](std::string_view name, std::string_view value, std::string_view made) {
      budget->derived.note(*substitution.masks, name, value, made);
    };
  }
  auto after = text::substitute(before, lookup, {}, budget->work, &line, on_derived);
  if (!after) {
    if (is_shared && after.error().message.starts_with("takes too much work")) {
      after.error().message +=
          fmt::format(", all objects of a build together may take {} steps", text::WorkBudget().steps);
    }
    return base::unexpected(
        std::move(after).error().with_context(in_field("variable substitution failed", before, line)));
  }
  if (after->size() > budget->bytes) {
    return base::unexpected(
        ErrorKind::too_large,
        fmt::format("variable substitution makes more than {} MiB of text in all objects of a build",
                    kMaxSubstituted >> 20U));
  }
  budget->bytes -= after->size();
  // As upstream reads it: a value `yes` without quotes is a boolean.
  doc::YamlReading reading;
  reading.version_1_1 = true;
  reading.first_document_only = true;
  reading.quote_nothing = true;
  auto read = doc::parse_yaml(*after, reading);
  if (!read) return not_yaml(before, *after, read.error());
  return read;
}

}  // namespace sluice::kustomize_controller
