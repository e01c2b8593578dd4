#include "api/provider.hpp"

#include "api/detail/common_tables.hpp"
#include "api/detail/describe.hpp"
#include "api/detail/kinds.hpp"
#include "api/detail/read.hpp"
#include "api/detail/write.hpp"
#include "api/names.hpp"

namespace sluice::api {

namespace detail {

constexpr std::array kProviderTypes{
    "slack"sv,
    "discord"sv,
    "msteams"sv,
    "rocket"sv,
    "generic"sv,
    "generic-hmac"sv,
    "github"sv,
    "gitlab"sv,
    "gitea"sv,
    "giteapullrequestcomment"sv,
    "bitbucketserver"sv,
    "bitbucket"sv,
    "azuredevops"sv,
    "googlechat"sv,
    "googlepubsub"sv,
    "webex"sv,
    "sentry"sv,
    "azureeventhub"sv,
    "telegram"sv,
    "lark"sv,
    "matrix"sv,
    "opsgenie"sv,
    "alertmanager"sv,
    "grafana"sv,
    "githubdispatch"sv,
    "githubpullrequestcomment"sv,
    "gitlabmergerequestcomment"sv,
    "pagerduty"sv,
    "datadog"sv,
    "nats"sv,
    "zulip"sv,
    "otel"sv,
    "zoom"sv,
    "incident.io"sv,
};
constexpr std::array kHonouredProviderTypes{provider_type::kGeneric, provider_type::kGenericHmac,
                                            provider_type::kSlack};

template <>
struct Table<ProviderSpec> {
  using Spec = ProviderSpec;
  static constexpr auto fields = std::tuple{
      field("type", &Spec::type)
          .required()
          .one_of(kProviderTypes)
          .only(kHonouredProviderTypes, "this type is not implemented"),
      field("interval", &Spec::interval),
      field("channel", &Spec::channel),
      field("username", &Spec::username),
      field("address", &Spec::address),
      field("timeout", &Spec::timeout),
      field("proxy", &Spec::proxy).unsupported("sending through a proxy is not implemented"),
      field("proxySecretRef", &Spec::proxy_secret_ref).unsupported("sending through a proxy is not implemented"),
      field("secretRef", &Spec::secret_ref),
      field("serviceAccountName", &Spec::service_account_name)
          .unsupported("credentials from a service account are not implemented"),
      field("certSecretRef", &Spec::cert_secret_ref),
      field("suspend", &Spec::suspend),
      field("commitStatusExpr", &Spec::commit_status_expr).unsupported("commit statuses are not implemented"),
  };
};

template <>
struct Table<ProviderStatus> {
  static constexpr auto fields = std::tuple{
      field("observedGeneration", &ProviderStatus::observed_generation),
      field("conditions", &ProviderStatus::conditions),
  };
};

KindInfo describe_provider() {
  return {.gvk = {std::string(group::kNotification), "v1beta3", std::string(kind::kProvider)},
          .plural = "providers",
          .short_names = {},
          .categories = {"all", "fluxcd", "fluxcd-notifications"},
          .spec = describe<ProviderSpec>(),
          .status = describe<ProviderStatus>()};
}

}  // namespace detail

base::Result<Provider> parse_provider(const doc::Json& object) {
  return detail::read_object<Provider>(object, group::kNotification, kind::kProvider);
}

doc::Json to_json(const ProviderStatus& status) { return detail::write(status); }

base::Duration effective_timeout(const ProviderSpec& spec) { return spec.timeout.value_or(std::chrono::seconds(15)); }

}  // namespace sluice::api
