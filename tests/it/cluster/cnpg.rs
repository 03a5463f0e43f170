//! The manifests for CloudNativePG in the documents are ones that its own definitions take, on a
//! real API server.
//!
//! The definitions are large and not ours: `CNPG_CRDS` names a folder that has them, those of the
//! operator and of its Barman Cloud plugin.

use std::{fs, path::Path};

use rune_testkit::cluster::{Cluster, note_skip};

use crate::charts::support::project;

/// The documents in YAML of the page, as one text for namespace `rune`, the one it names.
fn manifests() -> String {
    let page = fs::read_to_string(project().join("docs/operations/high-availability.md")).unwrap();
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap());
    blocks
        .filter(|block| block.contains("apiVersion:"))
        .collect::<Vec<_>>()
        .join("\n---\n")
}

#[test]
fn the_documented_manifests_fit_the_definitions_of_cloudnativepg() {
    let definitions = std::env::var("CNPG_CRDS").unwrap_or_default();
    if !Path::new(&definitions).is_dir() {
        return note_skip("CNPG_CRDS names no folder with the definitions of CloudNativePG");
    }
    let Some(cluster) = Cluster::up() else { return };
    cluster.kubectl(&["apply", "--server-side", "--filename", &definitions]);
    // The API server serves a kind a moment after it took the definition.
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "--filename",
        &definitions,
    ]);
    let namespace = cluster.namespace("cnpg");
    let manifests = manifests().replace(
        "namespace: rune\n",
        &format!("namespace: {}\n", namespace.name()),
    );
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), manifests).unwrap();
    let path = file.path().to_str().unwrap();
    let said = namespace.kubectl(&[
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        path,
    ]);
    for kind in [
        "imagecatalog",
        "cluster",
        "objectstore",
        "scheduledbackup",
        "pooler",
    ] {
        assert!(
            said.lines()
                .any(|line| line.starts_with(&format!("{kind}."))),
            "no {kind} in: {said}"
        );
    }
}
