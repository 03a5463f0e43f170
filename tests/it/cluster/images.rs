//! The kubelet finds what `load` put into its containerd, and pulls through what `mirror` wrote,
//! under the references that the charts pin.

use std::fs;

use rune_testkit::{
    cluster::{Cluster, Namespace},
    unique,
};
use serde_json::{Value, json};

use crate::bundle::small_bundle::ends_with;
use crate::cluster::support::PATIENCE;
use crate::registry::load_support::{load, mirror, report, unpack, waiting, with_key};
use rune_testkit::process::succeeded;

/// A pod that `restricted` lets in, and that is ready as soon as it runs.
fn pod(image: &str, policy: &str) -> Value {
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waiting"},
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": image, "imagePullPolicy": policy, "securityContext": context}],
        },
    })
}

fn becomes_ready(namespace: &Namespace<'_>, image: &str, policy: &str) {
    namespace.apply(&[pod(image, policy)]);
    namespace.wait("pod/waiting", "condition=Ready", PATIENCE);
    namespace.kubectl(&["delete", "pod/waiting", "--now"]);
}

#[test]
fn a_pinned_image_that_was_loaded_is_found_by_the_kubelet_although_its_index_has_gaps() {
    let Some(cluster) = Cluster::up() else { return };
    // Nobody else has it, neither in this run nor in an earlier one on the same cluster.
    let reference = format!("load-{}.test/team/waiting:1", unique());
    let (project, digest) = waiting(&reference, "[linux/amd64]");
    let namespace = cluster.namespace("load");
    let [bundle, key, file] = with_key(&project, "bundle.tar");
    report(
        &load(&[
            &bundle,
            &key,
            &file,
            "--address",
            &cluster.containerd(),
            "--json",
        ]),
        0,
    );
    for image in [&format!("{reference}@{digest}"), &reference] {
        becomes_ready(&namespace, image, "Never");
    }
}

#[test]
fn a_pinned_image_is_pulled_through_the_configuration_for_containerd() {
    let Some(cluster) = Cluster::up() else { return };
    let host = format!("mirror-{}.test", unique());
    let reference = format!("{host}/team/waiting:1");
    let (project, digest) = waiting(&reference, "all");
    let (registry, certificates) = (cluster.registry().to_owned(), cluster.hosts_directory());
    let mut skopeo = cluster.command("skopeo");
    skopeo.args([
        "copy",
        "--quiet",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
    ]);
    succeeded(
        skopeo
            .arg(format!("oci:{}:{reference}", unpack(&project).display()))
            .arg(format!("docker://{registry}/far/side/team/waiting:1")),
    );
    let out = certificates.to_str().unwrap();
    ends_with(
        &mirror(
            &project,
            "containerd",
            &[
                &format!("{registry}/far/side"),
                "--plain-http",
                "--out",
                out,
            ],
        ),
        0,
    );
    becomes_ready(
        &cluster.namespace("mirror"),
        &format!("{reference}@{digest}"),
        "Always",
    );
    fs::remove_dir_all(certificates.join(host)).unwrap();
}
