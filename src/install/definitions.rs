//! Custom resource definitions of a chart's `crds/`, which Helm creates once and never changes.
//!
//! They are applied by server-side apply with a field manager of our own, after a dry run: what
//! would be lost is a finding before anything is changed. A certificate that somebody put in stays;
//! fields that anybody else but Helm has set otherwise are not taken from them.

mod stored;

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::Value;

use super::{
    Change, Check, Cluster, ClusterError, Object, ObjectChange, Verdict,
    difference::differing_paths,
};
use rune_core::failure::FailureKind;

const MANAGER: &str = "rune-bundle";
/// The managers of Helm, which leaves definitions as they were: what it has set may be changed.
const HELM: [&str; 3] = ["helm", "helm3", "Helm"];
/// The field that programs put into definitions of others.
const CA_BUNDLE: &str = "caBundle";

#[derive(Debug, Clone, Default)]
pub(crate) struct Definitions {
    /// What is applied, and whether fields are taken from Helm.
    apply: Vec<(Value, bool)>,
    pub(crate) changes: Vec<ObjectChange>,
    pub(crate) checks: Vec<Check>,
    /// The versions that each definition serves, by its name.
    pub(crate) versions: BTreeMap<String, Vec<String>>,
}

pub(crate) async fn plan_definitions(
    cluster: &Cluster,
    definitions: &[&Object],
) -> Result<Definitions, ClusterError> {
    let mut plan = Definitions::default();
    for definition in definitions {
        let name = definition.name();
        plan.versions
            .insert(name.to_owned(), served(definition.value()));
        let live = live(cluster, name).await?;
        if let Some(live) = &live {
            plan.checks
                .extend(stored::check(cluster, live, definition.value()).await?);
        }
        plan.dry_run(cluster, definition.value().clone(), live.as_ref())
            .await?;
    }
    Ok(plan)
}

/// Those of the versions that somebody needs which the cluster does not serve.
pub(crate) async fn missing_versions(
    cluster: &Cluster,
    versions: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<String>, ClusterError> {
    let mut missing = Vec::new();
    for (name, needed) in versions {
        let served = live(cluster, name).await?.map(|live| served(&live));
        let served = served.unwrap_or_default();
        let lacks = needed.iter().filter(|version| !served.contains(version));
        missing.extend(lacks.map(|version| format!("{version} of {name}")));
    }
    Ok(missing)
}

impl Definitions {
    async fn dry_run(
        &mut self,
        cluster: &Cluster,
        mut wanted: Value,
        live: Option<&Value>,
    ) -> Result<(), ClusterError> {
        let name = text(&wanted, "/metadata/name").to_owned();
        let mut outcome = apply(cluster, &wanted, false, true).await;
        let mut from_helm = false;
        if let Err(kube::Error::Api(status)) = &outcome
            && status.code == 409
        {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let mut foreign = Vec::new();
            for cause in causes {
                if cause.field.ends_with(CA_BUNDLE) {
                    remove(&mut wanted, &cause.field);
                } else if HELM.contains(&manager(&cause.message)) {
                    from_helm = true;
                } else {
                    foreign.push((cause.field.clone(), manager(&cause.message).to_owned()));
                }
            }
            if !foreign.is_empty() {
                self.checks
                    .extend(foreign.into_iter().map(|(field, manager)| {
                        finding(
                            format!("{field} of {name}"),
                            format!("what `{manager}` has set there; it may give the field up"),
                        )
                    }));
                return Ok(());
            }
            outcome = apply(cluster, &wanted, from_helm, true).await;
        }
        let doing = format!("try out the definition {name}");
        let applied = match outcome {
            Ok(applied) => applied,
            // What the API server refuses is a finding like others.
            Err(kube::Error::Api(status)) if status.code == 422 => {
                let refused = format!("a refusal: {}", status.message);
                self.checks
                    .push(finding(format!("definition {name}"), refused));
                return Ok(());
            }
            Err(error) => return Err(cluster.failed(doing)(error)),
        };
        let object = format!("CustomResourceDefinition/{name}");
        match live {
            None => self.changes.push(ObjectChange {
                object,
                change: Change::Added,
                paths: Vec::new(),
            }),
            Some(live) => {
                let mut paths = differing_paths(&specification(live), &specification(&applied));
                paths.truncate(super::difference::MAX_PATHS);
                if paths.is_empty() {
                    return Ok(());
                }
                self.changes.push(ObjectChange {
                    object,
                    change: Change::Changed,
                    paths,
                });
            }
        }
        self.apply.push((wanted, from_helm));
        Ok(())
    }

    pub(crate) async fn apply(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        for (definition, from_helm) in &self.apply {
            let name = text(definition, "/metadata/name");
            let doing = format!("apply the definition {name}");
            apply(cluster, definition, *from_helm, false)
                .await
                .map_err(cluster.failed(doing))?;
        }
        Ok(())
    }
}

fn finding(needed: String, available: String) -> Check {
    Check::new(
        "definitions",
        FailureKind::Conflict,
        needed,
        available,
        Verdict::Missing,
    )
}

fn api(cluster: &Cluster) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ApiResource::from_gvk_with_plural(&kind, "customresourcedefinitions");
    Api::all_with(cluster.client(), &resource)
}

