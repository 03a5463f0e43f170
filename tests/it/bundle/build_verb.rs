//! `build`: the same inputs give the same bytes, and what is wrong is said before the first byte is
//! fetched.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rune_testkit::sample::Sample;

use crate::{
    bundle::project::{Project, copy, sha256},
    bundle::small_bundle::{ends_with, index_of},
    charts::support::tool,
};

#[test]
fn the_same_lock_gives_the_same_bytes_whatever_the_surroundings() {
    let project = Project::new();
    project.lock();
    let first = sha256(&project.build("first.tar"));
    let elsewhere = project.path("another/place with spaces");
    for directory in [
        "bundle-manifests",
        "charts",
        "migrations",
        "templates",
        "dist",
    ] {
        copy(&project.path(directory), &elsewhere.join(directory));
    }
    for (downloads, zone, mask, helm) in [
        ("1", "UTC", "022", "helm3"),
        ("8", "Pacific/Kiritimati", "077", "helm4"),
    ] {
        let output = Command::new("sh")
            .args([
                "-c",
                r#"umask "$0"; exec "$@""#,
                mask,
                env!("CARGO_BIN_EXE_rune-bundle"),
                "build",
                "--output",
                "again.tar",
            ])
            .args(["--downloads", downloads, "--registry-config"])
            .arg(project.path("registries.yaml"))
            .arg("--key")
            .arg(project.path("release.key"))
            .current_dir(&elsewhere)
            .env("RUNE_BUNDLE_HELM", tool(helm))
            .envs([
                ("TZ", zone),
                ("LC_ALL", "tr_TR.UTF-8"),
                ("SOURCE_DATE_EPOCH", "12345"),
            ])
            .output()
            .unwrap();
        ends_with(&output, 0);
        assert_eq!(
            sha256(&elsewhere.join("again.tar")),
            first,
            "{downloads} downloads, {zone}, umask {mask}"
        );
        fs::remove_file(elsewhere.join("again.tar")).unwrap();
    }
}

