//! What became of a release since it was installed: other values, other objects, other images.

use serde::Serialize;
use serde_json::Value;

use super::{
    Cluster, InstallError, Installed, Object, ReleaseHelm, Revision, Workload,
    difference::{differences, differing_paths},
    parse_objects, rollout, running,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Drift {
    pub(crate) about: DriftKind,
    /// What it is, for people; never a value of the release.
    pub(crate) what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum DriftKind {
    Release,
    Values,
    Objects,
    Images,
    Schema,
}

impl Drift {
    pub(crate) fn new(about: DriftKind, what: impl Into<String>) -> Self {
        Self {
            about,
            what: what.into(),
        }
    }
}

impl DriftKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Values => "values",
            Self::Objects => "objects",
            Self::Images => "images",
            Self::Schema => "schema",
        }
    }
}

pub(super) async fn of_release(
    helm: &ReleaseHelm,
    installed: &Installed,
    history: &[Revision],
) -> Result<Vec<Drift>, InstallError> {
    let release = |what: String| vec![Drift::new(DriftKind::Release, what)];
    let Some(now) = rollout::deployed(history) else {
        let last = history.last();
        return Ok(release(last.map_or_else(
            || "Helm has no such release".to_owned(),
            |last| {
                format!(
                    "revision {} is {}, and none is deployed",
                    last.number, last.status
                )
            },
        )));
    };
    let Some(then) = installed.revision.filter(|then| *then != now) else {
        return Ok(Vec::new());
    };
    if !history.iter().any(|revision| revision.number == then) {
        return Ok(release(format!(
            "revision {now} is deployed, and Helm no longer has revision {then}, which was \
             installed"
        )));
    }
    let (before, after) = (helm.values(then).await?, helm.values(now).await?);
    let paths = differing_paths(&before, &after);
    let mut drift: Vec<Drift> = paths
        .into_iter()
        .map(|path| {
            // Without any values Helm says null.
            let path = if path.is_empty() {
                "all of them"
            } else {
                &path
            };
            Drift::new(
                DriftKind::Values,
                format!("{path} (revision {then} to {now})"),
            )
        })
        .collect();
    let (before, after) = (helm.installed(then).await?, helm.installed(now).await?);
    let changes = differences(&parse_objects(&before)?, &parse_objects(&after)?);
    drift.extend(changes.into_iter().map(|change| {
        let what = format!("{} (revision {then} to {now})", change.object);
        Drift::new(DriftKind::Objects, what)
    }));
    Ok(drift)
}

/// Images that the cluster has in place of those that were installed.
pub(super) async fn of_images(
    cluster: &Cluster,
    installed: &Installed,
    objects: &[Object],
    workloads: &[Workload],
) -> Result<Vec<Drift>, InstallError> {
    let mut drift = Vec::new();
    for object in objects {
        let name = object.to_string();
        let live = workloads.iter().find(|workload| workload.object == name);
        if let Some(live) = live.and_then(|workload| workload.live.clone()) {
            drift.extend(other_images(object, &Object::of(live)));
        }
    }
    let foreign = running::foreign(cluster, objects, &installed.images).await?;
    let foreign = foreign.into_iter();
    drift.extend(foreign.map(|what| Drift::new(DriftKind::Images, what)));
    Ok(drift)
}

/// Containers that were installed and have another image now; what somebody put beside them does
/// not count.
fn other_images(installed: &Object, live: &Object) -> Vec<Drift> {
    let text = |container: &Value, key: &str| {
        let text = container.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut drift = Vec::new();
    for container in installed.containers() {
        let (name, image) = (text(container, "name"), text(container, "image"));
        let now = live.containers().find(|other| text(other, "name") == name);
        let now = now.map_or_else(|| "none".to_owned(), |now| text(now, "image"));
        if now != image {
            let what =
                format!("{installed}, container {name}: `{now}`, and `{image}` was installed");
            drift.push(Drift::new(DriftKind::Images, what));
        }
    }
    drift
}

#[cfg(test)]
mod tests {
    use super::other_images;
    use crate::install::parse_objects;

    fn deployment(containers: &str) -> super::Object {
        let text = format!(
            "kind: Deployment\nmetadata: {{name: a}}\nspec: \
             {{template: {{spec: {{containers: {containers}}}}}}}\n"
        );
        parse_objects(&text).unwrap().remove(0)
    }

    #[test]
    fn another_image_in_a_container_is_drift_and_a_container_of_somebody_else_is_not() {
        let installed = deployment("[{name: api, image: a:1}]");
        let injected = deployment("[{name: mesh, image: m}, {name: api, image: a:1}]");
        assert!(other_images(&installed, &injected).is_empty());
        let drift = other_images(&installed, &deployment("[{name: api, image: a:2}]"));
        assert_eq!(
            drift[0].what,
            "Deployment/a, container api: `a:2`, and `a:1` was installed"
        );
        assert_eq!(other_images(&installed, &deployment("[]")).len(), 1);
    }
}
