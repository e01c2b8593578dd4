// The description that each kind's file makes of itself, gathered by
// all_kinds(). A new kind adds one line here and one in kind.cpp. Internal.
#pragma once

#include "api/kind.hpp"

namespace sluice::api::detail {

KindInfo describe_git_repository();
KindInfo describe_kustomization();
KindInfo describe_provider();
KindInfo describe_alert();

}  // namespace sluice::api::detail
