{{- define "vlmine.labels" -}}
app.kubernetes.io/name: vlmine
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "vlmine.claim" -}}
{{ .Values.disk.existingClaim | default (printf "%s-disk" .Release.Name) }}
{{- end }}

{{/* Where everything lies in a container; a run's pod gets the same through the run launcher. */}}
{{- define "vlmine.mounts" -}}
- {name: disk, mountPath: /srv/vlmine}
- {name: project, mountPath: /srv/vlmine/vlmine.yaml, subPath: vlmine.yaml, readOnly: true}
{{- end }}

{{- define "vlmine.volumes" -}}
- {name: disk, persistentVolumeClaim: {claimName: {{ include "vlmine.claim" . }}}}
- {name: project, configMap: {name: {{ .Release.Name }}-project}}
{{- end }}

{{/* One server: a Deployment of one replica. Takes root, part, command, port. */}}
{{- define "vlmine.server" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .root.Release.Name }}-{{ .part }}
  labels: {{- include "vlmine.labels" .root | nindent 4 }}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .part }}}
  template:
    metadata:
      labels:
        {{- include "vlmine.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .part }}
      annotations:
        checksum/configuration: {{ include (print .root.Template.BasePath "/configuration.yaml") .root | sha256sum }}
    spec:
      serviceAccountName: {{ .root.Release.Name }}
      automountServiceAccountToken: true
      securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - {name: {{ . }}}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .part }}
          image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: {{ .command | toJson }}
          envFrom:
            - configMapRef: {name: {{ .root.Release.Name }}-environment}
            - secretRef: {name: {{ .root.Values.secret }}}
          {{- with .port }}
          ports: [{name: main, containerPort: {{ . }}}]
          readinessProbe: {tcpSocket: {port: main}, periodSeconds: 10, failureThreshold: 30}
          {{- end }}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          resources: {{- index .root.Values.resources .part | toYaml | nindent 12 }}
          volumeMounts:
            {{- include "vlmine.mounts" .root | nindent 12 }}
            - {name: instance, mountPath: /srv/dagster}
      volumes:
        {{- include "vlmine.volumes" .root | nindent 8 }}
        - {name: instance, configMap: {name: {{ .root.Release.Name }}-instance}}
{{- if .port }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .root.Release.Name }}-{{ .part }}
  labels: {{- include "vlmine.labels" .root | nindent 4 }}
spec:
  selector: {app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .part }}}
  ports: [{name: main, port: {{ .port }}, targetPort: main}]
{{- end }}
{{- end }}

{{- define "vlmine.pull_secrets" -}}
[{{ range $index, $name := .Values.image.pullSecrets }}{{ if $index }}, {{ end }}{name: {{ $name }}}{{ end }}]
{{- end }}
