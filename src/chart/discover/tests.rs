//! What is found in rendered text, and where.

mod odd_places;

use super::{Named, discover};
use crate::policy::{Exception, FieldForm, ImageField, ImagePlaces};

/// `file: object [container] path = what`, one line each.
fn found(rendered: &str) -> Vec<String> {
    let places = ImagePlaces {
        variables: vec!["RELATED_IMAGE_*".to_owned()],
        options: vec!["--sidecar-image".to_owned()],
        fields: vec![ImageField {
            kind: "Widget.example.com".to_owned(),
            path: "spec.parts[].image".to_owned(),
            form: FieldForm::References,
        }],
        ..ImagePlaces::default()
    };
    let line = |(place, named): (super::ImagePlace, Named)| {
        let container = place
            .container
            .map(|name| format!(" [{name}]"))
            .unwrap_or_default();
        format!(
            "{}: {}{container} {} = {named:?}",
            place.file, place.object, place.path
        )
    };
    discover(rendered, &places).into_iter().map(line).collect()
}

#[test]
fn containers_of_every_kind_are_found_in_whatever_holds_them() {
    let pod = "{initContainers: [{name: i, image: a}], containers: [{name: c, image: b}], ephemeralContainers: [{name: e, image: c}], volumes: [{name: v, image: {reference: d}}]}";
    for (kind, prefix, spec) in [
        ("v1\nkind: Pod", "spec", format!("spec: {pod}")),
        (
            "apps/v1\nkind: Deployment",
            "spec.template.spec",
            format!("spec: {{template: {{spec: {pod}}}}}"),
        ),
        (
            "batch/v1\nkind: CronJob",
            "spec.jobTemplate.spec.template.spec",
            format!("spec: {{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}"),
        ),
        (
            "example.com/v1\nkind: Thing",
            "spec.deep[0].pod",
            format!("spec: {{deep: [{{pod: {pod}}}]}}"),
        ),
    ] {
        let name = kind.rsplit(' ').next().unwrap();
        let found = found(&format!(
            "---\n# Source: x/t.yaml\napiVersion: {kind}\nmetadata: {{name: n}}\n{spec}\n"
        ));
        let expected = [
            format!("x/t.yaml: {name}/n [i] {prefix}.initContainers[0].image = Image(\"a\")"),
            format!("x/t.yaml: {name}/n [c] {prefix}.containers[0].image = Image(\"b\")"),
            format!("x/t.yaml: {name}/n [e] {prefix}.ephemeralContainers[0].image = Image(\"c\")"),
            format!("x/t.yaml: {name}/n {prefix}.volumes[0].image.reference = Image(\"d\")"),
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn variables_options_and_fields_count_where_they_are_declared() {
    let text = "# Source: a
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    - name: c
      image: x
      command: [run, --other=no, '--sidecar-image=one']
      args: [--sidecar-image, two, --sidecar-image]
      env: [{name: RELATED_IMAGE_A, value: three}, {name: RELATED_IMAGE_B, valueFrom: {fieldRef: {}}}, {name: RELATED_IMAGE_C}, {name: OTHER, value: no}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data: {RELATED_IMAGE_D: four, other: no}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {parts: [{image: five}, {}, {image: six}]}
---
apiVersion: other.example.com/v1
kind: Widget
metadata: {name: w}
spec: {parts: [{image: no}]}
";
    let named: Vec<String> = found(text)
        .iter()
        .map(|line| line.split_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(
        named,
        [
            "Pod/p [c] spec.containers[0].image = Image(\"x\")",
            "Pod/p [c] spec.containers[0].command[2] = Image(\"one\")",
            "Pod/p [c] spec.containers[0].args[1] = Image(\"two\")",
            "Pod/p [c] spec.containers[0].env[0].value = Image(\"three\")",
            "Pod/p [c] spec.containers[0].env[1].valueFrom = Elsewhere",
            "ConfigMap/m data.RELATED_IMAGE_D = Image(\"four\")",
            "Widget/w spec.parts[0].image = Image(\"five\")",
            "Widget/w spec.parts[2].image = Image(\"six\")",
        ]
    );
}

#[test]
fn in_a_container_only_what_no_runtime_can_pull_is_ignored() {
    let ignored = vec![Exception {
        pattern: "*".to_owned(),
        reason: "r".to_owned(),
    }];
    let places = ImagePlaces {
        ignored,
        ..ImagePlaces::default()
    };
    let of = |image: &str| {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: \
             {{containers: [{{name: c, image: '{image}'}}]}}\n"
        );
        discover(&pod, &places)
            .into_iter()
            .map(|(_, named)| named)
            .collect::<Vec<_>>()
    };
    for unusable in [":", "quay.io/a/b:", ":1"] {
        assert_eq!(
            of(unusable),
            [Named::Ignored(unusable.to_owned(), "r".to_owned())],
            "{unusable}"
        );
    }
    assert_eq!(of("redis:7"), [Named::Image("redis:7".to_owned())]);
}

#[test]
fn patterns_of_policies_for_pods_are_no_images() {
    let policy = |image: &str| {
        found(&format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec: \
             {{pattern: {{containers: [{{image: '{image}'}}]}}}}\n"
        ))
    };
    assert_eq!(policy("!*:latest"), Vec::<String>::new());
    assert_eq!(policy("ghcr.io/acme/*"), Vec::<String>::new());
    assert_eq!(
        policy("redis:7"),
        ["unknown file: ClusterPolicy/p spec.pattern.containers[0].image = Image(\"redis:7\")"]
    );
}

#[test]
fn known_custom_resources_are_looked_into() {
    for (version, kind, spec, expected) in [
        (
            "postgresql.cnpg.io/v1",
            "Cluster",
            "{imageName: a}",
            &["spec.imageName"][..],
        ),
        ("cluster.x-k8s.io/v1", "Cluster", "{imageName: a}", &[]),
        (
            "postgresql.cnpg.io/v1",
            "ImageCatalog",
            "{images: [{major: 17, image: a}, {major: 18, image: b}]}",
            &["spec.images[0].image", "spec.images[1].image"],
        ),
        (
            "monitoring.coreos.com/v1",
            "Prometheus",
            "{image: a, thanos: {image: b}, containers: [{name: patch}]}",
            &["spec.image", "spec.thanos.image"],
        ),
    ] {
        let found = found(&format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: n}}\nspec: {spec}\n"
        ));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(line, path)| line.contains(&format!(" {path} = Image"))),
            "{found:?}"
        );
    }
}

