//! A push that was killed is finished by the next one, which sends no finished blob again.

use std::{collections::BTreeSet, process::Stdio};

use rune_testkit::{registry::Registry, sample::Sample};

use crate::registry::push_support::Shipped;

/// The digests of the blobs that the registry has in any of the repositories.
fn finished(registry: &Registry, digests: &BTreeSet<String>) -> BTreeSet<(String, String)> {
    let repositories = ["library/postgres", "lpasquali/rune", "bundles/twins"];
    let all = repositories.iter().flat_map(|repository| {
        digests
            .iter()
            .map(move |digest| ((*repository).to_owned(), digest.clone()))
    });
    all.filter(|(repository, digest)| registry.blob(repository, digest).is_some())
        .collect()
}

#[test]
fn a_push_killed_at_ten_moments_is_finished_and_no_finished_blob_is_sent_again() {
    let shipped = Shipped::twins_of(
        "all",
        &Sample {
            layer_bytes: vec![300_000, 200_000, 100_000],
            ..Sample::default()
        },
    );
    let digests: BTreeSet<String> = shipped
        .index()
        .entries
        .iter()
        .map(|entry| entry.sha256.to_string())
        .collect();
    let whole = Registry::start();
    shipped.push(&whole).unwrap();
    let requests = whole.requests().len();
    let tag = whole.manifest("library/postgres", "17-alpine").unwrap();
    // From the first request to nearly the last: none from there on is answered, so the push has
    // not ended.
    for moment in 1..=10 {
        let registry = Registry::start();
        let request = requests * moment / 11;
        registry.hold_from("*", request);
        let arguments = ["push", "x.tar", &registry.host(), "--key", "release.pub"];
        let mut push = shipped
            .project
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        registry.wait_for_requests("*", request);
        push.kill().unwrap();
        push.wait().unwrap();
        registry.end_hold();
        let before = finished(&registry, &digests);
        registry.forget_requests();
        shipped.push(&registry).unwrap();
        for (repository, digest) in &before {
            // The end of an upload names its digest.
            let encoded = digest.replace(':', "%3A");
            let path = format!("/v2/{repository}/blobs/uploads/*");
            let again = registry.requests_to(&path).into_iter().filter(|request| {
                request.query.contains(&encoded) || request.query.contains(digest)
            });
            assert_eq!(
                again.count(),
                0,
                "moment {moment}: {digest} was in {repository} and was sent again"
            );
        }
        assert_eq!(
            registry.manifest("library/postgres", "17-alpine").unwrap(),
            tag,
            "moment {moment}"
        );
        assert!(
            registry.manifest("bundles/twins", "0.1.0").is_some(),
            "moment {moment}"
        );
        assert!(
            moment < 3 || !before.is_empty(),
            "moment {moment}: nothing was finished before"
        );
    }
}
