#include "kustomize/building/layer_memo.hpp"

#include "base/digest.hpp"
#include "kustomize/objects/steps.hpp"

namespace sluice::kustomize {
namespace {

using base::Result;
using What = ReadRecord::What;

// An error of the disk is no fact about the tree: its answer is never the same again.
constexpr std::string_view kUncertain;

std::string digest_of(const base::Error& error) {
  if (error.kind == base::ErrorKind::io) return std::string(kUncertain);
  return "!" + std::string(to_string(error.kind));
}
std::string digest_of(const Result<std::string>& answer) {
  return answer ? base::sha256_hex(*answer) : digest_of(answer.error());
}
std::string digest_of(const Result<base::FileType>& answer) {
  if (!answer) return digest_of(answer.error());
  return *answer == base::FileType::file ? "file" : "directory";
}
std::string digest_of(const Result<std::vector<base::DirEntry>>& answer) {
  if (!answer) return digest_of(answer.error());
  std::string names;
  for (const base::DirEntry& entry : *answer) {
    names.append(entry.name).append(entry.type == base::FileType::file ? "\0f" : "\0d", 2);
  }
  return base::sha256_hex(names);
}

// A document takes several times the room of its text.
constexpr std::size_t kBytesPerByteOfText = 8;
constexpr std::size_t kBytesPerRecord = 160;

std::size_t size_of(const BuiltLayer& layer) {
  return layer.bytes * kBytesPerByteOfText + layer.reads.size() * kBytesPerRecord + 1024;
}

}  // namespace

Result<std::string> ReadLog::read(std::string_view path) const {
  auto answer = inner_.read(path);
  note(What::bytes, path, digest_of(answer));
  return answer;
}

Result<std::vector<base::DirEntry>> ReadLog::list(std::string_view path) const {
  auto answer = inner_.list(path);
  note(What::listing, path, digest_of(answer));
  return answer;
}

Result<base::FileType> ReadLog::type(std::string_view path) const {
  auto answer = inner_.type(path);
  note(What::type, path, digest_of(answer));
  return answer;
}

Result<std::string> ReadLog::real_path(std::string_view path) const {
  auto answer = inner_.real_path(path);
  note(What::real_path, path, digest_of(answer));
  return answer;
}

void ReadLog::note(What what, std::string_view path, std::string answer) const {
  answers_.insert_or_assign(std::pair(what, std::string(path)), answer);
  log_.push_back({what, std::string(path), std::move(answer)});
}

std::vector<ReadRecord> ReadLog::since(std::size_t mark) const {
  return {log_.begin() + static_cast<std::ptrdiff_t>(mark), log_.end()};
}

const std::string& ReadLog::digest(What what, std::string_view path) const {
  const auto [known, is_new] = answers_.try_emplace(std::pair(what, std::string(path)));
  if (is_new) {
    known->second = what == What::bytes     ? digest_of(inner_.read(path))
                    : what == What::listing ? digest_of(inner_.list(path))
                    : what == What::type    ? digest_of(inner_.type(path))
                                            : digest_of(inner_.real_path(path));
  }
  return known->second;
}

bool ReadLog::still_holds(const std::vector<ReadRecord>& records) const {
  for (const ReadRecord& record : records) {
    if (Steps::ended() || record.answer == kUncertain || digest(record.what, record.path) != record.answer)
      return false;
  }
  log_.insert(log_.end(), records.begin(), records.end());
  return true;
}

std::shared_ptr<const BuiltLayer> BuildCache::Impl::find(const std::string& key) {
  const std::lock_guard lock(mutex);
  const auto found = by_key.find(key);
  if (found == by_key.end()) return nullptr;
  entries.splice(entries.begin(), entries, found->second);
  return found->second->layer;
}

void BuildCache::Impl::keep(const std::string& key, std::shared_ptr<const BuiltLayer> layer) {
  const std::size_t size = size_of(*layer);
  if (size > max_bytes) return;
  const std::lock_guard lock(mutex);
  if (const auto old = by_key.find(key); old != by_key.end()) {
    bytes -= old->second->bytes;
    entries.erase(old->second);
    by_key.erase(old);
  }
  entries.push_front({key, std::move(layer), size});
  by_key[key] = entries.begin();
  bytes += size;
  while (bytes > max_bytes) {
    bytes -= entries.back().bytes;
    by_key.erase(entries.back().key);
    entries.pop_back();
  }
}

BuildCache::BuildCache(std::size_t max_bytes) : impl_(std::make_unique<Impl>()) { impl_->max_bytes = max_bytes; }
BuildCache::~BuildCache() = default;

BuildCache::Counters BuildCache::counters() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

}  // namespace sluice::kustomize
