//! Whether what runs is what the bundle has, for images that pods name by their tag alone.
//!
//! A tag means what the registry of the node says, or what the node had under it before. The
//! kubelet reports which image it really took.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cluster, ClusterError, Object, pods};
use rune_core::digest::Digest;

/// The most pods that are read in one answer.
const PAGE: u32 = 500;

/// Images as pods name them, without a digest, and as what each may run.
pub(crate) type RunningImages = BTreeMap<String, RunningImage>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningImage {
    pub(crate) digest: Digest,
    /// Those of what it leads to: the reduced index, manifests, their configurations.
    pub(crate) parts: BTreeSet<Digest>,
}

/// Every container of the objects that runs another image than it may, one sentence each.
pub(super) async fn foreign(
    cluster: &Cluster,
    objects: &[Object],
    images: &RunningImages,
) -> Result<Vec<String>, ClusterError> {
    let mut sentences = Vec::new();
    if images.is_empty() {
        return Ok(sentences);
    }
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = cluster
            .api::<Pod>()
            .list(&parameters)
            .await
            .map_err(cluster.failed("see which images run"))?;
        let pods = page
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none() && is_of(pod, objects));
        sentences.extend(pods.flat_map(|pod| foreign_in(pod, images)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(sentences),
        }
    }
}

/// Whether a pod is one of the objects, or has the labels that one of them gives its pods.
pub(super) fn is_of(pod: &Pod, objects: &[Object]) -> bool {
    let labels = pod.metadata.labels.as_ref();
    objects.iter().any(|object| {
        if object.kind() == "Pod" {
            return pod.metadata.name.as_deref() == Some(object.name());
        }
        let wanted = object
            .pod_template()
            .and_then(|template| template.pointer("/metadata/labels"))
            .and_then(Value::as_object);
        wanted.is_some_and(|wanted| {
            let has = |(key, value): (&String, &Value)| {
                labels
                    .and_then(|labels| labels.get(key))
                    .map(String::as_str)
                    == value.as_str()
            };
            !wanted.is_empty() && wanted.iter().all(has)
        })
    })
}

fn foreign_in(pod: &Pod, images: &RunningImages) -> Vec<String> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return Vec::new();
    };
    let containers: Vec<&Container> = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .collect();
    let sentence = |status: &ContainerStatus| {
        let image = containers
            .iter()
            .find(|container| container.name == status.name)?
            .image
            .as_deref()?;
        let (allowed, actual) = (images.get(image)?, digest_of(&status.image_id));
        // One that has not started yet, or is over, runs nothing.
        let is_running = status
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        let is_foreign = actual
            .is_some_and(|digest| allowed.digest != digest && !allowed.parts.contains(&digest));
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        (is_running && is_foreign).then(|| {
            format!(
                "pod {name}, container {}: `{image}` runs as {}, the bundle has {}",
                status.name, status.image_id, allowed.digest
            )
        })
    };
    pods::containers(status).filter_map(sentence).collect()
}

/// The digest in what the kubelet reports: `docker.io/library/a@sha256:…`, `sha256:…`.
fn digest_of(image_id: &str) -> Option<Digest> {
    image_id
        .rsplit('@')
        .next()
        .and_then(|digest| digest.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pod, RunningImage, RunningImages, foreign_in, is_of};
    use crate::install::parse_objects;
    use rune_core::digest::Digest;

    fn pod(image_id: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "a-1", "labels": {"app": "a", "pod-template-hash": "x"}},
            "spec": {"containers": [{"name": "c", "image": "r.example/library/a:1"}]},
            "status": {"containerStatuses": [{
                "name": "c", "image": "r.example/library/a:1", "imageID": image_id, "ready": true, "restartCount": 0,
                "state": {"running": {}},
            }]},
        }))
        .unwrap()
    }

    #[test]
    fn an_image_under_a_tag_is_compared_with_what_the_kubelet_took() {
        let (own, part, other) = (
            Digest::of(b"own"),
            Digest::of(b"part"),
            Digest::of(b"other"),
        );
        let image = RunningImage {
            digest: own,
            parts: [part].into(),
        };
        let images: RunningImages = [("r.example/library/a:1".to_owned(), image)].into();
        for image_id in [
            format!("r.example/library/a@{own}"),
            part.to_string(),
            format!("docker-pullable://a@{own}"),
            String::new(),
        ] {
            assert!(
                foreign_in(&pod(&image_id), &images).is_empty(),
                "{image_id}"
            );
        }
        let said = foreign_in(&pod(&format!("r.example/library/a@{other}")), &images);
        assert!(
            said.len() == 1
                && said[0].contains(&other.to_string())
                && said[0].contains(&own.to_string()),
            "{said:?}"
        );
        assert!(foreign_in(&pod(&other.to_string()), &RunningImages::new()).is_empty());
    }

    #[test]
    fn only_pods_of_the_release_are_looked_at() {
        let of = |labels: &str| {
            let text = format!(
                "kind: Deployment\nmetadata: {{name: a}}\nspec: \
                 {{template: {{metadata: {{labels: {labels}}}}}}}\n"
            );
            is_of(&pod(""), &parse_objects(&text).unwrap())
        };
        assert!(of("{app: a}") && !of("{app: b}") && !of("{app: a, tier: x}") && !of("{}"));
        assert!(is_of(
            &pod(""),
            &parse_objects("kind: Pod\nmetadata: {name: a-1}\n").unwrap()
        ));
    }
}
