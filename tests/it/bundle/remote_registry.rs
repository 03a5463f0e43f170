//! Charts of an OCI registry: distribution, with what the real Helm pushed.

use std::{fs, path::Path};

use rune_core::digest::Digest;
use rune_testkit::process::succeeded;

use crate::bundle::{
    foreign_support::{Distribution, Foreign},
    remote_support::{Project, packed_chart, texts},
};

/// Pushes a chart with a Helm; the provenance beside it goes with it.
fn push(tools: &Foreign, helm: &str, archive: &Path, registry: &Distribution) {
    let target = format!("oci://{}/charts", registry.host());
    tools.run(
        helm,
        ["push", archive.to_str().unwrap(), &target, "--plain-http"],
    );
}

fn manifest(registry: &Distribution, version: &str) -> String {
    format!(
        "charts: [{{ reference: 'oci://{}/charts/app', version: {version} }}]\n",
        registry.host()
    )
}

/// Pulls a chart with a Helm into a directory of its own, and reads the archive.
fn pulled(tools: &Foreign, helm: &str, source: &str, file: &str, version: &str) -> Vec<u8> {
    let directory = tools.path(&format!("pulled-{helm}"));
    fs::create_dir_all(&directory).unwrap();
    let directory_text = directory.to_str().unwrap();
    tools.run(
        helm,
        [
            "pull",
            source,
            "--version",
            version,
            "--plain-http",
            "--destination",
            directory_text,
        ],
    );
    fs::read(directory.join(file)).unwrap()
}

#[test]
fn the_bundle_has_the_bytes_that_helm_3_and_4_pull_and_the_manifest_of_the_registry() {
    let (registry, tools) = (Distribution::start("plain"), Foreign::new());
    let archive = packed_chart(&tools, "app", "1.2.3+build.7", "a: 1\n");
    fs::write(tools.path("app-1.2.3+build.7.tgz.prov"), "a provenance\n").unwrap();
    push(&tools, "helm3", &archive, &registry);
    let project = Project::new(&manifest(&registry, "1.2.3+build.7"));
    project.bundle(&[]);
    let carried = project.unpacked("charts/app-1.2.3+build.7.tgz");
    let source = format!("oci://{}/charts/app", registry.host());
    for helm in ["helm3", "helm4"] {
        assert_eq!(
            pulled(
                &tools,
                helm,
                &source,
                "app-1.2.3+build.7.tgz",
                "1.2.3+build.7"
            ),
            carried,
            "{helm}"
        );
    }
    assert_eq!(
        project.unpacked("charts/app-1.2.3+build.7.tgz.prov"),
        b"a provenance\n"
    );
    let digest = registry.digest("charts/app", "1.2.3_build.7");
    let lock = project.lock();
    assert!(
        lock.contains("formatVersion: 2\n") && lock.contains(&digest),
        "{lock}"
    );
    assert!(lock.contains(&Digest::of(&carried).to_string()), "{lock}");
    let index = &project.report(0, &["inspect", "app.tar"])["index"];
    assert_eq!(index["charts"][0]["artifact"]["digest"], digest.as_str());
    assert_eq!(
        index["origins"]["charts/app-1.2.3+build.7.tgz"],
        source.as_str()
    );
    assert_eq!(index["requires"], serde_json::json!(["origins"]));
}

#[test]
fn a_pushed_chart_has_the_same_digest_in_another_registry() {
    let (registry, other, tools) = (
        Distribution::start("plain"),
        Distribution::start("plain"),
        Foreign::new(),
    );
    push(
        &tools,
        "helm4",
        &packed_chart(&tools, "app", "1.0.0", "a: 1\n"),
        &registry,
    );
    let project = Project::new(&manifest(&registry, "1.0.0"));
    project.bundle(&[]);
    let digest = project.report(0, &["inspect", "app.tar"])["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    project.ends(
        0,
        &[
            "push",
            "app.tar",
            other.host(),
            "--bundle-digest",
            &digest,
            "--no-receipt",
        ],
    );
    assert_eq!(
        other.digest("charts/app", "1.0.0"),
        registry.digest("charts/app", "1.0.0")
    );
}

#[test]
fn a_registry_with_tls_and_a_password_gives_its_charts_to_those_who_have_an_entry() {
    let (registry, tools) = (Distribution::start("tls-basic"), Foreign::new());
    let archive = packed_chart(&tools, "app", "1.0.0", "a: 1\n");
    let [ca, user, password] = ["ca", "user", "password"].map(|key| registry.text(key).unwrap());
    let login = [
        "registry",
        "login",
        registry.host(),
        "--username",
        user,
        "--password",
        password,
        "--ca-file",
        ca,
    ];
    tools.run("helm3", login);
    tools.run(
        "helm3",
        [
            "push",
            archive.to_str().unwrap(),
            &format!("oci://{}/charts", registry.host()),
            "--ca-file",
            ca,
        ],
    );
    let project = Project::new(&manifest(&registry, "1.0.0"));
    let refused = project.ends(9, &["lock", "--ca-file", ca]);
    assert!(refused.contains("asks for credentials"), "{refused}");
    let options = registry.client_arguments();
    project.bundle(&texts(&options));
    assert_eq!(
        project.unpacked("charts/app-1.0.0.tgz"),
        fs::read(archive).unwrap()
    );
}

