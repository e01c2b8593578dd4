{{/* What this daemon may do, in words. Called with its values. */}}
{{- define "kustomize-controller.notes" -}}
{{- $account := .defaultServiceAccount -}}
{{- $apart := .noCrossNamespaceRefs -}}
{{- range .extraArgs -}}
{{- if hasPrefix "--default-service-account=" . -}}{{- $account = trimPrefix "--default-service-account=" . -}}{{- end -}}
{{- if hasPrefix "--no-cross-namespace-refs" . -}}{{- $apart = not (hasSuffix "=false" .) -}}{{- end -}}
{{- end -}}
{{- if .rbac.clusterAdmin -}}
kustomize-controller IS bound to cluster-admin (rbac.clusterAdmin=true).
{{- if $account }}
A Kustomization without spec.serviceAccountName acts as the service account
{{ $account | quote }} of its namespace, but who may start pods in the namespace of the
release, or read its Secrets, can become cluster-admin.
{{- else }}
Who may write a Kustomization, or what one applies, can do anything in this
cluster. Where tenants share it, set rbac.clusterAdmin=false and
defaultServiceAccount.
{{- end }}
{{- else -}}
kustomize-controller is NOT bound to cluster-admin (rbac.clusterAdmin=false).
A Kustomization may do what its spec.serviceAccountName may
{{- if $account }}, or without one the
service account {{ $account | quote }} of its namespace.
{{- else }}; without one it
is refused by the API server, as no defaultServiceAccount is set.
{{- end }}
{{- end }}
{{- if $apart }}
Kustomizations may not use sources of other namespaces (noCrossNamespaceRefs=true).
{{- else }}
Kustomizations may use sources of other namespaces (noCrossNamespaceRefs=false).
{{- end }}
{{- end }}
