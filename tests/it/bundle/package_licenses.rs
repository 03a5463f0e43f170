//! Licences that SBOMs state of packages: read once by `lock`, kept in lock and bundle, and evaluated on
//! both sides. The SBOMs are made by the real syft.

use std::{fs, process::Command};

use rune_bundle::oci::media_type;
use rune_testkit::process::succeeded;
use serde_json::json;

use crate::{
    bundle::{
        evidence_support::{REPOSITORY, VERIFY},
        generated_sboms::Shop,
        small_bundle::ends_with,
    },
    charts::support::tool,
};

const PACKAGES: [(&str, &str); 3] = [
    ("zlib", "MIT"),
    ("busybox", "GPL-2.0-only"),
    ("odd", "our_own_terms"),
];
const DECLARED: &str = "packages: [{ match: '**', licenses: declared }]\n";
/// Locks without syft.
fn lock(shop: &Shop, options: &[&str], code: i32) -> String {
    let lock = ["lock", "--registry-config", "registries.yaml"];
    ends_with(&shop.project.run(&[&lock[..], options].concat()), code)
}

/// Publishes an SBOM of each platform, which syft makes of the installed packages.
fn publish(shop: &Shop, format: &str, artifact_type: &str) {
    publish_for(shop, &shop.children, &PACKAGES, [format, artifact_type]);
}

fn publish_for(
    shop: &Shop,
    children: &[String],
    packages: &[(&str, &str)],
    [format, artifact_type]: [&str; 2],
) {
    let directory = tempfile::tempdir().unwrap();
    let installed = directory.path().join("lib/apk/db");
    fs::create_dir_all(&installed).unwrap();
    fs::write(
        installed.join("installed"),
        crate::bundle::generated_sboms::installed(packages),
    )
    .unwrap();
    let mut syft = Command::new(tool("syft"));
    syft.args(["scan", "--quiet", "--output", format])
        .arg(format!("dir:{}", directory.path().display()))
        .env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    let sbom = succeeded(&mut syft);
    let registry = &shop.project.registry;
    for child in children {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "artifactType": artifact_type,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.put_blob(REPOSITORY, b"{}"), "size": 2},
            "layers": [{"mediaType": artifact_type, "digest": registry.put_blob(REPOSITORY, sbom.as_bytes()), "size": sbom.len()}],
            "subject": {"mediaType": media_type::MANIFEST, "digest": child, "size": 1},
        });
        registry.put_manifest(
            REPOSITORY,
            None,
            media_type::MANIFEST,
            manifest.to_string().as_bytes(),
        );
    }
}