#[test]
fn a_built_bundle_verifies_unpacks_and_leaves_no_other_file() {
    let project = Project::new();
    project.lock();
    fs::create_dir(project.path("out")).unwrap();
    project.build("out/x.tar");
    assert_eq!(
        fs::read_dir(project.path("out")).unwrap().count(),
        1,
        "something is left beside the bundle"
    );
    let said = ends_with(
        &project.run(&[
            "verify",
            "out/x.tar",
            "--key",
            "release.pub",
            "--expect",
            "rune@0.1.0",
        ]),
        0,
    );
    assert!(!said.contains("not checked"), "{said}");
    ends_with(
        &project.run(&["unpack", "out/x.tar", "unpacked", "--key", "release.pub"]),
        0,
    );
    let mode = |path: &str| {
        fs::metadata(project.path("unpacked").join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("bin/linux-amd64/rune-db"), 0o755);
    assert_eq!(mode("INSTALL.md"), 0o644);
}

#[test]
fn the_digest_of_an_image_is_the_same_in_lock_index_values_and_bundle() {
    let project = Project::new();
    project.lock();
    let bundle = project.build("x.tar");
    let digest = rune_testkit::sha256(
        &Sample {
            seed: "library/postgres".to_owned(),
            ..Sample::default()
        }
        .build()
        .index
        .bytes,
    );
    assert!(
        fs::read_to_string(project.path("bundle-manifests/rune.lock"))
            .unwrap()
            .contains(&digest)
    );
    let image = index_of(&bundle)
        .images
        .into_iter()
        .find(|image| image.name == "postgres")
        .unwrap();
    assert_eq!(image.target.digest.to_string(), digest);
    assert!(image.reduced_index.is_none());
    ends_with(
        &project.run(&["unpack", "x.tar", "unpacked", "--key", "release.pub"]),
        0,
    );
    for file in ["index.json", "INSTALL.md"] {
        assert!(
            fs::read_to_string(project.path("unpacked").join(file))
                .unwrap()
                .contains(&digest),
            "{file}"
        );
    }
    let chart = fs::read_dir(project.path("unpacked/charts"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let values = Command::new("tar")
        .arg("-xzOf")
        .arg(chart)
        .arg("rune/charts/postgres/values.yaml")
        .output()
        .unwrap();
    assert!(ends_with(&values, 0).contains(&digest));
}

#[test]
fn platforms_that_are_left_out_leave_a_sparse_and_a_reduced_index() {
    let manifest =
        fs::read_to_string(crate::bundle::project::repository().join("bundle-manifests/rune.yaml"))
            .unwrap();
    let line = manifest
        .lines()
        .find(|line| line.starts_with("platforms: all"))
        .unwrap();
    let project = Project::with_manifest(&manifest.replace(line, "platforms: [linux/amd64]"));
    let image = project.put("library/postgres", "17-alpine", &Sample::default());
    project.put(
        "lpasquali/rune",
        "v0.0.0a6",
        &Sample {
            seed: "rune".to_owned(),
            ..Sample::default()
        },
    );
    project.lock();
    let bundle = project.build("x.tar");
    ends_with(
        &project.run(&["verify", "x.tar", "--key", "release.pub"]),
        0,
    );
    let postgres = index_of(&bundle)
        .images
        .into_iter()
        .find(|image| image.name == "postgres")
        .unwrap();
    assert_eq!(
        postgres.target.digest.to_string(),
        rune_testkit::sha256(&image.index.bytes)
    );
    assert_eq!(
        postgres
            .manifests
            .iter()
            .filter(|manifest| manifest.carried)
            .count(),
        2,
        "one image and its attestation"
    );
    assert_eq!(
        postgres
            .manifests
            .iter()
            .filter(|manifest| !manifest.carried)
            .count(),
        4
    );
    ends_with(
        &project.run(&["unpack", "x.tar", "unpacked", "--key", "release.pub"]),
        0,
    );
    let reduced = project
        .path("unpacked/blobs/sha256")
        .join(postgres.reduced_index.unwrap().digest.hex());
    let reduced: serde_json::Value = serde_json::from_slice(&fs::read(reduced).unwrap()).unwrap();
    let platforms: Vec<_> = reduced["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "unknown"]);
}

#[test]
fn a_component_that_is_left_out_is_not_included() {
    let project = Project::new();
    project.lock();
    let mut arguments = project.build_arguments("x.tar");
    arguments.extend(["--without", "postgres"]);
    ends_with(&project.run(&arguments), 0);
    let names: Vec<_> = index_of(&project.path("x.tar"))
        .images
        .into_iter()
        .map(|image| image.name)
        .collect();
    assert_eq!(names, ["rune", "rune-db"]);
    ends_with(
        &project.run(&["verify", "x.tar", "--key", "release.pub"]),
        0,
    );
    let mut arguments = project.build_arguments("y.tar");
    arguments.extend(["--without", "postgers"]);
    let said = ends_with(&project.run(&arguments), 2);
    assert!(
        said.contains("postgers") && said.contains("it has postgres"),
        "{said}"
    );
}

/// Asserts that a build ends with `code` before anything is fetched, and says what it said.
fn refused_unfetched(project: &Project, arguments: &[&str], code: i32) -> String {
    project.registry.forget_requests();
    let said = ends_with(&project.run(arguments), code);
    assert!(
        project.registry.requests().is_empty(),
        "something was fetched: {said}"
    );
    said
}

#[test]
fn a_destination_that_cannot_receive_the_bundle_is_said_before_anything_is_fetched() {
    let project = Project::new();
    project.lock();
    fs::write(project.path("there.tar"), "mine").unwrap();
    let said = refused_unfetched(&project, &project.build_arguments("there.tar"), 12);
    assert!(said.contains("already exists"), "{said}");
    assert_eq!(fs::read(project.path("there.tar")).unwrap(), b"mine");
    let said = refused_unfetched(
        &project,
        &project.build_arguments("no/such/directory.tar"),
        4,
    );
    assert!(said.contains("no/such"), "{said}");
    let said = refused_unfetched(&project, &project.build_arguments("/sys/x.tar"), 9);
    assert!(said.contains("/sys"), "{said}");
}

#[test]
fn a_destination_that_exists_is_said_before_helm_renders_anything() {
    let project = Project::new();
    project.lock();
    fs::write(project.path("there.tar"), "mine").unwrap();
    let helm = project.path("helm");
    // Helm gets an environment of its own.
    let marks = format!(
        "#!/bin/sh\n[ \"$1\" = version ] || : > '{}'\nexec '{}' \"$@\"\n",
        project.path("helm.was-run").display(),
        tool("helm4").display()
    );
    fs::write(&helm, marks).unwrap();
    fs::set_permissions(&helm, fs::Permissions::from_mode(0o755)).unwrap();
    let build = |output: &str, code| {
        let mut command = project.command(&project.build_arguments(output));
        command.env("RUNE_BUNDLE_HELM", &helm);
        ends_with(&command.output().unwrap(), code)
    };
    for (output, code) in [("there.tar", 12), ("no/such/directory.tar", 4)] {
        build(output, code);
        assert!(!project.path("helm.was-run").exists(), "{output}");
    }
    build("new.tar", 0);
    assert!(project.path("helm.was-run").exists());
}

#[test]
fn a_limit_on_file_sizes_is_said_before_anything_is_fetched() {
    let project = Project::new();
    project.lock();
    project.registry.forget_requests();
    let output = Command::new("sh")
        .args([
            "-c",
            r#"ulimit -f 8; exec "$@""#,
            "sh",
            env!("CARGO_BIN_EXE_rune-bundle"),
        ])
        .args(project.build_arguments("x.tar"))
        // The limit is smaller than a packed chart.
        .arg("--no-chart-check")
        .current_dir(project.path("."))
        .output()
        .unwrap();
    let said = ends_with(&output, 11);
    assert!(
        said.contains("ulimit") && project.registry.requests().is_empty(),
        "{said}"
    );
}

/// Unmounts when the test ends, however it ends.
struct Mounted<'a>(&'a std::path::Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_is_too_small_is_said_before_anything_is_fetched() {
    let project = Project::new();
    project.lock();
    let small = project.path("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&small)
        .output()
        .unwrap();
    ends_with(&mounted, 0);
    let _mounted = Mounted(&small);
    let said = refused_unfetched(&project, &project.build_arguments("small/x.tar"), 11);
    assert!(
        said.contains("small") && said.contains("bytes free"),
        "{said}"
    );
}

#[test]
fn a_file_that_changed_since_it_was_locked_is_drift() {
    for file in ["dist/rune-db", "migrations/0001_jobs.sql"] {
        let project = Project::new();
        project.lock();
        let mut bytes = fs::read(project.path(file)).unwrap();
        bytes.push(b'\n');
        fs::write(project.path(file), bytes).unwrap();
        let said = refused_unfetched(&project, &project.build_arguments("x.tar"), 5);
        assert!(said.contains(file), "{said}");
    }
}

#[test]
fn a_dynamic_program_is_refused_for_an_image_made_from_scratch() {
    let project = Project::new();
    fs::copy("/bin/true", project.path("dist/rune-db")).unwrap();
    ends_with(
        &project.run(&[
            "lock",
            "--no-chart-check",
            "--registry-config",
            "registries.yaml",
        ]),
        0,
    );
    let said = refused_unfetched(&project, &project.build_arguments("x.tar"), 3);
    assert!(said.contains("linked dynamically"), "{said}");
}

#[test]
fn a_manifest_that_changed_since_it_was_locked_is_refused() {
    let project = Project::new();
    project.lock();
    let path = project.path("bundle-manifests/rune.yaml");
    let manifest = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("version: 0.1.0", "version: 0.1.1"),
        ("v0.0.0a6", "v0.0.0a5"),
        ("platforms: all", "platforms: [linux/amd64]"),
    ] {
        assert!(manifest.contains(from));
        fs::write(&path, manifest.replacen(from, to, 1)).unwrap();
        let said = refused_unfetched(&project, &project.build_arguments("x.tar"), 5);
        assert!(said.contains("rune-bundle lock"), "{said}");
    }
}

#[test]
fn a_dry_run_fetches_and_writes_nothing() {
    let project = Project::new();
    project.lock();
    let mut arguments = project.build_arguments("x.tar");
    arguments.push("--dry-run");
    let said = refused_unfetched(&project, &arguments, 0);
    assert!(said.contains("would write"), "{said}");
    assert!(!project.path("x.tar").exists() && !project.path("x.tar.partial").exists());
}

#[test]
fn a_wrong_passphrase_is_said_before_anything_is_fetched() {
    let project = Project::new();
    project.lock();
    ends_with(
        &project
            .command(&["keygen", "--out", "other"])
            .env("COSIGN_PASSWORD", "right")
            .output()
            .unwrap(),
        0,
    );
    project.registry.forget_requests();
    let arguments = [
        "build",
        "--registry-config",
        "registries.yaml",
        "--key",
        "other.key",
        "--output",
        "x.tar",
    ];
    let output = project
        .command(&arguments)
        .env("COSIGN_PASSWORD", "wrong")
        .output()
        .unwrap();
    let said = ends_with(&output, 9);
    assert!(
        said.contains("passphrase") && !said.contains("wrong'"),
        "{said}"
    );
    assert!(project.registry.requests().is_empty());
}

#[test]
fn a_blob_with_another_digest_than_the_locked_one_ends_the_build_without_a_bundle() {
    let project = Project::new();
    project.lock();
    project.registry.fault(
        rune_testkit::registry::Fault::on("GET", "/v2/library/postgres/blobs/*")
            .always()
            .wrong_at(77),
    );
    let said = ends_with(&project.run(&project.build_arguments("x.tar")), 6);
    assert!(
        said.contains("docker.io/library/postgres") && said.contains("expected sha256:"),
        "{said}"
    );
    assert!(!project.path("x.tar").exists());
}

#[test]
fn a_project_without_templates_and_charts_gets_the_built_in_text_for_the_admin() {
    let project = Project::with_manifest(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nimages:\n  \
         - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\n",
    );
    project.put("library/postgres", "17-alpine", &Sample::default());
    fs::remove_dir_all(project.path("templates")).unwrap();
    project.lock();
    project.build("x.tar");
    ends_with(
        &project.run(&["unpack", "x.tar", "unpacked", "--key", "release.pub"]),
        0,
    );
    let text = fs::read_to_string(project.path("unpacked/INSTALL.md")).unwrap();
    assert!(
        text.contains("docker.io/library/postgres:17-alpine")
            && text.contains("rune-bundle verify rune-0.1.0.bundle.tar"),
        "{text}"
    );
}
