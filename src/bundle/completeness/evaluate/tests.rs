//! What fits the lock, what is said about the rest, and which image a hint means.

use camino::Utf8Path;

use super::{super::survey::Rendering, AvailableImage, Evaluator, Survey};
use crate::{
    bundle::completeness::Incomplete,
    chart::{ImagePlace, Named, RenderMode},
    policy::{Declaration, Policy},
};
use rune_core::digest::Digest;

fn image(name: &str, reference: &str) -> AvailableImage {
    AvailableImage {
        name: name.to_owned(),
        reference: reference.parse().unwrap(),
        digest: Digest::of(name.as_bytes()),
        manifests: vec![Digest::of(b"amd64")],
        is_built: false,
        other_tags: Vec::new(),
        left_out_with: None,
        extra: false,
    }
}

fn images() -> Vec<AvailableImage> {
    vec![
        image("postgres", "docker.io/library/postgres:17"),
        image("rune", "ghcr.io/lpasquali/rune:1"),
    ]
}

fn policy(text: &str) -> Policy {
    let (policy, findings) = Policy::read(
        Utf8Path::new("p"),
        &format!("apiVersion: rune-bundle/v1\nkind: Policy\n{text}"),
    );
    assert!(findings.is_empty());
    policy
}

fn place(object: &str) -> ImagePlace {
    ImagePlace {
        file: "c/t.yaml".to_owned(),
        object: object.to_owned(),
        container: None,
        path: "p".to_owned(),
    }
}

fn survey(renderings: Vec<(&str, Vec<(ImagePlace, Named)>)>) -> Survey {
    let rendering = |(profile, found): (&str, _)| Rendering {
        chart: "c".to_owned(),
        profile: profile.to_owned(),
        render_mode: RenderMode::Install,
        found: Ok(found),
    };
    Survey {
        renderings: renderings.into_iter().map(rendering).collect(),
        ..Survey::default()
    }
}

fn evaluated(
    images: &[AvailableImage],
    policy: &Policy,
    survey: &Survey,
) -> Result<(), Incomplete> {
    let mut evaluate = Evaluator::new(images, policy);
    evaluate.evaluate_all(survey);
    evaluate.finish().map(|_| ())
}

fn findings(images: &[AvailableImage], policy: &Policy, named: Named) -> Vec<(String, String)> {
    let whole = images.iter().map(|image| {
        (
            place("o"),
            Named::Image(format!("{}@{}", image.reference, image.digest)),
        )
    });
    let found = whole.chain([(place("o"), named)]).collect();
    let error = evaluated(images, policy, &survey(vec![("p", found)])).err();
    let findings = error.iter().flat_map(Incomplete::findings);
    findings
        .map(|finding| {
            (
                finding.message.clone(),
                finding.hint.clone().unwrap_or_default(),
            )
        })
        .collect()
}

fn fault(text: &str) -> Option<String> {
    findings(&images(), &policy(""), Named::Image(text.to_owned()))
        .pop()
        .map(|(message, _)| message)
}

#[test]
fn repository_digest_and_tag_must_agree_and_the_registry_is_free() {
    let (postgres, rune) = (Digest::of(b"postgres"), Digest::of(b"rune"));
    for good in [
        "docker.io/library/postgres:17",
        "registry.example:5000/library/postgres",
        "library/postgres",
        "postgres",
        "r.example/mirror/library/postgres",
    ] {
        assert_eq!(fault(&format!("{good}@{postgres}")), None, "{good}");
    }
    let platform = Digest::of(b"amd64");
    for (bad, why) in [
        ("docker.io/library/postgres:17".to_owned(), "has no digest"),
        (
            format!("docker.io/library/postgres:17@{rune}"),
            "another digest",
        ),
        (
            format!("docker.io/library/postgres:17@{platform}"),
            "one platform",
        ),
        (
            format!("docker.io/library/postgres:16@{postgres}"),
            "has the tag 16 and the digest of the image `postgres`",
        ),
        (
            format!("docker.io/library/mypostgres@{postgres}"),
            "a repository that the lock does not have",
        ),
        (
            format!("docker.io/library/redis@{}", Digest::of(b"redis")),
            "is not in the lock",
        ),
        (
            "{{ .Values.image }}".to_owned(),
            "is not an image reference",
        ),
    ] {
        let message = fault(&bad).unwrap_or_default();
        assert!(message.contains(why), "{bad}: {message}");
    }
}

