#include "api/alert.hpp"

#include "api/detail/common_tables.hpp"
#include "api/detail/describe.hpp"
#include "api/detail/kinds.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"
#include "api/names.hpp"

namespace sluice::api {

namespace detail {

constexpr std::array kEventSourceKinds{kind::kBucket,          kind::kGitRepository,     kind::kKustomization,
                                       kind::kHelmRelease,     kind::kHelmChart,         kind::kHelmRepository,
                                       kind::kImageRepository, kind::kImagePolicy,       kind::kImageUpdateAutomation,
                                       kind::kOciRepository,   kind::kArtifactGenerator, kind::kExternalArtifact};

template <>
struct EnumNames<EventSeverity> {
  static constexpr std::array values{std::pair{EventSeverity::info, "info"sv},
                                     std::pair{EventSeverity::error, "error"sv}};
};

template <>
struct Table<CrossNamespaceObjectReference> {
  using Reference = CrossNamespaceObjectReference;
  static constexpr auto fields = std::tuple{
      field("apiVersion", &Reference::api_version),
      field("kind", &Reference::kind).required().one_of(kEventSourceKinds),
      field("name", &Reference::name).required(),
      field("namespace", &Reference::namespace_),
      field("matchLabels", &Reference::match_labels),
  };
};

template <>
struct Table<AlertSpec> {
  using Spec = AlertSpec;
  static constexpr auto fields = std::tuple{
      field("providerRef", &Spec::provider_ref).required(),
      field("eventSeverity", &Spec::event_severity).defaulted(),
      field("eventSources", &Spec::event_sources).required(),
      field("inclusionList", &Spec::inclusion_list),
      field("eventMetadata", &Spec::event_metadata),
      field("exclusionList", &Spec::exclusion_list),
      field("summary", &Spec::summary),
      field("suspend", &Spec::suspend),
  };
};

template <>
struct Table<AlertStatus> {
  static constexpr auto fields = std::tuple{
      field("observedGeneration", &AlertStatus::observed_generation),
      field("conditions", &AlertStatus::conditions),
  };
};

KindInfo describe_alert() {
  return {.gvk = {std::string(group::kNotification), "v1beta3", std::string(kind::kAlert)},
          .plural = "alerts",
          .short_names = {},
          .categories = {"all", "fluxcd", "fluxcd-notifications"},
          .spec = describe<AlertSpec>(),
          .status = describe<AlertStatus>()};
}

}  // namespace detail

base::Result<Alert> parse_alert(const doc::Json& object) {
  return detail::read_object<Alert>(object, group::kNotification, kind::kAlert);
}

doc::Json to_json(const AlertStatus& status) { return detail::write(status); }

}  // namespace sluice::api
