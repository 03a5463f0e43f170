{{- define "rune.fullname" -}}
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
{{- define "rune.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: api
{{- end -}}

{{- define "rune.labels" -}}
{{ include "rune.selectorLabels" . }}
app.kubernetes.io/part-of: rune
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rune.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (printf "%s-api" (include "rune.fullname" .)) -}}
{{- else -}}
{{- required "rune: serviceAccount.create is false, so serviceAccount.name must name an existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* [registry/]repository[:tag][@digest] of (dict "root" . "image" .Values.image "path" "image"). */}}
{{- define "rune.image" -}}
{{- $registry := (.root.Values.global | default dict).imageRegistry | default .image.registry -}}
{{- if not (or .image.tag .image.digest) -}}
{{- fail (printf "rune: %s.tag and %s.digest are both empty; set at least one" .path .path) -}}
{{- end -}}
{{- $first := regexFind "^[^/]+/" .image.repository | trimSuffix "/" -}}
{{- if or (contains "." $first) (eq $first "localhost") -}}
{{- fail (printf "rune: %s.repository is %s, which begins with a registry; set %s.registry to %s and take it out of %s.repository" .path .image.repository .path $first .path) -}}
{{- end -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .image.repository -}}
{{- with .image.tag }}:{{ . }}{{ end -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "rune.imagePullSecrets" -}}
{{- with concat ((.Values.global | default dict).imagePullSecrets | default list) .Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Which database the API uses: sqlite, bundled or external. Everything about databases asks here, so it is also where
     combinations that cannot work are refused. */}}
{{- define "rune.database" -}}
{{- $database := .Values.rune.database -}}
{{- $answer := "sqlite" -}}
{{- if and .Values.postgres.enabled $database.existingSecret -}}
{{- fail "rune: two databases: postgres.enabled is true and rune.database.existingSecret is set; choose the bundled PostgreSQL or the one elsewhere" -}}
{{- end -}}
{{- if ne $database.backend "sqlite" -}}
{{- if .Values.postgres.enabled -}}{{- $answer = "bundled" -}}
{{- else if $database.existingSecret -}}{{- $answer = "external" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.postgres.enabled (.Values.postgres.restore | default dict).file (gt (.Values.replicaCount | int) 0) (eq $answer "bundled") -}}
{{- fail "rune: postgres.restore.file replaces what is in the database under the API; set replicaCount: 0 until the restore is done, and remove restore.file then" -}}
{{- end -}}
{{- $tls := $database.tls -}}
{{- if and (hasPrefix "verify-" $tls.mode) (not $tls.caSecret) -}}
{{- fail (printf "rune: rune.database.tls.mode is %s and rune.database.tls.caSecret is empty; name the Secret that holds the CA certificate" $tls.mode) -}}
{{- end -}}
{{- if and $tls.caSecret (not (hasPrefix "verify-" $tls.mode)) -}}
{{- fail "rune: rune.database.tls.caSecret is set, but rune.database.tls.mode does not verify; set it to verify-full" -}}
{{- end -}}
{{- if and $tls.mode (ne $answer "external") -}}
{{- fail "rune: rune.database.tls is about a database of rune.database.existingSecret; the bundled one has postgres.tls" -}}
{{- end -}}
{{- if $database.transfer.enabled -}}
{{- if eq $answer "sqlite" -}}
{{- fail "rune: rune.database.transfer moves the data to PostgreSQL, but none is in use; enable postgres or set rune.database.existingSecret, and leave rune.database.backend at auto" -}}
{{- end -}}
{{- if gt (.Values.replicaCount | int) 0 -}}
{{- fail "rune: rune.database.transfer needs the API stopped, or its last rows stay behind; set replicaCount: 0 until the data are moved" -}}
{{- end -}}
{{- if not .Values.persistence.enabled -}}
{{- fail "rune: rune.database.transfer reads the SQLite volume, but persistence.enabled is false" -}}
{{- end -}}
{{- end -}}
{{- if eq $answer "sqlite" -}}
{{- if gt (.Values.replicaCount | int) 1 -}}
{{- fail "rune: replicaCount is above 1, but SQLite serves one pod; enable postgres or set rune.database.existingSecret" -}}
{{- end -}}
{{- else -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if and (regexMatch "^v?0\\.0\\.0a[0-6]([^0-9].*)?$" $tag) (not $database.allowUnprovenImage) -}}
{{- fail (printf "rune: image %s cannot use PostgreSQL: RUNE up to v0.0.0a6 either ignores the URL and writes to a SQLite file that is lost, or does not start; use a newer image, stay on SQLite with rune.database.backend: sqlite, or set rune.database.allowUnprovenImage: true if you know that your image can" $tag) -}}
{{- end -}}
{{- end -}}
{{- $answer -}}
{{- end -}}

{{/* How rune-db is called where the database is to be brought up to date. */}}
{{- define "rune.migrateArgs" -}}
{{- $args := list "migrate" "--wait" .Values.rune.database.migrate.wait -}}
{{- if ne (include "rune.database" .) "sqlite" -}}{{- $args = concat $args (list "--db-url" "env:RUNE_DB_URL") -}}{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* Where SQLite lies, and the one spelling of its URL that every RUNE version reads alike. */}}
{{- define "rune.dataDirectory" -}}/app/.rune-api{{- end -}}
{{- define "rune.sqlitePath" -}}{{ include "rune.dataDirectory" . }}/jobs.db{{- end -}}

{{- define "rune.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-api-data" (include "rune.fullname" .)) -}}
{{- end -}}

