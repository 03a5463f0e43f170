//! What `lock` says before it asks anybody.

use crate::bundle::{project::Project, small_bundle::ends_with};

#[test]
fn a_missing_helm_is_said_before_any_registry_is_asked() {
    let project = Project::new();
    let mut lock = project.command(&["lock", "--registry-config", "registries.yaml"]);
    lock.env("RUNE_BUNDLE_HELM", project.path("no-helm"));
    let said = ends_with(&lock.output().unwrap(), 4);
    assert!(said.contains("set --helm to Helm 3 or 4"), "{said}");
    assert!(project.registry.requests().is_empty());
}

#[test]
fn a_denial_by_the_built_in_policy_says_whose_policy_that_is_and_what_the_licence_is_called() {
    let project = Project::with_manifest(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
         - { name: shop, reference: 'ghcr.io/acme/shop:1', license: BSD }\n",
    );
    for verb in ["lock", "policy"] {
        let said = ends_with(&project.run(&[verb]), 8);
        assert!(
            said.contains("the manifest names no policy, so the one of RUNE holds")
                && said.contains("as an SPDX identifier it is `BSD-2-Clause` or `BSD-3-Clause`"),
            "{said}"
        );
    }
}
