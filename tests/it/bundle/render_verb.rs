//! `rune-bundle render`: the development form in the project, the pinned form elsewhere, and
//! whether they are in step.

use std::{fs, process::Output};

use serde_json::Value;

use crate::{bundle::project::Project, bundle::small_bundle::ends_with};

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The JSON report of a run that ends with `code`.
fn report(project: &Project, code: i32, arguments: &[&str]) -> Value {
    let output = project.run(&[arguments, &["--json"]].concat());
    ends_with(&output, code);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn edit(project: &Project, file: &str, from: &str, to: &str) {
    let path = project.path(file);
    let content = fs::read_to_string(&path).unwrap();
    assert!(content.contains(from), "{content}");
    fs::write(&path, content.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_is_committed_is_in_step_even_without_programs() {
    let project = Project::new();
    fs::remove_file(project.path("dist/rune-db")).unwrap();
    let report = report(&project, 0, &["render", "--check"]);
    assert_eq!(
        (
            report["schema"].as_str(),
            report["files"].as_array().unwrap().len()
        ),
        (Some("rune-bundle/report/render/v1"), 6)
    );
}

#[test]
fn check_names_files_and_first_differing_lines_and_render_repairs_them() {
    let project = Project::new();
    edit(
        &project,
        "charts/rune/values.yaml",
        "replicaCount: 1",
        "replicaCount: 2",
    );
    fs::remove_file(project.path("charts/rune/charts/postgres/values.yaml")).unwrap();
    let output = project.run(&["render", "--check"]);
    ends_with(&output, 5);
    insta::assert_snapshot!("render_check", text(&output));

    let dry = text(&project.run(&["render", "--dry-run"]));
    assert_eq!(dry.matches("would write").count(), 2, "{dry}");
    ends_with(&project.run(&["render", "--check"]), 5);

    let output = project.run(&["render"]);
    ends_with(&output, 0);
    assert_eq!(
        text(&output).matches("wrote  ").count(),
        2,
        "{}",
        text(&output)
    );
    ends_with(&project.run(&["render", "--check"]), 0);
}

#[test]
fn a_changed_reference_in_the_manifest_puts_the_charts_out_of_date() {
    let project = Project::new();
    edit(
        &project,
        "bundle-manifests/rune.yaml",
        "rune:v0.0.0a6",
        "rune:v0.0.0a5",
    );
    let report = report(&project, 5, &["render", "--check"]);
    let found = &report["outOfStep"][0];
    assert_eq!(
        (found["path"].as_str(), found["found"].as_str()),
        (
            Some("charts/rune/Chart.yaml"),
            Some("appVersion: \"v0.0.0a6\"")
        )
    );
}

#[test]
fn a_line_end_that_differs_is_said_to_be_one() {
    let project = Project::new();
    let path = project.path("charts/rune/Chart.yaml");
    let content = fs::read_to_string(&path).unwrap();
    fs::write(&path, content.trim_end()).unwrap();
    let output = project.run(&["render", "--check"]);
    ends_with(&output, 5);
    assert!(
        text(&output).contains("ends with another line end"),
        "{}",
        text(&output)
    );
}

#[test]
fn the_pinned_form_is_what_a_bundle_includes() {
    let project = Project::new();
    project.lock();
    let report = report(&project, 0, &["render", "--lock", "--out", "pinned"]);
    assert_eq!(report["lock"], "bundle-manifests/rune.lock");
    let lock = fs::read_to_string(project.path("bundle-manifests/rune.lock")).unwrap();
    let values = fs::read_to_string(project.path("pinned/charts/rune/values.yaml")).unwrap();
    let digests: Vec<&str> = values
        .lines()
        .filter_map(|line| line.trim().strip_prefix("digest: "))
        .collect();
    assert_eq!(digests.len(), 2, "{values}");
    assert!(
        digests.iter().all(|digest| digest.starts_with("\"sha256:")),
        "{digests:?}"
    );
    assert!(
        lock.contains(digests[0].trim_matches('"')),
        "the image of RUNE has the digest in the lock"
    );
    assert!(
        project
            .path("pinned/charts/rune/templates/deployment.yaml")
            .exists(),
        "the chart is whole"
    );
    assert!(project.path("pinned/INSTALL.md").exists());
    ends_with(
        &project.run(&["render", "--lock", "--check", "--out", "pinned"]),
        0,
    );

    // A bundle made of the same lock carries the same text.
    project.build("rune.tar");
    let unpacked = project.run(&["unpack", "rune.tar", "unpacked", "--key", "release.pub"]);
    ends_with(&unpacked, 0);
    for file in ["INSTALL.md", "values/airgap.yaml", "values/cnpg.yaml"] {
        let read =
            |directory: &str| fs::read_to_string(project.path(directory).join(file)).unwrap();
        assert_eq!(read("pinned"), read("unpacked"), "{file}");
    }
}

#[test]
fn the_pinned_form_asks_for_a_lock_that_is_current_and_a_place_of_its_own() {
    let project = Project::new();
    ends_with(&project.run(&["render", "--lock", "--out", "pinned"]), 4);
    project.lock();
    ends_with(&project.run(&["render", "--lock"]), 2);
    fs::write(project.path("dist/rune-db"), "another program").unwrap();
    let output = project.run(&["render", "--lock", "--out", "pinned"]);
    ends_with(&output, 5);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("file `dist/rune-db`: digest was"),
        "{output:?}"
    );
    assert!(!project.path("pinned").exists());
}

#[test]
fn a_template_that_names_what_the_manifest_lacks_is_refused_with_its_place() {
    let project = Project::new();
    edit(
        &project,
        "templates/charts/rune/values.yaml.j2",
        "images.rune.tag",
        "images.runes.tag",
    );
    let output = project.run(&["render"]);
    ends_with(&output, 3);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("templates/charts/rune/values.yaml.j2") && said.contains("runes"),
        "{said}"
    );
    ends_with(&project.run(&["render", "--check"]), 3);
}

#[test]
fn the_tables_of_values_in_the_readmes_follow_the_values() {
    let project = Project::new();
    edit(
        &project,
        "templates/charts/rune/values.yaml.j2",
        "replicaCount: 1",
        "replicaCount: 3",
    );
    ends_with(&project.run(&["render"]), 0);
    let readme =
        |project: &Project| fs::read_to_string(project.path("charts/rune/README.md")).unwrap();
    assert!(
        readme(&project).contains("| `replicaCount` | integer | `3` |"),
        "{}",
        readme(&project)
    );
    edit(
        &project,
        "charts/rune/README.md",
        "| `replicaCount` | integer | `3` |",
        "| `replicaCount` | integer | `4` |",
    );
    let report = report(&project, 5, &["render", "--check"]);
    assert_eq!(report["outOfStep"][0]["path"], "charts/rune/README.md");
    ends_with(&project.run(&["render"]), 0);
    ends_with(&project.run(&["render", "--check"]), 0);
}

#[test]
fn a_chart_that_changes_after_its_release_needs_a_higher_version() {
    let project = Project::new();
    ends_with(&project.run(&["render", "--release"]), 0);
    ends_with(&project.run(&["render", "--check"]), 0);
    let released = fs::read_to_string(project.path("charts/versions.lock")).unwrap();
    assert!(
        released.contains("charts/rune/charts/postgres:\n"),
        "{released}"
    );
    edit(
        &project,
        "charts/rune/charts/postgres/templates/NOTES.txt",
        "",
        "more\n",
    );
    for arguments in [
        &["render", "--check"][..],
        &["render"],
        &["render", "--release"],
    ] {
        let said = ends_with(&project.run(arguments), 5);
        assert!(
            said.contains("the chart `charts/rune` is not what was released as "),
            "{said}"
        );
        assert!(
            said.contains("the chart `charts/rune/charts/postgres` is not what was released as ")
                && said.contains("raise `version`"),
            "{said}"
        );
    }
    assert_eq!(
        fs::read_to_string(project.path("charts/versions.lock")).unwrap(),
        released
    );
    for file in [
        "templates/charts/rune/Chart.yaml.j2",
        "templates/charts/rune/charts/postgres/Chart.yaml.j2",
    ] {
        let text = fs::read_to_string(project.path(file)).unwrap();
        let version = text
            .split("<% set version = \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        fs::write(project.path(file), text.replace(version, "99.0.0")).unwrap();
    }
    ends_with(&project.run(&["render", "--release"]), 0);
    assert!(
        fs::read_to_string(project.path("charts/versions.lock"))
            .unwrap()
            .contains("99.0.0")
    );
}
