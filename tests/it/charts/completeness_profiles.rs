//! Profiles of single charts, and values that are for the check alone.

use std::fs;

use super::completeness_support::{App, HELMS};
use crate::bundle::small_bundle::{ends_with, index_of};

/// What takes no key that it does not know, as many public charts do.
const STRICT: &str = "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"type\": \"object\", \"additionalProperties\": false,
 \"properties\": {\"own\": {\"type\": \"string\"}, \"global\": {\"type\": \"object\"}}}";

const TWO_POD: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: beside}
spec: {containers: [{name: c, image: 'docker.io/library/two:2@<@ images.two.digest | raw @>{{ if eq .Values.own "wrong" }}x{{ end }}'}]}
"#;

/// Asks for a password as charts do that keep one: only an upgrade needs it.
const ASKS_ON_UPGRADE: &str = r#"{{ if and .Release.IsUpgrade (not (get (.Values.auth | default dict) "password")) }}
{{ fail "PASSWORDS ERROR: give auth.password" }}
{{ end }}
"#;

/// An app with a second chart, `beside`, that has a strict schema and runs `two`; each has a
/// profile of its own.
fn two_charts(helm: &'static str) -> App {
    let app = App::new(helm);
    app.two();
    app.edit(
        "bundle-manifests/rune.yaml",
        "charts: [{ path: charts/app }]",
        "charts: [{ path: charts/app }, { path: charts/beside }]",
    );
    app.edit(
        "bundle-manifests/rune.yaml",
        "name: plain, values: [",
        "name: plain, charts: [charts/app], values: [",
    );
    app.edit(
        "bundle-manifests/rune.yaml",
        "name: full, values: [",
        "name: full, charts: [charts/beside], values: [",
    );
    app.write("values/plain.yaml", "onlyApp: x\n");
    app.write("values/full.yaml", "own: mine\n");
    app.write(
        "charts/beside/Chart.yaml",
        "apiVersion: v2\nname: beside\nversion: 0.1.0\n",
    );
    app.write("charts/beside/values.yaml", "own: x\n");
    app.write("charts/beside/values.schema.json", STRICT);
    app.write("templates/charts/beside/templates/pod.yaml.j2", TWO_POD);
    app
}

#[test]
fn a_profile_of_one_chart_does_not_render_another() {
    for helm in HELMS {
        let app = two_charts(helm);
        let said = ends_with(&app.lock(&[]), 0);
        // Two charts with one profile each, as for an installation and for an upgrade.
        assert!(said.contains("in 4 renderings"), "{said}");
        // Without the assignment the strict chart refuses the values of the other.
        app.edit(
            "bundle-manifests/rune.yaml",
            "name: plain, charts: [charts/app], ",
            "name: plain, ",
        );
        let said = ends_with(&app.lock(&["--check"]), 8);
        assert!(
            said.contains("chart beside, profile plain: ") && said.contains("onlyApp"),
            "{said}"
        );
    }
}

#[test]
fn a_chart_without_a_profile_of_its_own_is_rendered_with_its_own_values() {
    let app = two_charts("helm4");
    app.edit(
        "bundle-manifests/rune.yaml",
        "name: full, charts: [charts/beside]",
        "name: full, charts: [charts/app]",
    );
    ends_with(&app.lock(&[]), 0);
    app.write("charts/beside/values.yaml", "own: wrong\n");
    let said = ends_with(&app.lock(&["--check"]), 8);
    assert!(
        said.contains("chart beside with its own values: beside/templates/pod.yaml"),
        "{said}"
    );
}

#[test]
fn the_charts_of_a_profile_are_recorded_and_shown() {
    let app = two_charts("helm4").locked();
    ends_with(&app.build(&[]), 0);
    let index = index_of(&app.project.path("x.tar"));
    assert_eq!(index.requires, ["image-places", "profile-charts"]);
    let of: Vec<(&str, &[String])> = index
        .profiles
        .iter()
        .map(|profile| (profile.name.as_str(), profile.charts.as_slice()))
        .collect();
    assert_eq!(
        of,
        [
            ("plain", &["app".to_owned()][..]),
            ("full", &["beside".to_owned()][..])
        ]
    );
    let said = ends_with(&app.run(&["inspect", "x.tar", "--key", "release.pub"]), 0);
    assert!(
        said.contains("profile        plain of app: values/plain.yaml"),
        "{said}"
    );
    ends_with(
        &app.run(&[
            "report",
            "x.tar",
            "--key",
            "release.pub",
            "--output",
            "x.html",
        ]),
        0,
    );
    assert!(
        fs::read_to_string(app.project.path("x.html"))
            .unwrap()
            .contains("full of beside")
    );
}