#[test]
fn a_reference_with_empty_parts_says_which_and_can_be_ignored() {
    for (text, empty) in [
        (":", "repository and its tag are empty"),
        ("/:", "repository and its tag are empty"),
        ("docker.io/:", "repository and its tag are empty"),
        ("r.example:5000/:", "repository and its tag are empty"),
        (":1.2", "repository is empty"),
        ("quay.io//x:1", "repository is empty"),
        ("quay.io/:1", "repository is empty"),
        ("/a/b:1", "repository is empty"),
        ("quay.io/a/b:", "tag is empty"),
        ("a:", "tag is empty"),
        ("quay.io/a/b@", "digest is empty"),
        ("quay.io/a/b:1@sha256:", "digest is empty"),
        (":@", "repository and its tag and its digest are empty"),
    ] {
        let error = evaluated(
            &[],
            &policy(""),
            &survey(vec![(
                "p",
                vec![(place("o"), Named::Image(text.to_owned()))],
            )]),
        )
        .unwrap_err();
        let [finding] = error.findings() else {
            panic!("{error}")
        };
        assert_eq!(
            finding.message,
            format!("`{text}` names no image: its {empty}")
        );
        assert_eq!(finding.policy, [Declaration::Unusable(text.to_owned())]);
        let read = policy(&Declaration::lines(finding.policy.iter()));
        assert!(read.image_places.ignores(text).is_some(), "{text}");
    }
    assert_eq!(fault("a b").unwrap(), "`a b` is not an image reference");
}

#[test]
fn a_suffix_stands_for_no_other_repository() {
    let postgres = Digest::of(b"postgres");
    for other in [
        "docker.io/other/library/postgres",
        "quay.io/other/library/postgres",
        "ghcr.io/library/postgres/library/postgres",
        "eu.gcr.io/x/library/postgres",
        "other/library/postgres",
    ] {
        let message = fault(&format!("{other}@{postgres}")).unwrap_or_default();
        assert!(
            message.contains("a repository that the lock does not have"),
            "{other}: {message}"
        );
    }
    // Where two repositories of the lock fit, the longer one is meant.
    let images = [
        image("short", "quay.io/app:1"),
        image("long", "quay.io/team/app:1"),
    ];
    let text = format!("r.example/mirror/team/app:1@{}", Digest::of(b"short"));
    let found = findings(&images, &policy(""), Named::Image(text));
    assert!(
        found[0].1.contains(&Digest::of(b"long").to_string()),
        "{found:?}"
    );
}

#[test]
fn a_hint_names_the_image_whose_tag_fits() {
    let images = [
        image("new", "docker.io/library/postgres:17"),
        image("old", "docker.io/library/postgres:16"),
    ];
    let hint = |text: &str| {
        findings(&images, &policy(""), Named::Image(text.to_owned()))
            .pop()
            .unwrap()
    };
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    assert!(
        hint("postgres:16").1.contains("`images.old.digest`")
            && hint("postgres:16").1.contains(&old.to_string())
    );
    assert!(hint("postgres:17").1.contains("`images.new.digest`"));
    let (message, text) = hint("postgres:15");
    assert!(
        message.contains("another tag") && text.contains("`new`") && text.contains("`old`"),
        "{message} {text}"
    );
    let (message, text) = hint(&format!("postgres:16@{new}"));
    assert!(
        message.contains("the digest of the image `new`")
            && text.contains(&format!("{old} for the tag 16")),
        "{message} {text}"
    );
    let (_, text) = hint(&format!("postgres:16@{}", Digest::of(b"third")));
    assert_eq!(text, format!("the lock has {old}"));
}

