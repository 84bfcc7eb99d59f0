{{- define "sluice.fullname" -}}
{{- if contains "sluice" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-sluice" (.Release.Name | trunc 33 | trimSuffix "-") }}{{ end }}
{{- end }}

{{/* By these a pod is found; they never change. */}}
{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sluice.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{/* Which installation this is: a new one clears the mark that `uninstall` leaves on a node. A revision alone would not do: the
first after an uninstall is 1 again. Without a cluster it stays the same, so that `helm template` does. It is kept, as both
DaemonSets must say the same. */}}
{{- define "sluice.revision" -}}
{{- if not (hasKey .Release "installation") }}
{{- $time := empty (lookup "v1" "Namespace" "" "kube-system") | ternary "" (printf "-%s" (now | unixEpoch)) }}
{{- $_ := set .Release "installation" (printf "%d%s" (int .Release.Revision) $time) }}
{{- end }}
{{- .Release.installation }}
{{- end }}

{{/* The kind of one node. */}}
{{- define "sluice.kindOfNode" -}}
{{- $info := .status.nodeInfo -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if hasPrefix "k3d-" .metadata.name }}k3d
{{- else if contains "+k3s" $info.kubeletVersion }}k3s
{{- else if contains "+rke2" $info.kubeletVersion }}rke2
{{- else if contains "Bottlerocket" $info.osImage }}bottlerocket
{{- else if contains "-eks-" $info.kubeletVersion }}eks
{{- else if contains "-gke." $info.kubeletVersion }}gke
{{- else if hasPrefix "Talos" $info.osImage }}talos
{{- else if or (contains "CoreOS" $info.osImage) (hasKey $labels "node.openshift.io/os_id") }}openshift
{{- else if hasKey $labels "kubernetes.azure.com/cluster" }}aks
{{- else if hasKey $labels "microk8s.io/cluster" }}microk8s
{{- else if hasPrefix "cri-o:" $info.containerRuntimeVersion }}crio
{{- else }}kubeadm
{{- end }}
{{- end }}

{{/* The distribution: as said, or what the selected nodes are. Kinds that differ in no path pass for one. */}}
{{- define "sluice.distribution" -}}
{{- $known := .Files.Get "files/distributions.yaml" | fromYaml -}}
{{- if ne .Values.distribution "auto" }}{{ .Values.distribution }}
{{- else }}
{{- $kinds := list }}
{{- range $node := (lookup "v1" "Node" "" "").items }}
{{- $labels := $node.metadata.labels | default dict }}
{{- $ours := and (ne (get $labels "type") "virtual-kubelet") (ne (get $labels "eks.amazonaws.com/compute-type") "fargate") }}
{{- range $key, $value := $.Values.nodeSelector }}
{{- $ours = and $ours (eq (get $labels $key) $value) }}
{{- end }}
{{- if $ours }}
{{- $kinds = append $kinds (include "sluice.kindOfNode" $node) }}
{{- end }}
{{- end }}
{{- $kinds = $kinds | uniq | sortAlpha }}
{{- $paths := list }}
{{- range $kinds }}
{{- $paths = append $paths (pick (get $known .) "confDir" "binDir" "runtimeEndpoint" | toJson) }}
{{- end }}
{{- $cni := .Values.cni }}
{{- if and (gt (len (uniq $paths)) 1) (not (and $cni.confDir $cni.binDir $cni.runtimeEndpoint)) }}
{{- fail (printf "nodes of several kinds (%s): install one release for each, with distribution and nodeSelector, or set cni.confDir, cni.binDir and cni.runtimeEndpoint" (join ", " $kinds)) }}
{{- end }}
{{- first $kinds | default "kubeadm" }}
{{- end }}
{{- end }}

{{/* What holds on these nodes: paths and the distribution's wishes, as YAML. */}}
{{- define "sluice.settings" -}}
{{- $name := include "sluice.distribution" . -}}
{{- $known := get (.Files.Get "files/distributions.yaml" | fromYaml) $name -}}
{{- $cni := .Values.cni -}}
{{- $endpoint := $cni.runtimeEndpoint | default $known.runtimeEndpoint -}}
distribution: {{ $name }}
confDir: {{ $cni.confDir | default $known.confDir | quote }}
binDir: {{ $cni.binDir | default $known.binDir | quote }}
runtimeEndpoint: {{ eq $endpoint "none" | ternary "" (trimPrefix "unix://" $endpoint) | quote }}
seLinuxOptions: {{ $.Values.seLinuxOptions | default (ternary (dict "type" "spc_t") dict ($known.seLinux | default false)) | toJson }}
resourceQuota: {{ eq (toString .Values.resourceQuota) "auto" | ternary ($known.resourceQuota | default false) .Values.resourceQuota }}
scc: {{ eq (toString .Values.scc) "auto" | ternary ($known.scc | default false) .Values.scc }}
{{- end }}

{{/* Our entry: the user's keys around the three that must be right. */}}
{{- define "sluice.entry" -}}
{{- $entry := deepCopy .Values.cni.entry -}}
{{- if ne (get $entry "stateDir" | default .Values.cni.stateDir) .Values.cni.stateDir }}
{{- fail "cni.entry.stateDir must be cni.stateDir: set the latter alone" }}
{{- end }}
{{- $must := dict "type" "sluice" "capabilities" (dict "io.kubernetes.cri.pod-annotations" true) "stateDir" .Values.cni.stateDir -}}
{{- mergeOverwrite $entry $must | toPrettyJson }}
{{- end }}

{{/* Runs before `helm uninstall` removes anything; the argument is its place among the others. */}}
{{- define "sluice.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* Whether anybody but the node can scrape; empty: no. */}}
{{- define "sluice.scrapeable" -}}
{{- if not (or (hasPrefix "127." .Values.metrics.host) (eq .Values.metrics.host "[::1]")) }}yes{{ end }}
{{- end }}

{{/* What is done about running pods; YAML takes a bare on or off for a boolean. */}}
{{- define "sluice.repair" -}}
{{- get (dict "true" "on" "false" "off") (toString .Values.repair.mode) | default .Values.repair.mode }}
{{- end }}

{{/* Where the API server is, if not where every pod is told. */}}
{{- define "sluice.apiEnv" -}}
{{- with .Values.kubernetes.host }}
- { name: KUBERNETES_SERVICE_HOST, value: {{ . | quote }} }
{{- end }}
{{- with .Values.kubernetes.port }}
- { name: KUBERNETES_SERVICE_PORT, value: {{ . | toString | quote }} }
{{- end }}
{{- end }}
