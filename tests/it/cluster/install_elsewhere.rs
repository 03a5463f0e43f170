//! `install` on a real cluster of a bundle that is in no file: published in a registry, or a delta
//! whose rest the registry has.

use rune_testkit::{cluster::Cluster, unique};
use serde_json::json;

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works},
};

#[test]
fn a_published_bundle_is_installed_and_a_delta_upgrades_it() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    works.build("1.0.0", "one.tar");
    works.build("2.0.0", "two.tar");
    let namespace = cluster.namespace("elsewhere");
    // Nothing of an earlier run on the same cluster is there.
    let registry = format!("{REGISTRY}/elsewhere-{}", unique());
    let run = |arguments: &[&str]| {
        ends_with(&works.command(arguments).output().unwrap(), 0);
    };
    let trust = ["--key", "release.pub"];
    run(&[&["publish", "one.tar", &registry], &trust[..]].concat());

    let published = format!("oci://{registry}/bundles/rune:1.0.0");
    let first = works.report(&namespace, &published, &["--registry", &registry], 0);
    assert_eq!(
        (&first["version"], &first["revision"], &first["tested"]),
        (&json!("1.0.0"), &json!(1), &json!(true))
    );

    run(&[
        "delta",
        "--base",
        "one.tar",
        "two.tar",
        "--key",
        "release.pub",
        "--output",
        "two.delta.tar",
    ]);
    let options = ["--registry", &registry, "--push"];
    let second = works.report(&namespace, "two.delta.tar", &options, 0);
    assert_eq!(
        (&second["version"], &second["revision"], &second["tested"]),
        (&json!("2.0.0"), &json!(2), &json!(true))
    );
    let image = &namespace.get("pod/rune-postgres-0")["spec"]["containers"][0]["image"];
    let image = image.as_str().unwrap();
    assert!(image.starts_with(&registry), "{image}");
}