#[test]
fn profiles_and_charts_may_share_a_values_file() {
    let app = two_charts("helm4");
    app.edit(
        "bundle-manifests/rune.yaml",
        "[values/full.yaml]",
        "[values/full.yaml, values/shared.yaml]",
    );
    app.edit(
        "bundle-manifests/rune.yaml",
        "[values/plain.yaml]",
        "[values/plain.yaml, values/shared.yaml]",
    );
    let more = "  - { name: more, charts: [charts/app], values: [values/shared.yaml, values/plain.yaml] }\npolicy:";
    app.edit("bundle-manifests/rune.yaml", "policy:", more);
    app.write("values/shared.yaml", "global: {site: x}\n");
    ends_with(&app.lock(&[]), 0);
    ends_with(&app.build(&[]), 0);
    let index = index_of(&app.project.path("x.tar"));
    let values: Vec<Vec<&str>> = index
        .profiles
        .iter()
        .map(|profile| {
            profile
                .values
                .iter()
                .map(rune_bundle::archive::EntryName::as_str)
                .collect()
        })
        .collect();
    let (plain, full, shared) = (
        "values/plain.yaml",
        "values/full.yaml",
        "values/shared.yaml",
    );
    assert_eq!(
        values,
        [vec![plain, shared], vec![full, shared], vec![shared, plain]]
    );
    assert_eq!(
        index
            .entries
            .iter()
            .filter(|entry| entry.path.as_str() == shared)
            .count(),
        1
    );
    ends_with(&app.run(&["verify", "x.tar", "--key", "release.pub"]), 0);
    ends_with(
        &app.run(&["unpack", "x.tar", "out", "--key", "release.pub"]),
        0,
    );
    assert_eq!(
        fs::read_to_string(app.project.path("out").join(shared)).unwrap(),
        "global: {site: x}\n"
    );
    let install = fs::read_to_string(app.project.path("out/INSTALL.md")).unwrap();
    assert!(install.matches(shared).count() >= 3, "{install}");
}

#[test]
fn values_files_of_one_name_in_several_directories_keep_their_directories() {
    let app = two_charts("helm4");
    app.write("sites/app/prod.yaml", "onlyApp: prod\n");
    app.write(
        "templates/sites/beside/Prod.yaml.j2",
        "own: <@ bundle.name @>\n",
    );
    app.edit(
        "bundle-manifests/rune.yaml",
        "[values/plain.yaml]",
        "[sites/app/prod.yaml]",
    );
    app.edit(
        "bundle-manifests/rune.yaml",
        "[values/full.yaml]",
        "[templates/sites/beside/Prod.yaml.j2]",
    );
    ends_with(&app.lock(&[]), 0);
    ends_with(&app.build(&[]), 0);
    ends_with(
        &app.run(&["unpack", "x.tar", "out", "--key", "release.pub"]),
        0,
    );
    let read = |file: &str| fs::read_to_string(app.project.path("out/values").join(file)).unwrap();
    assert_eq!(
        (read("sites/app/prod.yaml"), read("sites/beside/Prod.yaml")),
        ("onlyApp: prod\n".to_owned(), "own: \"app\"\n".to_owned())
    );
    // Rendered by itself, each is there too.
    ends_with(&app.run(&["render", "--lock", "--out", "pinned"]), 0);
    let rendered =
        |file: &str| fs::read_to_string(app.project.path("pinned/values").join(file)).unwrap();
    assert_eq!(rendered("sites/app/prod.yaml"), read("sites/app/prod.yaml"));
    assert_eq!(
        rendered("sites/beside/Prod.yaml"),
        read("sites/beside/Prod.yaml")
    );
}

#[test]
fn mistakes_in_the_charts_of_a_profile_are_named_with_their_place() {
    let app = App::new("helm4");
    for (text, message) in [
        ("[charts/apq]", "the manifest has no chart `charts/apq`"),
        ("[]", "the list of charts is empty"),
        (
            "[charts/app, charts/app]",
            "there are two charts `charts/app`",
        ),
        ("charts/app", "`charts`"),
    ] {
        app.edit(
            "bundle-manifests/rune.yaml",
            "name: plain, values: [",
            &format!("name: plain, charts: {text}, values: ["),
        );
        let said = ends_with(&app.lock(&[]), 3);
        assert!(
            said.contains(message) && said.contains("rune.yaml:11:"),
            "{text}: {said}"
        );
        app.edit(
            "bundle-manifests/rune.yaml",
            &format!("charts: {text}, values: ["),
            "values: [",
        );
    }
}

