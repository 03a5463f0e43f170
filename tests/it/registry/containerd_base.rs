//! A node's containerd as what a site has: its list, the delta for it, and the bundle again.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{
    bundle::project::Project,
    bundle::small_bundle::{ends_with, entries_of, index_of},
    registry::load_support::{Containerd, built_twice, content, with_key},
};

fn have(project: &Project, containerd: &Containerd) -> (String, BTreeSet<String>) {
    let _ = fs::remove_file(project.path("site.json"));
    let have = [
        "have",
        "containerd",
        "--address",
        containerd.address(),
        "-o",
        "site.json",
    ];
    let said = ends_with(&project.run(&have), 0);
    let list: Value =
        serde_json::from_slice(&fs::read(project.path("site.json")).unwrap()).unwrap();
    assert_eq!(list["bases"], serde_json::json!([{"name": "containerd"}]));
    let digests = list["digests"].as_array().unwrap().iter();
    let digests = digests.map(|digest| digest.as_str().unwrap().to_owned());
    (said, digests.collect())
}

/// Writes a delta for `site.json`.
fn delta(project: &Project) -> BTreeSet<String> {
    let delta = [
        "delta",
        "--have",
        "site.json",
        "new.tar",
        "-o",
        "for-site.tar",
        "--key",
        "release.pub",
    ];
    ends_with(&project.run(&delta), 0);
    let entries = entries_of(&project.path("for-site.tar"));
    let blobs = entries
        .iter()
        .filter_map(|entry| entry.name.strip_prefix("blobs/sha256/"));
    blobs.map(|hex| format!("sha256:{hex}")).collect()
}

fn apply(project: &Project, containerd: &Containerd, delta: &str, code: i32) -> String {
    let apply = [
        "apply",
        delta,
        "--from",
        "containerd",
        "--address",
        containerd.address(),
    ];
    let more = ["-o", "out.tar", "--key", "release.pub"];
    ends_with(&project.run(&[&apply[..], &more].concat()), code)
}

#[test]
fn what_containerd_has_is_left_out_of_a_delta_and_read_when_it_is_applied() {
    let (project, containerd) = (built_twice("all"), Containerd::start());
    let [bundle, key, file] = with_key(&project, "old.tar");
    ends_with(&containerd.load(&[&bundle, &key, &file]), 0);
    containerd.collect_garbage();
    let (said, listed) = have(&project, &containerd);
    assert!(!said.contains("discarded"), "{said}");
    // containerd says so itself.
    assert_eq!(listed, containerd.contents());
    let included = delta(&project);
    assert!(included.is_disjoint(&listed));
    let said = apply(&project, &containerd, "for-site.tar", 0);
    assert!(said.contains("of `containerd at "), "{said}");
    let read = |name: &str| fs::read(project.path(name)).unwrap();
    assert!(
        read("out.tar") == read("new.tar"),
        "the bundle is another one"
    );
}

#[test]
fn a_content_that_was_changed_on_the_disk_is_not_listed_and_not_used() {
    let (project, containerd) = (built_twice("[linux/amd64]"), Containerd::start());
    let [bundle, key, file] = with_key(&project, "old.tar");
    ends_with(&containerd.load(&[&bundle, &key, &file]), 0);
    containerd.collect_garbage();
    let (_, listed) = have(&project, &containerd);
    delta(&project);
    let blobs = entries_of(&project.path("new.tar")).into_iter();
    let mut blobs =
        blobs.filter_map(|entry| Some(entry.name.strip_prefix("blobs/sha256/")?.to_owned()));
    let hex = blobs
        .find(|hex| listed.contains(&format!("sha256:{hex}")))
        .unwrap();
    let path = containerd.path(&format!(
        "root/io.containerd.content.v1.content/blobs/sha256/{hex}"
    ));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let (said, listed) = have(&project, &containerd);
    assert!(
        said.contains("because the content differs: 1 digest of `containerd at "),
        "{said}"
    );
    assert!(!listed.contains(&format!("sha256:{hex}")));
    let said = apply(&project, &containerd, "for-site.tar", 6);
    assert!(
        said.contains(&format!("blobs/sha256/{hex}` in `containerd at ")),
        "{said}"
    );
    assert!(!project.path("out.tar").exists());
}

#[test]
fn a_containerd_that_discards_unpacked_layers_has_less_and_says_so() {
    let (project, containerd) = (built_twice("[linux/amd64]"), Containerd::discarding());
    // As a kubelet leaves it: manifests and configurations are kept, layers are not.
    let image = format!("{}/library/postgres:17-alpine", project.registry.host());
    containerd.pull_as_kubelet(&image);
    containerd.collect_garbage();
    let (said, listed) = have(&project, &containerd);
    assert!(
        said.contains("note: containerd discarded layers of ") && said.contains(&image),
        "{said}"
    );
    assert_eq!(listed, containerd.contents());
    // The layers for this platform, as its manifest lists them.
    let new = project.path("new.tar");
    let manifest = index_of(&new).images[0].manifests[0].digest;
    let manifest: Value = serde_json::from_slice(&content(&new, &manifest.to_string())).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let layers: Vec<String> = layers
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(layers.len(), 3);
    let included = delta(&project);
    for layer in &layers {
        assert!(
            included.contains(layer) && !listed.contains(layer),
            "{layer}"
        );
    }
    assert!(!listed.is_empty() && included.is_disjoint(&listed));
    apply(&project, &containerd, "for-site.tar", 0);
    let read = |name: &str| fs::read(project.path(name)).unwrap();
    assert!(
        read("out.tar") == read("new.tar"),
        "the bundle is another one"
    );
    fs::remove_file(project.path("out.tar")).unwrap();
    // A delta for somebody who has the layers names those that were discarded.
    let list = fs::read_to_string(project.path("site.json")).unwrap();
    let claimed: BTreeSet<&String> = listed.iter().chain(&layers).collect();
    let mut list: Value = serde_json::from_str(&list).unwrap();
    list["digests"] = serde_json::json!(claimed);
    fs::write(project.path("site.json"), list.to_string()).unwrap();
    fs::remove_file(project.path("for-site.tar")).unwrap();
    delta(&project);
    let said = apply(&project, &containerd, "for-site.tar", 4);
    let named = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("blobs/sha256/"));
    let named: BTreeSet<String> = named
        .map(|line| format!("sha256:{}", &line[..64]))
        .collect();
    assert_eq!(named, layers.into_iter().collect(), "{said}");
}