#[test]
fn what_the_manifest_does_not_declare_is_refused_until_it_is_waived() {
    let shop = Shop::new(&PACKAGES);
    shop.policy(DECLARED);
    let said = lock(&shop, &["--syft"], 8);
    for part in [
        "rule `packages`",
        "`GPL-2.0-only` of busybox: the manifest does not declare it",
        "`our_own_terms` of odd: it is not an SPDX licence expression",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("zlib"), "{said}");
    assert!(!shop.project.path("bundle-manifests/rune.lock").exists());
    let waiver = "waivers: [{ rule: packages, match: '**', reason: reviewed, until: 0.2.0 }]\n";
    shop.policy(&format!("{DECLARED}{waiver}"));
    let said = lock(&shop, &["--syft"], 0);
    assert!(
        said.contains("waived ") && said.contains("busybox"),
        "{said}"
    );
    shop.project.build("shop.tar");
    // The air-gapped side evaluates again, by its own policy.
    ends_with(&shop.project.run(&VERIFY), 0);
    shop.policy(DECLARED);
    let said = ends_with(&shop.project.run(&VERIFY), 8);
    assert!(said.contains("`GPL-2.0-only` of busybox"), "{said}");
    let page = shop.project.report_page();
    for part in [
        "Licences of packages",
        "GPL-2.0-only <span",
        "our_own_terms",
        "busybox",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn what_the_policy_allows_is_allowed_and_what_it_denies_never_is() {
    let shop = Shop::new(&PACKAGES[..2]);
    let licenses = |rules: &str, code: i32| {
        let text = format!(
            "apiVersion: rune-bundle/v1\nkind: Policy\nsources: {{ allow: ['**'] }}\npackages: [{{ match: '**', licenses: allowed }}]\nlicenses: {rules}\n"
        );
        fs::write(shop.project.path("policy.yaml"), text).unwrap();
        lock(&shop, &["--syft"], code)
    };
    licenses("{ allow: [MIT, GPL-2.0-only] }", 0);
    let said = licenses("{ allow: [MIT] }", 8);
    assert!(said.contains("and the policy does not allow it"), "{said}");
    let said = licenses(
        "{ allow: [MIT], deny: [{ license: 'GPL-*', reason: not with us }] }",
        8,
    );
    assert!(
        said.contains("`GPL-2.0-only` of busybox: not with us"),
        "{said}"
    );
}

#[test]
fn sboms_of_publishers_are_read_in_each_format_and_give_the_same() {
    let found = |format: &str, artifact_type: &str| {
        let shop = Shop::new(&PACKAGES);
        publish(&shop, format, artifact_type);
        shop.policy(&format!(
            "{DECLARED}waivers: [{{ rule: packages, match: '**', reason: reviewed, until: 0.2.0 }}]\n"
        ));
        lock(&shop, &[], 0);
        let text = fs::read_to_string(shop.project.path("bundle-manifests/rune.lock")).unwrap();
        assert!(text.contains("formatVersion: 5\n"), "{text}");
        // Reading again gives the same bytes, and a check reads nothing.
        lock(&shop, &[], 0);
        let again = fs::read_to_string(shop.project.path("bundle-manifests/rune.lock")).unwrap();
        assert_eq!(text, again);
        shop.project.registry.forget_requests();
        lock(&shop, &["--check"], 0);
        assert!(shop.project.registry.requests_to("/blobs/").is_empty());
        let (_, found) = text.split_once("foundLicenses:").unwrap();
        found.to_owned()
    };
    let cyclonedx = found("cyclonedx-json@1.6", "application/vnd.cyclonedx+json");
    let spdx = found("spdx-json@2.3", "application/spdx+json");
    let syft = found("syft-json", "application/vnd.syft+json");
    for text in [&cyclonedx, &spdx, &syft] {
        for part in ["GPL-2.0-only", "MIT", "busybox", "odd", "zlib"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn an_image_without_an_sbom_is_refused_and_a_lock_of_before_has_to_be_renewed() {
    let shop = Shop::new(&PACKAGES);
    lock(&shop, &[], 0);
    shop.policy(DECLARED);
    for said in [
        lock(&shop, &[], 8),
        ends_with(
            &shop.project.run(&shop.project.build_arguments("shop.tar")),
            8,
        ),
    ] {
        assert!(said.contains("an SBOM of each platform"), "{said}");
    }
}

#[test]
fn an_sbom_of_one_platform_says_nothing_about_another() {
    let json = ["spdx-json", "text/spdx+json"];
    let lines = ["spdx-tag-value", "text/spdx"];
    let shop = Shop::new(&PACKAGES[..1]);
    publish_for(&shop, &shop.children, &PACKAGES[..1], json);
    shop.policy(DECLARED);
    lock(&shop, &[], 0);
    let shop = Shop::new(&PACKAGES[..1]);
    publish_for(&shop, &shop.children[..1], &PACKAGES[..1], lines);
    publish_for(&shop, &shop.children[1..], &PACKAGES[..1], json);
    shop.policy(DECLARED);
    let said = lock(&shop, &[], 8);
    assert!(said.contains("an SBOM of each platform"), "{said}");
}

#[test]
fn a_licence_by_another_name_is_refused_with_the_name_that_it_may_mean() {
    let shop = Shop::new(&PACKAGES[..1]);
    let packages = [("one", "PSF"), ("two", "BSD-3-Clause")];
    let json = ["cyclonedx-json", "application/vnd.cyclonedx+json"];
    publish_for(&shop, &shop.children, &packages, json);
    shop.policy(DECLARED);
    let said = lock(&shop, &[], 8);
    for part in [
        "`PSF` of one: the manifest does not declare it; it may be `PSF-2.0`",
        "`BSD-3-Clause` of two: the manifest does not declare it; `PSF`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
