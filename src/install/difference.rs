//! What an installation would change, by object.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::Object;

/// The most paths that are named for one object.
pub(super) const MAX_PATHS: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    Added,
    Removed,
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ObjectChange {
    /// `Kind/name`.
    pub(crate) object: String,
    pub(crate) change: Change,
    /// The fields that change, without their values; the last is `…` when there are more.
    pub(crate) paths: Vec<String>,
}

/// Compares what is installed with what would be, by kind and name. Values are not said: some are
/// secret.
pub(crate) fn differences(installed: &[Object], wanted: &[Object]) -> Vec<ObjectChange> {
    let keyed = |objects: &[Object]| -> BTreeMap<String, Value> {
        objects
            .iter()
            .map(|object| (format!("{object}"), object.value().clone()))
            .collect()
    };
    let (before, after) = (keyed(installed), keyed(wanted));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |object: &String, change, paths| ObjectChange {
        object: object.clone(),
        change,
        paths,
    };
    names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (None, _) => Some(change(name, Change::Added, Vec::new())),
            (_, None) => Some(change(name, Change::Removed, Vec::new())),
            (Some(before), Some(after)) => {
                let mut paths = differing_paths(before, after);
                if paths.len() > MAX_PATHS {
                    paths.truncate(MAX_PATHS);
                    paths.push("…".to_owned());
                }
                (!paths.is_empty()).then(|| change(name, Change::Changed, paths))
            }
        })
        .collect()
}

/// The paths of what differs between two values, without the values.
pub(super) fn differing_paths(before: &Value, after: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", before, after, &mut paths);
    paths
}

fn compare(path: &str, before: &Value, after: &Value, paths: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(
                    &path,
                    one.get(key).unwrap_or(&Value::Null),
                    other.get(key).unwrap_or(&Value::Null),
                    paths,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}[{number}]"), one, other, paths);
            }
        }
        (before, after) if before == after => {}
        _ => paths.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, ObjectChange, differences};
    use crate::install::parse_objects;

    #[test]
    fn objects_are_compared_field_by_field_and_no_value_is_said() {
        let before = "kind: Secret\nmetadata: {name: s}\ndata: {k: b2xk}\n---\nkind: A\nmetadata: \
                      {name: gone}\n---\nkind: A\nmetadata: {name: same}\n";
        let after = "kind: Secret\nmetadata: {name: s}\ndata: {k: bmV3}\n---\nkind: A\nmetadata: \
                     {name: new}\n---\nkind: A\nmetadata: {name: same}\n";
        let found = differences(
            &parse_objects(before).unwrap(),
            &parse_objects(after).unwrap(),
        );
        let change = |object: &str, change, paths: &[&str]| ObjectChange {
            object: object.to_owned(),
            change,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let expected = [
            change("A/gone", Change::Removed, &[]),
            change("A/new", Change::Added, &[]),
            change("Secret/s", Change::Changed, &["data.k"]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lists_of_the_same_length_are_compared_item_by_item() {
        let object = |image: &str| {
            format!(
                "kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{image: {image}}}]}}\n"
            )
        };
        let found = differences(
            &parse_objects(&object("a")).unwrap(),
            &parse_objects(&object("b")).unwrap(),
        );
        assert_eq!(found[0].paths, ["spec.containers[0].image"]);
    }
}
