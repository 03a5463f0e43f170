//! The project's templates: what is committed is what they make, in the development form and
//! pinned.

use camino::Utf8Path;
use rune_bundle::chart::{compare, render_below};

use crate::charts::support::{
    development, digest_of, packed, pinned, project, renderer, write_all,
};

const PROFILES: [&str; 4] = [
    "templates/values/airgap.yaml.j2",
    "templates/values/lab.yaml.j2",
    "templates/values/cnpg.yaml.j2",
    "templates/values/external.yaml.j2",
];

#[test]
fn the_committed_charts_are_what_the_templates_make() {
    let rendered = render_below(&renderer(), Utf8Path::new("charts"), &development()).unwrap();
    assert_eq!(rendered.len(), 4);
    if std::env::var_os("UPDATE_CHARTS").is_some() {
        write_all(project().as_std_path(), &rendered);
    }
    let findings = compare(project(), &rendered).unwrap();
    assert!(
        findings.is_empty(),
        "out of step, run again with UPDATE_CHARTS=1: {findings:#?}"
    );
}

#[test]
fn with_a_lock_every_image_of_the_charts_is_pinned() {
    let rendered = render_below(&renderer(), Utf8Path::new("charts/rune"), &pinned()).unwrap();
    for (path, image) in [
        ("charts/rune/values.yaml", "rune"),
        ("charts/rune/values.yaml", "rune-db"),
        ("charts/rune/charts/postgres/values.yaml", "postgres"),
    ] {
        let text = &rendered[Utf8Path::new(path)];
        assert!(
            text.contains(&format!("digest: \"{}\"", digest_of(image))),
            "{text}"
        );
        assert!(!text.contains("digest: \"\""), "{text}");
    }
    let chart = &rendered[Utf8Path::new("charts/rune/charts/postgres/Chart.yaml")];
    assert!(
        chart.contains(&format!(
            "image: docker.io/library/postgres:17-alpine@{}",
            digest_of("postgres")
        )),
        "{chart}"
    );
}

#[test]
fn values_of_profiles_follow_what_the_image_can_do() {
    let renderer = renderer();
    let mut context = pinned();
    for profile in PROFILES {
        assert!(
            renderer
                .render(profile, &context)
                .unwrap()
                .contains("\n    backend: sqlite\n"),
            "{profile}"
        );
    }
    context.images.get_mut("rune").unwrap().tag = "v0.1.0".to_owned();
    for profile in PROFILES {
        assert!(
            !renderer
                .render(profile, &context)
                .unwrap()
                .contains("backend"),
            "{profile}"
        );
    }
}

#[test]
fn the_text_for_the_administrator_reads_well() {
    insta::assert_snapshot!(
        renderer()
            .render("templates/INSTALL.md.j2", &packed())
            .unwrap()
    );
}
