//! Where charts commonly name images. A policy adds to it and takes nothing away.

/// Environment variables, and keys of `ConfigMap`s and Secrets: of operators made with the Operator
/// SDK, and in general.
const VARIABLES: [&str; 4] = ["RELATED_IMAGE_", "_IMAGE", "_IMAGES", "_IMAGE_NAME"];

/// Options whose name says nothing: of the Prometheus operator.
const OPTIONS: [&str; 1] = ["--prometheus-config-reloader"];

pub(super) fn is_variable(name: &str) -> bool {
    let [prefix, ends @ ..] = VARIABLES;
    name == "IMAGE" || name.starts_with(prefix) || ends.iter().any(|end| name.ends_with(end))
}

/// Whether an option names an image: `--image`, `--x-image`, `--xImage`.
pub(super) fn is_option(name: &str) -> bool {
    OPTIONS.contains(&name)
        || (name.starts_with('-') && name.to_ascii_lowercase().ends_with("image"))
}

/// Whether a key says that its value is about an image.
pub(super) fn is_about_images(key: &str) -> bool {
    key.to_ascii_lowercase().contains("image")
}

/// Whether a key says that its value is an image: `image`, `sidecarImage`, `docker_image`.
pub(super) fn is_image(key: &str) -> bool {
    key.to_ascii_lowercase().ends_with("image")
}

/// Kind, group, and where its images stand. From the definitions of `CloudNativePG` 1.30, the
/// Prometheus operator 0.80, the Postgres operator of Zalando 2.0, the OpenTelemetry operator
/// 0.120, Tekton 1.0 and the Fluent operator 4.3.
pub(super) const FIELDS: [(&str, &str, &str); 27] = [
    ("Cluster", "postgresql.cnpg.io", "spec.imageName"),
    (
        "Cluster",
        "postgresql.cnpg.io",
        "spec.postgresql.extensions[].image.reference",
    ),
    ("ImageCatalog", "postgresql.cnpg.io", "spec.images[].image"),
    (
        "ImageCatalog",
        "postgresql.cnpg.io",
        "spec.images[].extensions[].image.reference",
    ),
    (
        "ClusterImageCatalog",
        "postgresql.cnpg.io",
        "spec.images[].image",
    ),
    (
        "ClusterImageCatalog",
        "postgresql.cnpg.io",
        "spec.images[].extensions[].image.reference",
    ),
    ("Prometheus", "monitoring.coreos.com", "spec.image"),
    ("Prometheus", "monitoring.coreos.com", "spec.thanos.image"),
    ("PrometheusAgent", "monitoring.coreos.com", "spec.image"),
    ("Alertmanager", "monitoring.coreos.com", "spec.image"),
    ("ThanosRuler", "monitoring.coreos.com", "spec.image"),
    ("postgresql", "acid.zalan.do", "spec.dockerImage"),
    (
        "postgresql",
        "acid.zalan.do",
        "spec.connectionPooler.dockerImage",
    ),
    (
        "OperatorConfiguration",
        "acid.zalan.do",
        "configuration.docker_image",
    ),
    (
        "OperatorConfiguration",
        "acid.zalan.do",
        "configuration.connection_pooler.connection_pooler_image",
    ),
    (
        "OperatorConfiguration",
        "acid.zalan.do",
        "configuration.logical_backup.logical_backup_docker_image",
    ),
    ("OpenTelemetryCollector", "opentelemetry.io", "spec.image"),
    ("Instrumentation", "opentelemetry.io", "spec.java.image"),
    ("Instrumentation", "opentelemetry.io", "spec.nodejs.image"),
    ("Instrumentation", "opentelemetry.io", "spec.python.image"),
    ("Instrumentation", "opentelemetry.io", "spec.dotnet.image"),
    ("Task", "tekton.dev", "spec.steps[].image"),
    ("Task", "tekton.dev", "spec.sidecars[].image"),
    ("Task", "tekton.dev", "spec.stepTemplate.image"),
    ("FluentBit", "fluentbit.fluent.io", "spec.image"),
    ("Fluentd", "fluentd.fluent.io", "spec.image"),
    ("RabbitmqCluster", "rabbitmq.com", "spec.image"),
];

/// Kind, group, the field with the version of which the operator makes the tag, and the reference
/// that it makes, unless `spec.image` says another. From ECK 3.
pub(super) const VERSIONS: [(&str, &str, &str, &str); 4] = [
    (
        "Elasticsearch",
        "elasticsearch.k8s.elastic.co",
        "spec.version",
        "docker.elastic.co/elasticsearch/elasticsearch:{}",
    ),
    (
        "Kibana",
        "kibana.k8s.elastic.co",
        "spec.version",
        "docker.elastic.co/kibana/kibana:{}",
    ),
    (
        "Logstash",
        "logstash.k8s.elastic.co",
        "spec.version",
        "docker.elastic.co/logstash/logstash:{}",
    ),
    (
        "EnterpriseSearch",
        "enterprisesearch.k8s.elastic.co",
        "spec.version",
        "docker.elastic.co/enterprise-search/enterprise-search:{}",
    ),
];
