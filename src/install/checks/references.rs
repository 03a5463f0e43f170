//! Whether the Secrets are there that the pods name and the chart does not make.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::{Check, Requirements, Verdict};
use crate::install::Cluster;
use rune_core::failure::FailureKind;

type Needed = BTreeMap<String, BTreeSet<String>>;

pub(super) async fn secrets(cluster: &Cluster, demands: Requirements<'_>) -> Vec<Check> {
    let mut needed = Needed::new();
    for template in demands
        .objects
        .iter()
        .filter_map(crate::install::Object::pod_template)
    {
        search(&template["spec"], &mut needed);
    }
    for made in demands
        .objects
        .iter()
        .filter(|object| object.kind() == "Secret")
    {
        needed.remove(made.name());
    }
    let mut checks = Vec::new();
    for (name, keys) in needed {
        let keys: Vec<String> = keys.into_iter().collect();
        let namespace = cluster.namespace();
        let create_secret = create_secret(&name, &keys, namespace);
        let wanted = match keys.as_slice() {
            [] => format!("the Secret {name}"),
            keys => format!("the Secret {name} with {}", keys.join(", ")),
        };
        let check = |available: String, verdict| {
            Check::new("secrets", FailureKind::NotFound, wanted, available, verdict)
        };
        let create_namespace = format!("`kubectl create namespace {namespace}`");
        checks.push(if demands.namespace_exists {
            match cluster.api::<Secret>().get_opt(&name).await {
                Ok(Some(secret)) => {
                    let data = secret.data.unwrap_or_default();
                    let lacking: Vec<&str> = keys
                        .iter()
                        .filter(|key| !data.contains_key(*key))
                        .map(String::as_str)
                        .collect();
                    let available = if lacking.is_empty() {
                        "it".to_owned()
                    } else {
                        format!("one without {}", lacking.join(", "))
                    };
                    check(available, Verdict::of(lacking.is_empty()))
                }
                Ok(None) => {
                    check("none".to_owned(), Verdict::Missing).with_remedies([create_secret])
                }
                Err(_) => check("no right to look".to_owned(), Verdict::Unknown),
            }
        } else {
            check("no namespace for it yet".to_owned(), Verdict::Missing)
                .with_remedies([create_namespace, create_secret])
        });
    }
    checks
}

/// The command that makes a Secret, with a file for each key: a value in a command would stay in
/// the history of the shell.
fn create_secret(name: &str, keys: &[String], namespace: &str) -> String {
    let keys: String = keys
        .iter()
        .map(|key| format!(" --from-file={key}=FILE"))
        .collect();
    format!("`kubectl create secret generic {name} --namespace {namespace}{keys}`")
}

/// Finds what a pod names: in variables, volumes and for pulling images.
fn search(value: &Value, needed: &mut Needed) {
    let Value::Object(entries) = value else {
        if let Value::Array(items) = value {
            for item in items {
                search(item, needed);
            }
        }
        return;
    };
    for (key, value) in entries {
        let is_optional = value["optional"] == true;
        let mut need = |name: &Value, keys: &[&Value]| {
            if let Some(name) = name.as_str().filter(|_| !is_optional) {
                needed.entry(name.to_owned()).or_default().extend(
                    keys.iter()
                        .filter_map(|key| key.as_str())
                        .map(str::to_owned),
                );
            }
        };
        match key.as_str() {
            "secretKeyRef" => need(&value["name"], &[&value["key"]]),
            "secretRef" => need(&value["name"], &[]),
            "secret" => {
                // A volume says secretName, a projected one name.
                let name = if value["secretName"].is_string() {
                    &value["secretName"]
                } else {
                    &value["name"]
                };
                let keys: Vec<&Value> = value["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|item| &item["key"])
                    .collect();
                need(name, &keys);
            }
            "imagePullSecrets" => value
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|item| need(&item["name"], &[])),
            _ => search(value, needed),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Needed, create_secret, search};

    #[test]
    fn what_a_pod_cannot_start_without_is_found_and_nothing_else() {
        let spec = json!({
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{
                "env": [
                    {"valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}},
                    {"valueFrom": {"secretKeyRef": {"name": "perhaps", "key": "x", "optional": true}}},
                ],
                "envFrom": [{"secretRef": {"name": "api"}}],
            }],
            "volumes": [
                {"secret": {"secretName": "db", "items": [{"key": "password", "path": "p"}]}},
                {"projected": {"sources": [{"secret": {"name": "tls"}}]}},
                {"configMap": {"name": "other"}},
            ],
        });
        let mut needed = Needed::new();
        search(&spec, &mut needed);
        let shown: Vec<String> = needed
            .iter()
            .map(|(name, keys)| format!("{name} {keys:?}"))
            .collect();
        assert_eq!(
            shown,
            [r"api {}", r#"db {"password", "url"}"#, "pull {}", "tls {}"]
        );
    }

    #[test]
    fn a_missing_secret_comes_with_the_command_that_creates_it() {
        assert_eq!(
            create_secret("db", &["url".to_owned()], "site"),
            "`kubectl create secret generic db --namespace site --from-file=url=FILE`"
        );
    }
}
