{{/* What the pods that work on a node have in common. */}}
{{- define "sluice.podSpec" -}}
{{- $settings := include "sluice.settings" . | fromYaml -}}
# No network of its own: it must start on a node whose CNI does not work yet, and its own end must not need the plugin.
hostNetwork: true
# The node's resolver: no name of the cluster is looked up.
dnsPolicy: Default
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  # The folders on the node are root's.
  runAsUser: 0
  runAsGroup: 0
  seccompProfile: { type: RuntimeDefault }
  {{- with $settings.seLinuxOptions }}
  seLinuxOptions: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.appArmorProfile }}
  appArmorProfile: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The paths are the same inside, so that messages name the node's. */}}
{{- define "sluice.pathArgs" -}}
{{- $settings := include "sluice.settings" . | fromYaml -}}
- --bin-dir={{ $settings.binDir }}
- --conf-dir={{ $settings.confDir }}
- --state-dir={{ .Values.cni.stateDir }}
{{- with $settings.runtimeEndpoint }}
- --runtime-endpoint={{ . }}
{{- end }}
- --revision=$(SLUICE_REVISION)
{{- end }}

{{- define "sluice.mounts" -}}
{{- $settings := include "sluice.settings" . | fromYaml -}}
- { name: bin, mountPath: {{ $settings.binDir }} }
- { name: conf, mountPath: {{ $settings.confDir }} }
- { name: state, mountPath: {{ .Values.cni.stateDir }} }
{{- with $settings.runtimeEndpoint }}
# The folder, as the runtime makes a new socket when it restarts. What it mounts below must not be held fast here.
- { name: runtime, mountPath: {{ dir . }}, readOnly: true, mountPropagation: HostToContainer }
{{- end }}
{{- end }}

{{- define "sluice.volumes" -}}
{{- $settings := include "sluice.settings" . | fromYaml -}}
- { name: bin, hostPath: { path: {{ $settings.binDir }}, type: DirectoryOrCreate } }
- { name: conf, hostPath: { path: {{ $settings.confDir }}, type: DirectoryOrCreate } }
- { name: state, hostPath: { path: {{ .Values.cni.stateDir }}, type: DirectoryOrCreate } }
{{- with $settings.runtimeEndpoint }}
- { name: runtime, hostPath: { path: {{ dir . }}, type: Directory } }
{{- end }}
{{- end }}
