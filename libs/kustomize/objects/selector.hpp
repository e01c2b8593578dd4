// Which objects a patch or replacement is for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "kustomize/objects/id.hpp"
#include "kustomize/objects/resource_set.hpp"
#include "text/regexp.hpp"

namespace sluice::kustomize {

// As a kustomization writes it down: regular expressions and label selectors; "" selects all.
struct SelectorSpec {
  Gvk gvk;
  std::string name, namespace_, label_selector, annotation_selector;
  bool by_id() const { return gvk != Gvk{} || !name.empty() || !namespace_.empty(); }
};

// A regular expression that must match the whole text; "" matches everything.
// Plain text, the usual case, is compared and not compiled.
class Pattern {
 public:
  static base::Result<Pattern> compile(const std::string& expression);
  // One that may match any part of the text.
  static base::Result<Pattern> compile_partial(const std::string& expression);
  // `too_large` for a text that is too long for the expression; `cancelled` once the build is to end.
  base::Result<bool> matches(std::string_view text) const;
  bool empty() const { return text_.empty(); }

 private:
  static base::Result<Pattern> compile(const std::string& expression, bool whole);
  std::string text_;
  bool whole_ = true;
  std::optional<text::Regexp> compiled_;
};

// True for text that a regular expression takes literally, and that is not empty.
bool is_plain(std::string_view expression);

// A Kubernetes label selector: "a=b,c!=d,e in (f,g),h notin (i),j,!k".
class LabelSelector {
 public:
  static base::Result<LabelSelector> parse(const std::string& text);
  // `map` is "labels" or "annotations".
  bool matches(const doc::Json& object, const char* map) const;

 private:
  enum class Op { exists, missing, in, not_in, greater, less };
  struct Requirement {
    std::string key;
    Op op = Op::exists;
    std::vector<std::string> values;
  };
  std::vector<Requirement> requirements_;
};

class ObjectSelector {
 public:
  static base::Result<ObjectSelector> compile(const SelectorSpec& spec);
  // As Pattern::matches.
  base::Result<bool> matches_id(const Gvk& gvk, std::string_view name, std::string_view ns) const;
  base::Result<bool> matches_any(const std::vector<ResId>& ids) const;
  base::Result<bool> matches_gvk(const Gvk& gvk) const;
  base::Result<bool> matches_name(std::string_view name) const { return name_.matches(name); }
  base::Result<bool> matches_ns(std::string_view ns) const { return namespace_.matches(ns); }
  bool matches_labels(const doc::Json& object) const;

 private:
  Pattern group_, version_, kind_, name_, namespace_;
  LabelSelector labels_, annotations_;
};

// Objects whose original or current name and namespace, kind, labels and
// annotations match.
base::Result<std::vector<Resource*>> select(const ResourceSet& set, const SelectorSpec& spec);

}  // namespace sluice::kustomize
