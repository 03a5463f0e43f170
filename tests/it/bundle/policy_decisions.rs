//! What the built-in policy decides, case by case.

use rune_bundle::policy::{
    Decision, ImageContent, ImageSubject, Policy, Rule, SignedImage, Subject, SubjectKind, Verdict,
    evaluate,
};
use rune_core::digest::Digest;

fn image(reference: &str, license: Option<&str>, content: ImageContent) -> Subject {
    Subject::Image(ImageSubject {
        kind: SubjectKind::Image,
        tag_pin: None,
        name: "it".to_owned(),
        reference: reference.parse().unwrap(),
        license: license.map(str::to_owned),
        content,
    })
}

fn decisions(policy: &Policy, version: &str, subject: Subject) -> Vec<Decision> {
    evaluate(policy, &version.parse().unwrap(), &[subject]).decisions
}

/// The rules that deny, each with its reason.
fn denials(reference: &str, license: Option<&str>) -> Vec<(Rule, String)> {
    let decisions = decisions(
        &Policy::built_in().unwrap(),
        "0.1.0",
        image(reference, license, ImageContent::Unresolved),
    );
    decisions
        .into_iter()
        .filter(|decision| decision.verdict == Verdict::Denied)
        .map(|decision| (decision.rule, decision.reason))
        .collect()
}

fn denied_rules(reference: &str, license: Option<&str>) -> Vec<Rule> {
    denials(reference, license)
        .into_iter()
        .map(|(rule, _)| rule)
        .collect()
}

#[test]
fn what_the_decision_record_approves_is_allowed() {
    for reference in [
        "docker.io/library/postgres:17-alpine",
        "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
        "ghcr.io/lpasquali/rune:v1",
    ] {
        assert_eq!(denials(reference, Some("PostgreSQL")), [], "{reference}");
    }
}

#[test]
fn what_the_decision_record_rejects_is_denied_with_its_reason() {
    for (reference, words) in [
        ("docker.io/bitnami/postgresql:17.2.0", "Broadcom"),
        ("docker.io/bitnamilegacy/postgresql:17.2.0", "Broadcom"),
        (
            "registry.local:5000/mirror/bitnami/postgresql:17.2.0",
            "Broadcom",
        ),
        ("quay.io/ongres/stackgres-operator:1.15", "AGPLv3"),
        ("docker.io/stackgres/operator:1.15", "AGPLv3"),
        ("docker.io/cockroachdb/cockroach:v25.1.0", "BUSL"),
        ("docker.io/library/mysql:9.1", "GPL server"),
        ("docker.io/library/mariadb:11", "GPL server"),
        ("docker.io/bitnami/mariadb-galera:11", "Broadcom"),
        (
            "container-registry.oracle.com/mysql/community-server:9.1",
            "GPL server",
        ),
        ("docker.io/percona/percona-server:8", "GPL server"),
    ] {
        let denials = denials(reference, Some("MIT"));
        assert!(
            matches!(denials.as_slice(), [(Rule::Sources, reason)] if reason.contains(words)),
            "{reference}: {denials:?}"
        );
    }
}

#[test]
fn a_source_that_nothing_allows_is_denied() {
    assert_eq!(
        denied_rules("quay.io/somebody/tool:1.0", Some("MIT")),
        [Rule::Sources]
    );
}

