// Reads a JSON object field by field and strictly, as Go's encoding/json with
// DisallowUnknownFields: names match without regard to case, null leaves the
// target as it is, a wrong type or an unknown field is an error that names it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"

namespace sluice::kustomize {

// What is read, and so how strictly.
enum class Strictness {
  // A kustomization file: unknown fields and wrong types are errors.
  file,
  // What kustomize reads with sigs.k8s.io/yaml (the configuration of built-in
  // generators and transformers, and what Flux adds to): unknown fields pass,
  // and a number or boolean stands for its text where text is expected.
  config,
  // A `configurations` file: as `config`, but unknown fields are errors.
  strict_config,
};

// Pairs of keys that name the same field in different spellings.
std::vector<std::pair<std::string, std::string>> spelled_twice(const doc::Json& object);

class Fields {
 public:
  // `where` names the object in messages: "images[2]", or "" at the top. Null
  // counts as an object without fields.
  Fields(const doc::Json& object, std::string where, Strictness strictness = Strictness::file);

  void text(std::string_view name, std::string& into);
  void flag(std::string_view name, bool& into);
  void integer(std::string_view name, std::int64_t& into);
  void texts(std::string_view name, std::vector<std::string>& into);
  void text_map(std::string_view name, std::map<std::string, std::string>& into);
  // Calls `read` with the value and its place, if the field is there and not null.
  using Read = std::function<base::Result<void>(const doc::Json&, const std::string& where)>;
  void value(std::string_view name, const Read& read);
  // The same for each element of a list.
  void each(std::string_view name, const Read& read);
  // Known, and not looked at.
  void ignore(std::string_view name);

  // The first error, or `invalid` if a field was not asked for and must not be there.
  base::Result<void> finish();

 private:
  const doc::Json* take(std::string_view name);
  std::string place(std::string_view name) const;
  void wrong(std::string_view name, std::string_view expected, const doc::Json& found);

  // The text that a value stands for; nothing if it stands for none.
  std::optional<std::string> text_of(const doc::Json& value) const;

  const doc::Json& object_;
  std::string where_;
  Strictness strictness_;
  std::set<std::string, std::less<>> seen_;
  std::deque<doc::Json> both_;  // of fields given in two spellings
  std::optional<base::Error> error_;
};

}  // namespace sluice::kustomize
