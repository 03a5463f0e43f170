//! `diff` finds the one thing in which two bundles differ, and nothing else.

use std::{collections::BTreeMap, fs, sync::Arc};

use rune_bundle::{
    bundle::BinaryContent,
    chart::{ChartTree, package},
    sign::PrivateKey,
};
use serde_json::{Value, json};

use crate::{
    bundle::diff_support::Pair,
    bundle::small_bundle::{ends_with, index_of, ingredients, private_key, write},
};

/// The chart of the small bundle with other files.
fn chart(version: &str, more: &[(&str, &str)]) -> rune_bundle::chart::Package {
    let mut files = BTreeMap::new();
    files.insert(
        "Chart.yaml".into(),
        format!("apiVersion: v2\nname: small\nversion: {version}\n").into_bytes(),
    );
    files.extend(
        more.iter()
            .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec())),
    );
    package("small", &ChartTree::new(files)).unwrap()
}

/// `subject: old -> new` of a list of differences.
fn lines(list: &Value) -> Vec<String> {
    let side = |value: &Value| value.as_str().unwrap_or("nothing").to_owned();
    let line = |one: &Value| {
        format!(
            "{}: {} -> {}",
            one["subject"].as_str().unwrap(),
            side(&one["old"]),
            side(&one["new"])
        )
    };
    list.as_array().unwrap().iter().map(line).collect()
}

#[test]
fn the_same_bundle_differs_in_nothing() {
    let pair = Pair::new(|_| ());
    let said = ends_with(&pair.run(&["--exit-code"]), 0);
    assert!(said.ends_with("nothing differs\n"), "{said}");
    let report = crate::bundle::diff_support::report(&pair.old, &pair.new);
    assert_eq!(
        (
            &report["different"],
            crate::bundle::diff_support::touched(&report)
        ),
        (&json!(false), Vec::new())
    );
    assert_eq!(report["carry"]["bytes"], 0);
}

#[test]
fn a_difference_fails_a_job_only_when_it_is_to() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let said = ends_with(&pair.run(&[]), 0);
    assert!(said.contains("version: 1.2.3 -> 1.2.4"), "{said}");
    ends_with(&pair.run(&["--exit-code"]), 5);
    assert_eq!(
        lines(&pair.touched(&["bundle"])["bundle"]),
        ["version: 1.2.3 -> 1.2.4"]
    );
}

#[test]
fn a_licence_that_changed() {
    let pair = Pair::new(|made| made.images[0].license = Some("MIT".to_owned()));
    let report = pair.touched(&["images"]);
    assert_eq!(
        lines(&report["images"][0]["differences"]),
        ["licence: Apache-2.0 -> MIT"]
    );
    assert_eq!(report["images"][0]["change"], "changed");
    assert_eq!(
        (
            &report["images"][0]["platforms"],
            &report["images"][0]["layers"]["new"]["count"]
        ),
        (&json!([]), &json!(0))
    );
}

#[test]
fn values_of_a_profile_that_changed_by_path() {
    let values = |text: &str| vec![("values/lab.yaml".to_owned(), text.to_owned())];
    let (old, new) = (
        "replicaCount: 1\na: {b: [x]}\n",
        "replicaCount: 2\na: {b: [x, y]}\nauth: {password: hunter2}\n",
    );
    let pair = Pair::of(
        |made| made.profiles[0].values = values(old),
        |made| made.profiles[0].values = values(new),
    );
    let report = pair.touched(&["values"]);
    let file = &report["values"][0];
    assert_eq!(
        (&file["file"], &file["profiles"]),
        (&json!("values/lab.yaml"), &json!(["lab"]))
    );
    assert_eq!(
        lines(&file["differences"]),
        [
            "a.b[1]: nothing -> y",
            "auth.password: nothing -> (may be secret, not shown)",
            "replicaCount: 1 -> 2"
        ]
    );
    assert!(!report.to_string().contains("hunter2") && !pair.said().contains("hunter2"));
}

#[test]
fn a_profile_that_takes_another_file() {
    let pair = Pair::new(|made| {
        made.profiles[0]
            .values
            .push(("values/more.yaml".to_owned(), "x: 1\n".to_owned()));
    });
    let report = pair.touched(&["profiles", "values"]);
    assert_eq!(
        lines(&report["profiles"]),
        ["lab: values/lab.yaml -> values/lab.yaml, values/more.yaml"]
    );
    assert_eq!(report["values"][0]["change"], "added");
}

#[test]
fn a_migration_that_was_added() {
    let pair = Pair::new(|made| {
        let migrations = made.migrations.as_mut().unwrap();
        migrations.schema_version = 2;
        migrations
            .files
            .push((2, "0002_y.sql".to_owned(), b"SELECT 2;\n".to_vec()));
    });
    let report = pair.touched(&["bundle", "migrations"]);
    assert_eq!(lines(&report["bundle"]), ["schema version: 1 -> 2"]);
    let file = json!({"path": "migrations/0002_y.sql", "change": "added", "oldBytes": null, "newBytes": 10});
    assert_eq!(report["migrations"], json!([file]));
}

