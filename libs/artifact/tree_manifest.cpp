#include "artifact/tree_manifest.hpp"

#include <algorithm>
#include <utility>

namespace sluice::artifact {

using base::DirEntry;
using base::ErrorKind;
using base::FileType;
using base::Result;

namespace {

// As RecordingView writes its answers.
constexpr std::string_view kNothing = "-";

std::string record_of(ErrorKind kind) { return "!" + std::string(base::to_string(kind)); }

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// A question as RecordingView's keys put it, taken apart.
enum class Asked { read, list, type, real_path };
struct Question {
  Asked asked = Asked::read;
  std::string_view path;
};

Question question_of(std::string_view key) {
  if (key.ends_with("///")) return {Asked::real_path, key.substr(0, key.size() - 3)};
  if (key.ends_with("//")) return {Asked::type, key.substr(0, key.size() - 2)};
  if (key.ends_with('/')) return {Asked::list, key.substr(0, key.size() - 1)};
  return {Asked::read, key};
}

// One folder, for RecordingView to say how it records a listing.
class OneFolder final : public base::FileView {
 public:
  explicit OneFolder(std::vector<DirEntry> entries) : entries_(std::move(entries)) {}
  Result<std::string> read(std::string_view) const override { return base::unexpected(ErrorKind::not_found, ""); }
  Result<std::vector<DirEntry>> list(std::string_view) const override { return entries_; }
  Result<FileType> type(std::string_view) const override { return FileType::directory; }

 private:
  std::vector<DirEntry> entries_;
};

}  // namespace

// --- building ---

void TreeManifest::Builder::add(std::string path, Found found) {
  if (gave_up_) return;
  const std::size_t size = path.size();
  const bool is_new = found_.insert_or_assign(std::move(path), std::move(found)).second;
  if (is_new) path_bytes_ += size;
  if (found_.size() <= kMaxEntries && path_bytes_ <= kMaxPathBytes) return;
  gave_up_ = true;
  found_.clear();
}

Result<void> TreeManifest::Builder::add_parents(std::string_view path) {
  for (std::string_view parent = parent_of(path); !parent.empty() && !gave_up_; parent = parent_of(parent)) {
    const auto known = found_.find(parent);
    if (known == found_.end()) {
      add(std::string(parent), Found{.is_folder = true, .content = {}, .digest = {}});
    } else if (!known->second.is_folder) {
      return archive::file_and_folder(parent);
    } else {
      break;  // with its own parents
    }
  }
  return {};
}

void TreeManifest::Builder::end_file() {
  if (!std::exchange(in_file_, false)) return;
  const bool is_large = file_.size > kMaxFileSize;
  const Content content{file_at_, is_large ? 0 : static_cast<std::uint32_t>(written_ - file_at_), is_large};
  add(file_.path, Found{.is_folder = false, .content = content, .digest = hash_of(hasher_.finish_hex())});
}

Result<void> TreeManifest::Builder::add_folder(const std::string& path) {
  end_file();
  if (path.empty() || gave_up_) return {};
  SLUICE_CHECK(add_parents(path));
  const auto known = found_.find(path);
  if (known != found_.end() && !known->second.is_folder) return archive::file_and_folder(path);
  add(path, Found{.is_folder = true, .content = {}, .digest = {}});
  return {};
}

Result<void> TreeManifest::Builder::begin_file(const archive::Entry& entry) {
  end_file();
  if (gave_up_) return {};
  SLUICE_CHECK(add_parents(entry.path));
  const auto known = found_.find(entry.path);
  if (known != found_.end() && known->second.is_folder) return archive::file_and_folder(entry.path);
  file_ = entry;
  file_at_ = written_;
  in_file_ = true;
  return {};
}

Result<void> TreeManifest::Builder::write(std::string_view bytes) {
  written_ += bytes.size();
  if (in_file_) hasher_.update(bytes);
  return {};
}

TreeManifest TreeManifest::Builder::finish() {
  end_file();
  TreeManifest made;
  if (gave_up_) return made;
  made.complete_ = true;
  made.folders_.push_back({});
  // In the order of folders; those of one folder by name.
  std::vector<decltype(found_)::const_iterator> sorted;
  sorted.reserve(found_.size());
  for (auto it = found_.begin(); it != found_.end(); ++it) sorted.push_back(it);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& left, const auto& right) {
    return parent_of(left->first) < parent_of(right->first);
  });
  made.items_.reserve(sorted.size());
  std::map<std::string_view, std::pair<std::uint32_t, std::uint32_t>> spans;  // folder -> first item, count
  for (const auto& it : sorted) {
    const std::string& path = it->first;
    const bool is_folder = it->second.is_folder;
    // A folder's name is the end of its path, which is kept anyway.
    const std::string_view kept = is_folder ? std::string_view(path) : name_of(path);
    const auto at = static_cast<std::uint32_t>(made.names_.size());
    made.names_.append(kept);
    const std::string_view name = name_of(path);
    Item item;
    item.name = {static_cast<std::uint32_t>(at + kept.size() - name.size()), static_cast<std::uint16_t>(name.size())};
    item.type = is_folder ? Type::folder : it->second.content.is_large ? Type::large_file : Type::file;
    if (is_folder) {
      made.folders_.push_back({{at, static_cast<std::uint16_t>(path.size())}, 0, 0, {}});
    } else {
      item.digest = it->second.digest;
      item.at = it->second.content.at;
      item.size = it->second.content.size;
      ++made.files_;
    }
    auto& span = spans.try_emplace(parent_of(path), static_cast<std::uint32_t>(made.items_.size()), 0U).first->second;
    ++span.second;
    made.items_.push_back(item);
  }
  made.names_.shrink_to_fit();
  made.folders_.shrink_to_fit();
  std::sort(made.folders_.begin(), made.folders_.end(),
            [&made](const Folder& left, const Folder& right) { return made.text(left.path) < made.text(right.path); });
  for (Folder& folder : made.folders_) {
    const auto span = spans.find(made.text(folder.path));
    if (span != spans.end()) std::tie(folder.first, folder.count) = span->second;
    folder.listing = made.hash_of_listing(folder);
  }
  found_.clear();
  return made;
}

