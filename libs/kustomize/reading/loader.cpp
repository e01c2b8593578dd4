#include "kustomize/reading/loader.hpp"

#include <fmt/format.h>

#include <array>

#include "kustomize/objects/json_passage.hpp"
#include "kustomize/objects/provenance.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::ErrorKind;
using base::Result;
using base::unexpected;
using doc::Json;
using Resources = std::vector<std::unique_ptr<Resource>>;

constexpr std::array<const char*, 3> kFileNames{"kustomization.yaml", "kustomization.yml", "Kustomization"};

bool contains_path(std::string_view outer, std::string_view inner) {
  return outer.empty() || inner == outer || (inner.starts_with(outer) && inner[outer.size()] == '/');
}

Result<void> check_object(const Json& value) {
  if (!value.is_object())
    return unexpected(ErrorKind::invalid, "an object is expected, not a " + std::string(value.type_name()));
  const auto given = [&](std::initializer_list<std::string_view> path) {
    const Json* found = doc::find(value, path);
    return found != nullptr && !found->is_structured() && !scalar_text(*found).empty() && !found->is_null();
  };
  if (!given({"kind"})) return unexpected(ErrorKind::invalid, "the object has no kind");
  const std::string_view kind = doc::find_string(value, {"kind"});
  if (!kind.ends_with("List") && !given({"metadata", "name"})) {
    return unexpected(ErrorKind::invalid, fmt::format("the {} has no metadata.name", kind));
  }
  return {};
}

// kustomize cuts a file at lines that start with "---", behind which it allows
// nothing but a comment. The number of pieces.
Result<std::size_t> check_separators(std::string_view text) {
  int line = 1;
  std::size_t pieces = 1;
  std::size_t counted = 0;
  for (std::size_t at = text.find("\n---"); at != std::string_view::npos; at = text.find("\n---", at + 1)) {
    const std::size_t end = text.find('\n', at + 1);
    if (end == std::string_view::npos) break;
    ++pieces;
    std::string_view rest = text.substr(at + 4, end - at - 4);
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r')) rest.remove_prefix(1);
    if (rest.empty() || rest[0] == '#') continue;
    for (; counted <= at; ++counted) line += text[counted] == '\n';
    return unexpected(ErrorKind::invalid, fmt::format("line {}: text behind a document separator", line));
  }
  return pieces;
}

bool is_plain_list(const Json& value) {
  const std::string_view kind = doc::find_string(value, {"kind"});
  const Json* items = doc::find(value, {"items"});
  return (kind == "List" || kind == "ResourceList") && items != nullptr && items->is_array();
}

// The elements of a List, as if each were a document.
std::vector<doc::YamlDocument> open_list(doc::YamlDocument list) {
  std::vector<doc::YamlDocument> documents;
  for (Json& item : list.value["items"]) documents.push_back({std::move(item), list.line, {}, {}, {}, {}});
  // "/items/3/data/x" is "/data/x" of the third.
  const auto move_in = [&](auto note, auto doc::YamlDocument::*notes) {
    const std::string place = note.place.to_string();
    constexpr std::string_view kItems = "/items/";
    const std::size_t end = place.find('/', kItems.size());
    if (!place.starts_with(kItems) || end == std::string::npos) return;
    note.place = Json::json_pointer(place.substr(end));
    (documents.at(std::stoul(place.substr(kItems.size()))).*notes).push_back(std::move(note));
  };
  for (const doc::EmptyNull& null : list.empty_nulls) move_in(null, &doc::YamlDocument::empty_nulls);
  for (const doc::PlainText& text : list.plain_texts) move_in(text, &doc::YamlDocument::plain_texts);
  return documents;
}

doc::YamlReading config_reading(const Limits& limits) {
  doc::YamlReading reading;
  reading.limits = limits.yaml;
  reading.stop = Steps::token();
  reading.version_1_1 = true;
  reading.first_document_only = true;
  return reading;
}

auto at_line(base::Error error, const std::string& file, int line) {
  return unexpected(std::move(error).with_context(line > 0 ? fmt::format("{}:{}", file, line) : file));
}

}  // namespace

bool is_url(std::string_view entry) {
  return entry.find("://") != std::string_view::npos || entry.starts_with("git@") || entry.starts_with("git::") ||
         entry.starts_with("github.com/") || entry.find(".git/") != std::string_view::npos;
}

Result<std::string> Folder::resolve(const std::string& entry) const {
  if (entry.empty()) return unexpected(ErrorKind::invalid, "an empty path");
  auto path = base::join_path(root_, entry);
  if (!path) return unexpected(std::move(path).error().with_context(entry));
  return path;
}

