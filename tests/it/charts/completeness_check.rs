//! The completeness gate of `lock` and `build`: what the charts can ask for is in the lock, and the
//! other way round.

use std::fs;

use serde_json::Value;

use crate::{
    bundle::small_bundle::{ends_with, index_of},
    charts::completeness_support::{App, HELMS, line},
};

/// A pod with one container, as a template of the chart.
fn pod(metadata: &str, containers: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {containers}\n")
}

#[test]
fn an_image_that_is_added_to_a_chart_but_not_to_the_manifest_ends_build_with_its_place() {
    for helm in HELMS {
        let app = App::new(helm).locked();
        app.write(
            "charts/app/templates/cache.yaml",
            &pod(
                "{name: cache}",
                "{containers: [{name: redis, image: redis:7}]}",
            ),
        );
        let said = ends_with(&app.build(&[]), 8);
        let place = "chart app, profiles full, plain: app/templates/cache.yaml: Pod/cache, container redis, spec.containers[0].image: \
                     `redis:7` has no digest";
        assert!(
            said.contains(place) && said.contains("name the image in the manifest"),
            "{said}"
        );
        assert_eq!(app.findings().len(), 1);
    }
}

#[test]
fn an_image_of_the_lock_that_no_chart_uses_ends_build_unless_it_is_extra() {
    for helm in HELMS {
        let app = App::new(helm);
        app.edit("bundle-manifests/rune.yaml", ", extra: true", "");
        let app = app.locked();
        let message = "the image `two`, docker.io/library/two:2, is in the lock, and no chart uses it in any profile";
        assert_eq!(app.finding(), format!(": -: - [-] -: {message}"));
    }
    App::new("helm4").locked().is_complete();
}

#[test]
fn whatever_holds_containers_is_looked_into() {
    let job = |containers: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec: {{template: {{spec: {containers}}}}}\n"
        )
    };
    let hook = |kind: &str| format!("{{name: h, annotations: {{helm.sh/hook: {kind}}}}}");
    let one = "{containers: [{name: c, image: bad}]}";
    for (file, text, place) in [
        ("init.yaml", pod("{name: p}", "{initContainers: [{name: i, image: bad}], containers: []}"), "Pod/p [i] spec.initContainers[0].image"),
        ("e.yaml", pod("{name: p}", "{ephemeralContainers: [{name: e, image: bad}]}"), "Pod/p [e] spec.ephemeralContainers[0].image"),
        ("hook.yaml", pod(&hook("pre-install"), one), "Pod/h [c] spec.containers[0].image"),
        ("delete.yaml", pod(&hook("post-delete"), one), "Pod/h [c] spec.containers[0].image"),
        ("tests/t.yaml", pod(&hook("test"), one), "Pod/h [c] spec.containers[0].image"),
        ("job.yaml", job(one), "Job/j [c] spec.template.spec.containers[0].image"),
        (
            "cron.yaml",
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: n}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: bad}]}}}}}\n".to_owned(),
            "CronJob/n [c] spec.jobTemplate.spec.template.spec.containers[0].image",
        ),
        (
            "cluster.yaml",
            "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: db}\nspec: {imageName: bad}\n".to_owned(),
            "Cluster/db [-] spec.imageName",
        ),
        ("widget.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {image: bad}\n".to_owned(), "Widget/w [-] spec.image"),
        (
            "upgrade.yaml",
            format!("{{{{ if .Release.IsUpgrade }}}}\n{}{{{{ end }}}}\n", pod("{name: u}", one)),
            "Pod/u [c] spec.containers[0].image",
        ),
    ] {
        let app = App::new("helm4").locked();
        app.write(&format!("charts/app/templates/{file}"), &text);
        assert_eq!(app.finding(), format!("full+plain: app/templates/{file}: {place}: `bad` has no digest"));
    }
}