// --- asking ---

TreeManifest::Hash TreeManifest::hash_of(std::string_view hex) {
  const auto value = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Hash hash{};
  for (std::size_t i = 0; i < hash.size() && 2 * i + 1 < hex.size(); ++i) {
    hash[i] = static_cast<std::uint8_t>((value(hex[2 * i]) << 4U) | value(hex[2 * i + 1]));
  }
  return hash;
}

std::vector<DirEntry> TreeManifest::entries_of(const Folder& folder) const {
  std::vector<DirEntry> entries;
  entries.reserve(folder.count);
  for (std::uint32_t i = 0; i < folder.count; ++i) {
    const Item& item = items_[folder.first + i];
    entries.push_back({std::string(text(item.name)), item.type == Type::folder ? FileType::directory : FileType::file});
  }
  return entries;
}

TreeManifest::Hash TreeManifest::hash_of_listing(const Folder& folder) const {
  const OneFolder view(entries_of(folder));
  const base::RecordingView recording(view);
  static_cast<void>(recording.list(""));
  return hash_of(recording.records().at("/"));
}

std::size_t TreeManifest::memory() const noexcept {
  return names_.capacity() + folders_.capacity() * sizeof(Folder) + items_.capacity() * sizeof(Item);
}

const TreeManifest::Folder* TreeManifest::find_folder(std::string_view path) const {
  const auto at = std::lower_bound(folders_.begin(), folders_.end(), path,
                                   [this](const Folder& folder, auto wanted) { return text(folder.path) < wanted; });
  return at != folders_.end() && text(at->path) == path ? &*at : nullptr;
}

TreeManifest::Place TreeManifest::find(std::string_view path) const {
  if (const Folder* folder = find_folder(path)) return {folder, nullptr};
  const Folder* parent = find_folder(parent_of(path));
  if (parent == nullptr) return {};
  const auto first = items_.begin() + parent->first;
  const auto last = first + parent->count;
  const std::string_view name = name_of(path);
  const auto at =
      std::lower_bound(first, last, name, [this](const Item& item, auto wanted) { return text(item.name) < wanted; });
  if (at == last || text(at->name) != name) return {};
  return {nullptr, &*at};
}

std::optional<FileType> TreeManifest::type(std::string_view path) const {
  const Place place = find(path);
  if (place.folder != nullptr) return FileType::directory;
  if (place.item != nullptr) return FileType::file;
  return std::nullopt;
}

