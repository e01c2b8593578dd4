// What layers amounted to in earlier builds, and what they read, so that a
// layer none of whose files changed is not built again (BuildCache's inside).
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_view.hpp"
#include "kustomize/kustomize.hpp"
#include "kustomize/objects/resource_set.hpp"
#include "kustomize/reading/config.hpp"
#include "kustomize/reading/kustomization.hpp"

namespace sluice::kustomize {

// One question to a view and its answer, as a digest.
struct ReadRecord {
  enum class What { bytes, listing, type, real_path };
  What what;
  std::string path;
  std::string answer;
};

// Passes on to another view and notes each question, in order. Answers are
// digested once per path and build.
class ReadLog final : public base::FileView {
 public:
  explicit ReadLog(const base::FileView& inner) : inner_(inner) {}
  base::Result<std::string> read(std::string_view path) const override;
  base::Result<std::vector<base::DirEntry>> list(std::string_view path) const override;
  base::Result<base::FileType> type(std::string_view path) const override;
  base::Result<std::string> real_path(std::string_view path) const override;

  std::size_t mark() const { return log_.size(); }
  std::vector<ReadRecord> since(std::size_t mark) const;
  // True if the view answers all of it as it did; what it answers is noted.
  bool still_holds(const std::vector<ReadRecord>& records) const;

 private:
  // The digest of the answer, asked for once.
  const std::string& digest(ReadRecord::What what, std::string_view path) const;
  void note(ReadRecord::What what, std::string_view path, std::string answer) const;

  const base::FileView& inner_;
  mutable std::vector<ReadRecord> log_;
  mutable std::map<std::pair<ReadRecord::What, std::string>, std::string> answers_;
};

// What a layer amounts to; not changed once it is kept.
struct BuiltLayer {
  std::vector<ReadRecord> reads;
  ResourceSet set;
  std::shared_ptr<const Config> config;
  std::vector<VarSpec> vars;
  std::vector<std::string> warnings;
  std::size_t bytes = 0;    // of files read
  std::size_t objects = 0;  // parsed
  bool unknown_kinds = false;
};

struct BuildCache::Impl {
  std::shared_ptr<const BuiltLayer> find(const std::string& key);
  void keep(const std::string& key, std::shared_ptr<const BuiltLayer> layer);

  std::mutex mutex;
  std::size_t max_bytes = 0;
  std::size_t bytes = 0;
  Counters counters;
  struct Entry {
    std::string key;
    std::shared_ptr<const BuiltLayer> layer;
    std::size_t bytes;
  };
  std::list<Entry> entries;  // the one used last comes first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key;
};

}  // namespace sluice::kustomize