#[test]
fn every_finding_comes_in_one_run() {
    let app = App::new("helm3");
    app.edit("bundle-manifests/rune.yaml", ", extra: true", "");
    let app = app.locked();
    app.write(
        "charts/app/templates/a.yaml",
        &pod(
            "{name: a}",
            "{containers: [{name: c, image: a}, {name: d}]}",
        ),
    );
    app.write("values/full.yaml", "b: true\n");
    app.write(
        "charts/app/templates/b.yaml",
        &format!(
            "{{{{ if .Values.b }}}}\n{}{{{{ end }}}}\n",
            pod("{name: b}", "{containers: [{name: c, image: b}]}")
        ),
    );
    let found: Vec<String> = app.findings().iter().map(line).collect();
    assert_eq!(
        found,
        [
            ": -: - [-] -: the image `two`, docker.io/library/two:2, is in the lock, and no chart uses it in any profile",
            "full+plain: app/templates/a.yaml: Pod/a [c] spec.containers[0].image: `a` has no digest",
            "full+plain: app/templates/a.yaml: Pod/a [d] spec.containers[1].image: the container has no image",
            "full: app/templates/b.yaml: Pod/b [c] spec.containers[0].image: `b` has no digest",
        ]
    );
}

/// Makes `two` the image of a subchart that one profile switches on.
fn with_subchart(app: &App, alias: &str) {
    app.two();
    app.write(
        "charts/app/Chart.yaml",
        &format!(
            "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n  - {{ name: sub, version: 0.1.0, repository: '', {alias}condition: side.enabled }}\n"
        ),
    );
    app.write(
        "charts/app/charts/sub/Chart.yaml",
        "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
    );
    app.write(
        "charts/app/charts/sub/templates/pod.yaml",
        &pod(
            "{name: s}",
            "{containers: [{name: c, image: {{ .Values.image | quote }}}]}",
        ),
    );
    app.write(
        "templates/charts/app/values.yaml.j2",
        "one: { registry: r.example, repository: <@ images.one.repository @>, tag: x, digest: <@ images.one.digest @> }\n\
         side: { enabled: false, image: <@ images.two.pinned @> }\nsub: { image: <@ images.two.pinned @> }\n",
    );
    app.write("values/full.yaml", "side: { enabled: true }\n");
}

#[test]
fn a_subchart_with_another_name_that_one_profile_switches_on_counts_with_that_profile() {
    for helm in HELMS {
        for alias in ["alias: side, ", ""] {
            let app = App::new(helm);
            with_subchart(&app, alias);
            ends_with(&app.lock(&[]), 0);
            app.is_complete();
            app.edit(
                "charts/app/charts/sub/templates/pod.yaml",
                "{{ .Values.image | quote }}",
                "other:1",
            );
            let found: Vec<String> = app.findings().iter().map(line).collect();
            let file = if alias.is_empty() {
                "app/charts/sub/templates/pod.yaml"
            } else {
                "app/charts/side/templates/pod.yaml"
            };
            assert_eq!(
                found[1],
                format!(
                    "full: {file}: Pod/s [c] spec.containers[0].image: `other:1` has no digest"
                )
            );
        }
    }
}

#[test]
fn images_in_arguments_and_variables_count_where_the_policy_says_so() {
    let app = App::new("helm4");
    let two = app.two();
    app.write(
        "charts/app/templates/operator.yaml",
        &pod(
            "{name: operator}",
            &format!(
                "{{containers: [{{name: c, image: {{{{ include \"image\" .Values.one }}}}, \
                 args: [--sidecar-image, {two}], env: [{{name: RELATED_IMAGE_X, value: {two}}}, {{name: OTHER, value: any}}]}}]}}"
            ),
        ),
    );
    ends_with(&app.lock(&[]), 0);
    app.is_complete();
    app.write("charts/app/templates/operator.yaml", &pod("{name: o}", "{containers: [{name: c, image: {{ include \"image\" .Values.one }}, args: ['--sidecar-image=a:1'], env: [{name: RELATED_IMAGE_X, value: b}]}]}"));
    let found: Vec<String> = app.findings().iter().map(line).collect();
    assert!(
        found[1].ends_with("Pod/o [c] spec.containers[0].args[0]: `a:1` has no digest"),
        "{found:?}"
    );
    assert!(
        found[2].ends_with("Pod/o [c] spec.containers[0].env[0].value: `b` has no digest"),
        "{found:?}"
    );
}

#[test]
fn a_digest_of_something_else_is_told_apart() {
    let app = App::new("helm4").locked();
    let zeros = "0".repeat(64);
    for (image, message) in [
        (
            format!("docker.io/library/one:1@sha256:{zeros}"),
            "has another digest than the lock",
        ),
        (
            format!("docker.io/library/three:1@sha256:{zeros}"),
            "is not in the lock",
        ),
        ("registry.example/library/one:1".to_owned(), "has no digest"),
        ("'{{ not rendered'".to_owned(), "is not an image reference"),
    ] {
        let image = image.replace("{{", "{{ \"{{\" }}");
        app.write(
            "charts/app/templates/x.yaml",
            &pod(
                "{name: x}",
                &format!("{{containers: [{{name: c, image: {image}}}]}}"),
            ),
        );
        let finding = app.finding();
        assert!(finding.ends_with(message), "{finding}");
    }
}