#[test]
fn a_tag_fits_a_digest_when_the_manifest_or_the_registry_says_so() {
    let mut images = vec![image("postgres", "docker.io/library/postgres:17")];
    let named = || Named::Image(format!("postgres:17.4@{}", Digest::of(b"postgres")));
    assert_eq!(findings(&images, &policy(""), named()).len(), 1);
    let asked = survey(vec![("p", vec![(place("o"), named())])]).unconfirmed_tags(&images);
    assert_eq!(asked.len(), 1);
    let built = [AvailableImage {
        is_built: true,
        ..images[0].clone()
    }];
    assert!(
        survey(vec![("p", vec![(place("o"), named())])])
            .unconfirmed_tags(&built)
            .is_empty()
    );
    assert_eq!(
        (asked[0].0.as_str(), asked[0].1.to_string()),
        ("postgres", "docker.io/library/postgres:17.4".to_owned())
    );
    let same = AvailableImage {
        digest: images[0].digest,
        ..image("same", "docker.io/library/postgres:17.4")
    };
    assert!(findings(&[images[0].clone(), same], &policy(""), named()).is_empty());
    images[0].other_tags = vec!["17.4".to_owned()];
    assert!(findings(&images, &policy(""), named()).is_empty());
}

#[test]
fn a_tag_alone_fits_where_the_policy_says_so_and_only_for_that_image() {
    let pinned =
        policy("pins: [{ image: docker.io/library/postgres, pin: tag, reason: hard-coded }]\n");
    assert!(
        findings(
            &images(),
            &pinned,
            Named::Image("docker.io/library/postgres:17".to_owned())
        )
        .is_empty()
    );
    for good in [
        "postgres:17",
        "index.docker.io/library/postgres:17",
        "registry.example:5000/library/postgres:17",
    ] {
        assert!(
            findings(&images(), &pinned, Named::Image(good.to_owned())).is_empty(),
            "{good}"
        );
    }
    for bad in [
        "postgres:16",
        "ghcr.io/lpasquali/rune:1",
        "other/postgres:17",
        "quay.io/library/postgres:17",
    ] {
        assert_eq!(
            findings(&images(), &pinned, Named::Image(bad.to_owned())).len(),
            1,
            "{bad}"
        );
    }
    let other_tag = policy(
        "pins: [{ image: 'docker.io/library/postgres:16', pin: tag, reason: hard-coded }]\n",
    );
    assert_eq!(
        findings(
            &images(),
            &other_tag,
            Named::Image("postgres:17".to_owned())
        )
        .len(),
        1
    );
}

#[test]
fn a_tag_with_the_digest_of_an_image_is_how_a_chart_shows_a_pin_and_no_image() {
    let possible = |text: String| Named::Possible(text, Declaration::Option("--image".to_owned()));
    let images = [image("proxy", "docker.io/istio/proxy:v1.7")];
    let (digest, other) = (Digest::of(b"proxy"), Digest::of(b"other"));
    for shown in [format!("v1.7@{digest}"), format!("1.7@{digest}")] {
        assert!(findings(&images, &policy(""), possible(shown)).is_empty());
    }
    for reference in [
        format!("v1.7@{other}"),
        format!("v1.8@{digest}"),
        format!("istio/other:v1.7@{digest}"),
    ] {
        assert_eq!(findings(&images, &policy(""), possible(reference)).len(), 1);
    }
    // Where a container takes its image from, it is not an image that a node can pull.
    let certain = Named::Image(format!("v1.7@{digest}"));
    assert_eq!(findings(&images, &policy(""), certain).len(), 1);
}

#[test]
fn what_only_looks_like_an_image_is_one_when_the_lock_has_it_and_else_a_finding_with_its_line() {
    let declaration = Declaration::Option("--sidecar".to_owned());
    let possible = |text: &str| Named::Possible(text.to_owned(), declaration.clone());
    let digest = Digest::of(b"rune");
    assert!(
        findings(
            &images(),
            &policy(""),
            possible(&format!("ghcr.io/lpasquali/rune:1@{digest}"))
        )
        .is_empty()
    );
    let found = findings(&images(), &policy(""), possible("ghcr.io/lpasquali/rune:1"));
    assert_eq!(
        found[0].0,
        "possible image: `ghcr.io/lpasquali/rune:1` has no digest"
    );
    assert!(
        found[0]
            .1
            .contains("`images.options` in the policy: \"--sidecar\"")
            && found[0].1.contains("`images.ignore`"),
        "{found:?}"
    );
    for text in [
        "ghcr.io/lpasquali/rune:$(TAG)".to_owned(),
        format!("ghcr.io/lpasquali/rune@sha512:{}", "a".repeat(128)),
    ] {
        let found = findings(&images(), &policy(""), possible(&text));
        assert!(
            found[0].0.starts_with("possible image: ")
                && found[0].1.contains("add it to `images.ignore`"),
            "{found:?}"
        );
        let survey = survey(vec![("p", vec![(place("o"), possible(&text))])]);
        assert!(
            !evaluated(&images(), &policy(""), &survey)
                .unwrap_err()
                .to_string()
                .contains("lines for the policy")
        );
    }
    let survey = survey(vec![(
        "p",
        vec![(place("o"), possible("ghcr.io/lpasquali/rune:1"))],
    )]);
    let error = evaluated(&images(), &policy(""), &survey)
        .unwrap_err()
        .to_string();
    let lines = "images:\n      options:\n        - \"--sidecar\"\n    pins:\n      - \
                 { image: ghcr.io/lpasquali/rune, pin: tag, reason:";
    assert!(error.contains(lines), "{error}");
}