async fn live(cluster: &Cluster, name: &str) -> Result<Option<Value>, ClusterError> {
    let live = api(cluster)
        .get_opt(name)
        .await
        .map_err(cluster.failed(format!("read the definition {name}")))?;
    Ok(live.and_then(|live| serde_json::to_value(live).ok()))
}

async fn apply(
    cluster: &Cluster,
    definition: &Value,
    from_helm: bool,
    is_dry_run: bool,
) -> Result<Value, kube::Error> {
    let parameters = PatchParams {
        dry_run: is_dry_run,
        force: from_helm,
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = text(definition, "/metadata/name");
    let applied = api(cluster)
        .patch(name, &parameters, &Patch::Apply(definition))
        .await?;
    Ok(serde_json::to_value(applied).unwrap_or_default())
}

/// What counts of a definition when it is compared.
fn specification(definition: &Value) -> Value {
    definition.get("spec").cloned().unwrap_or_default()
}

fn served(definition: &Value) -> Vec<String> {
    let versions = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array);
    let versions = versions.into_iter().flatten();
    let served = versions.filter(|version| version.get("served") == Some(&Value::Bool(true)));
    served
        .map(|version| text(version, "/name").to_owned())
        .collect()
}

/// Who has a field, in the words of the API server: `conflict with "helm" using …`.
fn manager(message: &str) -> &str {
    message.split('"').nth(1).unwrap_or_default()
}

fn remove(definition: &mut Value, field: &str) {
    let mut names: Vec<&str> = field.trim_start_matches('.').split('.').collect();
    let last = names.pop().unwrap_or_default();
    let parent = definition.pointer_mut(&format!("/{}", names.join("/")));
    if let Some(parent) = parent.and_then(Value::as_object_mut) {
        parent.remove(last);
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{manager, remove, served};

    #[test]
    fn a_conflict_names_its_manager_and_the_field_is_removed() {
        let message = "conflict with \"cert-manager-cainjector\" using apiextensions.k8s.io/v1";
        assert_eq!(manager(message), "cert-manager-cainjector");
        let mut definition = json!({"spec": {"conversion": {"caBundle": "x", "url": "y"}}});
        remove(&mut definition, ".spec.conversion.caBundle");
        assert_eq!(definition, json!({"spec": {"conversion": {"url": "y"}}}));
    }

    #[test]
    fn only_served_versions_count() {
        let versions = json!([{"name": "v1", "served": true}, {"name": "v0", "served": false}]);
        assert_eq!(served(&json!({"spec": {"versions": versions}})), ["v1"]);
    }
}