std::optional<TreeManifest::Content> TreeManifest::content(std::string_view path) const {
  const Place place = find(path);
  if (place.item == nullptr) return std::nullopt;
  return Content{place.item->at, place.item->size, place.item->type == Type::large_file};
}

std::vector<DirEntry> TreeManifest::list(std::string_view path) const {
  const Folder* folder = find_folder(path);
  return folder == nullptr ? std::vector<DirEntry>() : entries_of(*folder);
}

bool TreeManifest::answers(std::string_view key, std::string_view record) const {
  const Question question = question_of(key);
  const Place place = find(question.path);
  const bool is_there = place.folder != nullptr || place.item != nullptr;
  if (!is_there) return record == kNothing;
  constexpr std::size_t kHexDigits = 64;
  switch (question.asked) {
    case Asked::real_path: return record == question.path;
    case Asked::type: return record == (place.folder != nullptr ? "directory" : "file");
    case Asked::list:
      if (place.folder == nullptr) return record == record_of(ErrorKind::invalid);
      return record.size() == kHexDigits && hash_of(record) == place.folder->listing;
    case Asked::read:
      if (place.folder != nullptr) return record == record_of(ErrorKind::invalid);
      if (place.item->type == Type::large_file) return record == record_of(ErrorKind::too_large);
      return record.size() == kHexDigits && hash_of(record) == place.item->digest;
  }
  return false;
}

bool TreeManifest::holds(const base::RecordingView::Records& records) const {
  if (!complete_) return false;
  return std::all_of(records.begin(), records.end(),
                     [this](const auto& entry) { return answers(entry.first, entry.second); });
}

// --- comparing ---

TreeChanges changed_paths(const TreeManifest& before, const TreeManifest& after) {
  TreeChanges made;
  made.everything_ = !before.is_complete() || !after.is_complete();
  if (made.everything_) return made;
  std::map<std::string, std::uint8_t> answers;
  const auto path_in = [](std::string_view folder, std::string_view name) {
    return folder.empty() ? std::string(name) : std::string(folder) + "/" + std::string(name);
  };
  // What `one` holds and `other` does not, or holds otherwise.
  const auto compare = [&](const TreeManifest& one, const TreeManifest& other) {
    for (const auto& folder : one.folders_) {
      const std::string_view path = one.text(folder.path);
      const auto* there = other.find_folder(path);
      if (there != nullptr && there->listing != folder.listing) answers[std::string(path)] |= TreeChanges::kList;
      for (std::uint32_t i = 0; i < folder.count; ++i) {
        const auto& item = one.items_[folder.first + i];
        const std::string full = path_in(path, one.text(item.name));
        const TreeManifest::Place place = other.find(full);
        const bool was_folder = item.type == TreeManifest::Type::folder;
        if (was_folder ? place.folder != nullptr : place.item != nullptr) {
          const bool same = was_folder || (place.item->type == item.type && place.item->digest == item.digest);
          if (!same) answers[full] |= TreeChanges::kRead;
        } else {
          answers[full] |= TreeChanges::kRead | TreeChanges::kList | TreeChanges::kType;
        }
      }
    }
  };
  compare(before, after);
  compare(after, before);
  for (auto& [path, what] : answers) made.changes_.push_back({path, what});
  return made;
}

bool TreeChanges::touch(const base::RecordingView::Records& records) const {
  if (everything_) return true;
  return std::any_of(records.begin(), records.end(), [this](const auto& entry) {
    const Question question = question_of(entry.first);
    const auto at = std::lower_bound(changes_.begin(), changes_.end(), question.path,
                                     [](const Change& change, std::string_view path) { return change.path < path; });
    if (at == changes_.end() || at->path != question.path) return false;
    switch (question.asked) {
      case Asked::read: return (at->answers & kRead) != 0;
      case Asked::list: return (at->answers & kList) != 0;
      default: return (at->answers & kType) != 0;
    }
  });
}

std::vector<std::string> TreeChanges::paths() const {
  std::vector<std::string> out;
  out.reserve(changes_.size());
  for (const Change& change : changes_) out.push_back(change.path);
  return out;
}

}  // namespace sluice::artifact
