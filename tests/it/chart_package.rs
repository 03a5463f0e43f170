//! Packed charts, read by the real Helm: from a file, and from a registry.

use std::fs;

use rune_bundle::chart::{ChartArtifact, ChartTree, package};
use rune_testkit::registry::Registry;

use crate::chart_support::{Helm, pinned, pinned_package, project};

#[test]
fn the_archive_of_a_chart_renders_like_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    for (chart, values) in [
        ("charts/rune", "postgres: { enabled: true, auth: { existingSecret: x } }\nimage: { tag: v0.1.0 }"),
        ("charts/rune/charts/postgres", "auth: { existingSecret: x }"),
    ] {
        let packed = package(chart, &ChartTree::read(&project().join(chart)).unwrap()).unwrap();
        let file = directory.path().join(packed.metadata.file_name());
        fs::write(&file, &packed.bytes).unwrap();
        for helm in Helm::both() {
            let from_file = helm.template(file.to_str().unwrap(), "1.33.0", values).unwrap();
            assert_eq!(from_file, helm.template(chart, "1.33.0", values).unwrap());
            helm.try_run(&["lint", "--strict", "--with-subcharts", file.to_str().unwrap()]).unwrap();
            helm.try_run(&["show", "chart", file.to_str().unwrap()]).unwrap();
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
    assert_eq!(package("copy", &ChartTree::read(root).unwrap()).unwrap(), here);
}

#[test]
fn helm_pulls_the_artifact_of_a_chart_from_a_registry() {
    let packed = pinned_package(&pinned());
    let artifact = ChartArtifact::new(&packed).unwrap();
    let registry = Registry::start();
    for blob in artifact.layers.iter().chain([&artifact.config]) {
        assert_eq!(registry.put_blob("charts/rune", &blob.bytes), blob.descriptor.digest.to_string());
    }
    let tag = ChartArtifact::tag(&packed.metadata);
    let digest = registry.put_manifest("charts/rune", Some(&tag), &artifact.manifest.descriptor.media_type, &artifact.manifest.bytes);
    assert_eq!(digest, artifact.manifest.descriptor.digest.to_string());
    for helm in Helm::both() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().to_str().unwrap();
        let from = format!("oci://{}/charts/rune", registry.host());
        helm.try_run(&["pull", &from, "--version", &packed.metadata.version.to_string(), "--plain-http", "--destination", to]).unwrap();
        assert_eq!(fs::read(directory.path().join(packed.metadata.file_name())).unwrap(), packed.bytes);
    }
}
