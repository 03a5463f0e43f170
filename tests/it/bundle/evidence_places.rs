//! Signatures that are kept in a repository of their own, and new artifacts that a policy takes for
//! drift.

use std::fs;

use rune_testkit::sample::Sample;

use crate::bundle::{
    evidence_support::Shop,
    foreign_support::{Distribution, Foreign},
    project::Project,
    small_bundle::ends_with,
};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: shop, reference: docker.io/library/shop:1, license: MIT }\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['docker.io/**'] }\n\
    signatures: [{ match: '**', keys: [cosign.pub] }]\n";
const ELSEWHERE: &str = "referrers: { repositories: [{ match: 'docker.io/library/*', repository: docker.io/acme/signatures }] }\n";
const FORMS: [&str; 2] = ["--new-bundle-format=true", "--new-bundle-format=false"];

#[test]
fn signatures_in_a_repository_of_their_own_are_found_by_the_policy_and_published_beside_the_image()
{
    let (tools, source) = (Foreign::new(), Distribution::start("plain"));
    let image = Sample {
        attestations: false,
        ..Sample::default()
    }
    .build();
    source.take(&tools, &image, "library/shop:1");
    let at = |host: &str| format!("{host}/library/shop@{}", image.index.digest());
    let cosign = |arguments: &[&str], repository: Option<&str>| {
        let mut command = tools.command("cosign", arguments.iter().copied());
        command.env("COSIGN_PASSWORD", "of the test");
        command.envs(repository.map(|repository| ("COSIGN_REPOSITORY", repository)));
        command.output().unwrap().status.success()
    };
    let verifies = |host: &str, form: &str| {
        let verify = [
            "verify",
            "--key",
            "cosign.pub",
            "--insecure-ignore-tlog=true",
        ];
        cosign(&[&verify[..], &[form, &at(host)]].concat(), None)
    };
    assert!(cosign(&["generate-key-pair"], None));
    let elsewhere = format!("{}/acme/signatures", source.host());
    for form in FORMS {
        let sign = ["sign", "--yes", "--key", "cosign.key", form];
        let offline = ["--use-signing-config=false", "--tlog-upload=false"];
        let image = at(source.host());
        let arguments = [&sign[..], &offline[..], &[&image]].concat();
        assert!(cosign(&arguments, Some(&elsewhere)), "{form}");
        assert!(!verifies(source.host(), form), "{form}");
    }
    let project = Project::with_manifest(MANIFEST);
    fs::copy(tools.path("cosign.pub"), project.path("cosign.pub")).unwrap();
    let access = source.client_arguments();
    let access: Vec<&str> = access.iter().map(String::as_str).collect();
    let lock = [&["lock"], &access[..]].concat();
    fs::write(project.path("policy.yaml"), POLICY).unwrap();
    ends_with(&project.run(&lock), 8);
    fs::write(project.path("policy.yaml"), format!("{POLICY}{ELSEWHERE}")).unwrap();
    ends_with(&project.run(&lock), 0);
    let build = ["build", "--key", "release.key", "--output", "shop.tar"];
    ends_with(&project.run(&[&build, &access[..]].concat()), 0);
    let destination = Distribution::start("plain");
    project.push(destination.host(), &[]);
    for form in FORMS {
        assert!(verifies(destination.host(), form), "{form}");
    }
}

#[test]
fn a_new_artifact_is_drift_when_the_policy_says_so() {
    let shop = Shop::new(true);
    let check = |code: i32| {
        let arguments = ["lock", "--check", "--registry-config", "registries.yaml"];
        ends_with(&shop.project.run(&arguments), code)
    };
    shop.project.lock();
    shop.put(None, &shop.artifact(&shop.root(), "text/scan", b"found"));
    shop.policy("referrers: { added: note }\n");
    check(0);
    shop.policy("referrers: { added: drift }\n");
    let said = check(5);
    assert!(said.contains("text/scan"), "{said}");
}

#[test]
fn rules_about_artifacts_that_cannot_be_meant_are_mistakes() {
    let shop = Shop::new(true);
    for (rules, expected) in [
        ("referrers: { added: later }\n", "unknown word `later`"),
        (
            "referrers: { repositories: [{ match: '**', repository: 'docker.io/a:1' }] }\n",
            "`docker.io/a:1` is not a repository",
        ),
        ("sboms: [{ pattern: '**' }]\n", "pattern"),
    ] {
        shop.policy(rules);
        let lock = ["lock", "--registry-config", "registries.yaml"];
        let said = ends_with(&shop.project.run(&lock), 3);
        assert!(said.contains(expected), "{said}");
    }
}
