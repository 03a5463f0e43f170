//! In which ways charts take a digest, and that each is found by rendering.

use super::support::Place;

/// A reference in quotes, of parts.
const DIGEST: &str = r#""{{ .Values.a.repository }}:{{ .Values.a.tag }}{{ with .Values.a.digest }}@{{ . }}{{ end }}""#;
const SHA: &str = r#""{{ .Values.b.image }}:{{ .Values.b.tag }}{{ with .Values.b.sha }}@sha256:{{ . }}{{ end }}""#;
const TAG: &str = r#""{{ .Values.c.registry }}/{{ .Values.c.name }}:{{ .Values.c.tag }}""#;
const WHOLE: &str = r#""{{ .Values.d }}""#;
const HARD_CODED: &str = "docker.io/acme/e:1.0.5";
const IN_A_LIST: &str = r#""{{ (index .Values.f 1).image }}""#;
const ABSENT: &str = r#""{{ .Values.g.repository }}:1.0.7{{ if .Values.g.digest }}@{{ .Values.g.digest }}{{ end }}""#;
const EMPTY_TAG: &str =
    r#""{{ .Values.h.repository }}:{{ .Values.h.tag | default .Chart.AppVersion }}""#;
const PREFIX: &str = r#""{{ .Values.i.image }}:v{{ .Values.i.version }}""#;
const SHARED_ONE: &str = r#""docker.io/acme/j-one:{{ .Values.global.imageTag }}""#;
const SHARED_TWO: &str = r#""docker.io/acme/j-two:{{ .Values.global.imageTag }}""#;

const VALUES: &str = "a: { repository: docker.io/acme/a, tag: 1.0.1, digest: '' }
b: { image: docker.io/acme/b, tag: 1.0.2, sha: '' }
c: { registry: quay.io, name: acme/c, tag: 1.0.3 }
d: ghcr.io/acme/d:1.0.4
f: [{ name: first, replicas: 2 }, { name: second, image: docker.io/acme/f:1.0.6 }]
g: { repository: docker.io/acme/g }
h: { repository: docker.io/acme/h, tag: '' }
i: { image: docker.io/acme/i, version: 1.0.9 }
global: { imageTag: 1.0.10 }
";

const IMAGES: [&str; 11] = [
    "docker.io/acme/a:1.0.1",
    "docker.io/acme/b:1.0.2",
    "quay.io/acme/c:1.0.3",
    "ghcr.io/acme/d:1.0.4",
    "docker.io/acme/e:1.0.5",
    "docker.io/acme/f:1.0.6",
    "docker.io/acme/g:1.0.7",
    "docker.io/acme/h:3.1.0",
    "docker.io/acme/i:v1.0.9",
    "docker.io/acme/j-one:1.0.10",
    "docker.io/acme/j-two:1.0.10",
];

#[test]
fn each_way_to_take_a_digest_is_found_and_the_lock_passes_without_an_edit() {
    let place = Place::new();
    let images = [
        DIGEST, SHA, TAG, WHOLE, HARD_CODED, IN_A_LIST, ABSENT, EMPTY_TAG, PREFIX, SHARED_ONE,
        SHARED_TWO,
    ];
    place.write_chart(&images, VALUES);
    IMAGES.iter().for_each(|image| place.put_image(image, &[]));
    let report = place.report(0, &["init", "--chart", "chart"]);
    let found: Vec<(String, String)> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let pins: Vec<&str> = image["pinnedBy"]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_str().unwrap())
                .collect();
            let pins = if image["tagOnly"] == true {
                "by its tag".to_owned()
            } else {
                pins.join(",")
            };
            (image["reference"].as_str().unwrap().to_owned(), pins)
        })
        .collect();
    let expected = [
        ("docker.io/acme/a:1.0.1", "a.digest"),
        ("docker.io/acme/b:1.0.2", "b.sha"),
        ("docker.io/acme/e:1.0.5", "by its tag"),
        ("docker.io/acme/f:1.0.6", "f[1].image"),
        ("docker.io/acme/g:1.0.7", "g.digest"),
        ("docker.io/acme/h:3.1.0", "h.tag"),
        ("docker.io/acme/i:v1.0.9", "i.version"),
        ("docker.io/acme/j-one:1.0.10", "by its tag"),
        ("docker.io/acme/j-two:1.0.10", "by its tag"),
        ("ghcr.io/acme/d:1.0.4", "d"),
        ("quay.io/acme/c:1.0.3", "c.tag"),
    ];
    assert_eq!(
        found,
        expected.map(|(image, pins)| (image.to_owned(), pins.to_owned()))
    );
    // A list is replaced as a whole, with what stands in it besides.
    let template = place.read("shop/templates/values/shop.yaml.j2");
    assert!(
        template.contains("name: \"first\"\n    replicas: 2\n") || template.contains("replicas: 2"),
        "{template}"
    );
    let policy = place.read("shop/bundle-manifests/policy.yaml");
    assert!(policy.contains("image: \"docker.io/acme/e:1.0.5\", pin: tag, reason: \"no value of the chart takes its digest\""), "{policy}");
    assert!(
        policy.contains("    - docker.io/acme/e\n") && !policy.contains("acme/*"),
        "exact repositories: {policy}"
    );
    let lock = place.report(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
    assert_eq!(lock["completeness"]["checked"], true, "{lock}");
}

