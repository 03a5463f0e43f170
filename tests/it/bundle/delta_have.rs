//! What a site says it has is left out of a delta, and what was unpacked there is a base.

use std::{collections::BTreeSet, fs};

use rune_testkit::sample::Sample;

use crate::bundle::{
    delta_support::Pair,
    project::Project,
    small_bundle::{ends_with, entries_of, index_of, rune_bundle},
};

const SHARED: [usize; 3] = [40_000, 30_000, 20_000];

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

/// The digests in a list, without `sha256:`.
fn listed(pair: &Pair, name: &str) -> BTreeSet<String> {
    let list: serde_json::Value = serde_json::from_slice(&pair.bytes(name)).unwrap();
    let digests = list["digests"].as_array().unwrap().iter();
    digests
        .map(|digest| digest.as_str().unwrap().replace("sha256:", ""))
        .collect()
}

#[test]
fn the_list_of_a_bundle_leaves_out_what_the_bundle_as_base_does() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    pair.run_alone(&["have", "old.tar", "-o", "site.json"], 0);
    let index = index_of(&pair.file("old.tar"));
    let held: BTreeSet<String> = index
        .entries
        .iter()
        .map(|entry| entry.sha256.hex())
        .collect();
    assert_eq!(listed(&pair, "site.json"), held);
    pair.run(
        &[
            "delta",
            "--have",
            "site.json",
            "new.tar",
            "-o",
            "listed.tar",
        ],
        0,
    );
    assert_eq!(pair.bytes("listed.tar"), pair.bytes("delta.tar"));
    pair.run_alone(&["have", "old.tar", "-o", "site.json"], 12);
}

