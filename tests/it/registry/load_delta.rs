//! `load` of a delta: into a real containerd that has the rest of what it needs.

use std::{collections::BTreeSet, path::Path};

use rune_bundle::oci::Manifest;
use rune_testkit::sha256;

use crate::{
    bundle::project::Project,
    bundle::small_bundle::{Scratch, ends_with, entries_of, index_of},
    registry::load_support::{Containerd, built_twice, content, damaged, load, report, with_key},
};

/// The digests of what linux/amd64 needs of the images of a bundle.
fn needed(bundle: &Path) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    for image in index_of(bundle).images {
        needed.insert(image.target.digest.to_string());
        let manifests = image.manifests.iter().filter(|manifest| {
            let platform = manifest.platform.as_ref().map(ToString::to_string);
            manifest.role == rune_bundle::bundle::Role::Image
                && platform.as_deref() == Some("linux/amd64")
        });
        for manifest in manifests {
            let digest = manifest.digest.to_string();
            let parsed = Manifest::parse(content(bundle, &digest), None).unwrap();
            needed.extend(parsed.children().map(|child| child.digest.to_string()));
            needed.insert(digest);
        }
    }
    needed
}

fn run(
    project: &Project,
    containerd: &Containerd,
    bundle: &str,
    more: &[&str],
    code: i32,
) -> String {
    let arguments = with_key(project, bundle);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ends_with(&containerd.load(&[&arguments[..], more].concat()), code)
}

#[test]
fn a_delta_is_loaded_where_the_old_bundle_was_and_the_new_one_has_nothing_to_add() {
    let (project, containerd) = (built_twice("all"), Containerd::start());
    run(&project, &containerd, "old.tar", &[], 0);
    let before = containerd.contents();
    let said = run(&project, &containerd, "delta.tar", &[], 0);
    let needed = needed(&project.path("new.tar"));
    // Images that are there as they are to be need nothing.
    assert!(
        said.contains("delta.tar` is a delta, and all 2 others (")
            && said.contains("are in containerd at "),
        "{said}"
    );
    let lacking: BTreeSet<&String> = needed.difference(&before).collect();
    assert_eq!(
        lacking.len(),
        4,
        "index, manifest, configuration, layer: {lacking:?}"
    );
    for digest in &needed {
        let bytes = containerd.read(digest);
        assert_eq!(&sha256(&bytes), digest);
    }
    let checked = containerd.ctr(&["images", "check"]);
    let is_whole = |line: &str| line.contains(" complete ") && line.trim_end().ends_with("true");
    assert!(checked.lines().skip(1).all(is_whole), "{checked}");
    let [bundle, key, file] = with_key(&project, "new.tar");
    let again = report(&containerd.load(&[&bundle, &key, &file, "--json"]), 0);
    assert_eq!(again["bytes"], 0);
}

#[test]
fn a_containerd_that_lacks_something_gets_nothing_and_is_told_what_and_how() {
    let (project, containerd) = (built_twice("[linux/amd64]"), Containerd::start());
    let said = run(&project, &containerd, "delta.tar", &[], 4);
    assert!(
        said.contains("not found in the delta or `containerd at ")
            && said.contains("help: create the bundle with `rune-bundle apply DELTA --from BASE"),
        "{said}"
    );
    assert_eq!(containerd.contents(), BTreeSet::new());

    run(&project, &containerd, "old.tar", &[], 0);
    // What both images have: the layers that the old one has.
    let postgres = &index_of(&project.path("new.tar")).images[0].manifests[0];
    let manifest = content(&project.path("new.tar"), &postgres.digest.to_string());
    let parsed = Manifest::parse(manifest, None).unwrap();
    let children: Vec<String> = parsed
        .children()
        .map(|child| child.digest.to_string())
        .collect();
    let held = needed(&project.path("old.tar"));
    let layer = children
        .iter()
        .find(|digest| held.contains(*digest))
        .unwrap();
    containerd.ctr(&["content", "rm", layer]);
    containerd.collect_garbage();
    let (contents, names) = (containerd.contents(), containerd.names());
    let said = run(&project, &containerd, "delta.tar", &[], 4);
    let named: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("blobs/sha256/"))
        .collect();
    assert!(
        named.len() == 1
            && named[0].contains(&layer[7..])
            && said.contains("1 entry of the bundle"),
        "{said}"
    );
    assert_eq!(
        (containerd.contents(), containerd.names()),
        (contents, names)
    );
}

#[test]
fn a_damaged_delta_leaves_no_name() {
    let (project, containerd) = (built_twice("[linux/amd64]"), Containerd::start());
    run(&project, &containerd, "old.tar", &[], 0);
    let names = containerd.names();
    let delta = project.path("delta.tar");
    let blobs = entries_of(&delta)
        .into_iter()
        .filter(|entry| entry.name.starts_with("blobs/"));
    let layer = blobs.max_by_key(|entry| entry.size).unwrap();
    damaged(&delta, &layer.name);
    let said = run(&project, &containerd, "damaged.tar", &[], 6);
    assert!(said.contains(&layer.name), "{said}");
    assert_eq!(containerd.names(), names);
}

#[test]
fn a_file_of_images_is_not_written_of_a_delta() {
    let (project, scratch) = (built_twice("[linux/amd64]"), Scratch::new());
    let [bundle, key, file] = with_key(&project, "delta.tar");
    let directory = scratch.path("").to_str().unwrap().to_owned();
    let said = ends_with(
        &load(&[&bundle, &key, &file, "--images-dir", &directory]),
        3,
    );
    assert!(
        said.contains("this is a delta") && said.contains("rune-bundle apply"),
        "{said}"
    );
    assert_eq!(scratch.names(), [""; 0]);
}