#[test]
fn a_lock_that_fails_the_check_is_not_written_and_lock_check_finds_it_later() {
    let app = App::new("helm4");
    app.write(
        "charts/app/templates/x.yaml",
        &pod("{name: x}", "{containers: [{name: c, image: x}]}"),
    );
    let said = ends_with(&app.lock(&[]), 8);
    assert!(said.contains("`x` has no digest"), "{said}");
    assert!(!app.project.path("bundle-manifests/rune.lock").exists());
    fs::remove_file(app.project.path("charts/app/templates/x.yaml")).unwrap();
    let said = ends_with(&app.lock(&[]), 0);
    assert!(
        said.contains(
            "every image of the charts is inside: 4 references in 4 renderings by helm v4"
        ),
        "{said}"
    );
    ends_with(&app.lock(&["--check"]), 0);
    app.write(
        "charts/app/templates/x.yaml",
        &pod("{name: x}", "{containers: [{name: c, image: x}]}"),
    );
    ends_with(&app.lock(&["--check"]), 8);
}

#[test]
fn a_check_that_was_left_out_is_recorded_and_shown() {
    let app = App::new("helm4").locked();
    app.write(
        "charts/app/templates/x.yaml",
        &pod("{name: x}", "{containers: [{name: c, image: x}]}"),
    );
    let said = ends_with(&app.build(&["--no-chart-check"]), 0);
    assert!(said.contains("was not checked"), "{said}");
    assert!(!index_of(&app.project.path("x.tar")).completeness.checked);
    let said = ends_with(&app.run(&["verify", "x.tar", "--key", "release.pub"]), 0);
    assert!(said.contains("was not checked when it was built"), "{said}");
    let said = ends_with(&app.run(&["inspect", "x.tar", "--key", "release.pub"]), 0);
    assert!(
        said.contains("completeness   not checked when it was built"),
        "{said}"
    );
}

#[test]
fn the_bytes_do_not_depend_on_which_helm_made_the_check() {
    let app = App::new("helm3").locked();
    ends_with(&app.build(&[]), 0);
    let first = crate::bundle::project::sha256(&app.project.path("x.tar"));
    fs::remove_file(app.project.path("x.tar")).unwrap();
    ends_with(
        &app.build(&[
            "--helm",
            crate::charts::support::tool("helm4").to_str().unwrap(),
        ]),
        0,
    );
    assert_eq!(
        crate::bundle::project::sha256(&app.project.path("x.tar")),
        first
    );
}

#[test]
fn what_a_profile_needs_and_was_left_out_with_its_component_is_recorded_and_shown() {
    let app = App::new("helm4");
    with_subchart(&app, "alias: side, ");
    ends_with(&app.lock(&[]), 0);
    let output = app.build(&["--without", "side", "--json"]);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sentence = "profile full needs the image two, which was left out with the component side";
    assert_eq!(report["completeness"]["leftOut"][0], sentence);
    assert_eq!(
        index_of(&app.project.path("x.tar")).completeness.left_out,
        [sentence]
    );
    for verb in ["verify", "inspect"] {
        let said = ends_with(&app.run(&[verb, "x.tar", "--key", "release.pub"]), 0);
        assert!(said.contains(sentence), "{said}");
    }
}

#[test]
fn a_manifest_without_profiles_is_checked_with_the_charts_own_values() {
    let app = App::new("helm4");
    let manifest = fs::read_to_string(app.project.path("bundle-manifests/rune.yaml")).unwrap();
    let (before, after) = (
        manifest.split("profiles:").next().unwrap(),
        "policy: policy.yaml\n",
    );
    app.write("bundle-manifests/rune.yaml", &format!("{before}{after}"));
    let app = app.locked();
    app.is_complete();
    app.write(
        "charts/app/templates/x.yaml",
        &pod("{name: x}", "{containers: [{name: c, image: x}]}"),
    );
    let said = ends_with(&app.build(&[]), 8);
    assert!(
        said.contains("chart app with its own values: app/templates/x.yaml: Pod/x"),
        "{said}"
    );
}
