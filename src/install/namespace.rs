//! Namespaces that this program creates: with the Pod Security level, the quota and the default of
//! the network policies that a bundle asks for.
//!
//! A namespace of ours has a label, and what belongs to it is applied again with each installation
//! that may create namespaces: so one that was cut off between the namespace and its quota is
//! completed, and a newer bundle may ask for something else. A namespace of anybody else is left as
//! it is.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::{
    Change, Cluster, ClusterError, Object, ObjectChange, differences, install_record::PROGRAM,
};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label by which the Pod Security level is enforced.
const LEVEL: &str = "pod-security.kubernetes.io/enforce";

#[derive(Debug, Clone, Default)]
pub(crate) struct NamespaceSettings {
    pub(crate) pod_security: Option<String>,
    pub(crate) quota: BTreeMap<String, String>,
    /// The types of traffic, `Ingress` and `Egress`, of which nothing passes that no policy allows.
    pub(crate) default_deny: Vec<String>,
    pub(crate) description: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NamespacePlan {
    objects: Vec<Object>,
    /// Whether the first of them does not exist yet.
    is_new: bool,
    pub(crate) changes: Vec<ObjectChange>,
    pub(crate) note: Option<String>,
}

impl NamespaceSettings {
    fn is_empty(&self) -> bool {
        self.pod_security.is_none() && self.quota.is_empty() && self.default_deny.is_empty()
    }

    fn objects(&self, name: &str) -> Vec<Object> {
        let mut labels = BTreeMap::from([(MANAGED_BY, PROGRAM)]);
        labels.extend(self.pod_security.as_deref().map(|level| (LEVEL, level)));
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels}});
        let own = || json!({"name": PROGRAM, "namespace": name, "labels": {MANAGED_BY: PROGRAM}});
        let quota = (!self.quota.is_empty()).then(|| {
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": own(),
                "spec": {"hard": self.quota}})
        });
        let policy = (!self.default_deny.is_empty()).then(|| {
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": own(),
                "spec": {"podSelector": {}, "policyTypes": self.default_deny}})
        });
        [Some(namespace), quota, policy]
            .into_iter()
            .flatten()
            .map(Object::of)
            .collect()
    }
}

impl NamespacePlan {
    /// Finds out what becomes of the namespace of a cluster that may be created.
    pub(crate) async fn new(
        cluster: &Cluster,
        settings: &NamespaceSettings,
    ) -> Result<Self, ClusterError> {
        let name = cluster.namespace();
        let objects = settings.objects(name);
        let note = (!settings.is_empty())
            .then(|| format!("note: namespace {name} has {}", settings.description));
        let Some(namespace) = objects.first() else {
            return Ok(Self::default());
        };
        let found = match live(cluster, namespace).await {
            // Whoever may not see namespaces may install into one all the same.
            Err(ClusterError::Refused { code: 403, .. }) => return Ok(Self::default()),
            found => found?,
        };
        match found {
            None => Ok(Self {
                changes: objects.iter().map(added).collect(),
                is_new: true,
                objects,
                note,
            }),
            Some(found) if is_ours(&found) => {
                let mut changes = Vec::new();
                for object in &objects {
                    changes.extend(change(cluster, object).await?);
                }
                Ok(Self {
                    objects,
                    is_new: false,
                    changes,
                    note,
                })
            }
            Some(_) => Ok(Self {
                note: (!settings.is_empty()).then(|| {
                    format!(
                        "note: namespace {name} was not created by this program and stays as it is"
                    )
                }),
                ..Self::default()
            }),
        }
    }

    /// What is applied besides the namespace, for the question whether that is allowed.
    pub(crate) fn inner_objects(&self) -> &[Object] {
        self.objects.get(1..).unwrap_or_default()
    }

    pub(crate) async fn apply(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        for (number, object) in self.objects.iter().enumerate() {
            let applied = if number == 0 && self.is_new {
                create(cluster, object).await
            } else {
                apply(cluster, object, false).await.map(|_| ())
            };
            applied.map_err(cluster.failed(format!("create {object}")))?;
        }
        Ok(())
    }
}

fn is_ours(namespace: &Value) -> bool {
    let label = namespace
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(MANAGED_BY));
    label.and_then(Value::as_str) == Some(PROGRAM)
}

fn added(object: &Object) -> ObjectChange {
    ObjectChange {
        object: object.to_string(),
        change: Change::Added,
        paths: Vec::new(),
    }
}

async fn change(cluster: &Cluster, object: &Object) -> Result<Option<ObjectChange>, ClusterError> {
    let Some(live) = live(cluster, object).await? else {
        return Ok(Some(added(object)));
    };
    let outcome = apply(cluster, object, true)
        .await
        .map_err(cluster.failed(format!("try out {object}")))?;
    let compared = |value: &Value| {
        Object::of(
            json!({"kind": object.kind(), "metadata": {"name": object.name(),
            "labels": value.pointer("/metadata/labels")}, "spec": value.get("spec")}),
        )
    };
    Ok(differences(&[compared(&live)], &[compared(&outcome)]).pop())
}

fn api(cluster: &Cluster, object: &Object) -> Api<DynamicObject> {
    let (group, version) = object.group_and_version();
    let kind = GroupVersionKind::gvk(group, version, object.kind());
    let resource = ApiResource::from_gvk(&kind);
    match object.namespace() {
        Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &resource),
        None => Api::all_with(cluster.client(), &resource),
    }
}

async fn live(cluster: &Cluster, object: &Object) -> Result<Option<Value>, ClusterError> {
    let live = api(cluster, object)
        .get_opt(object.name())
        .await
        .map_err(cluster.failed(format!("read {object}")))?;
    Ok(live.and_then(|live| serde_json::to_value(live).ok()))
}

/// That somebody else has created it meanwhile is fine.
async fn create(cluster: &Cluster, object: &Object) -> Result<(), kube::Error> {
    let parameters = PostParams {
        field_manager: Some(PROGRAM.to_owned()),
        ..PostParams::default()
    };
    let wanted = serde_json::from_value(object.value().clone()).map_err(kube::Error::SerdeError)?;
    match api(cluster, object).create(&parameters, &wanted).await {
        Err(kube::Error::Api(status)) if !status.is_already_exists() => {
            Err(kube::Error::Api(status))
        }
        Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn apply(cluster: &Cluster, object: &Object, is_dry_run: bool) -> Result<Value, kube::Error> {
    let parameters = PatchParams {
        dry_run: is_dry_run,
        force: true,
        field_manager: Some(PROGRAM.to_owned()),
        ..PatchParams::default()
    };
    let applied = api(cluster, object)
        .patch(object.name(), &parameters, &Patch::Apply(object.value()))
        .await?;
    Ok(serde_json::to_value(applied).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::NamespaceSettings;

    #[test]
    fn a_namespace_has_what_was_asked_for_and_no_more() {
        let kinds = |settings: &NamespaceSettings| -> Vec<String> {
            let objects = settings.objects("shop");
            objects.iter().map(ToString::to_string).collect()
        };
        assert_eq!(kinds(&NamespaceSettings::default()), ["Namespace/shop"]);
        let whole = NamespaceSettings {
            pod_security: Some("restricted".to_owned()),
            quota: BTreeMap::from([("pods".to_owned(), "20".to_owned())]),
            default_deny: vec!["Ingress".to_owned(), "Egress".to_owned()],
            ..NamespaceSettings::default()
        };
        assert_eq!(
            kinds(&whole),
            [
                "Namespace/shop",
                "ResourceQuota/rune-bundle",
                "NetworkPolicy/rune-bundle"
            ]
        );
    }
}
