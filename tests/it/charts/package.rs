//! Packed charts, read by the real Helm: from a file, and from a registry.

use std::fs;

use camino::Utf8Path;
use rune_bundle::{
    chart::{ChartArtifact, ChartTree, package, render_below},
    oci::Reference,
};
use rune_core::yaml;
use rune_testkit::registry::Registry;
use serde_json::Value;

use crate::charts::support::{Helm, pinned, pinned_package, project, renderer};

#[test]
fn the_archive_of_a_chart_renders_like_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    for (chart, values) in [
        (
            "charts/rune",
            "postgres: { enabled: true, auth: { existingSecret: x } }\nimage: { tag: v0.1.0 }",
        ),
        ("charts/rune/charts/postgres", "auth: { existingSecret: x }"),
    ] {
        let packed = package(chart, &ChartTree::read(&project().join(chart)).unwrap()).unwrap();
        let file = directory.path().join(packed.metadata.file_name());
        fs::write(&file, &packed.bytes).unwrap();
        for helm in Helm::both() {
            let from_file = helm
                .template(file.to_str().unwrap(), "1.33.0", values)
                .unwrap();
            assert_eq!(from_file, helm.template(chart, "1.33.0", values).unwrap());
            helm.try_run(&[
                "lint",
                "--strict",
                "--with-subcharts",
                file.to_str().unwrap(),
            ])
            .unwrap();
            helm.try_run(&["show", "chart", file.to_str().unwrap()])
                .unwrap();
        }
    }
}

#[test]
fn the_same_chart_is_the_same_bytes_wherever_it_lies() {
    let copy = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(copy.path()).unwrap();
    let tree = ChartTree::read(&project().join("charts/rune")).unwrap();
    // Written in another order than it is read, so that nothing can depend on the directory's own.
    for (path, bytes) in tree.iter().collect::<Vec<_>>().into_iter().rev() {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), bytes).unwrap();
    }
    fs::write(root.join("templates/.hidden"), "x").unwrap();
    fs::write(root.join("values.yaml.bak"), "x").unwrap();
    let here = package("charts/rune", &tree).unwrap();
    assert_eq!(
        package("copy", &ChartTree::read(root).unwrap()).unwrap(),
        here
    );
}

#[test]
fn helm_pulls_the_artifact_of_a_chart_from_a_registry() {
    let packed = pinned_package(&pinned());
    let artifact = ChartArtifact::new(&packed).unwrap();
    let registry = Registry::start();
    for blob in artifact.layers.iter().chain([&artifact.config]) {
        assert_eq!(
            registry.put_blob("charts/rune", &blob.bytes),
            blob.descriptor.digest.to_string()
        );
    }
    let tag = ChartArtifact::tag(&packed.metadata);
    let digest = registry.put_manifest(
        "charts/rune",
        Some(&tag),
        &artifact.manifest.descriptor.media_type,
        &artifact.manifest.bytes,
    );
    assert_eq!(digest, artifact.manifest.descriptor.digest.to_string());
    for helm in Helm::both() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().to_str().unwrap();
        let from = format!("oci://{}/charts/rune", registry.host());
        helm.try_run(&[
            "pull",
            &from,
            "--version",
            &packed.metadata.version.to_string(),
            "--plain-http",
            "--destination",
            to,
        ])
        .unwrap();
        assert_eq!(
            fs::read(directory.path().join(packed.metadata.file_name())).unwrap(),
            packed.bytes
        );
    }
}

/// What Artifact Hub reads, by <https://artifacthub.io/docs/topics/annotations/helm/>.
#[test]
fn artifact_hub_is_told_the_licence_the_pinned_images_and_what_changed() {
    const KINDS: [&str; 6] = [
        "added",
        "changed",
        "deprecated",
        "removed",
        "fixed",
        "security",
    ];
    let rendered = render_below(&renderer(), Utf8Path::new("charts/rune"), &pinned()).unwrap();
    for (chart, images) in [
        ("charts/rune/Chart.yaml", 3),
        ("charts/rune/charts/postgres/Chart.yaml", 1),
    ] {
        let (path, text) = rendered.iter().find(|(path, _)| *path == chart).unwrap();
        let head: Value = yaml::from_str(path, text).unwrap();
        let annotation = |name: &str| {
            head["annotations"][format!("artifacthub.io/{name}")]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let list = |name: &str| {
            yaml::from_str::<Vec<Value>>(Utf8Path::new(name), &annotation(name)).unwrap()
        };
        assert_eq!(annotation("license"), "Apache-2.0");
        let changes = list("changes");
        assert!(
            !changes.is_empty()
                && changes
                    .iter()
                    .all(|change| !change["description"].as_str().unwrap().is_empty()),
            "{changes:?}"
        );
        assert!(
            changes
                .iter()
                .all(|change| KINDS.contains(&change["kind"].as_str().unwrap())),
            "{changes:?}"
        );
        let named: Vec<Reference> = list("images")
            .iter()
            .map(|image| image["image"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(named.len(), images);
        assert!(
            named.iter().all(|image| image.digest().is_some()),
            "{named:?}"
        );
    }
}