{{/* The database in both spellings of the variable: which one RUNE reads depends on its version. Both come from one key of one Secret.
     RUNE_DB_URI and RUNE_POSTGRES_URL are never set, because RUNE lets them override even an explicit argument. */}}
{{- define "rune.databaseEnv" -}}
{{- $kind := include "rune.database" . -}}
{{- $secret := .Values.rune.database.existingSecret -}}
{{- $key := .Values.rune.database.existingSecretKey -}}
{{- if eq $kind "bundled" -}}
{{- $secret = include "rune-postgres.secretName" .Subcharts.postgres -}}
{{- $key = .Subcharts.postgres.Values.auth.secretKeys.url -}}
{{- end -}}
{{- $variables := list -}}
{{- range list "RUNE_DB_URL" "RUNE_DATABASE_URL" -}}
{{- if eq $kind "sqlite" -}}
{{- $variables = append $variables (dict "name" . "value" (printf "sqlite:///%s" (include "rune.sqlitePath" $))) -}}
{{- else -}}
{{- $variables = append $variables (dict "name" . "valueFrom" (dict "secretKeyRef" (dict "name" $secret "key" $key))) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $kind "external") .Values.rune.database.tls.mode -}}
{{- $variables = append $variables (dict "name" "PGSSLMODE" "value" .Values.rune.database.tls.mode) -}}
{{- if .Values.rune.database.tls.caSecret -}}
{{- $variables = append $variables (dict "name" "PGSSLROOTCERT" "value" "/etc/rune-db-ca/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* The same for rune-db. A key that is missing is optional here, because rune-db then says so in its log, which kubelet's event does not;
     it is told where to look, so that it never falls back to a file. */}}
{{- define "rune.toolEnv" -}}
{{- $variables := list -}}
{{- range include "rune.databaseEnv" . | fromYamlArray -}}
{{- if .valueFrom -}}{{- $_ := set .valueFrom.secretKeyRef "optional" true -}}{{- end -}}
{{- $variables = append $variables . -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* Whether the API and rune-db check the server's certificate with a CA of the site. */}}
{{- define "rune.caVolume" -}}
{{- $kind := include "rune.database" . -}}
{{- if and (eq $kind "external") .Values.rune.database.tls.caSecret -}}
name: db-ca
secret:
  secretName: {{ .Values.rune.database.tls.caSecret }}
  defaultMode: 292 # 0444
  items:
    - key: {{ .Values.rune.database.tls.caKey }}
      path: ca.crt
{{- else if and (eq $kind "bundled") (include "rune-postgres.needsCa" .Subcharts.postgres) -}}
{{- include "rune-postgres.caVolume" .Subcharts.postgres -}}
{{- end -}}
{{- end -}}

{{- define "rune.caMount" -}}
{{- if include "rune.caVolume" . -}}
name: db-ca
mountPath: /etc/rune-db-ca
readOnly: true
{{- end -}}
{{- end -}}

{{/* Where the name service answers. Policies see packets after the Service was resolved, and OpenShift's name servers listen on 5353. */}}
{{- define "rune.dnsPorts" -}}
{{- $ports := (.Values.global | default dict).dnsPorts | default (list 53) -}}
{{- if or .Values.openshift (.Values.global | default dict).openshift -}}{{- $ports = append $ports 5353 -}}{{- end -}}
{{- range $port := $ports | uniq }}
{{- range list "UDP" "TCP" }}
- port: {{ $port | int }}
  protocol: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The way to the database, as egress rules. */}}
{{- define "rune.databaseEgress" -}}
{{- $database := include "rune.database" . -}}
{{- if eq $database "external" -}}
- ports:
    - port: {{ .Values.rune.database.networkPolicyPort | int }}
      protocol: TCP
{{- else if eq $database "bundled" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "rune-postgres.selectorLabels" .Subcharts.postgres | nindent 10 }}
  ports:
    - port: 5432
      protocol: TCP
{{- end -}}
{{- end -}}

{{/* Where a pod goes, and what may displace it, of (dict "root" . "isJob" bool). */}}
{{- define "rune.scheduling" -}}
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
{{- with $jobs.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the site puts on the pods of jobs: as on all pods, unless it says otherwise for jobs. */}}
{{- define "rune.jobPodAnnotations" -}}
{{- with merge (deepCopy .Values.jobs.podAnnotations) .Values.podAnnotations }}{{ toYaml . }}{{ end -}}
{{- end -}}
{{- define "rune.jobPodLabels" -}}
{{- with merge (deepCopy .Values.jobs.podLabels) .Values.podLabels }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Whether SQLite is in a temporary volume, which counts towards the limit of ephemeral storage. */}}
{{- define "rune.isTemporary" -}}
{{- if and (eq (include "rune.database" .) "sqlite") (not .Values.persistence.enabled) }}true{{ end -}}
{{- end -}}

