//! `prune` of the registry that a real cluster pulls from.

use rune_testkit::cluster::{Cluster, FreshNode, Helm, Namespace};
use serde_json::{Value, json};

use crate::cluster::{install::REGISTRY, release_set::Site, support::PATIENCE};

const CHARTS: [&str; 3] = ["first", "second", "third"];

/// The tags of a repository, by the registry itself.
fn tags(cluster: &Cluster, repository: &str) -> Vec<String> {
    let url = format!("http://{REGISTRY}/v2/{repository}/tags/list");
    let output = cluster.command("curl").args(["--silent", &url]).output();
    let list: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let tags = list["tags"].as_array().into_iter().flatten();
    let mut tags: Vec<String> = tags.map(|tag| tag.as_str().unwrap().to_owned()).collect();
    tags.retain(|tag| !tag.starts_with("sha256-"));
    tags.sort();
    tags
}

/// Starts a pod of each release as it is installed on a node that has no image, and gives the names
/// of the images that were pulled.
fn start_anew(namespace: &Namespace<'_>, node: &FreshNode<'_>) -> Vec<String> {
    for name in CHARTS {
        let template = &namespace.get(&format!("deployment/{name}"))["spec"]["template"];
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-anew")}});
        pod["spec"] = template["spec"].clone();
        pod["spec"]["nodeName"] = node.name().into();
        namespace.apply(&[pod]);
    }
    for name in CHARTS {
        namespace.wait(&format!("pod/{name}-anew"), "condition=Ready", PATIENCE);
    }
    let images = node.images();
    for name in CHARTS {
        namespace.kubectl(&["delete", "pod", &format!("{name}-anew")]);
    }
    images
}

#[test]
fn after_three_upgrades_two_versions_stay_and_rollback_works() {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, Helm::Four);
    let prefix = site.namespace.name().to_owned();
    let registry = format!("{REGISTRY}/{prefix}");
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0"] {
        site.build(version);
        let file = format!("{version}.tar");
        let install = ["install", &file, "--key", "release.pub", "--push"];
        site.report(&[&install[..], &["--registry", &registry]].concat(), 0);
    }
    let others = tags(&cluster, "tests/set");
    let images = format!("{prefix}/tests/set");
    let given = ["--keep", "2", "--key", "release.pub", "--only-this-cluster"];
    let prune =
        |options: &[&str]| site.report(&[&["prune", &registry], &given[..], options].concat(), 0);
    let planned = prune(&[]);
    let kept = planned["bundles"].as_array().unwrap().iter();
    let kept: Vec<bool> = kept
        .map(|bundle| !bundle["kept"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(kept, [false, false, true, true], "{planned:#}");
    assert_eq!(planned["clusters"][0]["releases"], json!(3));
    let index = format!("{prefix}/bundles/set");
    assert_eq!(tags(&cluster, &index).len(), 4, "nothing is deleted yet");

    prune(&["--yes"]);
    assert_eq!(tags(&cluster, &index), ["3.0.0", "4.0.0"]);
    for chart in CHARTS {
        let left = tags(&cluster, &format!("{prefix}/charts/{chart}"));
        assert_eq!(left, ["3.0.0", "4.0.0"], "{chart}");
    }
    assert_eq!(tags(&cluster, "tests/set"), others);
    assert_eq!(tags(&cluster, &images), ["3.0.0", "4.0.0"]);

    let node = cluster.fresh_node("after-prune");
    assert_eq!(node.images(), [] as [&str; 0]);
    // The kubelet drops the tag of what is pinned.
    let pulled = |version: &str| {
        let image = format!("{registry}/tests/set");
        let tagged = format!("{image}:{version}");
        let crane = ["digest", "--insecure", &tagged];
        let digest = cluster.command("crane").args(crane).output().unwrap();
        let digest = String::from_utf8(digest.stdout).unwrap();
        format!("{image}@{}", digest.trim())
    };
    let now = start_anew(&site.namespace, &node);
    assert_eq!(now, [pulled("4.0.0")]);

    let all = |version: &str| CHARTS.map(|name| format!("{name} {version}")).to_vec();
    assert_eq!(site.versions(), all("4.0.0"));
    site.report(&["rollback", "first"], 0);
    assert_eq!(site.versions(), all("3.0.0"));
    let now = start_anew(&site.namespace, &node);
    assert!(now.contains(&pulled("3.0.0")), "{now:?}");
    // What `rollback` would go back to now is gone, and that is said.
    let again = prune(&[]);
    let notes = again["notes"].to_string();
    assert!(notes.contains("goes back to set 2.0.0"), "{notes}");
    assert!(
        again["manifests"].as_array().unwrap().is_empty(),
        "{again:#}"
    );
}
