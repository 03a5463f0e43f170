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
{{- toYaml $variables -}}
{{- end -}}

{{- define "rune.podSecurityContext" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: {{ .Values.podSecurity.runAsUser | int64 }}
runAsGroup: {{ .Values.podSecurity.runAsGroup | int64 }}
fsGroup: {{ .Values.podSecurity.fsGroup | int64 }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
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