#[test]
fn a_rendering_that_fails_only_as_an_upgrade_says_so() {
    for helm in HELMS {
        let app = App::new(helm).locked();
        app.write("charts/app/templates/x.yaml", ASKS_ON_UPGRADE);
        let said = ends_with(&app.lock(&["--check"]), 8);
        assert!(
            said.contains(
                "only as for an upgrade, not as for an installation: helm cannot render it"
            ),
            "{said}"
        );
        assert!(
            said.contains("PASSWORDS ERROR: give auth.password") && said.contains("`checkValues`"),
            "{said}"
        );
        // What fails on both occasions is said once, without either.
        app.write("charts/app/templates/x.yaml", "{{ fail \"never\" }}\n");
        let said = ends_with(&app.lock(&["--check"]), 8);
        assert!(
            !said.contains("only as for") && said.matches("never").count() == 1,
            "{said}"
        );
    }
}

#[test]
fn check_values_are_for_the_check_alone_and_only_their_keys_are_recorded() {
    let app = App::new("helm4");
    app.write("charts/app/templates/x.yaml", ASKS_ON_UPGRADE);
    app.write("check.yaml", "auth: { password: s3cret-for-the-check }\n");
    app.edit(
        "bundle-manifests/rune.yaml",
        "{ path: charts/app }",
        "{ path: charts/app, checkValues: [check.yaml] }",
    );
    let sentence =
        "the chart app was checked with values that are not in the bundle: auth.password";
    let said = ends_with(&app.lock(&[]), 0);
    assert!(said.contains(sentence), "{said}");
    ends_with(&app.build(&[]), 0);
    let bundle = fs::read(app.project.path("x.tar")).unwrap();
    let has = |text: &str| {
        bundle
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(has("auth.password") && !has("s3cret") && !has("check.yaml"));
    let index = index_of(&app.project.path("x.tar"));
    assert_eq!(index.requires, ["chart-exceptions", "image-places"]);
    assert_eq!(
        (
            index.completeness.check_values[0].chart.as_str(),
            index.completeness.check_values[0].keys.len()
        ),
        ("app", 1)
    );
    for verb in ["verify", "inspect"] {
        let said = ends_with(&app.run(&[verb, "x.tar", "--key", "release.pub"]), 0);
        assert!(said.contains(sentence), "{verb}: {said}");
    }
    ends_with(
        &app.run(&[
            "report",
            "x.tar",
            "--key",
            "release.pub",
            "--output",
            "x.html",
        ]),
        0,
    );
    assert!(
        fs::read_to_string(app.project.path("x.html"))
            .unwrap()
            .contains(sentence)
    );
    // Without them the check fails, and a bundle that was not checked names none.
    app.edit(
        "bundle-manifests/rune.yaml",
        ", checkValues: [check.yaml]",
        "",
    );
    let said = ends_with(&app.lock(&["--check"]), 8);
    assert!(said.contains("PASSWORDS ERROR"), "{said}");
}

#[test]
fn an_image_that_only_check_values_switch_on_must_be_in_the_lock() {
    let app = App::new("helm4").locked();
    app.write(
        "charts/app/templates/x.yaml",
        "{{ if .Values.more }}\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: c, image: quay.io/a/b:1}]}\n{{ end }}\n",
    );
    ends_with(&app.lock(&["--check"]), 0);
    app.write("check.yaml", "more: true\n");
    app.edit(
        "bundle-manifests/rune.yaml",
        "{ path: charts/app }",
        "{ path: charts/app, checkValues: [check.yaml] }",
    );
    let said = ends_with(&app.lock(&["--check"]), 8);
    assert!(said.contains("quay.io/a/b:1"), "{said}");
}

#[test]
fn check_values_that_cannot_be_read_are_named_and_not_shown() {
    let app = App::new("helm4");
    app.edit(
        "bundle-manifests/rune.yaml",
        "{ path: charts/app }",
        "{ path: charts/app, checkValues: [check.yaml] }",
    );
    let said = ends_with(&app.lock(&[]), 3);
    assert!(
        said.contains("the values file `check.yaml` does not exist"),
        "{said}"
    );
    app.write("check.yaml", "auth: { password: \"s3cret\n");
    let said = ends_with(&app.lock(&[]), 3);
    assert!(
        said.contains("check.yaml:") && !said.contains("s3cret"),
        "{said}"
    );
}
