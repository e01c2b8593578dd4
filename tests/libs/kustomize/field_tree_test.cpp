#include "kustomize/fields/field_tree.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "kustomize/objects/growth.hpp"

using namespace sluice;
using doc::Json;
using kustomize::CreateKind;
using kustomize::FieldSpec;
using kustomize::FieldSpecs;
using kustomize::FieldTree;
using kustomize::FieldTrees;
using kustomize::Resource;

namespace {

struct Outcome {
  std::vector<std::string> sets;  // which spec set what, in order
  Json object;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Notes a call and leaves a trace in the field, so that order can be seen in the object.
base::Result<void> leave(Outcome& outcome, Json& field, std::size_t spec) {
  outcome.sets.push_back(std::to_string(spec) + " " + field.dump());
  if (field == "refused") return base::unexpected(base::ErrorKind::invalid, "refused by " + std::to_string(spec));
  if (field.is_string()) field = field.get<std::string>() + std::to_string(spec);
  if (field.is_object()) field["set"] = spec;
  return {};
}

Outcome with_tree(const Json& object, const FieldSpecs& specs, CreateKind create) {
  Resource resource;
  resource.value = object;
  FieldTree::Specs pointers;
  for (const FieldSpec& spec : specs) pointers.push_back(&spec);
  FieldTrees trees(pointers, create);
  Outcome outcome;
  auto failed = trees.of(resource.original_gvk())
                    .visit(resource, [&](Json& field, std::size_t spec) { return leave(outcome, field, spec); });
  if (failed) outcome.error = failed->spec->path + ": " + failed->error.message;
  outcome.object = resource.value;
  return outcome;
}

Outcome one_by_one(const Json& object, const FieldSpecs& specs, CreateKind create) {
  Resource resource;
  resource.value = object;
  Outcome outcome;
  for (std::size_t i = 0; i < specs.size() && outcome.error.empty(); ++i) {
    if (!resource.gvk().selected_by(specs[i].gvk)) continue;
    auto done = visit_field(resource, specs[i], create, [&](Json& field) { return leave(outcome, field, i); });
    if (!done) outcome.error = specs[i].path + ": " + done.error().message;
  }
  outcome.object = resource.value;
  return outcome;
}

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t count) { return engine_() % count; }

  Json value(int depth) {
    const std::size_t kind = below(depth > 0 ? 12 : 4);
    if (kind == 0) return nullptr;
    if (kind == 1 && below(8) == 0) return "refused";
    if (kind < 4) return "text";
    Json made = kind < 7 ? Json::array() : Json::object();
    for (std::size_t i = below(3) + 1; i > 0; --i) {
      if (made.is_array()) {
        made.push_back(value(depth - 1));
      } else {
        made[std::string(1, name())] = value(depth - 1);
      }
    }
    return made;
  }

  FieldSpec spec() {
    FieldSpec made{{"", "", below(4) == 0 ? "Other" : ""}, "", below(2) == 0};
    for (std::size_t i = below(4) + 1; i > 0; --i) {
      made.path += std::string(made.path.empty() ? "" : "/") + name() + (below(8) == 0 ? "[]" : "");
    }
    if (below(40) == 0) made.path += "/";
    return made;
  }

 private:
  char name() { return static_cast<char>('a' + below(4)); }
  std::mt19937 engine_;
};

}  // namespace

TEST_CASE("a tree of specs does what the specs do one after the other") {
  Chance chance(7);
  int with_error = 0, with_fields = 0;
  for (int round = 0; round < 20'000; ++round) {
    Json object = Json::object();
    for (const char* key : {"a", "b", "c"}) object[key] = chance.value(4);
    FieldSpecs specs;
    for (std::size_t i = chance.below(6) + 1; i > 0; --i) specs.push_back(chance.spec());
    for (const CreateKind create : {CreateKind::none, CreateKind::scalar, CreateKind::map}) {
      const Outcome expected = one_by_one(object, specs, create), outcome = with_tree(object, specs, create);
      INFO(object.dump());
      for (const FieldSpec& spec : specs) UNSCOPED_INFO(spec.path << (spec.create ? " creates" : ""));
      CHECK(outcome.sets == expected.sets);
      CHECK(outcome.error == expected.error);
      // What is left of an object after an error is nobody's business.
      if (expected.error.empty()) CHECK(outcome.object == expected.object);
      with_error += expected.error.empty() ? 0 : 1;
      with_fields += expected.sets.size() > 2 ? 1 : 0;
    }
  }
  CHECK(with_error > 1000);
  CHECK(with_fields > 1000);
}

TEST_CASE("the first spec in order is the one that fails") {
  const FieldSpecs specs{{{}, "a/x", false}, {{}, "b/y", false}, {{}, "c/z", false}};
  const Json object{{"a", {{"x", "ok"}}}, {"b", "scalar"}, {"c", 5}};
  const Outcome outcome = with_tree(object, specs, CreateKind::none);
  CHECK(outcome.error == "b/y: field b/y: a map or list is expected before y");
  CHECK(outcome.sets == std::vector<std::string>{"0 \"ok\""});
}

TEST_CASE("lists of any length are visited") {
  const FieldSpecs specs{{{}, "list/x", false}, {{}, "list/y", false}};
  Json object{{"list", Json::array()}};
  for (int i = 0; i < 5000; ++i) object["list"].push_back({{"x", "1"}, {"y", "2"}});
  CHECK(with_tree(object, specs, CreateKind::none) == one_by_one(object, specs, CreateKind::none));
}

TEST_CASE("a path of too many steps is refused") {
  std::string path = "a";
  for (std::size_t i = 0; i < kustomize::Growth::kMaxDepth; ++i) path += "/a";
  const FieldSpecs specs{{{}, "b", false}, {{}, path, true}};
  const Json object{{"b", "text"}};
  const Outcome outcome = with_tree(object, specs, CreateKind::map);
  CHECK(outcome.error == path + ": a path of more than 512 steps");
  CHECK(outcome.sets.size() == 1);
}