#[test]
fn an_unpacked_bundle_is_a_base_and_what_was_changed_in_it_is_not_in_its_list() {
    let pair = Pair::new(&SHARED, 10_000);
    let site = pair.path("site");
    pair.run(&["unpack", "old.tar", &site], 0);
    pair.run(&["delta", "--base", &site, "new.tar", "-o", "delta.tar"], 0);
    let apply = ["apply", "delta.tar", "--from", &site, "-o", "out.tar"];
    pair.run(&apply, 0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
    fs::remove_file(pair.file("out.tar")).unwrap();

    let values = "values/lab.yaml";
    let path = pair.file("site").join(values);
    let size = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![0; usize::try_from(size).unwrap()]).unwrap();
    let said = pair.run(&apply, 6);
    assert!(
        said.contains(&format!(
            "entry `{values}` in `{site}/{values}`: expected sha256:"
        )),
        "{said}"
    );
    let said = pair.run_alone(&["have", &site, "-o", "site.json"], 0);
    assert!(
        said.contains("because the content differs: 1 digest of"),
        "{said}"
    );
    let index = index_of(&pair.file("old.tar"));
    let entry = index
        .entries
        .iter()
        .find(|entry| entry.path.as_str() == values);
    assert!(!listed(&pair, "site.json").contains(&entry.unwrap().sha256.hex()));
    fs::remove_file(&path).unwrap();
    let said = pair.run(&apply, 4);
    assert!(said.contains(values) && said.contains(&site), "{said}");
    assert!(!pair.file("out.tar").exists());
    // A delta for the list has it.
    let delta = ["delta", "--have", "site.json", "new.tar", "-o", "more.tar"];
    pair.run(&delta, 0);
    pair.run(&["apply", "more.tar", "--from", &site, "-o", "out.tar"], 0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}

#[test]
fn lists_and_directories_that_are_something_else_are_refused() {
    let pair = Pair::new(&SHARED, 10_000);
    let empty = r#"{"bases":[],"digests":[],"format":1}"#;
    for (text, code) in [
        (empty.to_owned(), 0),
        (empty.replace("1}", "2}"), 3),
        (empty.replace("\"digests\":[]", "\"digests\":[\"x\"]"), 3),
        (empty.replace('}', ",\"more\":1}"), 3),
        (format!("{empty} "), 3),
        (String::new(), 3),
    ] {
        fs::write(pair.file("site.json"), &text).unwrap();
        let delta = ["delta", "--have", "site.json", "new.tar", "-o", "x.tar"];
        let said = pair.run(&[&delta[..], &["--dry-run"]].concat(), code);
        assert!(code == 0 || said.contains("have-list"), "{text}: {said}");
    }
    let site = pair.path("site");
    fs::create_dir(&site).unwrap();
    fs::write(pair.file("secret"), "secret").unwrap();
    let have = ["have", &site, "-o", "list.json"];
    assert!(pair.run_alone(&have, 3).contains("has no SHA256SUMS"));
    let hex = "0".repeat(64);
    for line in [
        format!("{hex}  ../secret"),
        format!("{hex}  /etc/passwd"),
        hex.clone(),
    ] {
        fs::write(pair.file("site").join("SHA256SUMS"), &line).unwrap();
        let said = pair.run_alone(&have, 3);
        assert!(
            said.contains("is not a list of digests and entries"),
            "{line}: {said}"
        );
    }
    assert!(!pair.file("list.json").exists());
}

#[test]
fn build_with_a_base_fetches_nothing_of_what_is_left_out_and_writes_what_delta_writes() {
    let project = Project::with_manifest(MANIFEST);
    let sample = |layer_bytes| Sample {
        layer_bytes,
        ..Sample::default()
    };
    project.put("library/postgres", "17-alpine", &sample(vec![400_000]));
    project.lock();
    project.build("old.tar");
    project.put(
        "library/postgres",
        "17-alpine",
        &sample(vec![400_000, 90_000]),
    );
    project.lock();
    project.build("new.tar");
    project.registry.forget_requests();
    let mut arguments = project.build_arguments("built.tar");
    arguments.extend(["--base", "old.tar"]);
    let said = ends_with(&project.run(&arguments), 0);
    assert!(said.contains("wrote a delta of rune 0.1.0"), "{said}");
    let held: BTreeSet<String> = index_of(&project.path("old.tar"))
        .entries
        .iter()
        .map(|entry| entry.sha256.hex())
        .collect();
    let asked = project.registry.requests();
    let asked: Vec<&str> = asked.iter().map(|request| request.path.as_str()).collect();
    let is_held = |path: &&&str| {
        path.contains("/blobs/") && held.iter().any(|hex| path.ends_with(hex.as_str()))
    };
    assert_eq!(asked.iter().find(is_held), None);
    assert!(
        asked.iter().any(|path| path.contains("/blobs/")),
        "{asked:?}"
    );
    let digest = rune_testkit::sha256(&index_of(&project.path("new.tar")).to_bytes().unwrap());
    let trust = ["--bundle-digest", &digest];
    let delta = ["delta", "--base", "old.tar", "new.tar", "-o", "delta.tar"];
    ends_with(&project.run(&[&delta[..], &trust].concat()), 0);
    let read = |name: &str| fs::read(project.path(name)).unwrap();
    assert!(read("built.tar") == read("delta.tar"), "the deltas differ");
    let apply = ["apply", "built.tar", "--from", "old.tar", "-o", "out.tar"];
    ends_with(&project.run(&[&apply[..], &trust].concat()), 0);
    assert!(read("out.tar") == read("new.tar"));
}

#[test]
fn build_with_a_base_writes_the_volumes_that_split_makes_of_the_delta() {
    let project = Project::with_manifest(MANIFEST);
    let put = |layer_bytes| {
        let sample = Sample {
            layer_bytes,
            ..Sample::default()
        };
        project.put("library/postgres", "17-alpine", &sample);
        project.lock();
    };
    put(vec![40_000]);
    project.build("old.tar");
    put(vec![40_000, 300_000]);
    let build = |output: &str, more: &[&str]| {
        let arguments = project.build_arguments(output);
        let base = ["--base", "old.tar"];
        ends_with(&project.run(&[&arguments[..], &base, more].concat()), 0)
    };
    build("whole.tar", &[]);
    let size = ["--volume-size", "200kB"];
    let said = build("built.tar", &size);
    assert!(
        said.contains("wrote a delta of rune 0.1.0") && said.contains("[ ] volume 1 of "),
        "{said}"
    );
    let whole = fs::read(project.path("whole.tar")).unwrap();
    let index = &entries_of(&project.path("whole.tar"))[1];
    let range = usize::try_from(index.content).unwrap()..;
    let index = &whole[range][..usize::try_from(index.size).unwrap()];
    let digest = rune_testkit::sha256(index);
    let split = [
        "split",
        "whole.tar",
        "-o",
        "split.tar",
        "--bundle-digest",
        &digest,
    ];
    ends_with(&project.run(&[&split[..], &size].concat()), 0);
    let volumes = |stem: &str| -> Vec<Vec<u8>> {
        let files = fs::read_dir(project.path(".")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(stem)).collect();
        names.sort();
        let read = |name: &String| fs::read(project.path(name)).unwrap();
        names.iter().map(read).collect()
    };
    let built = volumes("built.volume-");
    assert!(built.len() > 1 && built == volumes("split.volume-"));
}

#[test]
fn standard_input_is_refused_by_what_reads_at_any_position() {
    for arguments in [
        &["have", "-"][..],
        &["apply", "-"],
        &["apply", "x", "--from", "-"],
        &["delta", "x", "--base", "-"],
        &["delta", "x", "--have", "-"],
    ] {
        let said = ends_with(&rune_bundle(arguments), 2);
        assert!(said.contains("store it in a file first"), "{said}");
    }
}