#[test]
fn values_of_a_schema_that_knows_no_other_keys_are_tried_without_new_ones() {
    let place = Place::new();
    place.write_chart(
        &[TAG],
        "c: { registry: quay.io, name: acme/c, tag: 1.0.3 }\n",
    );
    let properties = r#""c": {"type": "object", "additionalProperties": false, "properties": {"registry": {}, "name": {}, "tag": {"type": "string"}}}"#;
    let schema = format!(
        r#"{{"type": "object", "additionalProperties": false, "properties": {{{properties}, "global": {{}}}}}}"#
    );
    place.write("chart/values.schema.json", &schema);
    place.put_image("quay.io/acme/c:1.0.3", &[]);
    let report = place.report(0, &["init", "--chart", "chart"]);
    assert_eq!(report["images"][0]["pinnedBy"][0], "c.tag", "{report}");
    place.run(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
}

#[test]
fn a_possible_image_is_included_and_declared_and_one_that_no_registry_has_is_ignored() {
    let place = Place::new();
    place.write_chart(&["docker.io/acme/operator:1.0.0"], "{}\n");
    // Named directly: no other registry is asked for it.
    let gone = format!("{}/acme/gone:1.0.0", place.host());
    let config = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: c }}\ndata:\n  AGENT: quay.io/acme/agent:1.0.0\n  GONE: {gone}\n"
    );
    place.write("chart/templates/config.yaml", &config);
    for image in ["docker.io/acme/operator:1.0.0", "quay.io/acme/agent:1.0.0"] {
        place.put_image(image, &[]);
    }
    let report = place.report(0, &["init", "--chart", "chart"]);
    let possible: Vec<_> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|image| image["possible"] == true)
        .collect();
    assert_eq!(possible.len(), 1, "{report}");
    assert_eq!(possible[0]["reference"], "quay.io/acme/agent:1.0.0");
    let policy = place.read("shop/bundle-manifests/policy.yaml");
    let ignored =
        format!("- {{ reference: \"{gone}\", reason: \"its registry has no such image\" }}");
    assert!(policy.contains(&ignored), "{policy}");
    assert!(
        place
            .read("shop/bundle-manifests/shop.yaml")
            .contains("# Possible image"),
        "{policy}"
    );
    place.run(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
}

#[test]
fn a_tag_that_the_chart_shows_elsewhere_takes_the_digest_unless_kubernetes_would_refuse_it_there() {
    for (shown, pins) in [
        (
            "metadata: { name: shown, annotations: { by: \"acme/cli {{ .Values.c.tag }}\" } }\ndata: { VERSION: {{ .Values.c.tag | quote }} }",
            "c.tag",
        ),
        (
            "metadata: { name: shown, labels: { version: {{ .Values.c.tag | quote }} } }",
            "by its tag",
        ),
        (
            "metadata: { name: \"shown-{{ .Values.c.tag }}\" }",
            "by its tag",
        ),
    ] {
        let place = Place::new();
        place.write_chart(
            &[TAG],
            "c: { registry: quay.io, name: acme/c, tag: 1.0.3 }\n",
        );
        let object = format!("apiVersion: v1\nkind: ConfigMap\n{shown}\n");
        place.write("chart/templates/shown.yaml", &object);
        place.put_image("quay.io/acme/c:1.0.3", &[]);
        let report = place.report(0, &["init", "--chart", "chart"]);
        let images = report["images"].as_array().unwrap();
        assert_eq!(images.len(), 1, "{report}");
        let found = images[0]["pinnedBy"][0].as_str().unwrap_or("by its tag");
        assert_eq!(found, pins, "{shown}");
        place.report(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
    }
}
