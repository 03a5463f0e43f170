//! A policy that demands signatures by key: checked when a bundle is locked, and again by whoever
//! receives it, with the keys of the receiver.

use std::fs;

use rune_bundle::commands::bundle::LockMode;

use crate::bundle::{
    evidence_support::{SIGN, Shop, VERIFY},
    project::Project,
    small_bundle::ends_with,
};

#[test]
fn an_image_that_is_signed_in_a_tag_or_in_a_bundle_is_accepted_on_both_sides() {
    for in_tag in [true, false] {
        let shop = Shop::new(true);
        if in_tag {
            shop.sign_in_tag(&shop.key);
        } else {
            let root = shop.root();
            shop.put(None, &shop.bundle(&root, SIGN, &shop.key));
        }
        shop.demand_signatures();
        let lock = ["lock", "--registry-config", "registries.yaml"];
        let said = ends_with(&shop.project.run(&lock), 0);
        let expected = format!("{}/library/shop@{}", shop.registry().host(), shop.root());
        assert!(
            said.contains("signed ") && said.contains(&expected) && said.contains("`signer.pub`"),
            "{said}"
        );
        shop.project.build("shop.tar");
        let said = ends_with(&shop.project.run(&VERIFY), 0);
        assert!(
            said.contains("signed ") && said.contains(&expected),
            "{said}"
        );
        // Read from a stream it is the same.
        let bundle = fs::File::open(shop.project.path("shop.tar")).unwrap();
        let mut streamed = shop.project.command(&VERIFY.map(|word| match word {
            "shop.tar" => "-",
            other => other,
        }));
        ends_with(&streamed.stdin(bundle).output().unwrap(), 0);
    }
}

#[test]
fn whoever_receives_a_bundle_decides_by_keys_of_their_own() {
    let shop = Shop::new(true);
    shop.sign_in_tag(&shop.key);
    shop.demand_signatures();
    shop.project.lock();
    shop.project.build("shop.tar");
    let refused = |policy: &str| {
        shop.policy(policy);
        let said = ends_with(&shop.project.run(&VERIFY), 8);
        assert!(
            said.contains("image `shop`: rule `signatures`") && said.contains(&shop.root()),
            "{said}"
        );
    };
    refused("signatures: [{ match: '**', keys: [other.pub] }]\n");
    refused("signatures: [{ match: '**', keys: [signer.pub, other.pub], threshold: 2 }]\n");
    // The key may stand in the policy.
    let pem = shop.key.public_key().to_pem().replace('\n', "\n      ");
    shop.policy(&format!(
        "signatures:\n  - match: '**'\n    keys:\n    - |\n      {pem}\n"
    ));
    ends_with(&shop.project.run(&VERIFY), 0);
}

#[test]
fn a_signature_that_is_gone_when_the_bundle_is_built_ends_the_build() {
    let shop = Shop::new(true);
    let digest = shop.sign_in_tag(&shop.key);
    shop.demand_signatures();
    shop.project.lock();
    shop.registry().delete_manifest("library/shop", &digest);
    let said = ends_with(
        &shop.project.run(&shop.project.build_arguments("shop.tar")),
        4,
    );
    assert!(said.contains("no longer has what the lock pins"), "{said}");
    assert!(!shop.project.path("shop.tar").exists());
}

#[test]
fn several_signers_meet_a_threshold() {
    let shop = Shop::new(true);
    let both = shop.simple_signing(&shop.root(), &[&shop.key, &shop.other]);
    shop.put(Some(&shop.tag("sig")), &both);
    shop.policy("signatures: [{ match: '**', keys: [signer.pub, other.pub], threshold: 2 }]\n");
    shop.lock(LockMode::Write).unwrap();
}

#[test]
fn mistakes_in_a_rule_are_named_with_their_place() {
    let shop = Shop::new(true);
    fs::write(shop.project.path("broken.pub"), "no key").unwrap();
    for (rule, expected) in [
        ("keys: [missing.pub]", "missing.pub"),
        ("keys: [broken.pub]", "the key cannot be used"),
        ("keys: []", "`keys` is empty"),
        (
            "keys: [signer.pub], threshold: 0",
            "`0` is not a number of these keys",
        ),
        (
            "keys: [signer.pub], threshold: 2",
            "`2` is not a number of these keys",
        ),
        ("keys: [signer.pub], name: x", "name"),
        ("threshold: 1", "keys"),
    ] {
        shop.policy(&format!("signatures: [{{ match: '**', {rule} }}]\n"));
        let said = shop.lock(LockMode::Write).unwrap_err();
        assert!(
            said.contains(expected) && said.contains("policy.yaml") && said.ends_with("exit: 3"),
            "{rule}: {said}"
        );
    }
}

/// The example project, of which one image is built, with more rules in its policy.
fn project_that_builds(rules: &str) -> Project {
    let project = Project::new();
    let policy = project.path("bundle-manifests/policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, format!("{text}{rules}")).unwrap();
    project
}

#[test]
fn an_image_that_is_built_is_evaluated_by_one_rule_when_it_is_built_and_received() {
    let project =
        project_that_builds("signatures: [{ match: '**/rune-db', keys: [release.pub] }]\n");
    fs::copy(
        project.path("release.pub"),
        project.path("bundle-manifests/release.pub"),
    )
    .unwrap();
    project.lock();
    let unsigned = project.build_arguments("no.tar");
    let said = ends_with(&project.run(&unsigned), 8);
    assert!(
        said.contains("image `rune-db`: rule `signatures`")
            && said.contains("no signature of it is there"),
        "{said}"
    );
    let mut signed = project.build_arguments("rune.tar");
    signed.extend(["--image-key", "release.key"]);
    ends_with(&project.run(&signed), 0);
    let verify = [
        "verify",
        "rune.tar",
        "--key",
        "release.pub",
        "--policy",
        "bundle-manifests/policy.yaml",
    ];
    ends_with(&project.run(&verify), 0);
    // It has no SBOM on either side.
    let project = project_that_builds("sboms: [{ match: '**/rune-db' }]\n");
    let lock = ["lock", "--registry-config", "registries.yaml"];
    let said = ends_with(&project.run(&lock), 8);
    assert!(said.contains("image `rune-db`: rule `sboms`"), "{said}");
}
