// The sources that objects refer to, watched by kind, where the server
// serves the kind. Runs on the loop.
//
// A kind is watched from the first time somebody asks for one of its objects. A
// kind that is not there yet is looked for again when a CustomResourceDefinition
// comes, changes or goes, which the mapper follows.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/artifact.hpp"
#include "api/object_meta.hpp"
#include "api/references.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "controller/watch_cache.hpp"
#include "kube/client.hpp"
#include "kube/rest_mapper.hpp"
#include "rt/runtime.hpp"

namespace sluice::sources {

struct SourceServices {
  rt::Runtime& runtime;
  std::shared_ptr<kube::Client> client;
  std::shared_ptr<kube::RestMapper> mapper;
  const base::Clock& clock;
  base::Logger log;
  std::string namespace_;  // that watches are limited to; "": all
};

// "GitRepository/flux-system/apps": how sources and configuration are told apart here.
std::string source_id(const std::string& kind, const api::ObjectKey& key);
// That of spec.sourceRef: an index.
std::vector<std::string> source_of(const doc::Json& object);

class Sources : public std::enable_shared_from_this<Sources> {
 public:
  explicit Sources(SourceServices services) : services_(std::move(services)) {}

  // A source's artifact is another one than before.
  std::function<void(const std::string& id, const std::string& digest)> on_artifact;
  // A CustomResourceDefinition came, changed or went: what was not served may be now.
  std::function<void()> on_definitions;

  // A ConfigMap or Secret with the label for it came, changed or went.
  std::function<void(const std::string& id)> on_config;

  // Starts looking out for definitions.
  void start();
  // Starts watching ConfigMaps and Secrets with matching labels; cheap when done before.
  void watch_configs(const std::string& label_selector);
  // The source. `not_found` where it is not there, with reason "NoKindMatch"
  // where it is proved that its kind is not served.
  rt::Task<base::Result<controller::Object>> find(api::CrossNamespaceSourceReference ref, api::ObjectKey key);

 private:
  rt::Task<base::Result<controller::Object>> read(kube::Resource resource, api::ObjectKey key);
  void watch_kind(const kube::Resource& resource);
  void note(const std::string& kind, const controller::Object& before, const controller::Object& now);

  SourceServices services_;
  std::map<api::GroupKind, std::shared_ptr<controller::WatchCache>> kinds_;
  bool started_ = false;
  std::map<std::string, std::shared_ptr<controller::WatchCache>> configs_;
};

}  // namespace sluice::sources
