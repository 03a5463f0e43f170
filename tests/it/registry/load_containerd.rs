//! `load` into a real containerd: what it has afterwards, and that it has nothing when something
//! was wrong.

use std::{
    fs,
    os::unix::{fs::FileExt as _, net::UnixListener},
    process::Command,
};

use rune_bundle::{
    bundle::{ManifestRecord, Role},
    oci::Manifest,
};
use rune_core::digest::Digest;
use serde_json::{Value, json};

use crate::{
    bundle::foreign_shipment::{POSTGRES, RUNE_DB, Shipment},
    bundle::small_bundle::{Scratch, ends_with, entries_of, index_of},
    charts::completeness_images::pinned_by_tag,
    registry::load_support::{Containerd, built, damaged, load, report, with_key},
};

/// The names that each image of a bundle gets, with the digest of the lock.
fn expected_names(bundle: &std::path::Path) -> Vec<(String, String)> {
    let names = index_of(bundle).images.into_iter().flat_map(|image| {
        let digest = image.target.digest.to_string();
        [
            (image.reference.to_string(), digest.clone()),
            (format!("{}@{digest}", image.reference.name()), digest),
        ]
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Whether a manifest is what a node of linux/amd64 needs.
fn is_for_here(manifest: &ManifestRecord) -> bool {
    manifest.role == Role::Image
        && manifest
            .platform
            .as_ref()
            .is_some_and(|platform| platform.to_string() == "linux/amd64")
}

/// A content of a bundle.
fn content(bundle: &std::path::Path, digest: Digest) -> Vec<u8> {
    let entry = entries_of(bundle)
        .into_iter()
        .find(|entry| entry.name.ends_with(&digest.hex()))
        .unwrap();
    let mut bytes = vec![0; usize::try_from(entry.size).unwrap()];
    fs::File::open(bundle)
        .unwrap()
        .read_exact_at(&mut bytes, entry.content)
        .unwrap();
    bytes
}

/// The states of all names in a report, each once.
fn states(report: &Value) -> Vec<&str> {
    let images = report["images"].as_array().unwrap().iter();
    let names = images.flat_map(|image| image["names"].as_array().unwrap());
    let mut states: Vec<&str> = names.map(|name| name["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    states.dedup();
    states
}

#[test]
fn an_image_of_the_bundle_runs_under_the_digest_of_the_lock() {
    let (shipment, containerd) = (Shipment::of_one_platform(), Containerd::start());
    let (bundle, key) = (shipment.bundle(), shipment.text_path("release.pub"));
    let report = report(&containerd.load(&[&bundle, "--key", &key, "--json"]), 0);
    assert_eq!(states(&report), ["added"]);
    assert_eq!(
        Vec::from_iter(containerd.names()),
        expected_names(&shipment.path("bundle.tar"))
    );
    let checked = containerd.ctr(&["images", "check"]);
    assert!(
        checked
            .lines()
            .skip(1)
            .all(|line| line.contains(" complete ")),
        "{checked}"
    );
    let pinned = format!(
        "{}@{}",
        RUNE_DB.rsplit_once(':').unwrap().0,
        shipment.digest(RUNE_DB)
    );
    let run = [
        "run",
        "--rm",
        "--read-only",
        &pinned,
        "rune-load-test",
        "/usr/local/bin/rune-db",
        "--version",
    ];
    assert!(containerd.ctr(&run).starts_with("rune-db "));
}

#[test]
fn an_image_that_charts_name_by_its_tag_gets_that_tag_for_exactly_the_digest_of_the_lock() {
    let (app, containerd) = (pinned_by_tag(), Containerd::start());
    let (bundle, key) = (app.project.path("x.tar"), app.project.path("release.pub"));
    let arguments = [
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--json",
    ];
    let index = index_of(&bundle);
    assert_eq!(index.completeness.tag_pins[0].what, "one");
    let target = index
        .images
        .iter()
        .find(|image| image.name == "one")
        .unwrap()
        .target
        .digest
        .to_string();
    report(&containerd.load(&arguments), 0);
    assert_eq!(containerd.names()["docker.io/library/one:1"], target);
    // Another image under the tag is replaced, and said to be.
    containerd.ctr(&[
        "images",
        "tag",
        "--force",
        "docker.io/library/two:2",
        "docker.io/library/one:1",
    ]);
    assert_ne!(containerd.names()["docker.io/library/one:1"], target);
    let again = report(&containerd.load(&arguments), 0);
    assert_eq!(states(&again), ["alreadyThere", "moved"]);
    assert_eq!(containerd.names()["docker.io/library/one:1"], target);
}

#[test]
fn a_node_gets_only_what_it_can_run_and_a_second_load_moves_nothing() {
    let (project, containerd) = (built("all"), Containerd::start());
    let arguments = with_key(&project, "bundle.tar");
    let arguments = [&arguments[0], &arguments[1], &arguments[2], "--json"];
    let first = report(&containerd.load(&arguments), 0);
    assert_eq!(
        Vec::from_iter(containerd.names()),
        expected_names(&project.path("bundle.tar"))
    );
    assert_eq!(
        (&first["platform"], states(&first)),
        (&json!("linux/amd64"), vec!["added"])
    );
    let index = index_of(&project.path("bundle.tar"));
    let contents = containerd.ctr(&["content", "ls", "--quiet"]);
    for manifest in index.images.iter().flat_map(|image| &image.manifests) {
        assert_eq!(
            contents.contains(&manifest.digest.to_string()),
            is_for_here(manifest),
            "{manifest:?}"
        );
    }

    let second = report(&containerd.load(&arguments), 0);
    assert_eq!(
        (&second["bytes"], states(&second)),
        (&json!(0), vec!["alreadyThere"])
    );
    containerd.ctr(&["images", "rm", POSTGRES]);
    let third = report(&containerd.load(&arguments), 0);
    let (all, one) = (
        first["bytes"].as_u64().unwrap(),
        third["bytes"].as_u64().unwrap(),
    );
    assert!(
        0 < one && one < all,
        "{one} of {all} bytes for the one image that lacked a name"
    );
    assert_eq!(containerd.names().len(), 6);
}

#[test]
fn an_index_with_gaps_keeps_its_digest_and_a_name_that_meant_another_image_is_moved() {
    let (project, containerd) = (built("[linux/amd64]"), Containerd::start());
    let arguments = with_key(&project, "bundle.tar");
    let arguments = [&arguments[0], &arguments[1], &arguments[2], "--json"];
    report(&containerd.load(&arguments), 0);
    assert_eq!(
        Vec::from_iter(containerd.names()),
        expected_names(&project.path("bundle.tar"))
    );
    containerd.ctr(&["images", "tag", "--force", RUNE_DB, POSTGRES]);
    let report = report(&containerd.load(&arguments), 0);
    assert_eq!(states(&report), ["alreadyThere", "moved"]);
    let names = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|image| image["names"].as_array().unwrap());
    let moved: Vec<&Value> = names.filter(|name| name["state"] == "moved").collect();
    let previous = index_of(&project.path("bundle.tar"))
        .images
        .iter()
        .find(|image| image.reference.to_string() == RUNE_DB)
        .unwrap()
        .target
        .digest;
    assert_eq!(
        moved,
        [&json!({"name": POSTGRES, "state": "moved", "previous": previous.to_string()})]
    );
    assert_eq!(
        Vec::from_iter(containerd.names()),
        expected_names(&project.path("bundle.tar"))
    );
}

#[test]
fn a_damaged_content_leaves_no_name_whichever_it_is() {
    let (project, containerd) = (built("all"), Containerd::start());
    let bundle = project.path("bundle.tar");
    let [_, key, file] = with_key(&project, "bundle.tar");
    let image = index_of(&bundle).images.swap_remove(0);
    let mut contents = vec![image.target.digest];
    for manifest in image
        .manifests
        .iter()
        .filter(|manifest| is_for_here(manifest))
    {
        let bytes = content(&bundle, manifest.digest);
        let parsed = Manifest::parse(bytes, None).unwrap();
        contents.push(manifest.digest);
        contents.extend(parsed.children().map(|child| child.digest));
    }
    assert!(
        contents.len() >= 4,
        "index, manifest, configuration, layers: {contents:?}"
    );
    for digest in contents {
        let name = format!("blobs/sha256/{}", digest.hex());
        let damaged = damaged(&bundle, &name);
        let said = ends_with(
            &containerd.load(&[damaged.to_str().unwrap(), &key, &file]),
            6,
        );
        assert!(said.contains(&name), "{said}");
        assert!(
            containerd.names().is_empty(),
            "{name}: {:?}",
            containerd.names()
        );
    }
}

#[test]
fn without_a_containerd_that_answers_it_says_so() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let [bundle, key, file] = with_key(&project, "bundle.tar");
    let socket = scratch.path("socket").to_str().unwrap().to_owned();
    let arguments = [&bundle, &key, &file, "--address", &socket];
    assert!(
        ends_with(&load(&arguments), 4).contains(&format!("cannot reach containerd at `{socket}`"))
    );
    drop(UnixListener::bind(&socket).unwrap());
    assert!(ends_with(&load(&arguments), 10).contains("refused"));
    fs::remove_file(&socket).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    Command::new("chmod")
        .args(["000", &socket])
        .status()
        .unwrap();
    // Root may do it all the same, unless the power to do so is taken away.
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-dac_override",
        "--inh-caps=-dac_override",
        env!("CARGO_BIN_EXE_rune-bundle"),
        "load",
    ]);
    let said = ends_with(&command.args(arguments).output().unwrap(), 9);
    assert!(said.contains("help: run this as root"), "{said}");
}

#[test]
fn a_client_that_is_missing_or_fails_is_named_and_k3s_has_one_inside() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let [bundle, key, file] = with_key(&project, "bundle.tar");
    let socket = scratch.path("socket").to_str().unwrap().to_owned();
    let _listener = UnixListener::bind(&socket).unwrap();
    let script = |name: &str, text: &str| {
        let path = scratch.path(name);
        fs::write(&path, text).unwrap();
        Command::new("chmod")
            .arg("755")
            .arg(&path)
            .status()
            .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let load = |client: &str| load(&[&bundle, &key, &file, "--address", &socket, "--ctr", client]);
    let missing = scratch.path("missing").to_str().unwrap().to_owned();
    assert!(ends_with(&load(&missing), 4).contains(&format!("cannot start `{missing}`")));
    let said = ends_with(
        &load(&script(
            "ctr",
            "#!/bin/sh\necho 'ctr: no space left on device' >&2\nexit 1\n",
        )),
        11,
    );
    assert!(
        said.contains("asking containerd for its images failed")
            && said.contains("no space left on device"),
        "{said}"
    );

    let containerd = Containerd::start();
    let client = script(
        "k3s",
        "#!/bin/sh\n[ \"$1\" = ctr ] || exit 9\nshift\nexec ctr \"$@\"\n",
    );
    report(
        &containerd.load(&[&bundle, &key, &file, "--ctr", &client, "--json"]),
        0,
    );
    assert_eq!(containerd.names().len(), 6);
    // An import that says it worked and did not is found out.
    let liar = script("liar", "#!/bin/sh\ncat >/dev/null\n");
    let said = ends_with(&load(&liar), 10);
    assert!(
        said.contains("containerd imported the images, but"),
        "{said}"
    );
}

#[test]
fn a_full_disk_ends_the_import_without_a_name() {
    let containerd = Containerd::with_a_disk_of(12 << 20);
    let shipment = Shipment::of_one_platform();
    let said = ends_with(
        &containerd.load(&[
            &shipment.bundle(),
            "--key",
            &shipment.text_path("release.pub"),
        ]),
        11,
    );
    assert!(
        said.contains("no space left on device") && said.contains("help: make room"),
        "{said}"
    );
    assert!(containerd.names().is_empty(), "{:?}", containerd.names());
}

#[test]
fn an_unverified_bundle_is_not_loaded() {
    let (project, scratch) = (built("[linux/amd64]"), Scratch::new());
    let [bundle, key, file] = with_key(&project, "bundle.tar");
    let other = scratch.path("other.pub").to_str().unwrap().to_owned();
    fs::write(
        &other,
        rune_bundle::sign::PrivateKey::generate()
            .unwrap()
            .public_key()
            .to_pem(),
    )
    .unwrap();
    // Had it been trusted, it would have failed for want of a containerd.
    let nowhere = ["--address", "/nowhere"];
    ends_with(&load(&[&[bundle.as_str()], &nowhere[..]].concat()), 7);
    ends_with(
        &load(&[&[bundle.as_str(), &key, &other], &nowhere[..]].concat()),
        7,
    );
    ends_with(
        &load(&[&[bundle.as_str(), &key, &file], &nowhere[..]].concat()),
        4,
    );
}