#[test]
fn lists_are_opened_definitions_are_not_and_the_file_holds_until_another_is_named() {
    let text = "---\n# Source: a\napiVersion: v1\nkind: List\nitems:\n- \
                {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: x}]}}\n---\napiVersion: \
                v1\nkind: Pod\nmetadata: {generateName: q-}\nspec: \
                {containers: [{name: c, image: y}]}\n---\n# Source: b\napiVersion: \
                apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: \
                {containers: [{image: no}]}\n";
    assert_eq!(
        found(text),
        [
            "a: Pod/p [c] spec.containers[0].image = Image(\"x\")",
            "a: Pod/q- [c] spec.containers[0].image = Image(\"y\")"
        ]
    );
}

#[test]
fn a_container_without_an_image_and_a_document_that_cannot_be_read_are_reported() {
    let lines = found(
        "# Source: a\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: \
         {containers: [{name: c}, {name: d, image: ''}]}\n---\n# Source: b\nx: [\n",
    );
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].ends_with("[c] spec.containers[0].image = Nothing")
            && lines[1].ends_with("[d] spec.containers[1].image = Nothing")
    );
    assert!(
        lines[2].starts_with("b: ") && lines[2].contains("Unreadable"),
        "{}",
        lines[2]
    );
}

#[test]
fn duplicate_keys_hide_nothing_and_merge_keys_are_followed() {
    let lines = found(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: \
         [{name: c, image: a, image: b}]\n  containers: [{name: d, image: c}]\n",
    );
    assert_eq!(lines.len(), 3, "{lines:?}");
    let lines = found(
        "x: &x {image: hidden}\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: \
         {containers: [{<<: *x, name: c}]}\n",
    );
    assert_eq!(
        lines,
        ["unknown file: Pod/p [c] spec.containers[0].image = Image(\"hidden\")"]
    );
}

#[test]
fn what_a_chart_says_cannot_act_on_a_terminal() {
    let lines = found(
        "# Source: a\u{1b}[2J\napiVersion: v1\nkind: Pod\nmetadata: {name: \"p\\e[31m\"}\nspec: \
         {containers: [{name: c, image: \"x\\e\"}]}\n",
    );
    assert!(
        lines.iter().all(|line| !line.chars().any(char::is_control)),
        "{lines:?}"
    );
    let lines = found(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: \
         {{containers: [{{name: c, image: {}}}]}}\n",
        "x".repeat(9000)
    ));
    assert!(lines[0].len() < 1000);
}

proptest::proptest! {
    #[test]
    fn any_text_is_searched(text in "(---\n|# Source: x\n|kind: Pod\n|spec: |containers: |image: \
                                     |a/b:1|@sha256:|\\{\\{|\\}\\}|\\$\\(|://|=|\\[|\\]|\\{|\\}|[-a-z:,&*!|>'\" \n]){0,60}") {
        found(&text);
    }
}
