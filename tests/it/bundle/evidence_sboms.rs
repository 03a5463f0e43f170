//! SBOMs that come with images: where each is from, and a policy that demands one.

use rune_bundle::commands::bundle::LockMode;
use rune_testkit::sample::Sample;
use serde_json::{Value, json};

use crate::bundle::{
    evidence_support::{REPOSITORY, SPDX, Shop, VERIFY},
    small_bundle::ends_with,
};

/// Source and format of the SBOMs of each platform, as `inspect` reports them.
fn found(shop: &Shop) -> Vec<Vec<(String, String)>> {
    let project = &shop.project;
    project.lock();
    let bundle = project.path("shop.tar");
    let _ = std::fs::remove_file(&bundle);
    project.build("shop.tar");
    let inspect = ["inspect", "shop.tar", "--key", "release.pub", "--json"];
    let output = project.run(&inspect);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let platforms = report["sboms"].as_array().unwrap().iter();
    platforms
        .map(|platform| {
            let sboms = platform["sboms"].as_array().unwrap().iter();
            sboms
                .map(|sbom| (text(&sbom["source"]), text(&sbom["format"])))
                .collect()
        })
        .collect()
}

fn pair(source: &str, format: &str) -> (String, String) {
    (source.to_owned(), format.to_owned())
}

#[test]
fn an_sbom_is_found_in_a_referrer_a_tag_and_an_attestation_within_an_image_index() {
    let shop = Shop::new(true);
    let child = shop.child();
    assert_eq!(found(&shop), [vec![]]);
    shop.put(None, &shop.bundle(&child, SPDX, &shop.key));
    assert_eq!(found(&shop), [vec![pair("referrer", "spdx")]]);
    let tag = format!("{}.sbom", child.replace(':', "-"));
    let cyclonedx = shop.artifact(&child, "application/vnd.cyclonedx+json", b"{}");
    shop.put(Some(&tag), &cyclonedx);
    let mut all = found(&shop).remove(0);
    all.sort();
    assert_eq!(all, [pair("referrer", "spdx"), pair("tag", "cyclonedx")]);
    // BuildKit's way, for two platforms.
    let shop = Shop::new(true);
    shop.project.put(REPOSITORY, "1", &Sample::default());
    let platforms = found(&shop);
    assert!(platforms.len() > 1, "{platforms:?}");
    for platform in platforms {
        assert_eq!(platform, [pair("attestation", "spdx")]);
    }
}

#[test]
fn an_sbom_of_an_image_index_is_one_of_the_platform_only_if_there_is_one() {
    let shop = Shop::new(true);
    shop.put(None, &shop.bundle(&shop.root(), SPDX, &shop.key));
    assert_eq!(found(&shop), [vec![pair("referrer", "spdx")]]);
    let shop = Shop::new(true);
    let sample = Sample {
        attestations: false,
        ..Sample::default()
    };
    let image = shop.project.put(REPOSITORY, "1", &sample);
    let root = image.index.digest();
    shop.put(None, &shop.bundle(&root, SPDX, &shop.key));
    assert!(found(&shop).iter().all(Vec::is_empty));
}

#[test]
fn a_policy_demands_an_sbom_of_every_platform_until_it_is_waived() {
    let shop = Shop::new(true);
    shop.policy("sboms: [{ match: '*/library/*' }]\n");
    let said = shop.lock(LockMode::Write).unwrap_err();
    assert!(
        said.contains("rule `sboms`")
            && said.contains("there is no SBOM of linux/amd64")
            && said.ends_with("exit: 8"),
        "{said}"
    );
    shop.policy(
        "sboms: [{ match: '**' }]\nwaivers: [{ rule: sboms, match: '**', reason: asked for, until: 0.2.0 }]\n",
    );
    shop.project.lock();
    shop.project.build("shop.tar");
    ends_with(&shop.project.run(&VERIFY), 0);
    shop.policy("sboms: [{ match: '**' }]\n");
    let said = ends_with(&shop.project.run(&VERIFY), 8);
    assert!(said.contains("there is no SBOM of linux/amd64"), "{said}");
    // A signature of the image is none.
    shop.sign_in_tag(&shop.key);
    assert!(shop.lock(LockMode::Write).is_err());
    let syft = shop.artifact(&shop.child(), "application/vnd.syft+json", &[b'x'; 9]);
    shop.put(None, &syft);
    let report = shop.lock(LockMode::Write).unwrap();
    assert_ne!(report["images"], json!([]));
}

#[test]
fn inspect_sums_up_and_the_page_says_which_there_are_and_where_there_is_none() {
    let shop = Shop::new(true);
    shop.project.lock();
    shop.project.build("none.tar");
    let digest = shop.put(None, &shop.bundle(&shop.child(), SPDX, &shop.key));
    shop.project.lock();
    shop.project.build("shop.tar");
    for (bundle, line) in [
        ("none.tar", "SBOMs          none\n"),
        (
            "shop.tar",
            "SBOMs          for every platform of every image\n",
        ),
    ] {
        let inspect = ["inspect", bundle, "--key", "release.pub"];
        let said = ends_with(&shop.project.run(&inspect), 0);
        assert!(said.contains(line), "{said}");
        let page = format!("{bundle}.html");
        let report = ["report", bundle, "--key", "release.pub", "--output", &page];
        ends_with(&shop.project.run(&report), 0);
        let page = std::fs::read_to_string(shop.project.path(&page)).unwrap();
        let is_lacking = page.contains("There is no SBOM of shop for ");
        assert_eq!(is_lacking, bundle == "none.tar", "{page}");
        assert_eq!(page.contains(&digest), bundle == "shop.tar", "{page}");
    }
}

#[test]
fn inspect_names_the_platforms_without_an_sbom_when_others_have_one() {
    let shop = Shop::new(true);
    let sample = Sample {
        attestations: false,
        ..Sample::default()
    };
    let image = shop.project.put(REPOSITORY, "1", &sample);
    let child = image.manifests[0].digest();
    shop.put(None, &shop.bundle(&child, SPDX, &shop.key));
    shop.project.lock();
    shop.project.build("shop.tar");
    let inspect = ["inspect", "shop.tar", "--key", "release.pub"];
    let said = ends_with(&shop.project.run(&inspect), 0);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("SBOM")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(
        lines[0].starts_with("SBOMs          shop: none for linux/"),
        "{said}"
    );
}
