{{/*
Templates of one daemon. A daemon's chart is named after it, and calls them with
a dict: root (its own context) and, for the Deployment, args, ports, mounts and
volumes beyond those that all daemons have.
*/}}

{{- define "daemon.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "daemon.labels" -}}
{{ include "daemon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "daemon.partOf" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
# Flux's PodMonitor, NetworkPolicies and dashboards select by it.
app: {{ .Chart.Name }}
{{- end }}

{{/* `flux check`, `flux version` and `flux logs` look at what is part of flux. */}}
{{- define "daemon.partOf" -}}
{{ .Values.partOf | default (.Values.global | default dict).partOf | default "flux" }}
{{- end }}

{{/* The daemon's --watch-label-selector, from its value or from extraArgs, in one argument or in two. */}}
{{- define "daemon.labelSelector" -}}
{{- $selector := .Values.watchLabelSelector | default "" -}}
{{- $before := "" -}}
{{- range .Values.extraArgs -}}
{{- if eq $before "--watch-label-selector" -}}{{- $selector = . -}}{{- end -}}
{{- if hasPrefix "--watch-label-selector=" . -}}{{- $selector = trimPrefix "--watch-label-selector=" . -}}{{- end -}}
{{- $before = . -}}
{{- end -}}
{{ $selector }}
{{- end }}

{{/*
Refuses what a schema cannot: a key of global that is not ours, which is a slip only where no chart of others is beside
this one, and `enabled`, which means nothing but to the umbrella.
*/}}
{{- define "daemon.check" -}}
{{- if .Chart.IsRoot -}}
{{- range $key, $value := .Values.global -}}
{{- if not (has $key (list "image" "partOf")) -}}{{- fail (printf "global.%s: there is no such value" $key) -}}{{- end -}}
{{- end -}}
{{- range $key, $value := (.Values.global | default dict).image -}}
{{- if not (has $key (list "registry" "tag")) -}}{{- fail (printf "global.image.%s: there is no such value" $key) -}}{{- end -}}
{{- end -}}
{{- if and (hasKey .Values "enabled") (ne .Chart.Name "sluice") -}}{{- fail "enabled: only the chart sluice has this value" -}}{{- end -}}
{{- end -}}
{{- end }}

{{/* The daemon's lease: a shard has one of its own, named by a digest of its selector (Options::lease_name). */}}
{{- define "daemon.lease" -}}
{{ .Chart.Name }}-leader-election
{{- with include "daemon.labelSelector" . }}-{{ sha256sum . | trunc 8 }}{{ end }}
{{- end }}

{{/* A plain manifest of files/, moved to the namespace of the release, with the lease that this daemon holds. */}}
{{- define "daemon.manifest" -}}
{{- $lease := printf "resourceNames: [%s-leader-election]" .root.Chart.Name -}}
{{ .root.Files.Get .file | replace "namespace: flux-system" (printf "namespace: %s" .root.Release.Namespace)
  | replace $lease (printf "resourceNames: [%s]" (include "daemon.lease" .root)) }}
{{- end }}

{{- define "daemon.image" -}}
{{- $global := (.Values.global | default dict).image | default dict -}}
{{- $registry := .Values.image.registry | default $global.registry -}}
{{- $tag := .Values.image.tag | default $global.tag | default .Chart.AppVersion -}}
{{ required "image.registry: name the registry and folder that hold the daemons' images" $registry }}/{{ .Chart.Name }}:{{ $tag }}
{{- end }}

{{- define "daemon.deployment" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- include "daemon.check" $root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $root.Chart.Name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "daemon.labels" $root | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  {{- with .strategy }}
  strategy:
    type: {{ . }}
  {{- end }}
  selector:
    matchLabels: {{- include "daemon.selector" $root | nindent 6 }}
  template:
    metadata:
      labels: {{- include "daemon.labels" $root | nindent 8 }}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8080"
    spec:
      serviceAccountName: {{ $root.Chart.Name }}
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      {{- with $values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: manager
          image: {{ include "daemon.image" $root }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args:
            - --watch-all-namespaces={{ $values.watchAllNamespaces }}
            - --log-level={{ $values.logLevel }}
            - --log-encoding=json
            - --enable-leader-election
            {{- with $values.watchLabelSelector }}
            - {{ printf "--watch-label-selector=%s" . | quote }}
            {{- end }}
            {{- with $values.concurrent }}
            - --concurrent={{ . }}
            {{- end }}
            {{- range .args }}
            - {{ . | quote }}
            {{- end }}
            {{- range $values.extraArgs }}
            - {{ . | quote }}
            {{- end }}
          env:
            - name: RUNTIME_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
          ports:
            - name: http-prom
              containerPort: 8080
              protocol: TCP
            - name: healthz
              containerPort: 9440
              protocol: TCP
            {{- range .ports }}
            - name: {{ .name }}
              containerPort: {{ .port }}
              protocol: TCP
            {{- end }}
          livenessProbe:
            httpGet:
              path: /healthz
              port: healthz
          readinessProbe:
            httpGet:
              path: /readyz
              port: healthz
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