#[test]
fn a_migration_that_was_edited() {
    let pair =
        Pair::new(|made| made.migrations.as_mut().unwrap().files[0].2 = b"SELECT 1; --\n".to_vec());
    assert_eq!(
        pair.touched(&["migrations"])["migrations"][0]["change"],
        "changed"
    );
}

#[test]
fn a_chart_that_changed_by_its_metadata_files_and_values() {
    let pair = Pair::of(
        |made| {
            made.charts = vec![chart(
                "0.1.0",
                &[
                    ("values.yaml", "a: 1\n"),
                    ("templates/gone.yaml", "x"),
                    ("README.md", "one"),
                ],
            )];
        },
        |made| {
            made.charts = vec![chart(
                "0.2.0",
                &[
                    ("values.yaml", "a: 2\n"),
                    ("templates/new.yaml", "x"),
                    ("README.md", "one"),
                ],
            )];
        },
    );
    let report = pair.touched(&["charts"]);
    let chart = &report["charts"][0];
    assert_eq!(lines(&chart["differences"]), ["version: 0.1.0 -> 0.2.0"]);
    let files = chart["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| format!("{} {}", file["change"], file["path"]).replace('"', ""));
    assert_eq!(
        files.collect::<Vec<_>>(),
        [
            "changed Chart.yaml",
            "removed templates/gone.yaml",
            "added templates/new.yaml",
            "changed values.yaml"
        ]
    );
    assert_eq!(lines(&chart["values"][0]["differences"]), ["a: 1 -> 2"]);
}

#[test]
fn a_chart_of_the_same_version_whose_template_was_edited() {
    let pair = Pair::of(
        |made| made.charts = vec![chart("0.1.0", &[("templates/a.yaml", "x")])],
        |made| made.charts = vec![chart("0.1.0", &[("templates/a.yaml", "y")])],
    );
    let report = pair.touched(&["charts"]);
    assert_eq!(
        (
            &report["charts"][0]["differences"],
            &report["charts"][0]["files"][0]["path"]
        ),
        (&json!([]), &json!("templates/a.yaml"))
    );
}

#[test]
fn a_program_that_changed() {
    let pair =
        Pair::new(|made| made.binaries[0].content = BinaryContent::Bytes(Arc::from(vec![8; 700])));
    assert_eq!(
        pair.touched(&["programs"])["programs"][0]["path"],
        "bin/linux-amd64/rune-db"
    );
}

#[test]
fn a_file_that_changed_and_the_text_for_the_admin() {
    let pair = Pair::new(|made| {
        made.install = "# Install otherwise\n".to_owned();
        made.files.clear();
    });
    let report = pair.touched(&["files"]);
    let files = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| format!("{} {}", file["change"], file["path"]).replace('"', ""));
    assert_eq!(
        files.collect::<Vec<_>>(),
        ["changed INSTALL.md", "removed files/extra.txt"]
    );
}

#[test]
fn a_waiver_and_what_was_left_out() {
    let pair = Pair::new(|made| {
        made.policy
            .waived
            .push("x is denied, waived: needed".to_owned());
        made.completeness.left_out.push("y is left out".to_owned());
    });
    let report = pair.touched(&["waivers", "leftOut"]);
    assert_eq!(
        report["waivers"],
        json!({"added": ["x is denied, waived: needed"], "removed": []})
    );
    assert_eq!(
        report["leftOut"],
        json!({"added": ["y is left out"], "removed": []})
    );
}

#[test]
fn whether_the_charts_were_checked() {
    let pair = Pair::new(|made| made.completeness.checked = true);
    assert_eq!(
        lines(&pair.touched(&["bundle"])["bundle"]),
        ["completeness: not checked -> checked"]
    );
}

#[test]
fn another_signature_over_the_same_bundle() {
    let pair = Pair::new(|_| ());
    let second = PrivateKey::generate().unwrap();
    fs::remove_file(&pair.new).unwrap();
    let draft = ingredients(&pair.scratch).compose().unwrap();
    write(
        &draft.sign(&[private_key(), second]).unwrap(),
        &pair.scratch.utf8("new.tar"),
    );
    let report = pair.touched(&["signers"]);
    assert_eq!(report["signers"]["added"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&report["old"]["digest"], &report["carry"]["contents"]),
        (&report["new"]["digest"], &json!(0))
    );
}

#[test]
fn what_has_to_be_transferred_is_what_the_old_bundle_does_not_have() {
    let pair = Pair::new(|made| {
        made.binaries[0].content = BinaryContent::Bytes(Arc::from(vec![9; 1234]));
        // The content of an entry that is there already, under another name.
        made.profiles[0]
            .values
            .push(("values/again.yaml".to_owned(), "{}\n".to_owned()));
    });
    let report = crate::bundle::diff_support::report(&pair.old, &pair.new);
    let (old, new) = (index_of(&pair.old), index_of(&pair.new));
    let known: Vec<_> = old.entries.iter().map(|entry| entry.sha256).collect();
    let missing: Vec<_> = new
        .entries
        .iter()
        .filter(|entry| !known.contains(&entry.sha256))
        .collect();
    let paths: Vec<&str> = missing.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        ["SHA256SUMS", "bin/linux-amd64/rune-db", "sbom.cdx.json"]
    );
    assert_eq!(
        report["carry"]["bytes"],
        missing.iter().map(|entry| entry.size).sum::<u64>()
    );
}
