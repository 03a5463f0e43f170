//! The schema version of a release's database, asked of the database itself.
//!
//! The release has a container with `rune-db`, which knows the way to its database: a job runs
//! `rune-db status` in a pod like it. The cluster removes the job, also when this program is
//! killed. A SQLite file is left alone: two pods must not have it open.

use std::time::Duration;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{Container, Pod, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, LogParams, PostParams},
};
use serde_json::Value;

use super::{Cluster, ClusterError, Object};

/// How long the database may take to answer, its pod included.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the pod waits for the database. The network of a new pod may come up after it, and
/// rules for it later still.
const WAIT: &str = "30s";
const INTERVAL: Duration = Duration::from_millis(500);
/// How long the cluster keeps the job after it ended, in seconds.
const KEPT_SECONDS: i32 = 60;
/// The most that is read of what `rune-db` prints, in bytes.
const MAX_LOG_BYTES: i64 = 1 << 20;
/// The variable by which containers of `rune-db` know their database.
const DATABASE: &str = "RUNE_DB_URL";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DatabaseSchema {
    /// The release has no container of `rune-db`, so no database of ours.
    NoDatabase,
    /// The highest version that is applied; nothing in an empty database.
    Version(Option<u32>),
    Unknown(String),
}

/// Asks the database of a release for its schema version.
pub(crate) async fn ask_schema(
    cluster: &Cluster,
    release: &str,
    objects: &[Object],
) -> DatabaseSchema {
    match probe(release, objects) {
        Probe::NoDatabase => DatabaseSchema::NoDatabase,
        Probe::File => DatabaseSchema::Unknown("it is a SQLite file, which is in use".to_owned()),
        Probe::Job(job) => match run(cluster, &job).await {
            Ok(Ok(version)) => DatabaseSchema::Version(version),
            Ok(Err(reason)) => DatabaseSchema::Unknown(reason),
            Err(error) => DatabaseSchema::Unknown(error.to_string()),
        },
    }
}

enum Probe {
    NoDatabase,
    File,
    Job(Box<Job>),
}

/// The job that asks, made of the first container of `rune-db` among the objects. A pod of its own,
/// such as that of a test or job, is preferred: network policies know it.
fn probe(release: &str, objects: &[Object]) -> Probe {
    let is_own = |object: &&Object| ["Pod", "Job"].contains(&object.kind());
    let own = objects.iter().filter(is_own);
    let others = objects.iter().filter(|object| !is_own(object));
    let found = own.chain(others).find_map(|object| {
        object
            .containers()
            .find(|one| is_tool(one))
            .zip(Some(object))
    });
    let Some((container, object)) = found else {
        return Probe::NoDatabase;
    };
    let url = variable(container).and_then(|variable| variable.get("value"));
    if url
        .and_then(Value::as_str)
        .is_some_and(|url| url.starts_with("sqlite:"))
    {
        return Probe::File;
    }
    let job = serde_json::from_value(container.clone())
        .ok()
        .zip(template(object))
        .map(|(container, template)| job(release, container, template));
    job.map_or(Probe::NoDatabase, |job| Probe::Job(Box::new(job)))
}

/// Whether a container runs `rune-db` with the database of the release.
fn is_tool(container: &Value) -> bool {
    let verb = container.pointer("/args/0").and_then(Value::as_str);
    verb.is_some_and(|verb| ["migrate", "wait"].contains(&verb)) && variable(container).is_some()
}

fn variable(container: &Value) -> Option<&Value> {
    let variables = container.get("env").and_then(Value::as_array)?;
    let is_it = |variable: &&Value| variable.get("name").is_some_and(|name| name == DATABASE);
    variables.iter().find(is_it)
}

/// The template of the pods of an object, without the labels by which somebody would take another
/// pod for one of them.
fn template(object: &Object) -> Option<PodTemplateSpec> {
    let mut template: PodTemplateSpec =
        serde_json::from_value(object.pod_template()?.clone()).ok()?;
    let selected = object.value().pointer("/spec/selector/matchLabels");
    let selected = selected.and_then(Value::as_object);
    if let Some(labels) = template
        .metadata
        .as_mut()
        .and_then(|metadata| metadata.labels.as_mut())
    {
        labels.retain(|label, _| selected.is_none_or(|selected| !selected.contains_key(label)));
    }
    Some(template)
}