#[test]
fn a_mirror_stands_in_for_the_registry_of_a_chart_as_of_an_image() {
    let (registry, tools) = (Distribution::start("plain"), Foreign::new());
    push(
        &tools,
        "helm3",
        &packed_chart(&tools, "app", "1.0.0", "a: 1\n"),
        &registry,
    );
    let project =
        Project::new("charts: [{ reference: oci://ghcr.io/charts/app, version: 1.0.0 }]\n");
    let options = registry.client_arguments();
    project.bundle(&texts(&options));
    assert!(
        project
            .lock()
            .contains("reference: ghcr.io/charts/app:1.0.0\n")
    );
}

#[test]
fn a_tag_that_moved_is_drift_and_an_update_takes_it() {
    let (registry, tools) = (Distribution::start("plain"), Foreign::new());
    push(
        &tools,
        "helm3",
        &packed_chart(&tools, "app", "1.0.0", "a: 1\n"),
        &registry,
    );
    let project = Project::new(&manifest(&registry, "1.0.0"));
    project.ends(0, &["lock"]);
    project.ends(0, &["lock", "--check"]);
    push(
        &tools,
        "helm3",
        &packed_chart(&tools, "app", "1.0.0", "a: 2\n"),
        &registry,
    );
    let drift = project.ends(5, &["lock", "--check"]);
    assert!(drift.contains("chart `app`: digest was sha256:"), "{drift}");
    // What is pinned is still there under its digest.
    project.ends(0, &["build", "--output", "old.tar"]);
    project.ends(0, &["lock", "--update", "app"]);
    project.ends(0, &["lock", "--check"]);
    let known = project.ends(4, &["lock", "--update", "ap"]);
    assert!(known.contains("did you mean `app`?"), "{known}");
    project.write_manifest(&manifest(&registry, "1.0.1"));
    let stale = project.ends(5, &["build"]);
    assert!(
        stale.contains("chart `app`: version was 1.0.0, is 1.0.1"),
        "{stale}"
    );
    let missing = project.ends(4, &["lock"]);
    assert!(
        missing.contains("cannot lock chart `app`: cannot fetch the manifest"),
        "{missing}"
    );
}

#[test]
fn a_chart_that_was_deleted_is_drift_for_a_check_and_for_a_build() {
    let (registry, tools) = (Distribution::start("plain"), Foreign::new());
    push(
        &tools,
        "helm3",
        &packed_chart(&tools, "app", "1.0.0", "a: 1\n"),
        &registry,
    );
    let project = Project::new(&manifest(&registry, "1.0.0"));
    project.ends(0, &["lock"]);
    let revision = Path::new(registry.text("data").unwrap())
        .join("docker/registry/v2/repositories/charts/app/_manifests");
    succeeded(
        tools
            .command("rm", ["-r", revision.to_str().unwrap()])
            .current_dir("/"),
    );
    let drift = project.ends(5, &["lock", "--check"]);
    assert!(
        drift.contains("chart `app`: version was 1.0.0, is gone"),
        "{drift}"
    );
    let gone = project.ends(5, &["build"]);
    assert!(
        gone.contains("the chart `app` that the lock pins is no longer available"),
        "{gone}"
    );
    project.ends(4, &["lock"]);
}

#[test]
fn what_is_not_a_chart_or_another_one_is_refused() {
    let (registry, tools) = (Distribution::start("plain"), Foreign::new());
    registry.stock();
    let host = registry.host();
    let project = Project::new(&format!(
        "charts: [{{ reference: 'oci://{host}/lpasquali/rune', version: v0.0.0a6 }}]\n"
    ));
    let wrong_version = project.ends(3, &["lock"]);
    assert!(
        wrong_version.contains("is not an exact version of a chart"),
        "{wrong_version}"
    );
    project.write_manifest(&format!(
        "charts: [{{ reference: 'oci://{host}/library/postgres', version: '17' }}]\n"
    ));
    let image = project.ends(4, &["lock"]);
    assert!(image.contains("cannot fetch the manifest of"), "{image}");
    let layout = tools.path("image");
    rune_testkit::sample::Sample::default()
        .build()
        .write_layout(&layout, "sample");
    let (from, to) = (
        format!("oci:{}:sample", layout.display()),
        format!("docker://{host}/charts/image:1.0.0"),
    );
    tools.run(
        "skopeo",
        [
            "copy",
            "--quiet",
            "--all",
            "--dest-tls-verify=false",
            &from,
            &to,
        ],
    );
    project.write_manifest(&format!(
        "charts: [{{ reference: 'oci://{host}/charts/image', version: 1.0.0 }}]\n"
    ));
    let image = project.ends(3, &["lock"]);
    assert!(
        image.contains("is not a Helm chart: it is an image index"),
        "{image}"
    );
    // Helm itself does not push a chart to another name.
    push(
        &tools,
        "helm3",
        &packed_chart(&tools, "app", "1.0.0", "a: 1\n"),
        &registry,
    );
    let (from, to) = (
        format!("{host}/charts/app:1.0.0"),
        format!("{host}/charts/other:2.0.0"),
    );
    tools.run(
        "oras",
        [
            "cp",
            "--no-tty",
            "--from-plain-http",
            "--to-plain-http",
            &from,
            &to,
        ],
    );
    project.write_manifest(&format!(
        "charts: [{{ reference: 'oci://{host}/charts/other', version: 2.0.0 }}]\n"
    ));
    let other = project.ends(6, &["lock"]);
    assert!(
        other.contains("is the chart `app` 1.0.0, not `other` 2.0.0"),
        "{other}"
    );
}