#[test]
fn an_image_that_something_speaks_of_is_not_said_to_be_unused() {
    let one = [image("rune", "ghcr.io/lpasquali/rune:1")];
    let declaration = Declaration::Option("--x".to_owned());
    for named in [
        Named::Image("ghcr.io/lpasquali/rune:1".to_owned()),
        Named::Possible("ghcr.io/lpasquali/rune:1".to_owned(), declaration),
        Named::Image(format!("ghcr.io/lpasquali/rune:2@{}", one[0].digest)),
        Named::Image(format!("ghcr.io/lpasquali/rune:1@{}", Digest::of(b"other"))),
    ] {
        let error = evaluated(
            &one,
            &policy(""),
            &survey(vec![("p", vec![(place("o"), named.clone())])]),
        )
        .unwrap_err();
        assert_eq!(error.findings().len(), 1, "{named:?}: {error}");
    }
}

#[test]
fn objects_with_another_name_in_each_rendering_are_one_finding() {
    let found = |name: &str| {
        vec![(
            place(&format!("Pod/x-{name}")),
            Named::Image("redis:7".to_owned()),
        )]
    };
    let random = survey(vec![
        ("a", found("q1w2")),
        ("a", found("e3r4")),
        ("b", found("t5z6")),
        ("b", found("u7i8")),
    ]);
    let error = evaluated(&[], &policy(""), &random).unwrap_err();
    assert_eq!(error.findings().len(), 1, "{error}");
    assert_eq!(
        (
            error.findings()[0].object.as_deref(),
            error.findings()[0].profiles.len()
        ),
        (Some("Pod/x-…"), 2)
    );
    // Two objects that have their names in every rendering stay two, and one that only an upgrade
    // has stays itself.
    let both = || [found("one"), found("two")].concat();
    let stable = survey(vec![("a", both()), ("a", [both(), found("up")].concat())]);
    let error = evaluated(&[], &policy(""), &stable).unwrap_err();
    let objects: Vec<_> = error
        .findings()
        .iter()
        .map(|finding| finding.object.clone().unwrap())
        .collect();
    assert_eq!(objects, ["Pod/x-one", "Pod/x-two", "Pod/x-up"]);
}

#[test]
fn one_finding_names_all_its_profiles_and_what_nobody_uses_is_one() {
    let place = ImagePlace {
        file: "c/t.yaml".to_owned(),
        object: "Job/j".to_owned(),
        container: Some("x".to_owned()),
        path: "p".to_owned(),
    };
    let found = || vec![(place.clone(), Named::Image("redis:7".to_owned()))];
    let error = evaluated(
        &images(),
        &policy(""),
        &survey(vec![("b", found()), ("a", found()), ("b", found())]),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "charts and lock do not fit together in 3 places\n  the image `postgres`, \
         docker.io/library/postgres:17, is in the lock, and no chart uses it in any profile\n    \
         hint: take it out of the manifest, or say `extra: true` if it is to be included all the \
         same\n  the image `rune`, ghcr.io/lpasquali/rune:1, is in the lock, and no chart uses it \
         in any profile\n    hint: take it out of the manifest, or say `extra: true` if it is to \
         be included all the same\n  chart c, profiles a, b: c/t.yaml: Job/j, container x, p: \
         `redis:7` has no digest\n    hint: name the image in the manifest, and let the chart \
         take its digest from the lock\n  lines for the policy, which declare these places and \
         accept these tags:\n    pins:\n      - \
         { image: docker.io/library/redis, pin: tag, reason: \"the chart names it by its tag\" }"
    );
}