#[test]
fn licences_are_evaluated_as_expressions() {
    let postgres = "docker.io/library/postgres:17-alpine";
    for (license, is_allowed) in [
        ("PostgreSQL", true),
        ("postgresql", true),
        ("Apache-2.0 AND MIT", true),
        ("AGPL-3.0-only OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("AGPL-3.0-or-later", false),
        ("AGPL-3.0", false),
        ("GPL-2.0-only", false),
        ("GPL-2.0+", false),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", false),
        ("MIT AND BUSL-1.1", false),
        ("SSPL-1.0", false),
        ("Elastic-2.0", false),
        ("LicenseRef-Proprietary", false),
        ("MIT OR", false),
    ] {
        let expected: &[Rule] = if is_allowed { &[] } else { &[Rule::Licenses] };
        assert_eq!(denied_rules(postgres, Some(license)), expected, "{license}");
    }
    assert_eq!(denied_rules(postgres, None), [Rule::Licenses]);
}

#[test]
fn tags_that_are_moved_by_design_are_denied_and_17_alpine_is_not() {
    for (tag, is_allowed) in [
        ("17-alpine", true),
        ("v0.0.0a6", true),
        ("1.2.3-dev.4", true),
        ("latest", false),
        ("LATEST", false),
        ("latest-alpine", false),
        ("17-latest", false),
        ("edge", false),
        ("main", false),
        ("nightly-20260101", false),
        ("stable", false),
        ("canary", false),
        ("1.0-SNAPSHOT", false),
    ] {
        let expected: &[Rule] = if is_allowed { &[] } else { &[Rule::Tags] };
        assert_eq!(
            denied_rules(
                &format!("docker.io/library/postgres:{tag}"),
                Some("PostgreSQL")
            ),
            expected,
            "{tag}"
        );
    }
}

#[test]
fn what_the_lock_does_not_pin_is_denied() {
    let policy = Policy::built_in().unwrap();
    let verdict = |content| {
        let decisions = decisions(
            &policy,
            "0.1.0",
            image(
                "docker.io/library/postgres:17-alpine",
                Some("PostgreSQL"),
                content,
            ),
        );
        decisions
            .into_iter()
            .find(|decision| decision.rule == Rule::Pins)
            .map(|decision| decision.verdict)
    };
    assert_eq!(verdict(ImageContent::Unresolved), None);
    assert_eq!(verdict(ImageContent::Unpinned), Some(Verdict::Denied));
    assert_eq!(verdict(pinned(Vec::new())), Some(Verdict::Allowed));
    assert_eq!(verdict(built()), Some(Verdict::Allowed));
}

/// An image that is about to be built, when nobody knows yet who signs it.
fn built() -> ImageContent {
    let signed = SignedImage::default();
    let platforms = vec!["linux/amd64".to_owned()];
    ImageContent::Built { platforms, signed }
}

#[test]
fn what_is_built_has_no_sbom_and_no_attestation() {
    let policy = policy(
        "sboms: [{ match: '**' }]\nattestations: [{ match: '**', require: [provenance] }]\n\
         packages: [{ match: '**', licenses: allowed }]\n",
    );
    let image = image("docker.io/library/postgres:17", Some("MIT"), built());
    let denied: Vec<Rule> = decisions(&policy, "0.1.0", image)
        .into_iter()
        .filter(|decision| decision.verdict == Verdict::Denied)
        .map(|decision| decision.rule)
        .collect();
    assert_eq!(denied, [Rule::Packages, Rule::Attestations, Rule::Sboms]);
}

fn pinned(attested: Vec<(String, Vec<String>)>) -> ImageContent {
    let signed = SignedImage {
        digest: Some(Digest::of(b"an image")),
        ..SignedImage::default()
    };
    let sboms = Vec::new();
    ImageContent::Pinned {
        attested,
        sboms,
        found_licenses: None,
        signed,
    }
}

fn policy(text: &str) -> Policy {
    let text = format!(
        "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: {{ allow: [MIT] }}\nsources: {{ allow: ['**'] }}\n{text}"
    );
    let (policy, findings) = Policy::read("policy.yaml".into(), &text);
    assert!(findings.is_empty(), "{findings:?}");
    policy
}

#[test]
fn required_attestations_must_come_with_every_platform() {
    let policy =
        policy("attestations: [{ match: docker.io/library/*, require: [sbom, provenance] }]\n");
    let sbom = "https://spdx.dev/Document".to_owned();
    let provenance = "https://slsa.dev/provenance/v1".to_owned();
    let full = ("linux/amd64".to_owned(), vec![sbom.clone(), provenance]);
    let half = ("linux/arm64".to_owned(), vec![sbom]);
    let denied = |reference: &str, attested: Vec<(String, Vec<String>)>| -> Vec<String> {
        let all = decisions(
            &policy,
            "0.1.0",
            image(reference, Some("MIT"), pinned(attested)),
        );
        all.into_iter()
            .filter(|decision| decision.verdict == Verdict::Denied)
            .map(|decision| decision.reason)
            .collect()
    };
    assert_eq!(
        denied("docker.io/library/postgres:17", vec![full.clone()]),
        Vec::<String>::new()
    );
    assert_eq!(
        denied("docker.io/library/postgres:17", vec![full, half.clone()]),
        ["provenance is required and missing for linux/arm64"]
    );
    assert_eq!(
        denied("ghcr.io/other/image:1", vec![half]),
        Vec::<String>::new()
    );
}

#[test]
fn a_waiver_holds_for_its_rule_and_source_until_its_version() {
    let policy = policy(
        "waivers: [{ rule: licenses, match: 'ghcr.io/a/*', reason: approved by the board, until: 0.3.0 }]\n",
    );
    let license = |version: &str, reference: &str| {
        let decision = decisions(
            &policy,
            version,
            image(reference, Some("GPL-2.0-only"), ImageContent::Unresolved),
        )
        .remove(0);
        (decision.verdict, decision.reason)
    };
    let (verdict, reason) = license("0.2.9", "ghcr.io/a/b:1");
    assert_eq!(verdict, Verdict::Waived);
    assert_eq!(
        reason,
        "waived until 0.3.0: approved by the board (otherwise: the policy does not allow it)"
    );
    assert_eq!(license("0.3.0-rc.1", "ghcr.io/a/b:1").0, Verdict::Waived);
    let (verdict, reason) = license("0.3.0", "ghcr.io/a/b:1");
    assert_eq!(
        (verdict, reason.as_str()),
        (
            Verdict::Denied,
            "the policy does not allow it (its waiver ended with 0.3.0)"
        )
    );
    assert_eq!(license("0.2.9", "ghcr.io/b/b:1").0, Verdict::Denied);
}

#[test]
fn chart_dependencies_are_evaluated_by_where_they_come_from() {
    let dependency = |repository: &str| Subject::ChartDependency {
        chart: "rune".to_owned(),
        name: "postgresql".to_owned(),
        repository: repository.to_owned(),
    };
    for repository in [
        "charts.bitnami.com/bitnami",
        "registry-1.docker.io/bitnamicharts",
    ] {
        let decisions = decisions(
            &Policy::built_in().unwrap(),
            "0.1.0",
            dependency(repository),
        );
        assert!(
            matches!(decisions.as_slice(), [only] if only.verdict == Verdict::Denied && only.reason.contains("Broadcom")),
            "{decisions:?}"
        );
    }
}

#[test]
fn a_violation_names_rule_match_reason_and_waiver() {
    let policy = Policy::built_in().unwrap();
    let subject = image(
        "docker.io/bitnami/mysql:latest",
        Some("GPL-2.0-only"),
        ImageContent::Unresolved,
    );
    let error = evaluate(&policy, &"0.1.0".parse().unwrap(), &[subject])
        .into_result()
        .unwrap_err();
    insta::assert_snapshot!(error);
}