{{- define "rune.apiResources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if and (include "rune.isTemporary" .) (dig "limits" "ephemeral-storage" "" $resources) -}}
{{- $_ := set $resources.limits "ephemeral-storage" .Values.persistence.size -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The API's environment: the chart's own variables, then the site's, and none of them twice. A second entry of one name is refused by
     server-side apply, or wins in silence. */}}
{{- define "rune.apiEnv" -}}
{{- $env := include "rune.ownEnv" . | fromYamlArray -}}
{{- $taken := list "RUNE_DB_URI" "RUNE_POSTGRES_URL" "RUNE_API_DB_PATH" -}}
{{- range $env }}{{ $taken = append $taken .name }}{{ end -}}
{{- range .Values.rune.extraEnv -}}
{{- if has .name $taken -}}
{{- fail (printf "rune: rune.extraEnv sets %s, which the chart decides; use the value that the chart has for it, and remove it from rune.extraEnv" .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $env .Values.rune.extraEnv) -}}
{{- end -}}

{{/* RUNE up to v0.0.0a5 reads RUNE_API_DB_PATH only. */}}
{{- define "rune.ownEnv" -}}
- name: HOME
  value: /app
- name: RUNE_API_HOST
  value: {{ .Values.rune.api.host | default (eq (.Values.service.ipFamilies | first | default "IPv4") "IPv6" | ternary "::" "0.0.0.0") | quote }}
- name: RUNE_API_PORT
  value: {{ .Values.rune.api.port | int | toString | quote }}
- name: RUNE_API_TENANT
  value: {{ .Values.rune.api.tenant | quote }}
- name: RUNE_API_AUTH_DISABLED
  value: {{ .Values.rune.api.authDisabled | quote }}
{{ include "rune.databaseEnv" . }}
{{- if eq (include "rune.database" .) "sqlite" }}
- name: RUNE_API_DB_PATH
  value: {{ include "rune.sqlitePath" . }}
{{- end }}
{{- if .Values.s3.enabled }}
- name: RUNE_S3_ENABLED
  value: "1"
- name: RUNE_S3_BUCKET
  value: {{ required "rune: s3.enabled is true and s3.bucket is empty" .Values.s3.bucket | quote }}
{{- with .Values.s3.region }}
- name: RUNE_S3_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.s3.endpoint }}
- name: RUNE_S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.s3.existingSecret }}
{{- range $key := list "S3_ACCESS_KEY_ID" "S3_SECRET_ACCESS_KEY" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.s3.existingSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pods of rune-db: schema, transfer, test. */}}
{{- define "rune.toolLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database-job
{{- end -}}

{{/* A container of rune-db, of (dict "root" . "name" … "args" (list …) "mountsData" bool). */}}
{{- define "rune.toolContainer" -}}
name: {{ .name }}
image: {{ include "rune.image" (dict "root" .root "image" .root.Values.rune.database.migrate.image "path" "rune.database.migrate.image") | quote }}
imagePullPolicy: {{ .root.Values.rune.database.migrate.image.pullPolicy }}
args:
  {{- toYaml .args | nindent 2 }}
env:
  {{- include "rune.toolEnv" .root | nindent 2 }}
securityContext:
  {{- include "rune.containerSecurityContext" .root | nindent 2 }}
resources:
  {{- toYaml .root.Values.rune.database.migrate.resources | nindent 2 }}
{{- $ca := include "rune.caMount" .root }}
{{- if or .mountsData $ca }}
volumeMounts:
  {{- if .mountsData }}
  - name: data
    mountPath: {{ include "rune.dataDirectory" .root }}
  {{- end }}
  {{- with $ca }}
  - {{- . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The pod of a job of rune-db, of the same. */}}
{{- define "rune.toolPod" -}}
metadata:
  labels:
    {{- include "rune.toolLabels" .root | nindent 4 }}
    app.kubernetes.io/part-of: rune
    rune/db-client: "true"
    {{- with include "rune.jobPodLabels" .root }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- with include "rune.jobPodAnnotations" .root }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  {{- include "rune.toolPodSpec" . | nindent 2 }}
{{- end -}}

{{- define "rune.toolPodSpec" -}}
restartPolicy: {{ .restartPolicy | default "Never" }}
serviceAccountName: {{ include "rune.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "rune.imagePullSecrets" .root }}
{{ . }}
{{- end }}
securityContext:
  {{- include "rune.podSecurityContext" .root | nindent 2 }}
{{- with include "rune.scheduling" (dict "root" .root "isJob" true) }}
{{ . | trim }}
{{- end }}
containers:
  - {{- include "rune.toolContainer" . | nindent 4 }}
{{- $ca := include "rune.caVolume" .root }}
{{- if or .mountsData $ca }}
volumes:
  {{- if .mountsData }}
  - name: data
    persistentVolumeClaim:
      claimName: {{ include "rune.claimName" .root }}
  {{- end }}
  {{- with $ca }}
  - {{- . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "rune.podSecurityContext" -}}
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

{{- define "rune.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}