fn job(release: &str, container: Container, template: PodTemplateSpec) -> Job {
    let url = [String::from("--db-url"), format!("env:{DATABASE}")];
    let arguments = |verb: [&str; 2], more: &[&str]| {
        let own = verb.iter().chain(more).map(|word| (*word).to_owned());
        Some(own.chain(url.clone()).collect())
    };
    let waiting = Container {
        name: "wait".to_owned(),
        args: arguments(["wait", "--timeout"], &[WAIT]),
        ..container.clone()
    };
    let container = Container {
        args: arguments(["status", "--json"], &[]),
        ..container
    };
    let labels = template.metadata.and_then(|metadata| metadata.labels);
    let pod = PodSpec {
        containers: vec![container],
        init_containers: Some(vec![waiting]),
        restart_policy: Some("Never".to_owned()),
        ..template.spec.unwrap_or_default()
    };
    let spec = JobSpec {
        active_deadline_seconds: i64::try_from(PATIENCE.as_secs()).ok(),
        backoff_limit: Some(0),
        ttl_seconds_after_finished: Some(KEPT_SECONDS),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels,
                ..ObjectMeta::default()
            }),
            spec: Some(pod),
        },
        ..JobSpec::default()
    };
    Job {
        metadata: ObjectMeta {
            generate_name: Some(format!("{release}-schema-")),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Runs the job, reads the answer and removes the job. The inner error says why there is no answer.
async fn run(cluster: &Cluster, job: &Job) -> Result<Result<Option<u32>, String>, ClusterError> {
    let jobs = cluster.api::<Job>();
    let made = jobs
        .create(&PostParams::default(), job)
        .await
        .map_err(cluster.failed("make a job that asks the database"))?;
    let name = made.name_any();
    let answer = tokio::time::timeout(PATIENCE, answer(cluster, &name)).await;
    // What cannot be removed goes by itself.
    let _ = jobs.delete(&name, &DeleteParams::background()).await;
    answer.unwrap_or_else(|_| Ok(Err("its pod did not end in time".to_owned())))
}

async fn answer(cluster: &Cluster, job: &str) -> Result<Result<Option<u32>, String>, ClusterError> {
    let pods = cluster.api::<Pod>();
    let parameters = ListParams::default().labels(&format!("job-name={job}"));
    loop {
        let found = pods
            .list(&parameters)
            .await
            .map_err(cluster.failed("read the pod that asks the database"))?;
        let pod = found.items.first();
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        if let Some(pod) = pod.filter(|_| matches!(phase, Some("Succeeded" | "Failed"))) {
            let parameters = LogParams {
                limit_bytes: Some(MAX_LOG_BYTES),
                ..LogParams::default()
            };
            return match pods.logs(&pod.name_any(), &parameters).await {
                Ok(log) => Ok(version(&log)),
                // The wait timed out, so there is no log of the container after that.
                Err(_) if phase == Some("Failed") => {
                    Ok(Err(format!("it did not answer within {WAIT}")))
                }
                Err(error) => Err(cluster.failed("read what the database answered")(error)),
            };
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The schema version in what `rune-db status --json` printed, words for people around it.
fn version(log: &str) -> Result<Option<u32>, String> {
    let report = log.find("{\n").and_then(|start| {
        let mut values = serde_json::Deserializer::from_str(log.get(start..)?).into_iter();
        values.next()?.ok()
    });
    let report: Value = report.unwrap_or(Value::Null);
    if let Some(message) = report.pointer("/error/message").and_then(Value::as_str) {
        return Err(message.to_owned());
    }
    let version = report.pointer("/database/schemaVersion");
    let version = version.ok_or_else(|| "its answer is not a report of rune-db".to_owned())?;
    Ok(version.as_u64().and_then(|version| version.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use super::{Probe, probe, version};
    use crate::install::parse_objects;

    const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a, client: 'true'}}
    spec:
      serviceAccountName: a
      initContainers: [{name: m, image: db, args: [migrate], env: [{name: RUNE_DB_URL, SOURCE}]}]
      containers: [{name: api, image: api}]
";

    fn asked(url: &str) -> Probe {
        probe(
            "r",
            &parse_objects(&DEPLOYMENT.replace("SOURCE", url)).unwrap(),
        )
    }

    #[test]
    fn the_database_is_asked_by_the_release_s_own_tool_in_a_pod_that_no_service_selects() {
        let secret = "valueFrom: {secretKeyRef: {name: s, key: url}}";
        let Probe::Job(job) = asked(secret) else {
            panic!("a job asks");
        };
        let template = job.spec.unwrap().template;
        let labels = template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels, [("client".to_owned(), "true".to_owned())].into());
        let spec = template.spec.unwrap();
        assert_eq!(spec.service_account_name.as_deref(), Some("a"));
        let waits = spec.init_containers.unwrap();
        let wait = ["wait", "--timeout", "30s", "--db-url", "env:RUNE_DB_URL"];
        assert_eq!(waits[0].args.as_deref(), Some(&wait.map(str::to_owned)[..]));
        let arguments = ["status", "--json", "--db-url", "env:RUNE_DB_URL"].map(str::to_owned);
        let [container] = &spec.containers[..] else {
            panic!("{:?}", spec.containers);
        };
        assert_eq!(container.args.as_deref(), Some(&arguments[..]));
        assert!(container.env.is_some());
    }

    #[test]
    fn a_sqlite_file_is_not_opened_twice() {
        assert!(matches!(
            asked("value: 'sqlite:////d/jobs.db'"),
            Probe::File
        ));
        let none = "kind: Deployment\nmetadata: {name: a}\n";
        assert!(matches!(
            probe("r", &parse_objects(none).unwrap()),
            Probe::NoDatabase
        ));
    }

    #[test]
    fn the_version_is_read_from_the_report_wherever_it_stands_in_the_log() {
        let report = "{\n  \"database\": {\n    \"schemaVersion\": 6\n  }\n}\n";
        assert_eq!(version(report), Ok(Some(6)));
        assert_eq!(version(&format!("warning: x\n{report}more")), Ok(Some(6)));
        let empty = "{\n  \"database\": {\n    \"schemaVersion\": null\n  }\n}\n";
        assert_eq!(version(empty), Ok(None));
        let failed = "{\n  \"error\": {\n    \"message\": \"refused\"\n  }\n}\n";
        assert_eq!(version(failed), Err("refused".to_owned()));
        assert!(version("no report").is_err());
    }
}
