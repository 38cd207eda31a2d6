{{- define "shoal.name" -}}
{{- if contains "shoal" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-shoal" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "shoal.cluster" -}}
{{- if .Values.tls.enabled -}}
{{- $name := .Values.cluster | default (printf "%s-%s" .Release.Namespace .Release.Name | trunc 64 | trimSuffix "-") -}}
{{- if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$" $name) }}{{ fail (printf "cluster: %s cannot stand in a certificate: letters, digits, '.', '_' and '-'" $name) }}{{ end -}}
{{ $name }}
{{- else -}}
{{ .Values.cluster | default (printf "%s/%s" .Release.Namespace .Release.Name) | trunc 64 }}
{{- end -}}
{{- end }}

{{- /* The Secret with a role's certificate. Call with (list $ "role"). */ -}}
{{- define "shoal.tlsSecret" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{ get $.Values.tls.secrets $role | default (printf "%s-%s-tls" (include "shoal.name" $) $role) }}
{{- end }}

{{- define "shoal.tlsMount" -}}
{{- if .Values.tls.enabled }}
- { name: tls, mountPath: /etc/shoal-tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "shoal.tlsVolume" -}}
{{- if (index . 0).Values.tls.enabled }}
- name: tls
  secret: { secretName: {{ include "shoal.tlsSecret" . }} }
{{- end }}
{{- end }}

{{- /* Labels that a pod of a role is found by. Call with (list $ "role"). */ -}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "shoal.labels" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{- define "shoal.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Every tracker, as its headless service tells: `tracker.replicas` may change without new configuration. */ -}}
{{- define "shoal.trackers" -}}
dns+http://{{ include "shoal.name" . }}-trackers:15003
{{- end }}

{{- /* "true" where indexes share a store; else there is one, with a database of its own. */ -}}
{{- define "shoal.indexShared" -}}
{{- if ne (default "sqlite" .Values.index.store.kind) "sqlite" }}true{{ end }}
{{- end }}

{{- define "shoal.indexUrl" -}}
{{ ternary (printf "dns+http://%s-indexes:15004" (include "shoal.name" .)) (printf "http://%s-index:15004" (include "shoal.name" .)) (eq (include "shoal.indexShared" .) "true") }}
{{- end }}

{{- /* Every origin, as its headless service tells: `origin.replicas` may change without new configuration. Who each is, it says itself. */ -}}
{{- define "shoal.origins" -}}
dns+http://{{ include "shoal.name" . }}-origin:15002
{{- end }}

{{- /* Where a host is, from labels of its pod. A prefix, so that no label and a label that is a number are texts as well. */ -}}
{{- define "shoal.place" -}}
{{- $place := dict -}}
{{- if and .Values.topology.rackLabel (not .Values.topology.zoneLabel) }}{{ fail "topology.rackLabel: a rack is within a zone: name topology.zoneLabel as well" }}{{ end -}}
{{- if .Values.topology.zoneLabel }}{{ $_ := set $place "zone" "z-${POD_ZONE:-}" }}{{ end -}}
{{- if .Values.topology.rackLabel }}{{ $_ := set $place "rack" "r-${POD_RACK:-}" }}{{ end -}}
{{ toJson $place }}
{{- end }}

{{- define "shoal.placeEnv" -}}
{{- with .Values.topology.zoneLabel }}
- name: POD_ZONE
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['{{ . }}']" } }
{{- end }}
{{- with .Values.topology.rackLabel }}
- name: POD_RACK
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['{{ . }}']" } }
{{- end }}
{{- end }}

{{- /* The configuration of a role, as JSON (which is YAML), with the values' own `config` merged over it. */ -}}
{{- define "shoal.config" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}
{{- $base := dict "role" $role "cluster" (include "shoal.cluster" $) "log" (dict "level" $.Values.logLevel) "shutdown" (printf "%ds" (int $.Values.shutdownSeconds)) -}}
{{- if $.Values.tls.enabled -}}
{{- $tls := dict "ca" "/etc/shoal-tls/ca.crt" "certificate" "/etc/shoal-tls/tls.crt" "key" "/etc/shoal-tls/tls.key" -}}
{{- if $.Values.tls.crl }}{{ $_ := set $tls "crl" "/etc/shoal-tls/ca.crl" }}{{ $_ := set $tls "crlExpired" $.Values.tls.crlExpired }}{{ end -}}
{{- $_ := set $base "tls" $tls -}}
{{- end -}}
{{- if and $.Values.access.enabled (has $role (list "proxy" "agent")) -}}
{{- $access := dict "cutOff" $.Values.access.cutOff "cutOffAfter" $.Values.access.cutOffAfter -}}
{{- if $.Values.access.realm }}{{ $_ := set $access "realm" $.Values.access.realm }}{{ end -}}
{{- $_ := set $base "access" $access -}}
{{- end -}}
{{- $own := index . 2 -}}
{{ mustMergeOverwrite $base $own (deepCopy (index $.Values $role).config) | toYaml }}
{{- end }}

{{- /* What every pod of ours has: placement, pull secrets. Call with (list $ "role"). */ -}}
{{- define "shoal.placement" -}}
{{- $ := index . 0 -}}{{- $values := index $.Values (index . 1) -}}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ $.Values.shutdownSeconds }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- end }}

{{- /* The container's fixed part. Call with (list $ "role" "name of the port that answers probes"). */ -}}
{{- define "shoal.container" -}}
{{- $ := index . 0 -}}{{- $role := index . 1 -}}{{- $scheme := ternary "HTTPS" "HTTP" $.Values.tls.enabled -}}
image: {{ include "shoal.image" $ }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: { drop: [ALL] }
args: [shoal, {{ $role }}, --config, /etc/shoal/{{ $role }}.yaml]
livenessProbe:
  httpGet: { path: /health, port: {{ index . 2 }}, scheme: {{ $scheme }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readiness, port: {{ index . 2 }}, scheme: {{ $scheme }} }
  periodSeconds: 5
  timeoutSeconds: 5
startupProbe:
  httpGet: { path: /health, port: {{ index . 2 }}, scheme: {{ $scheme }} }
  periodSeconds: 2
  failureThreshold: 60
{{- with (index $.Values $role).resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What backends need beside the configuration: files of a Secret, a directory of their own. */ -}}
{{- define "shoal.backendsMounts" -}}
{{- if .Values.backendsFiles }}
- { name: backends-files, mountPath: /etc/shoal-backends, readOnly: true }
{{- end }}
{{- if .Values.backendsVolume }}
- { name: backends, mountPath: /mnt/backends }
{{- end }}
{{- end }}

{{- define "shoal.backendsVolumes" -}}
{{- with .Values.backendsFiles }}
- name: backends-files
  secret: { secretName: {{ . }} }
{{- end }}
{{- with .Values.backendsVolume }}
- name: backends
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Call with (list $ port). */ -}}
{{- define "shoal.metrics" -}}
prometheus.io/scrape: 'true'
prometheus.io/path: /metrics
prometheus.io/port: {{ index . 1 | quote }}
{{- if (index . 0).Values.tls.enabled }}
prometheus.io/scheme: https
{{- end }}
{{- end }}

{{- /* Secrets that clusters have with one another, and with registries that they send to. */ -}}
{{- define "shoal.replicationMounts" -}}
{{- if .Values.replicationSecret }}
- { name: replication, mountPath: /etc/shoal-replication, readOnly: true }
{{- end }}
{{- end }}

{{- define "shoal.replicationVolumes" -}}
{{- with .Values.replicationSecret }}
- name: replication
  secret: { secretName: {{ . }} }
{{- end }}
{{- end }}
