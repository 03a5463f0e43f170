{{/* Names are global across all charts of a release: everything here starts with "rune-postgres.". */}}

{{/* Name of every object. At most 44 characters: a CronJob may have 52, and a suffix must still fit. */}}
{{- define "rune-postgres.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels that select. Never changed, because selectors are immutable. */}}
{{- define "rune-postgres.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database
{{- end -}}

{{- define "rune-postgres.labels" -}}
{{ include "rune-postgres.selectorLabels" . }}
app.kubernetes.io/part-of: rune
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rune-postgres.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "rune-postgres.fullname" .) -}}
{{- else -}}
{{- required "postgres: serviceAccount.create is false, so serviceAccount.name must name an existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* [registry/]repository[:tag][@digest]. Every image of this chart goes through here, so a mirror is one setting. */}}
{{- define "rune-postgres.image" -}}
{{- $registry := (.Values.global | default dict).imageRegistry | default .Values.image.registry -}}
{{- if not (or .Values.image.tag .Values.image.digest) -}}
{{- fail "postgres: image.tag and image.digest are both empty; set at least one" -}}
{{- end -}}
{{- $first := regexFind "^[^/]+/" .Values.image.repository | trimSuffix "/" -}}
{{- if or (contains "." $first) (eq $first "localhost") -}}
{{- fail (printf "postgres: image.repository is %s, which begins with a registry; set image.registry to %s and take it out of image.repository" .Values.image.repository $first) -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- with .Values.image.tag }}:{{ . }}{{ end -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "rune-postgres.imagePullSecrets" -}}
{{- with concat ((.Values.global | default dict).imagePullSecrets | default list) .Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The Secret with the password and the URL; the parent chart reads the URL from it. */}}
{{- define "rune-postgres.secretName" -}}
{{- .Values.auth.existingSecret | default (printf "%s-app" (include "rune-postgres.fullname" .)) -}}
{{- end -}}

{{- define "rune-postgres.backupClaimName" -}}
{{- .Values.backup.persistence.existingClaim | default (printf "%s-backup" (include "rune-postgres.fullname" .)) -}}
{{- end -}}

{{- define "rune-postgres.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "rune-postgres.fullname" .)) -}}
{{- end -}}

{{- define "rune-postgres.host" -}}
{{- printf "%s.%s.svc" (include "rune-postgres.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* Where the name service answers. Policies see packets after the Service was resolved, and OpenShift's name servers listen on 5353. */}}
{{- define "rune-postgres.dnsPorts" -}}
{{- $ports := (.Values.global | default dict).dnsPorts | default (list 53) -}}
{{- if or .Values.openshift (.Values.global | default dict).openshift -}}{{- $ports = append $ports 5353 -}}{{- end -}}
{{- range $port := $ports | uniq }}
{{- range list "UDP" "TCP" }}
- port: {{ $port | int }}
  protocol: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pod Security "restricted", without root. OpenShift gives each namespace its own ids, so none are named there. */}}
{{- define "rune-postgres.podSecurityContext" -}}
runAsNonRoot: true
{{- if not (or .Values.openshift (.Values.global | default dict).openshift) }}
runAsUser: {{ .Values.podSecurity.runAsUser | int64 }}
runAsGroup: {{ .Values.podSecurity.runAsGroup | int64 }}
fsGroup: {{ .Values.podSecurity.fsGroup | int64 }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
{{- with .Values.podSecurity.supplementalGroups }}
supplementalGroups:
  {{- range . }}
  - {{ . | int64 }}
  {{- end }}
{{- end }}
{{- with .Values.podSecurity.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "rune-postgres.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The mount point is the image's VOLUME itself (a mount above it would be hidden by an anonymous volume); the data lie two levels below,
     where no lost+found disturbs and the next major version has its own place. */}}
{{- define "rune-postgres.volume" -}}/var/lib/postgresql/data{{- end -}}
{{- define "rune-postgres.pgdata" -}}{{ include "rune-postgres.volume" . }}/{{ .Values.majorVersion }}/docker{{- end -}}

{{/* Whether the site has scripts for the first start. */}}
{{- define "rune-postgres.hasScripts" -}}
{{- if or .Values.initdb.scripts .Values.initdb.existingConfigMap .Values.initdb.existingSecret }}true{{ end -}}
{{- end -}}

{{/* Where a pod goes, and what may displace it, of (dict "root" . "isJob" bool). */}}
{{- define "rune-postgres.scheduling" -}}
{{- $values := .root.Values -}}
{{- $jobs := ternary $values.jobs dict .isJob -}}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $jobs.nodeSelector | default $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $jobs.tolerations | default $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with ternary $jobs.affinity $values.affinity .isJob }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the site puts on the pods of jobs: as on all pods, unless it says otherwise for jobs. */}}
{{- define "rune-postgres.jobPodAnnotations" -}}
{{- with merge (deepCopy .Values.jobs.podAnnotations) .Values.podAnnotations }}{{ toYaml . }}{{ end -}}
{{- end -}}
{{- define "rune-postgres.jobPodLabels" -}}
{{- with merge (deepCopy .Values.jobs.podLabels) .Values.podLabels }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Resources of the server. Without a claim the data are in a temporary volume, which counts towards this limit. */}}
{{- define "rune-postgres.serverResources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if and (not .Values.persistence.enabled) (dig "limits" "ephemeral-storage" "" $resources) -}}
{{- $_ := set $resources.limits "ephemeral-storage" .Values.persistence.size -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Variables of the site, which must not be the chart's own: a second entry of one name is refused by server-side apply, or wins in silence. */}}
{{- define "rune-postgres.extraEnv" -}}
{{- range .Values.extraEnv }}
{{- if has .name (list "VOLUME" "PGDATA" "MAJOR" "SOCKET_DIR" "CONFIG_FILE" "PASSWORD_FILE" "DB_USER" "DB_NAME" "SCRIPTS") }}
{{- fail (printf "postgres: extraEnv sets %s, which the chart sets itself; remove it" .name) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* What the bootstrap and the server mount alike. */}}
{{- define "rune-postgres.serverMounts" -}}
- name: data
  mountPath: {{ include "rune-postgres.volume" . }}
- name: config
  mountPath: /etc/postgresql
  readOnly: true
- name: run
  mountPath: /var/run/postgresql
- name: shm
  mountPath: /dev/shm
- name: tmp
  mountPath: /tmp
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/postgresql-tls
  readOnly: true
{{- end }}
{{- end -}}

{{/* The mode that clients of this release ask for, and where they find the CA that signed the server's certificate: the same path
     in every pod, so that the URL in the Secret can name it. */}}
{{- define "rune-postgres.sslMode" -}}
{{- if .Values.tls.enabled }}{{ .Values.tls.mode }}{{ else }}disable{{ end -}}
{{- end -}}
{{- define "rune-postgres.caDirectory" -}}/etc/rune-db-ca{{- end -}}
{{- define "rune-postgres.needsCa" -}}
{{- if and .Values.tls.enabled (ne .Values.tls.mode "require") }}true{{ end -}}
{{- end -}}
{{- define "rune-postgres.caVolume" -}}
name: db-ca
secret:
  secretName: {{ .Values.tls.caSecret | default .Values.tls.secretName }}
  defaultMode: 292 # 0444
  items:
    - key: {{ .Values.tls.caKey }}
      path: ca.crt
{{- end -}}
{{- define "rune-postgres.caMount" -}}
name: db-ca
mountPath: {{ include "rune-postgres.caDirectory" . }}
readOnly: true
{{- end -}}

{{/* How long a probe's pg_isready waits for an answer, of the probe's values: it must end before the kubelet ends it. */}}
{{- define "rune-postgres.probeWait" -}}{{ max 1 (sub (.timeoutSeconds | int) 2) }}{{- end -}}

{{/* A claim that outlives the release, of (dict "root" . "name" … "persistence" … "component" …). */}}
{{- define "rune-postgres.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels:
    {{- include "rune-postgres.labels" .root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
    argocd.argoproj.io/sync-options: Prune=false,Delete=false
    {{- with .persistence.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  accessModes:
    - {{ .persistence.accessMode }}
  {{- if .persistence.storageClass }}
  storageClassName: {{ if eq .persistence.storageClass "-" }}""{{ else }}{{ .persistence.storageClass | quote }}{{ end }}
  {{- end }}
  resources:
    requests:
      storage: {{ .persistence.size | quote }}
  {{- with .persistence.dataSource }}
  dataSource:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* One setting of postgresql.conf. Numbers through JSON, because Helm holds them as floats and would print 1e+06. */}}
{{- define "rune-postgres.setting" -}}
{{- if kindIs "string" . -}}
'{{ . | replace "\\" "\\\\" | replace "'" "''" }}'
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* The files of the server. Kept here so that the pod can have a checksum of them and of nothing else. */}}
{{- define "rune-postgres.config" -}}
postgresql.conf: |
  # From the chart's values; ALTER SYSTEM is off, so this is the only truth.
  {{- range $name, $value := .Values.config }}
  {{ $name }} = {{ include "rune-postgres.setting" $value }}
  {{- end }}
  listen_addresses = '*'
  port = 5432
  hba_file = '/etc/postgresql/pg_hba.conf'
  unix_socket_directories = '/var/run/postgresql'
  password_encryption = 'scram-sha-256'
  allow_alter_system = off
  logging_collector = off
  log_destination = 'stderr'
  {{- if .Values.tls.enabled }}
  ssl = on
  ssl_cert_file = '/etc/postgresql-tls/{{ .Values.tls.certificateKey }}'
  ssl_key_file = '/etc/postgresql-tls/{{ .Values.tls.privateKeyKey }}'
  ssl_min_protocol_version = 'TLSv1.2'
  {{- end }}
pg_hba.conf: |
  # The socket lies in a volume that only this pod's PostgreSQL containers mount.
  local   all   all                trust
  # The superuser has no password and no way in over the network, port-forward included.
  host    all   postgres   all     reject
  {{- range .Values.extraHba }}
  {{ . }}
  {{- end }}
  {{ if .Values.tls.enabled }}hostssl{{ else }}host   {{ end }} {{ .Values.auth.database }}   {{ .Values.auth.username }}   all   scram-sha-256
  host    all   all        all     reject
bootstrap.sh: |
  {{- .Files.Get "files/bootstrap.sh" | trimSuffix "\n" | nindent 2 }}
{{- end -}}
