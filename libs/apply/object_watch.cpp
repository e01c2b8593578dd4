#include "apply/object_watch.hpp"

#include <utility>

#include "base/clock.hpp"
#include "kube/reflector.hpp"

namespace sluice::apply {

using base::ErrorKind;
using base::Result;
using doc::Json;

namespace {

bool is_final(const base::Error& error) {
  switch (error.kind) {
    case ErrorKind::forbidden:
    case ErrorKind::unauthorized:
    case ErrorKind::not_found:
    case ErrorKind::unsupported:
    case ErrorKind::invalid: return true;
    default: return false;
  }
}

// A list and a watch of one name.
class OneObject final : public kube::ReflectorSink {
 public:
  explicit OneObject(std::function<bool(const Json*)> seen) : tell_(std::move(seen)) {}

  void list_began(const std::string&, kube::ListMark, bool) override { listed_ = false; }
  void list_ended(const std::string&, kube::ListMark) override {
    if (!listed_) tell(nullptr);
  }
  void seen(Json object) override {
    listed_ = true;
    tell(&object);
  }
  // Its conditions are not known, but that it is there, and which one it is.
  void seen_unreadable(Json metadata) override { seen(std::move(metadata)); }
  void removed(Json) override { tell(nullptr); }
  void not_served(bool) override {}
  bool is_satisfied() const override { return done_; }

 private:
  void tell(const Json* object) {
    if (!done_) done_ = tell_(object);
  }
  std::function<bool(const Json*)> tell_;
  bool listed_ = false;
  bool done_ = false;
};

}  // namespace

rt::Task<Result<void>> follow_object(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                     std::function<bool(const Json*)> seen) {
  OneObject sink(std::move(seen));
  kube::ReflectorOptions options;
  options.resource = std::move(resource);
  options.namespace_ = key.namespace_;
  options.field_selector = "metadata.name=" + key.name;
  options.max_pause = std::chrono::seconds(30);
  options.is_final = is_final;
  kube::Reflector reflector(std::move(client), base::system_clock(), base::Logger::discard(), std::move(options), sink);
  auto followed = co_await reflector.run();
  co_return followed;
}

rt::Task<Result<void>> await_gone(std::shared_ptr<kube::Client> client, kube::Resource resource, api::ObjectKey key,
                                  std::string uid) {
  std::function<bool(const Json*)> is_gone = [uid](const Json* object) {
    return object == nullptr || (!uid.empty() && api::uid_of(*object) != uid);
  };
  auto followed = co_await follow_object(std::move(client), std::move(resource), std::move(key), std::move(is_gone));
  co_return followed;
}

}  // namespace sluice::apply
