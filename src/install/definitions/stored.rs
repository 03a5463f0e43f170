//! Whether objects that are stored survive another definition of their kind.

use std::collections::BTreeSet;

use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;

use super::{finding, text};
use crate::install::{Check, Cluster, ClusterError, Verdict};
use rune_core::failure::FailureKind;

/// The most objects that are read in one answer.
const PAGE: u32 = 500;
const MAX_FIELDS: usize = 12;

pub(super) async fn check(
    cluster: &Cluster,
    live: &Value,
    wanted: &Value,
) -> Result<Vec<Check>, ClusterError> {
    let name = text(live, "/metadata/name");
    let stored = live
        .pointer("/status/storedVersions")
        .and_then(Value::as_array);
    let gone = stored.into_iter().flatten().filter_map(Value::as_str);
    let gone = gone.filter(|version| version_of(wanted, version).is_none());
    let mut checks: Vec<Check> = gone
        .map(|version| {
            finding(
                format!("version {version} of {name}, in which objects are stored"),
                "the definition drops it; store the objects in a newer version first".to_owned(),
            )
        })
        .collect();
    let lost = match lost_fields(cluster, live, wanted).await {
        Ok(lost) => lost,
        Err(ClusterError::Refused { code: 403, .. }) => {
            let (needed, available) = (
                format!("that no object of {name} loses a field"),
                "no right to read the objects",
            );
            let about = "definitions";
            checks.push(Check::new(
                about,
                FailureKind::Access,
                needed,
                available,
                Verdict::Unknown,
            ));
            return Ok(checks);
        }
        Err(error) => return Err(error),
    };
    if !lost.is_empty() {
        let fields: Vec<String> = lost.into_iter().take(MAX_FIELDS).collect();
        let needed = format!("{} of {name}, which objects have stored", fields.join(", "));
        checks.push(finding(needed, "a definition without it".to_owned()));
    }
    Ok(checks)
}

async fn lost_fields(
    cluster: &Cluster,
    live: &Value,
    wanted: &Value,
) -> Result<BTreeSet<String>, ClusterError> {
    let mut lost = BTreeSet::new();
    let is_storage = |version: &&Value| version.get("storage") == Some(&Value::Bool(true));
    let (Some(now), Some(next)) = (
        versions(live).find(is_storage),
        versions(wanted).find(is_storage),
    ) else {
        return Ok(lost);
    };
    let version = text(now, "/name");
    // The same version, or the one that objects are converted to.
    let next = version_of(wanted, version).unwrap_or(next);
    let schema = |version: &Value| version.pointer("/schema/openAPIV3Schema").cloned();
    let Some(next) = schema(next).filter(|next| schema(now).as_ref() != Some(next)) else {
        return Ok(lost);
    };
    let group = text(live, "/spec/group");
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: text(live, "/spec/names/kind").to_owned(),
        plural: text(live, "/spec/names/plural").to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(cluster.client(), &resource);
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api
            .list(&parameters)
            .await
            .map_err(cluster.failed(format!("list the objects of {}", resource.plural)))?;
        for object in &page.items {
            // What a controller writes into `status` it writes again.
            for (field, value) in object.data.as_object().into_iter().flatten() {
                let of = next.pointer(&format!("/properties/{field}"));
                match of {
                    _ if field == "status" => {}
                    Some(schema) => unknown_fields(value, schema, field, &mut lost),
                    None => _ = lost.insert(field.clone()),
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(lost),
        }
    }
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    let versions = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array);
    versions.into_iter().flatten()
}

fn version_of<'v>(definition: &'v Value, name: &str) -> Option<&'v Value> {
    versions(definition).find(|version| text(version, "/name") == name)
}

/// The paths of what a structural schema does not know, which the API server drops.
fn unknown_fields(value: &Value, schema: &Value, path: &str, lost: &mut BTreeSet<String>) {
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    match value {
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for item in items {
                unknown_fields(item, schema, &format!("{path}[]"), lost);
            }
        }
        Value::Object(members) => {
            let is_embedded = schema.get("x-kubernetes-embedded-resource").is_some();
            for (key, member) in members {
                let is_implied = ["apiVersion", "kind", "metadata"].contains(&key.as_str());
                let known = schema.get("properties").and_then(|known| known.get(key));
                let known = known.or_else(|| schema.get("additionalProperties"));
                match known {
                    Some(Value::Bool(true)) => {}
                    Some(known) => unknown_fields(member, known, &format!("{path}.{key}"), lost),
                    None if is_embedded && is_implied => {}
                    None => _ = lost.insert(format!("{path}.{key}")),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::unknown_fields;

    fn lost(value: &Value, schema: &Value) -> Vec<String> {
        let mut lost = BTreeSet::new();
        unknown_fields(value, schema, "spec", &mut lost);
        lost.into_iter().collect()
    }

    #[test]
    fn what_the_schema_does_not_know_is_lost_at_any_depth() {
        let item = json!({"properties": {"a": {}}});
        let labels = json!({"additionalProperties": {"type": "string"}});
        let any = json!({"x-kubernetes-preserve-unknown-fields": true});
        let properties = json!({"list": {"items": item}, "labels": labels, "any": any});
        let schema = json!({"properties": properties});
        let value = json!({
            "list": [{"a": 1}, {"b": 2}], "labels": {"x": "y"}, "any": {"z": {}}, "gone": 1,
        });
        assert_eq!(lost(&value, &schema), ["spec.gone", "spec.list[].b"]);
    }
}
