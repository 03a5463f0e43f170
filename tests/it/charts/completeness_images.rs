//! Images in places that nobody declared, images without a digest, and what the policy says to
//! settle both.

use std::fs;

use serde_json::Value;

use crate::{
    bundle::small_bundle::{ends_with, index_of},
    charts::completeness_support::{App, HELMS, line},
    registry::serve_support::Serving,
};

/// An operator in the style of large public charts: tags without digests, images in options,
/// variables, configuration and resources.
const OPERATOR: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: operator}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
        - name: operator
          image: docker.io/library/one:1
          args: [--prometheus-config-reloader=docker.io/library/two:2, --thanos, docker.io/library/two:2]
          env: [{name: SIDECAR, value: 'docker.io/library/two:2'}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  app.yaml: |
    agents:
      - name: first
        image: docker.io/library/two:2
  scanner.repository: docker.io/library/two
  scanner.tag: '2'
---
apiVersion: monitoring.example.com/v1
kind: Prometheus
metadata: {name: prometheus}
spec: {image: 'docker.io/library/two:2', other: {imageRef: 'docker.io/library/two:2'}}
---
apiVersion: v1
kind: Pod
metadata: {name: app-test, annotations: {helm.sh/hook: test}}
spec: {containers: [{name: t, image: 'busybox:1.37'}]}
";

impl App {
    /// The operator, and a policy without anything about images.
    fn of_operator(helm: &'static str) -> Self {
        let app = Self::new(helm);
        app.edit(
            "bundle-manifests/rune.yaml",
            ", component: side, extra: true",
            "",
        );
        app.write("charts/app/templates/deployment.yaml", OPERATOR);
        app.write("templates/charts/app/values.yaml.j2", "{}\n");
        app.write(
            "policy.yaml",
            "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: [docker.io/library/*] }\n",
        );
        app
    }

    fn add_to_policy(&self, lines: &str) {
        let text = fs::read_to_string(self.project.path("policy.yaml")).unwrap();
        self.write("policy.yaml", &format!("{text}{lines}"));
    }
}

/// The lines for the policy in what `lock` said, as they can be pasted.
fn pasted(said: &str) -> String {
    let (_, block) = said
        .split_once("lines for the policy")
        .unwrap_or_else(|| panic!("no lines: {said}"));
    let lines = block
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

const LEFT_OUT: &str = "  leaveOutTests: [{ name: '*-test', reason: 'nobody tests here' }]\n";

#[test]
fn findings_of_a_large_chart_can_be_pasted_into_the_policy_and_then_it_passes() {
    for helm in HELMS {
        let app = App::of_operator(helm);
        let said = ends_with(&app.lock(&[]), 8);
        for part in [
            "app/templates/deployment.yaml: Deployment/operator, container operator, spec.template.spec.containers[0].image: `docker.io/library/one:1` has no digest",
            "spec.template.spec.containers[0].args[0]: `docker.io/library/two:2` has no digest",
            "args[2]: possible image: `docker.io/library/two:2` has no digest",
            "data[app.yaml].agents[0].image: possible image: `docker.io/library/two:2` has no digest",
            "{ kind: ConfigMap, path: data, repository: scanner.repository, tag: scanner.tag }",
            "`busybox:1.37` has no digest",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        assert!(!said.contains("no chart uses it"), "{said}");
        let lines = pasted(&said);
        app.add_to_policy(&lines.replacen("images:\n", &format!("images:\n{LEFT_OUT}"), 1));
        let said = ends_with(&app.lock(&[]), 0);
        assert!(
            said.contains("the charts name the image two by its tag alone"),
            "{said}"
        );
        assert!(
            said.contains("the tests of the charts named *-test were left out: nobody tests here"),
            "{said}"
        );
        ends_with(&app.lock(&["--check"]), 0);
        // What is declared is asked for: without the image it does not pass.
        let manifest = fs::read_to_string(app.project.path("bundle-manifests/rune.yaml")).unwrap();
        let without: String = manifest
            .lines()
            .filter(|line| !line.contains("name: two"))
            .map(|line| format!("{line}\n"))
            .collect();
        app.write("bundle-manifests/rune.yaml", &without);
        let said = ends_with(&app.lock(&[]), 8);
        assert!(
            said.matches("`docker.io/library/two:2` has no digest")
                .count()
                >= 6
                && !said.contains("possible image"),
            "{said}"
        );
    }
}

#[test]
fn a_policy_of_ones_own_adds_to_the_places_that_are_known() {
    let app = App::new("helm4").locked();
    app.write("policy.yaml", "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: [docker.io/library/*] }\nimages: { variables: [OWN] }\n");
    app.write(
        "charts/app/templates/x.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {RELATED_IMAGE_A: a, OWN: b, SIDE_IMAGE: 'c:1'}\n",
    );
    let found: Vec<String> = app
        .findings()
        .iter()
        .map(|finding| finding["image"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(found, ["b", "a", "c:1"]);
}

#[test]
fn parts_templates_and_documents_within_strings_are_declared_by_the_policy() {
    let app = App::new("helm4");
    let two = app.two();
    app.write(
        "charts/app/templates/x.yaml",
        &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n  app.yaml: |\n    agents: [{{name: a, what: {two}}}]\n  list: {two}\n\
             ---\napiVersion: example.com/v1\nkind: Engine\nmetadata: {{name: e}}\nspec: {{version: '9'}}\n"
        ),
    );
    app.edit(
        "policy.yaml",
        "path: spec.image }]",
        "path: spec.image }, { kind: ConfigMap, path: 'data[app.yaml].agents[a].what' }, { kind: ConfigMap, path: data.list },\n    \
         { kind: Engine.example.com, path: spec.version, template: 'docker.io/library/engine:{}' }]",
    );
    let said = ends_with(&app.lock(&[]), 8);
    assert!(
        said.contains("Engine/e, spec.version: `docker.io/library/engine:9` has no digest")
            && said.matches(" has no digest").count() == 1,
        "{said}"
    );
    app.edit("policy.yaml", "images:\n", "images:\n  ignore: [{ reference: 'docker.io/library/engine:*', reason: 'made elsewhere' }]\n");
    let said = ends_with(&app.lock(&[]), 0);
    assert!(
        said.contains("docker.io/library/engine:9 in the charts was ignored: made elsewhere"),
        "{said}"
    );
}

#[test]
fn mistakes_in_what_the_policy_says_about_images_are_named_with_their_place() {
    let app = App::new("helm4");
    for (text, message) in [
        (
            "images: { fields: [{ kind: A, path: 'a[' }] }",
            "`a[` is not the path of a field",
        ),
        (
            "images: { fields: [{ kind: A, path: a, template: x }] }",
            "a template without {}",
        ),
        (
            "images: { fields: [{ kind: A, path: a, tag: t }] }",
            "parts of a reference alone",
        ),
        (
            "pins: [{ image: 'docker.io/library/*', pin: tag, reason: r }]",
            "is not one image",
        ),
        (
            "pins: [{ image: docker.io/library/a, pin: name, reason: r }]",
            "unknown way to pin an image `name`",
        ),
        (
            "pins: [{ image: docker.io/library/a, pin: tag }]",
            "lacks the key `reason`",
        ),
        (
            "images: { ignore: [{ reference: a }] }",
            "lacks the key `reason`",
        ),
    ] {
        app.write(
            "policy.yaml",
            &format!("apiVersion: rune-bundle/v1\nkind: Policy\n{text}\n"),
        );
        let said = ends_with(&app.lock(&[]), 3);
        assert!(
            said.contains(message) && said.contains("policy.yaml:3"),
            "{text}: {said}"
        );
    }
}

#[test]
fn a_chart_that_names_no_image_is_said_to_name_none() {
    let app = App::new("helm4");
    app.edit(
        "bundle-manifests/rune.yaml",
        "docker.io/library/one:1, license: MIT",
        "docker.io/library/one:1, license: MIT, extra: true",
    );
    app.write(
        "charts/app/templates/deployment.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n",
    );
    let said = ends_with(&app.lock(&[]), 0);
    assert!(
        said.contains("note: the chart app names no image in any profile"),
        "{said}"
    );
}

#[test]
fn a_tag_that_the_registry_has_for_the_same_digest_is_asked_for_once_and_kept_in_the_lock() {
    let app = App::new("helm4");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: \"docker.io/library/one:1.4@{{ .Values.one.digest }}\"}]}\n";
    app.write("charts/app/templates/p.yaml", pod);
    let said = ends_with(&app.lock(&[]), 8);
    assert!(
        said.contains("has the tag 1.4 and the digest of the image `one`, docker.io/library/one:1"),
        "{said}"
    );
    let same = rune_testkit::sample::Sample {
        seed: "one".to_owned(),
        ..rune_testkit::sample::Sample::default()
    };
    app.project.put("library/one", "1.4", &same);
    ends_with(&app.lock(&[]), 0);
    let lock = fs::read_to_string(app.project.path("bundle-manifests/rune.lock")).unwrap();
    assert!(
        lock.contains("formatVersion: 2") && lock.contains("otherTags:\n  - \"1.4\""),
        "{lock}"
    );
    app.is_complete();
    ends_with(&app.lock(&["--check"]), 0);
    // Another image under that tag is another program.
    app.project.put(
        "library/one",
        "1.4",
        &rune_testkit::sample::Sample {
            seed: "else".to_owned(),
            ..same
        },
    );
    ends_with(&app.lock(&["--check"]), 8);
}

#[test]
fn an_object_with_a_random_name_is_one_finding() {
    let app = App::new("helm3").locked();
    app.write(
        "charts/app/templates/x.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: \"x-{{ randAlphaNum 5 | lower }}\"}\nspec: {containers: [{name: c, image: x}]}\n",
    );
    let finding = app.finding();
    assert!(
        finding.starts_with("full+plain: app/templates/x.yaml: Pod/x-") && finding.contains('…'),
        "{finding}"
    );
}

/// An app whose chart names `one` by its tag alone, and a bundle of it.
pub(crate) fn pinned_by_tag() -> App {
    let app = App::new("helm4");
    app.write(
        "templates/charts/app/values.yaml.j2",
        "one: { registry: docker.io, repository: library/one, tag: '1' }\n",
    );
    app.add_to_policy(
        "pins: [{ image: docker.io/library/one, pin: tag, reason: 'no value for a digest' }]\n",
    );
    ends_with(&app.lock(&[]), 0);
    ends_with(&app.build(&[]), 0);
    app
}

#[test]
fn an_image_that_is_named_by_its_tag_is_recorded_shown_and_up_to_the_policy_of_whoever_receives_it()
{
    let app = pinned_by_tag();
    let index = index_of(&app.project.path("x.tar"));
    assert_eq!(
        (
            index.requires.as_slice(),
            index.completeness.tag_pins[0].what.as_str()
        ),
        (
            &["chart-exceptions".to_owned(), "image-places".to_owned()][..],
            "one"
        )
    );
    let sentence = "the charts name the image one by its tag alone: no value for a digest";
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

    let own = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['**'] }\n";
    app.write("own.yaml", own);
    let verify = || {
        app.run(&[
            "verify",
            "x.tar",
            "--key",
            "release.pub",
            "--policy",
            "own.yaml",
        ])
    };
    let said = ends_with(&verify(), 8);
    assert!(
        said.contains("rule `pins`")
            && said.contains("`docker.io/library/one:1` by its tag alone (no value for a digest)"),
        "{said}"
    );
    app.write(
        "own.yaml",
        &format!(
            "{own}pins: [{{ image: 'docker.io/library/one:1', pin: tag, reason: 'as agreed' }}]\n"
        ),
    );
    ends_with(&verify(), 0);
}

#[test]
fn push_and_serve_give_the_tag_exactly_the_digest_of_the_lock() {
    let app = pinned_by_tag();
    let target = index_of(&app.project.path("x.tar")).images[0]
        .target
        .digest
        .to_string();
    let destination = rune_testkit::registry::Registry::start();
    let at = destination.host();
    ends_with(&app.run(&["push", "x.tar", &at, "--key", "release.pub"]), 0);
    let digest = rune_testkit::sha256;
    let (_, bytes) = destination.manifest("library/one", "1").unwrap();
    assert_eq!(digest(&bytes), target);
    // The same name with another content is not overwritten without being asked.
    let other = rune_testkit::sample::Sample {
        seed: "else".to_owned(),
        ..rune_testkit::sample::Sample::default()
    }
    .build();
    destination.put_image("library/one", "1", &other);
    ends_with(
        &app.run(&["push", "x.tar", &at, "--key", "release.pub"]),
        12,
    );

    let mut command = app.project.command(&[
        "serve",
        "x.tar",
        "--key",
        "release.pub",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let serving = Serving::run(&mut command);
    let reply = serving.get("/v2/library/one/manifests/1");
    assert_eq!((reply.status, digest(&reply.body)), (200, target));
}

#[test]
fn findings_say_in_json_what_to_add_to_which_list() {
    let app = App::of_operator("helm4");
    let output = app.lock(&["--json"]);
    ends_with(&output, 8);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["error"]["details"].as_array().unwrap();
    let of = |path: &str| {
        findings
            .iter()
            .find(|finding| line(finding).contains(path))
            .unwrap_or_else(|| panic!("{path}: {findings:#?}"))
    };
    assert_eq!(of("args[2]")["policy"][0], "images.options: [\"--thanos\"]");
    assert_eq!(
        of("env[0].value")["policy"][0],
        "images.variables: [SIDECAR]"
    );
    let pin = of("containers[0].image")["policy"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        pin.starts_with("pins: [{ image: docker.io/library/one, pin: tag, reason: "),
        "{pin}"
    );
}
