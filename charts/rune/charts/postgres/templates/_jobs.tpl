{{/* Pods that are clients of the database: backup, restore, test. Their labels let them through the database's network policy and keep them
     out of its Service. */}}
{{- define "rune-postgres.jobLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database-job
{{- end -}}

{{/* Environment of libpq. The password comes as a file. */}}
{{- define "rune-postgres.clientEnv" -}}
- name: PGHOST
  value: {{ include "rune-postgres.host" . }}
- name: PGPORT
  value: {{ .Values.service.port | int | quote }}
- name: PGUSER
  value: {{ .Values.auth.username | quote }}
- name: PGDATABASE
  value: {{ .Values.auth.database | quote }}
- name: PGSSLMODE
  value: {{ include "rune-postgres.sslMode" . }}
{{- if include "rune-postgres.needsCa" . }}
- name: PGSSLROOTCERT
  value: {{ include "rune-postgres.caDirectory" . }}/ca.crt
{{- end }}
- name: PGCONNECT_TIMEOUT
  value: "30"
- name: PASSWORD_FILE
  value: /run/secrets/rune-postgres/{{ .Values.auth.secretKeys.password }}
- name: WAIT_SECONDS
  value: "600"
{{- end -}}

{{/* The template of a job's pod, of (dict "root" . "script" "backup.sh" "env" (list …)). */}}
{{- define "rune-postgres.jobTemplate" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "rune-postgres.jobLabels" $root | nindent 4 }}
    app.kubernetes.io/part-of: rune
    rune/db-client: "true"
    rune/job: {{ .script | trimSuffix ".sh" }}
    {{- with include "rune-postgres.jobPodLabels" $root }}
    {{- . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/scripts: {{ include "rune-postgres.scripts" $root | sha256sum }}
    rune/auth-rotation: {{ $root.Values.auth.rotation | quote }}
    {{- with include "rune-postgres.jobPodAnnotations" $root }}
    {{- . | nindent 4 }}
    {{- end }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "rune-postgres.serviceAccountName" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "rune-postgres.imagePullSecrets" $root }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- include "rune-postgres.podSecurityContext" $root | nindent 4 }}
  {{- with include "rune-postgres.scheduling" (dict "root" $root "isJob" true) }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  containers:
    - name: {{ .script | trimSuffix ".sh" }}
      image: {{ include "rune-postgres.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [sh, /etc/rune-postgres/{{ .script }}]
      env:
        {{- include "rune-postgres.clientEnv" $root | nindent 8 }}
        - name: BACKUP_DIR
          value: /backup
        {{- toYaml .env | nindent 8 }}
      securityContext:
        {{- include "rune-postgres.containerSecurityContext" $root | nindent 8 }}
      resources:
        {{- toYaml $root.Values.backup.resources | nindent 8 }}
      volumeMounts:
        - name: backup
          mountPath: /backup
        - name: scripts
          mountPath: /etc/rune-postgres
          readOnly: true
        - name: password
          mountPath: /run/secrets/rune-postgres
          readOnly: true
        - name: tmp
          mountPath: /tmp
        {{- if include "rune-postgres.needsCa" $root }}
        - {{- include "rune-postgres.caMount" $root | nindent 10 }}
        {{- end }}
  volumes:
    - name: backup
      persistentVolumeClaim:
        claimName: {{ include "rune-postgres.backupClaimName" $root }}
    - name: scripts
      configMap:
        name: {{ include "rune-postgres.fullname" $root }}-jobs
    - name: password
      secret:
        secretName: {{ include "rune-postgres.secretName" $root }}
        defaultMode: 288 # 0440
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if include "rune-postgres.needsCa" $root }}
    - {{- include "rune-postgres.caVolume" $root | nindent 6 }}
    {{- end }}
{{- end -}}

{{- define "rune-postgres.scripts" -}}
{{- range $name := list "client.sh" "backup.sh" "restore.sh" }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/%s" $name) | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every job says of itself. Exit code 64 is a decision for a person, so trying again is of no use. */}}
{{- define "rune-postgres.jobLimits" -}}
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes:
        operator: In
        values: [64]
{{- end -}}

{{- define "rune-postgres.backupTemplate" -}}
{{- $env := list (dict "name" "KEEP" "value" (.Values.backup.keep | int | toString)) (dict "name" "COMPRESSION" "value" .Values.backup.compression) -}}
{{- include "rune-postgres.jobTemplate" (dict "root" . "script" "backup.sh" "env" $env) -}}
{{- end -}}
