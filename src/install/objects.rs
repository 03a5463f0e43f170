//! The objects of a rendered chart, as JSON.

use std::fmt;

use camino::Utf8Path;
use serde_json::Value;

use crate::chart;
use rune_core::yaml::{self, YamlError};

const HIDDEN: &str = "(hidden)";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object(Value);

impl Object {
    /// An object as the API server has it.
    pub(super) const fn of(value: Value) -> Self {
        Self(value)
    }

    pub(crate) const fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// Group and version of the API that it belongs to; the core group is empty.
    pub(crate) fn group_and_version(&self) -> (&str, &str) {
        self.api_version()
            .split_once('/')
            .unwrap_or(("", self.api_version()))
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, when it has one of its own.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|name| !name.is_empty())
    }

    /// Whether Helm makes it at certain moments only, such as a test.
    pub(crate) fn is_hook(&self) -> bool {
        self.0
            .pointer("/metadata/annotations/helm.sh~1hook")
            .is_some()
    }

    pub(crate) fn is_test(&self) -> bool {
        let hooks = self
            .0
            .pointer("/metadata/annotations/helm.sh~1hook")
            .and_then(Value::as_str)
            .unwrap_or_default();
        hooks.split(',').any(|hook| hook.trim().starts_with("test"))
    }

    /// Whether it makes a kind of objects known.
    pub(crate) fn is_definition(&self) -> bool {
        self.kind() == "CustomResourceDefinition"
    }

    /// The template of the pods that it makes, with `spec` and perhaps `metadata`.
    pub(crate) fn pod_template(&self) -> Option<&Value> {
        let pointer = match self.kind() {
            "Pod" => "",
            "CronJob" => "/spec/jobTemplate/spec/template",
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => "/spec/template",
            _ => return None,
        };
        self.0.pointer(pointer)
    }

    /// The containers of those pods, init containers first.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        let lists = ["/spec/initContainers", "/spec/containers"].into_iter();
        let template = self.pod_template();
        let lists = lists.filter_map(move |list| template?.pointer(list)?.as_array());
        lists.flatten()
    }

    /// The same object without what is secret in it, for people and digests.
    #[must_use]
    pub(crate) fn without_secrets(&self) -> Self {
        let mut value = self.0.clone();
        if self.kind() == "Secret" {
            for field in ["/data", "/stringData"] {
                let entries = value.pointer_mut(field).and_then(Value::as_object_mut);
                entries
                    .into_iter()
                    .flat_map(|entries| entries.values_mut())
                    .for_each(|value| *value = HIDDEN.into());
            }
        }
        Self(value)
    }

    fn text(&self, pointer: &str) -> &str {
        self.0
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind(), self.name())
    }
}

/// Reads what Helm rendered: documents, and lists of objects in them.
pub(crate) fn parse_objects(rendered: &str) -> Result<Vec<Object>, YamlError> {
    let mut objects = Vec::new();
    for document in chart::documents(rendered) {
        let body = document.strip_prefix("---").unwrap_or(document);
        let is_empty = body
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if !is_empty {
            add(
                yaml::from_str(Utf8Path::new("what Helm rendered"), body)?,
                &mut objects,
            );
        }
    }
    Ok(objects)
}

fn add(value: Value, objects: &mut Vec<Object>) {
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match value.get("items") {
        Some(Value::Array(items)) if is_list => {
            items.iter().for_each(|item| add(item.clone(), objects));
        }
        _ if value.is_object() => objects.push(Object(value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::parse_objects;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "---\n# Source: a.yaml\napiVersion: v1\nkind: Service\nmetadata: \
                    {name: a}\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems: \
                    [{kind: ConfigMap, metadata: {name: b}}]\n";
        let names: Vec<String> = parse_objects(text)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["Service/a", "ConfigMap/b"]);
    }

    #[test]
    fn what_is_secret_does_not_show() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: \
                    {password: c2VjcmV0}\nstringData: {url: secret}\n";
        let shown = parse_objects(text).unwrap()[0]
            .without_secrets()
            .value()
            .to_string();
        assert!(
            shown.contains("password")
                && !shown.contains("c2VjcmV0")
                && !shown.contains("\"secret\""),
            "{shown}"
        );
    }
}
