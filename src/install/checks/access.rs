//! Whether we may do in the namespace what Helm will do.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Namespace,
};
use kube::{
    Api,
    api::PostParams,
    core::GroupVersionKind,
    discovery::{Discovery, Scope},
};

use super::{Check, Verdict};
use crate::install::{Cluster, ClusterError, Object};
use rune_core::failure::FailureKind;

/// What Helm does with an object that it installs, upgrades and takes back.
const VERBS: [&str; 4] = ["get", "create", "patch", "delete"];

/// A kind of object that will be made: group, plural name, and whether it lies in a namespace.
type Resource = (String, String, bool);

/// Checks whether the namespace is there, or may be made, and whether we may do in it what Helm
/// will do. The second is whether it is there. Kinds that `definitions`, or definitions among the
/// objects, make known need not be there yet.
pub(crate) async fn check_access(
    cluster: &Cluster,
    objects: &[Object],
    definitions: &[Object],
    may_create: bool,
) -> Result<(Vec<Check>, bool), ClusterError> {
    let (namespace, mut exists) = namespace(cluster, may_create).await?;
    let mut checks = vec![namespace];
    // Who may not see namespaces may be allowed in this one all the same.
    exists |= checks.iter().any(|check| check.verdict == Verdict::Unknown);
    let discovery = Discovery::new(cluster.client());
    let discovery = discovery
        .run_aggregated()
        .await
        .map_err(cluster.failed("ask which kinds of objects the cluster knows"))?;
    let mut resources: BTreeSet<Resource> = ["secrets", "configmaps"]
        .into_iter()
        .map(|plural| (String::new(), plural.to_owned(), true))
        .collect();
    let mut unknown = BTreeSet::new();
    for object in objects {
        let (group, version) = object.group_and_version();
        match discovery.resolve_gvk(&GroupVersionKind::gvk(group, version, object.kind())) {
            Some((resource, capabilities)) => {
                resources.insert((
                    resource.group,
                    resource.plural,
                    capabilities.scope == Scope::Namespaced,
                ));
            }
            None if is_defined(object, objects.iter().chain(definitions)) => {}
            None => {
                unknown.insert(format!("{} of {}", object.kind(), object.api_version()));
            }
        }
    }
    let kinds = unknown.into_iter().map(|kind| {
        Check::new(
            "kinds",
            FailureKind::NotFound,
            kind,
            "no such kind in this cluster",
            Verdict::Missing,
        )
    });
    checks.extend(kinds);
    let asked = join_all(resources.iter().map(|resource| denied(cluster, resource))).await;
    let denied: Vec<String> = asked
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect();
    let needed = format!(
        "{} on {} kinds of objects in namespace {}",
        VERBS.join(", "),
        resources.len(),
        cluster.namespace()
    );
    checks.push(if denied.is_empty() {
        Check::new(
            "rights",
            FailureKind::Access,
            needed,
            "all of them",
            Verdict::Satisfied,
        )
    } else {
        Check::new(
            "rights",
            FailureKind::Access,
            needed,
            format!("no right to {}", denied.join("; ")),
            Verdict::Missing,
        )
    });
    Ok((checks, exists))
}

/// Whether the kind of an object is one that definitions make known.
fn is_defined<'o>(object: &Object, mut definitions: impl Iterator<Item = &'o Object>) -> bool {
    definitions.any(|definition| {
        let of = |pointer| {
            definition
                .value()
                .pointer(pointer)
                .and_then(|value| value.as_str())
        };
        definition.is_definition()
            && of("/spec/group") == Some(object.group_and_version().0)
            && of("/spec/names/kind") == Some(object.kind())
    })
}

async fn denied(cluster: &Cluster, resource: &Resource) -> Result<Option<String>, ClusterError> {
    if may(cluster, resource, "*").await? {
        return Ok(None);
    }
    let mut denied = Vec::new();
    for verb in VERBS {
        if !may(cluster, resource, verb).await? {
            denied.push(verb);
        }
    }
    let (group, plural, _) = resource;
    let name = if group.is_empty() {
        plural.clone()
    } else {
        format!("{plural}.{group}")
    };
    Ok((!denied.is_empty()).then(|| format!("{} {name}", denied.join(", "))))
}

async fn may(
    cluster: &Cluster,
    (group, plural, is_namespaced): &Resource,
    verb: &str,
) -> Result<bool, ClusterError> {
    let attributes = ResourceAttributes {
        group: Some(group.clone()),
        resource: Some(plural.clone()),
        verb: Some(verb.to_owned()),
        namespace: is_namespaced.then(|| cluster.namespace().to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview {
        spec,
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::<SelfSubjectAccessReview>::all(cluster.client())
        .create(&PostParams::default(), &review)
        .await;
    let answer = answer.map_err(cluster.failed("ask what may be done"))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

async fn namespace(cluster: &Cluster, may_create: bool) -> Result<(Check, bool), ClusterError> {
    let name = cluster.namespace();
    let check = |available: String, verdict| {
        Check::new("namespace", FailureKind::NotFound, name, available, verdict)
    };
    match Api::<Namespace>::all(cluster.client()).get_opt(name).await {
        Ok(Some(found)) => {
            let phase = found
                .status
                .and_then(|status| status.phase)
                .unwrap_or_default();
            let is_leaving = phase == "Terminating";
            Ok((
                check(
                    if is_leaving {
                        "one that is being deleted"
                    } else {
                        "it"
                    }
                    .to_owned(),
                    Verdict::of(!is_leaving),
                ),
                true,
            ))
        }
        Ok(None) if may_create => {
            let resource = (String::new(), "namespaces".to_owned(), false);
            if may(cluster, &resource, "create").await? {
                return Ok((
                    check("none yet; it will be made".to_owned(), Verdict::Satisfied),
                    false,
                ));
            }
            let available = "none, and no right to make it";
            Ok((
                Check::new(
                    "namespace",
                    FailureKind::Access,
                    name,
                    available,
                    Verdict::Missing,
                ),
                false,
            ))
        }
        Ok(None) => Ok((
            check(
                "none; --create-namespace makes it".to_owned(),
                Verdict::Missing,
            ),
            false,
        )),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok((
            check("no right to look".to_owned(), Verdict::Unknown),
            false,
        )),
        Err(error) => Err(cluster.failed(format!("read the namespace {name}"))(error)),
    }
}