std::string Folder::path_of(const std::string& entry) const {
  auto path = resolve(entry);
  return path ? *path : entry;
}

bool Folder::is_folder(const std::string& entry) const {
  const auto path = resolve(entry);
  const auto type = path ? files_->type(*path) : Result<base::FileType>(unexpected(path.error()));
  return type && *type == base::FileType::directory;
}

bool Folder::is_file(const std::string& entry) const {
  const auto path = resolve(entry);
  const auto type = path ? files_->type(*path) : Result<base::FileType>(unexpected(path.error()));
  return type && *type == base::FileType::file;
}

// Links count as what they lead to.
bool Folder::may_read(const std::string& path) const {
  if (!remote_ && options_.restriction == LoadRestriction::none) return true;
  return contains_path(root_, files_->real_path(path).value_or(path));
}

Result<std::string> Folder::load(const std::string& entry) const {
  SLUICE_CHECK(take_step());
  std::string text;
  if (is_http(entry)) {
    if (options_.remote == nullptr) {
      return unexpected(ErrorKind::unsupported, fmt::format("{}: remote files are not allowed here", entry));
    }
    SLUICE_TRY(text, options_.remote->file(entry));
  } else {
    SLUICE_TRY(const std::string path, resolve(entry));
    if (!may_read(path)) {
      return unexpected(ErrorKind::forbidden,
                        fmt::format("{}: the file is not below the kustomization's folder", entry));
    }
    auto read = files_->read(path);
    if (!read) return unexpected(std::move(read).error().with_context(entry));
    text = *std::move(read);
  }
  budget_.bytes += text.size();
  if (text.size() > budget_.limits.max_file_bytes || budget_.bytes > budget_.limits.max_total_bytes) {
    return unexpected(ErrorKind::too_large, fmt::format("{}: more bytes than a build may read", entry));
  }
  return text;
}

Result<void> Folder::spend(std::size_t bytes, std::size_t objects) const {
  budget_.bytes += bytes;
  budget_.objects += objects;
  if (budget_.bytes > budget_.limits.max_total_bytes || budget_.objects > budget_.limits.max_objects) {
    return unexpected(ErrorKind::too_large, "more bytes or objects than a build may have");
  }
  return {};
}

Result<Json> Folder::load_yaml(const std::string& entry) const {
  SLUICE_TRY(const std::string text, load(entry));
  auto value = doc::parse_yaml(text, config_reading(budget_.limits));
  if (!value) return unexpected(std::move(value).error().with_context(path_of(entry)));
  return value;
}

Result<Folder> Folder::enter(const std::string& entry) const {
  SLUICE_CHECK(take_step());
  Folder inner(*this);
  inner.referrer_ = this;
  inner.depth_ = depth_ + 1;
  if (inner.depth_ > budget_.limits.max_layers) {
    return unexpected(ErrorKind::too_large, fmt::format("{}: more than {} kustomizations inside of each other", entry,
                                                        budget_.limits.max_layers));
  }
  if (is_url(entry) && !is_folder(entry)) {
    if (options_.remote == nullptr) {
      return unexpected(ErrorKind::unsupported, fmt::format("{}: remote bases are not allowed here", entry));
    }
    SLUICE_TRY(RemoteLoader::Tree tree, options_.remote->tree(entry));
    inner.owner_ = tree.files;
    inner.files_ = tree.files.get();
    inner.root_ = inner.files_->real_path(tree.path).value_or(tree.path);
    inner.remote_ = true;
    return inner;
  }
  SLUICE_TRY(inner.root_, resolve(entry));
  SLUICE_TRY(const base::FileType type, files_->type(inner.root_));
  if (type != base::FileType::directory) return unexpected(ErrorKind::invalid, entry + ": a folder is expected");
  SLUICE_TRY(inner.root_, files_->real_path(inner.root_));
  for (const Folder* outer = this; outer != nullptr; outer = outer->referrer_) {
    if (outer->files_ == inner.files_ && contains_path(inner.root_, outer->root_)) {
      return unexpected(ErrorKind::invalid, fmt::format("cycle: {} contains {}, which leads to it",
                                                        inner.root_.empty() ? "." : inner.root_, outer->root_));
    }
  }
  return inner;
}

Result<std::string> Folder::kustomization_file() const {
  std::string found;
  for (const char* name : kFileNames) {
    const std::string path = root_.empty() ? name : root_ + "/" + name;
    auto type = files_->type(path);
    // That nobody can tell does not mean that it is not there.
    if (!type && type.error().kind == ErrorKind::io) return unexpected(std::move(type).error().with_context(path));
    if (!type || *type != base::FileType::file || !may_read(path)) continue;
    if (!found.empty()) {
      return unexpected(ErrorKind::invalid, fmt::format("{}: several kustomization files in one folder", path));
    }
    found = path;
  }
  return found;
}

