// Every name of the wire contract: groups, kinds, condition types, reasons,
// annotations, labels, finalizers, field managers.
//
// They are what other programs match on, so a name is written down here once
// and used by its constant. Facts: Flux 2.9, fluxcd/pkg apis/meta, apis/acl,
// apis/event, and each controller's api folder. Pure; no state.
#pragma once

#include <string_view>

namespace sluice::api {

namespace group {
inline constexpr std::string_view kSource = "source.toolkit.fluxcd.io";
inline constexpr std::string_view kSourceExtensions = "source.extensions.fluxcd.io";
inline constexpr std::string_view kKustomize = "kustomize.toolkit.fluxcd.io";
inline constexpr std::string_view kHelm = "helm.toolkit.fluxcd.io";
inline constexpr std::string_view kImage = "image.toolkit.fluxcd.io";
inline constexpr std::string_view kNotification = "notification.toolkit.fluxcd.io";
inline constexpr std::string_view kEvent = "event.toolkit.fluxcd.io";
}  // namespace group

// `apiVersion` as each kind is served in 2.9.
namespace api_version {
inline constexpr std::string_view kSourceV1 = "source.toolkit.fluxcd.io/v1";
inline constexpr std::string_view kSourceExtensionsV1Beta1 = "source.extensions.fluxcd.io/v1beta1";
inline constexpr std::string_view kKustomizeV1 = "kustomize.toolkit.fluxcd.io/v1";
inline constexpr std::string_view kHelmV2 = "helm.toolkit.fluxcd.io/v2";
inline constexpr std::string_view kImageV1 = "image.toolkit.fluxcd.io/v1";
inline constexpr std::string_view kNotificationV1 = "notification.toolkit.fluxcd.io/v1";
inline constexpr std::string_view kNotificationV1Beta3 = "notification.toolkit.fluxcd.io/v1beta3";
}  // namespace api_version

namespace kind {
inline constexpr std::string_view kGitRepository = "GitRepository";
inline constexpr std::string_view kOciRepository = "OCIRepository";
inline constexpr std::string_view kBucket = "Bucket";
inline constexpr std::string_view kHelmRepository = "HelmRepository";
inline constexpr std::string_view kHelmChart = "HelmChart";
inline constexpr std::string_view kExternalArtifact = "ExternalArtifact";
inline constexpr std::string_view kArtifactGenerator = "ArtifactGenerator";
inline constexpr std::string_view kKustomization = "Kustomization";
inline constexpr std::string_view kHelmRelease = "HelmRelease";
inline constexpr std::string_view kImageRepository = "ImageRepository";
inline constexpr std::string_view kImagePolicy = "ImagePolicy";
inline constexpr std::string_view kImageUpdateAutomation = "ImageUpdateAutomation";
inline constexpr std::string_view kProvider = "Provider";
inline constexpr std::string_view kAlert = "Alert";
inline constexpr std::string_view kReceiver = "Receiver";
}  // namespace kind

namespace condition {
inline constexpr std::string_view kReady = "Ready";
// Reconciling and Stalled are kstatus's: present only while True, never both.
inline constexpr std::string_view kReconciling = "Reconciling";
inline constexpr std::string_view kStalled = "Stalled";
inline constexpr std::string_view kHealthy = "Healthy";
inline constexpr std::string_view kAccessDenied = "AccessDenied";
// Sources.
inline constexpr std::string_view kArtifactInStorage = "ArtifactInStorage";
inline constexpr std::string_view kArtifactOutdated = "ArtifactOutdated";
inline constexpr std::string_view kSourceVerified = "SourceVerified";
inline constexpr std::string_view kFetchFailed = "FetchFailed";
inline constexpr std::string_view kBuildFailed = "BuildFailed";
inline constexpr std::string_view kStorageOperationFailed = "StorageOperationFailed";
inline constexpr std::string_view kIncludeUnavailable = "IncludeUnavailable";
}  // namespace condition

namespace reason {
// Shared.
inline constexpr std::string_view kSucceeded = "Succeeded";
inline constexpr std::string_view kFailed = "Failed";
inline constexpr std::string_view kProgressing = "Progressing";
inline constexpr std::string_view kProgressingWithRetry = "ProgressingWithRetry";
inline constexpr std::string_view kSuspended = "Suspended";
inline constexpr std::string_view kDependencyNotReady = "DependencyNotReady";
inline constexpr std::string_view kInvalidPath = "InvalidPath";
inline constexpr std::string_view kInvalidUrl = "InvalidURL";
inline constexpr std::string_view kInsecureConnectionsDisallowed = "InsecureConnectionsDisallowed";
inline constexpr std::string_view kUnsupportedConnectionType = "UnsupportedConnectionType";
inline constexpr std::string_view kPruneFailed = "PruneFailed";
inline constexpr std::string_view kArtifactFailed = "ArtifactFailed";
inline constexpr std::string_view kBuildFailed = "BuildFailed";
inline constexpr std::string_view kHealthCheckFailed = "HealthCheckFailed";
inline constexpr std::string_view kHealthCheckCanceled = "HealthCheckCanceled";
inline constexpr std::string_view kReconciliationSucceeded = "ReconciliationSucceeded";
inline constexpr std::string_view kReconciliationFailed = "ReconciliationFailed";
inline constexpr std::string_view kInvalidCelExpression = "InvalidCELExpression";
inline constexpr std::string_view kFeatureGateDisabled = "FeatureGateDisabled";
inline constexpr std::string_view kAccessDenied = "AccessDenied";
// Sluice's own: the spec asks for a part of the contract that is not built yet,
// or holds a value that cannot be read.
inline constexpr std::string_view kUnsupportedField = "UnsupportedField";
inline constexpr std::string_view kInvalidSpec = "InvalidSpec";
// Sources.
inline constexpr std::string_view kUrlInvalid = "URLInvalid";
inline constexpr std::string_view kAuthenticationFailed = "AuthenticationFailed";
inline constexpr std::string_view kVerificationError = "VerificationError";
inline constexpr std::string_view kDirectoryCreationFailed = "DirectoryCreationFailed";
inline constexpr std::string_view kStatOperationFailed = "StatOperationFailed";
inline constexpr std::string_view kReadOperationFailed = "ReadOperationFailed";
inline constexpr std::string_view kAcquireLockFailed = "AcquireLockFailed";
inline constexpr std::string_view kArchiveOperationFailed = "ArchiveOperationFailed";
inline constexpr std::string_view kSymlinkUpdateFailed = "SymlinkUpdateFailed";
inline constexpr std::string_view kArtifactUpToDate = "ArtifactUpToDate";
inline constexpr std::string_view kCacheOperationFailed = "CacheOperationFailed";
inline constexpr std::string_view kPatchOperationFailed = "PatchOperationFailed";
inline constexpr std::string_view kGitOperationSucceeded = "GitOperationSucceeded";
inline constexpr std::string_view kGitOperationFailed = "GitOperationFailed";
inline constexpr std::string_view kNewRevision = "NewRevision";
inline constexpr std::string_view kNewArtifact = "NewArtifact";
// Receiver.
inline constexpr std::string_view kInitialized = "Initialized";
inline constexpr std::string_view kValidationFailed = "ValidationFailed";
inline constexpr std::string_view kTokenNotFound = "TokenNotFound";
}  // namespace reason

namespace annotation {
inline constexpr std::string_view kReconcileRequestedAt = "reconcile.fluxcd.io/requestedAt";
inline constexpr std::string_view kForceRequestedAt = "reconcile.fluxcd.io/forceAt";
inline constexpr std::string_view kResetRequestedAt = "reconcile.fluxcd.io/resetAt";
// Per-object switches of kustomize-controller.
inline constexpr std::string_view kSsa = "kustomize.toolkit.fluxcd.io/ssa";
inline constexpr std::string_view kForce = "kustomize.toolkit.fluxcd.io/force";
inline constexpr std::string_view kPrune = "kustomize.toolkit.fluxcd.io/prune";
inline constexpr std::string_view kReconcile = "kustomize.toolkit.fluxcd.io/reconcile";
inline constexpr std::string_view kDecrypt = "kustomize.toolkit.fluxcd.io/decrypt";
inline constexpr std::string_view kSubstitute = "kustomize.toolkit.fluxcd.io/substitute";
// Keys of Flux's early versions, taken off objects on apply.
inline constexpr std::string_view kLegacyKustomizeChecksum = "kustomize.toolkit.fluxcd.io/checksum";
inline constexpr std::string_view kLegacySyncChecksum = "fluxcd.io/sync-checksum";
inline constexpr std::string_view kLegacySyncGcMark = "fluxcd.io/sync-gc-mark";
// Annotations with this prefix on a Flux object are copied into its events.
inline constexpr std::string_view kEventPrefix = "event.toolkit.fluxcd.io/";
}  // namespace annotation

// Values of the switches above.
namespace annotation_value {
inline constexpr std::string_view kEnabled = "enabled";
inline constexpr std::string_view kDisabled = "disabled";
inline constexpr std::string_view kSsaOverride = "Override";
inline constexpr std::string_view kSsaMerge = "Merge";
inline constexpr std::string_view kSsaIfNotPresent = "IfNotPresent";
inline constexpr std::string_view kSsaIgnore = "Ignore";
}  // namespace annotation_value

namespace label {
// Owner of an object that kustomize-controller applied.
inline constexpr std::string_view kKustomizeName = "kustomize.toolkit.fluxcd.io/name";
inline constexpr std::string_view kKustomizeNamespace = "kustomize.toolkit.fluxcd.io/namespace";
inline constexpr std::string_view kHelmName = "helm.toolkit.fluxcd.io/name";
inline constexpr std::string_view kHelmNamespace = "helm.toolkit.fluxcd.io/namespace";
// ConfigMaps and Secrets that are watched when some object refers to them.
inline constexpr std::string_view kWatch = "reconcile.fluxcd.io/watch";
inline constexpr std::string_view kWatchEnabled = "Enabled";
inline constexpr std::string_view kShardKey = "sharding.fluxcd.io/key";
inline constexpr std::string_view kTenant = "toolkit.fluxcd.io/tenant";
}  // namespace label

namespace finalizer {
// The same on source, Kustomization, HelmRelease, image and notification objects.
inline constexpr std::string_view kFlux = "finalizers.fluxcd.io";
}  // namespace finalizer

// Server-side apply field manager, event source, and the stem of the leader
// election lease `<name>-leader-election`.
namespace field_manager {
inline constexpr std::string_view kSourceController = "source-controller";
inline constexpr std::string_view kKustomizeController = "kustomize-controller";
inline constexpr std::string_view kHelmController = "helm-controller";
inline constexpr std::string_view kNotificationController = "notification-controller";
}  // namespace field_manager

namespace event {
inline constexpr std::string_view kSeverityTrace = "trace";
inline constexpr std::string_view kSeverityInfo = "info";
inline constexpr std::string_view kSeverityError = "error";
// Metadata keys; on the wire each stands behind `<api group>/`.
inline constexpr std::string_view kMetaRevision = "revision";
inline constexpr std::string_view kMetaOriginRevision = "originRevision";
inline constexpr std::string_view kMetaDigest = "digest";
inline constexpr std::string_view kMetaChecksum = "checksum";
inline constexpr std::string_view kMetaToken = "token";
inline constexpr std::string_view kMetaCommit = "commit";
inline constexpr std::string_view kMetaCommitStatus = "commit_status";
inline constexpr std::string_view kMetaCommitStatusUpdate = "update";
inline constexpr std::string_view kMetaChangeRequest = "change_request";
}  // namespace event

// Key in an artifact's metadata that names the commit an OCI artifact was made from.
inline constexpr std::string_view kOriginRevisionMetadata = "org.opencontainers.image.revision";

}  // namespace sluice::api
