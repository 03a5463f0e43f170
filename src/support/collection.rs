//! What is asked of the API server, and what of its answers is kept.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Collection, SupportError, redaction::Redaction};
use crate::install::{Cluster, ClusterError, InstallRecord};
use rune_core::progress::Progress;

const MAX_OBJECTS: usize = 500;
const MAX_LOG_LINES: usize = 5000;
/// Most bytes of a log that are kept, the last ones.
const MAX_LOG_BYTES: usize = 1 << 20;
const MAX_LOGS_BYTES: usize = 64 << 20;

/// A kind of objects: in which file it comes, where it is, and which fields of it are kept.
struct Kind {
    file: &'static str,
    api: &'static str,
    plural: &'static str,
    fields: &'static [&'static str],
}

const PODS: Kind = Kind {
    file: "pods",
    api: "/api/v1",
    plural: "pods",
    fields: &["spec/nodeName", "spec/priorityClassName", "status"],
};
const WORKLOAD: &[&str] = &[
    "metadata/generation",
    "spec/replicas",
    "spec/suspend",
    "status",
];
const KINDS: [Kind; 7] = [
    Kind {
        file: "deployments",
        api: "/apis/apps/v1",
        plural: "deployments",
        fields: WORKLOAD,
    },
    Kind {
        file: "statefulsets",
        api: "/apis/apps/v1",
        plural: "statefulsets",
        fields: WORKLOAD,
    },
    Kind {
        file: "daemonsets",
        api: "/apis/apps/v1",
        plural: "daemonsets",
        fields: WORKLOAD,
    },
    Kind {
        file: "jobs",
        api: "/apis/batch/v1",
        plural: "jobs",
        fields: WORKLOAD,
    },
    Kind {
        file: "volume-claims",
        api: "/api/v1",
        plural: "persistentvolumeclaims",
        fields: &["spec/storageClassName", "spec/resources", "status"],
    },
    Kind {
        file: "quotas",
        api: "/api/v1",
        plural: "resourcequotas",
        fields: &["status"],
    },
    Kind {
        file: "events",
        api: "/api/v1",
        plural: "events",
        fields: &[
            "involvedObject/kind",
            "involvedObject/name",
            "involvedObject/fieldPath",
            "type",
            "reason",
            "message",
            "count",
            "firstTimestamp",
            "lastTimestamp",
            "eventTime",
            "reportingComponent",
        ],
    },
];
const NODES: Kind = Kind {
    file: "nodes",
    api: "/api/v1",
    plural: "nodes",
    fields: &[
        "spec/taints",
        "spec/unschedulable",
        "status/nodeInfo",
        "status/conditions",
        "status/capacity",
        "status/allocatable",
    ],
};

struct Collector<'a> {
    cluster: &'a Cluster,
    collected: Collection,
    logs_bytes: usize,
}

pub(crate) async fn collect(
    cluster: &Cluster,
    namespaces: &[String],
    tool: &str,
    progress: &dyn Progress,
) -> Result<Collection, SupportError> {
    let mut collector = Collector {
        cluster,
        collected: Collection::default(),
        logs_bytes: 0,
    };
    let mut pods = Vec::new();
    for namespace in namespaces {
        pods.push(collector.list(&PODS, Some(namespace)).await?);
    }
    let environment = pods.iter().flatten().flat_map(environment).collect();
    let redaction = Redaction::new(environment)?;
    let nodes = collector.list(&NODES, None).await?;
    let nodes: Vec<Value> = nodes.iter().map(|node| kept(node, NODES.fields)).collect();
    let versions = json!({
        "tool": tool,
        "kubernetes": cluster.version().to_string(),
        "cluster": cluster.id(),
        "nodes": nodes,
    });
    collector.add("versions.json".to_owned(), versions, &redaction);
    for (namespace, pods) in namespaces.iter().zip(&pods) {
        progress.announce(&format!("collecting from namespace {namespace}"));
        collector.namespace(namespace, pods, &redaction).await?;
    }
    let Collector { mut collected, .. } = collector;
    for refused in &mut collected.refused {
        *refused = redaction.text(refused).0;
    }
    Ok(collected)
}