Result<Kustomization> Folder::kustomization(Strictness strictness) const {
  SLUICE_TRY(const std::string path, kustomization_file());
  if (path.empty()) {
    return unexpected(ErrorKind::not_found,
                      fmt::format("{}: no kustomization.yaml in this folder", root_.empty() ? "." : root_));
  }
  SLUICE_TRY(const std::string text, files_->read(path));
  auto documents = doc::parse_yaml_stream(text, config_reading(budget_.limits));
  if (!documents) return unexpected(std::move(documents).error().with_context(path));
  const doc::YamlDocument document = documents->empty() ? doc::YamlDocument() : std::move(documents->front());
  auto kustomization = Kustomization::parse(document.value, path, strictness);
  if (!kustomization) return unexpected(std::move(kustomization).error().with_context(path));
  for (const doc::RepeatedKey& key : document.repeated) {
    kustomization->warnings.push_back(
        fmt::format("{}:{}: '{}' is there twice, only the last one counts", path, key.line, key.place.substr(1)));
  }
  return kustomization;
}

Result<Resources> Folder::parse(std::string_view text, const std::string& file, For use) const {
  doc::YamlReading reading;
  reading.limits = budget_.limits.yaml;
  reading.stop = Steps::token();
  reading.as_kustomize = true;
  reading.keep_annotation_nulls = use == For::patches;
  reading.note_lines = options_.provenance;
  const auto pieces = check_separators(text);
  if (!pieces) return at_line(pieces.error(), file, 0);
  auto documents = doc::parse_yaml_stream(text, reading);
  if (!documents) return at_line(std::move(documents).error(), file, 0);
  // A file that is one List is opened by another part of kustomize than all other lists.
  if (*pieces == 1 && documents->size() == 1 && is_plain_list(documents->front().value)) {
    reading.items_are_objects = true;
    documents = doc::parse_yaml_stream(text, reading);
    if (!documents) return at_line(std::move(documents).error(), file, 0);
    documents = open_list(std::move(documents->front()));
  }
  Resources resources;
  // Lists are opened; what is in them goes to the end, as in kustomize.
  for (std::size_t i = 0; i < documents->size(); ++i) {
    SLUICE_CHECK(take_step());
    Json value = std::move((*documents)[i].value);
    const int line = (*documents)[i].line;
    if (value.is_structured() && value.empty()) continue;
    if (auto checked = check_object(value); !checked) return at_line(std::move(checked).error(), file, line);
    const auto items = value.find("items");
    if (doc::find_string(value, {"kind"}).ends_with("List") && items != value.end()) {
      if (!items->is_array() && !items->is_null()) {
        return at_line(unexpected(ErrorKind::invalid, "items of a List must be a list").error, file, line);
      }
      for (Json& item : *items) {
        SLUICE_CHECK(take_step());
        if (auto done = pass_through_json(item); !done) return at_line(std::move(done).error(), file, line);
        documents->push_back({std::move(item), line, {}, {}, {}, {}});
      }
      continue;
    }
    if (++budget_.objects > budget_.limits.max_objects) {
      return at_line(unexpected(ErrorKind::too_large, "more objects than a build may have").error, file, line);
    }
    auto resource = std::make_unique<Resource>();
    budget_.unknown_kinds = budget_.unknown_kinds || !Gvk::of(value).known();
    resource->value = std::move(value);
    resource->empty_nulls = std::move((*documents)[i].empty_nulls);
    resource->plain_texts = std::move((*documents)[i].plain_texts);
    resource->quoted = std::move((*documents)[i].quoted);
    resource->flow = std::move((*documents)[i].flow);
    resource->file = file;
    resource->line = line;
    resource->read_notes();
    if (options_.provenance) {
      resource->provenance = std::make_shared<Provenance>(resource->value, file, (*documents)[i].lines);
    }
    resources.push_back(std::move(resource));
  }
  return resources;
}

std::optional<Resources> Folder::inline_objects(const std::string& entry, const std::string& file, For use) const {
  // A path is read as a plain scalar, which is no object.
  if (entry.find_first_of("\n:{[") == std::string::npos && !entry.empty()) return std::nullopt;
  auto objects = parse(entry, file, use);
  if (!objects) return std::nullopt;
  return *std::move(objects);
}

Result<Resources> Folder::resources(const std::string& entry, For use) const {
  SLUICE_TRY(const std::string text, load(entry));
  return parse(text, path_of(entry), use);
}

}  // namespace sluice::kustomize