impl Collector<'_> {
    async fn namespace(
        &mut self,
        namespace: &str,
        pods: &[Value],
        redaction: &Redaction,
    ) -> Result<(), SupportError> {
        let records = InstallRecord::list(&self.cluster.in_namespace(namespace), false).await;
        match records {
            Ok(records) => {
                let records: Map<String, Value> = records
                    .into_iter()
                    .map(|((_, release), record)| (release, record.to_json()))
                    .collect();
                self.add(
                    format!("{namespace}/installed.json"),
                    Value::Object(records),
                    redaction,
                );
            }
            Err(error) => self.collected.refused.push(error.to_string()),
        }
        let shown = pods.iter().map(|pod| kept(pod, PODS.fields)).collect();
        self.add(format!("{namespace}/{}.json", PODS.file), shown, redaction);
        for kind in &KINDS {
            let objects = self.list(kind, Some(namespace)).await?;
            let shown: Vec<Value> = objects.iter().map(|one| kept(one, kind.fields)).collect();
            if !shown.is_empty() {
                let path = format!("{namespace}/{}.json", kind.file);
                self.add(path, shown.into(), redaction);
            }
        }
        for pod in pods {
            self.logs(namespace, pod, redaction).await?;
        }
        Ok(())
    }

    /// The logs of the containers of a pod, and those of the runs before that ended.
    async fn logs(
        &mut self,
        namespace: &str,
        pod: &Value,
        redaction: &Redaction,
    ) -> Result<(), SupportError> {
        let name = text(pod, "/metadata/name");
        let lists = ["initContainerStatuses", "containerStatuses"];
        let containers = lists.iter().flat_map(|list| {
            let list = pod.pointer(&format!("/status/{list}"));
            list.and_then(Value::as_array).into_iter().flatten()
        });
        for container in containers {
            let has = |pointer: &str| container.pointer(pointer).is_some();
            let runs = [
                (
                    "",
                    "false",
                    has("/state/running") || has("/state/terminated"),
                ),
                (".previous", "true", has("/lastState/terminated")),
            ];
            let container = text(container, "/name");
            for (suffix, previous, _) in runs.into_iter().filter(|(.., exists)| *exists) {
                let path = format!("{namespace}/logs/{name}/{container}{suffix}.log");
                if self.logs_bytes >= MAX_LOGS_BYTES {
                    self.collected.left_out.push(path);
                    continue;
                }
                let doing = format!("read the log of container {container} of pod {name}");
                let url = format!(
                    "/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&previous={previous}&tailLines={MAX_LOG_LINES}"
                );
                let Some(bytes) = self.get(&doing, &url).await? else {
                    continue;
                };
                let (content, redacted) = redaction.text(&String::from_utf8_lossy(&bytes));
                let content = self.last(&path, content);
                self.logs_bytes = self.logs_bytes.saturating_add(content.len());
                self.collected.add(path, (content, redacted));
            }
        }
        Ok(())
    }

    /// The last lines of a log, as many as are kept.
    fn last(&mut self, path: &str, content: String) -> String {
        let Some(surplus) = content
            .len()
            .checked_sub(MAX_LOG_BYTES)
            .filter(|over| *over > 0)
        else {
            return content;
        };
        let rest = content.bytes().skip(surplus).position(|byte| byte == b'\n');
        let begin = surplus.saturating_add(rest.map_or(0, |line| line.saturating_add(1)));
        self.collected
            .left_out
            .push(format!("the first {begin} bytes of {path}"));
        // Within a line that is too long the beginning may be in the middle of a character.
        let bytes = content.as_bytes().get(begin..).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    async fn list(
        &mut self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, SupportError> {
        let Kind { api, plural, .. } = kind;
        let (place, named) = namespace.map_or_else(Default::default, |namespace| {
            (
                format!("/namespaces/{namespace}"),
                format!(" in namespace {namespace}"),
            )
        });
        let doing = format!("list {plural}{named}");
        let url = format!("{api}{place}/{plural}?limit={MAX_OBJECTS}");
        let Some(bytes) = self.get(&doing, &url).await? else {
            return Ok(Vec::new());
        };
        let Ok(mut list) = serde_json::from_slice::<Value>(&bytes) else {
            let refused = format!("cannot {doing}: the API server answered something else");
            self.collected.refused.push(refused);
            return Ok(Vec::new());
        };
        if !text(&list, "/metadata/continue").is_empty() {
            let what = format!("{plural}{named} after the first {MAX_OBJECTS}");
            self.collected.left_out.push(what);
        }
        let items = list.get_mut("items").map(Value::take);
        Ok(match items {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        })
    }

    async fn get(&mut self, doing: &str, url: &str) -> Result<Option<Vec<u8>>, SupportError> {
        match self.cluster.get(doing, url).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error @ ClusterError::Refused { .. }) => {
                self.collected.refused.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn add(&mut self, path: String, mut value: Value, redaction: &Redaction) {
        let redacted = redaction.value(&mut value);
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        self.collected.add(path, (format!("{text}\n"), redacted));
    }
}

fn kept(object: &Value, fields: &[&str]) -> Value {
    let mut shown = Map::new();
    for field in ["metadata/name", "metadata/creationTimestamp"]
        .iter()
        .chain(fields)
    {
        if let Some(value) = object
            .pointer(&format!("/{field}"))
            .filter(|value| !value.is_null())
        {
            let name = field.rsplit('/').next().unwrap_or(field);
            let name = if shown.contains_key(name) {
                field
            } else {
                name
            };
            shown.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(shown)
}

/// The values of the environment variables of a pod.
fn environment(pod: &Value) -> BTreeSet<String> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|list| {
        let list = pod.pointer(&format!("/spec/{list}"));
        list.and_then(Value::as_array).into_iter().flatten()
    });
    let variables = containers.flat_map(|container| {
        let list = container.get("env").and_then(Value::as_array);
        list.into_iter().flatten()
    });
    variables
        .map(|variable| text(variable, "/value").to_owned())
        .collect()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
