//! Image references in places where nobody declares them, and strings that only look like some.

use std::io::Write as _;

use base64ct::{Base64, Encoding as _};

use super::super::{Named, discover};
use crate::policy::{Declaration, ImagePlaces};

const SHA256: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn references(object: &str) -> Vec<String> {
    let found = discover(object, &ImagePlaces::default()).into_iter();
    found
        .filter_map(|(_, named)| match named {
            Named::Image(text) | Named::Possible(text, _) => Some(text),
            Named::Unreadable(why) => panic!("{why}: {object}"),
            _ => None,
        })
        .collect()
}

fn container(line: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: \
         {{template: {{spec: {{containers: [{{name: c, image: main, {line}}}]}}}}}}\n"
    )
}

fn config_map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata:\n{data}\n")
}

fn resource(spec: &str) -> String {
    format!("apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: t}}\nspec: {spec}\n")
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn in_containers() -> Vec<(String, String)> {
    let pinned = format!("ghcr.io/acme/app:1.2@{SHA256}");
    let untagged = format!("acme/app@{SHA256}");
    let bare = format!("redis@{SHA256}");
    let sha512 = format!("ghcr.io/acme/app@sha512:{}", "ab".repeat(64));
    let rows: Vec<(String, &str)> = vec![
        (
            container("args: [--reloader=quay.io/acme/reloader:v0.93.1]"),
            "quay.io/acme/reloader:v0.93.1",
        ),
        (
            container("args: [--prometheus-config-reloader=quay.io/acme/reloader:v0.93.1]"),
            "quay.io/acme/reloader:v0.93.1",
        ),
        (
            container("args: ['--sidecar quay.io/acme/sidecar:1']"),
            "quay.io/acme/sidecar:1",
        ),
        (
            container("args: [--executor, quay.io/acme/executor:v4]"),
            "quay.io/acme/executor:v4",
        ),
        (container("args: [--sidecar-image, redis:7]"), "redis:7"),
        (container("args: [-image, redis:7]"), "redis:7"),
        (
            container("args: ['--set=image=acme/app,tag=2']"),
            "acme/app:2",
        ),
        (
            container("command: [sh, -c, 'exec operator --worker-image redis:7.2 --verbose']"),
            "redis:7.2",
        ),
        (
            container("command: [sh, -c, 'IMAGE=redis:7.2 exec operator']"),
            "redis:7.2",
        ),
        (
            container("args: ['--images=acme/one:1,acme/two:2']"),
            "acme/two:2",
        ),
        (
            container("env: [{name: SIDECAR, value: acme/sidecar:v1}]"),
            "acme/sidecar:v1",
        ),
        (
            container("env: [{name: CSI_ATTACHER_IMAGE, value: longhorn/attacher:v4.4.2}]"),
            "longhorn/attacher:v4.4.2",
        ),
        (
            container("env: [{name: RELATED_IMAGE_A, value: busybox}]"),
            "busybox",
        ),
        (
            container(
                "env: \
                 [{name: KAFKA_IMAGES, value: \"4.2=quay.io/a/kafka:4.2\\n4.3=quay.io/a/kafka:4.3\"}]",
            ),
            "quay.io/a/kafka:4.3",
        ),
        (
            container(
                "env: \
                 [{name: KAFKA, value: \"4.2=quay.io/a/kafka:4.2\\n4.3=quay.io/a/kafka:4.3\"}]",
            ),
            "quay.io/a/kafka:4.2",
        ),
        (
            container("env: [{name: IMAGE_CONFIG, value: '{\"agent\": \"redis:7\"}'}]"),
            "redis:7",
        ),
        (
            container("env: [{name: A_REPOSITORY, value: acme/app}, {name: A_TAG, value: '1.0'}]"),
            "acme/app:1.0",
        ),
        (
            container(
                "env: [{name: SCAN_IMAGE, value: acme/app}, {name: SCAN_IMAGE_TAG, value: '1.0'}]",
            ),
            "acme/app:1.0",
        ),
        (
            container(
                "env: [{name: SCAN_IMAGE, value: acme/app}, {name: SCAN_VERSION, value: '1.0'}]",
            ),
            "acme/app:1.0",
        ),
        (
            container("env: [{name: A, value: 'docker://ghcr.io/acme/app:1.2'}]"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            container("env: [{name: A, value: 'oci://ghcr.io/acme/app:1.2'}]"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            container("env: [{name: A, value: '$(REGISTRY)/acme/app:1.2'}]"),
            "$(REGISTRY)/acme/app:1.2",
        ),
        (
            container("env: [{name: A, value: 'ghcr.io/acme/app:$(TAG)'}]"),
            "ghcr.io/acme/app:$(TAG)",
        ),
        (
            container("env: [{name: A, value: 'ghcr.io/acme/app:${TAG:-1.2}'}]"),
            "ghcr.io/acme/app:${TAG:-1.2}",
        ),
        (
            container("env: [{name: A, value: 'ghcr.io/acme/app:{{ .Version }}'}]"),
            "ghcr.io/acme/app:{{ .Version }}",
        ),
        (
            container("env: [{name: A, value: 'registry:5000/acme/app:1.2'}]"),
            "registry:5000/acme/app:1.2",
        ),
        (
            container("env: [{name: A, value: 'localhost:5000/app:1.2'}]"),
            "localhost:5000/app:1.2",
        ),
        (
            container("env: [{name: A, value: '10.0.0.5:5000/app:1.2'}]"),
            "10.0.0.5:5000/app:1.2",
        ),
        (
            container("env: [{name: A, value: '[2001:db8::1]:5000/acme/app:1.2'}]"),
            "[2001:db8::1]:5000/acme/app:1.2",
        ),
        (
            container("env: [{name: A, value: 'ghcr.io/acme/app:RELEASE.2024-01-01T00-00-00Z'}]"),
            "ghcr.io/acme/app:RELEASE.2024-01-01T00-00-00Z",
        ),
        (
            container(&format!("env: [{{name: A, value: '{pinned}'}}]")),
            &pinned,
        ),
        (
            container(&format!("env: [{{name: A, value: '{untagged}'}}]")),
            &untagged,
        ),
        (
            container(&format!("env: [{{name: A, value: '{bare}'}}]")),
            &bare,
        ),
        (
            container(&format!("env: [{{name: A, value: '{sha512}'}}]")),
            &sha512,
        ),
    ];
    rows.into_iter()
        .map(|(object, reference)| (object, reference.to_owned()))
        .collect()
}

/// Objects of other kinds, and a reference that is found in each.
#[expect(clippy::too_many_lines, reason = "one table")]
fn in_other_objects() -> Vec<(String, &'static str)> {
    let base64 = |text: &str| Base64::encode_string(text.as_bytes());
    let release = Base64::encode_string(&zipped(
        r#"{"manifest":"spec:\n  image: ghcr.io/acme/app:1.2\n"}"#,
    ));
    vec![
        (
            config_map("  SIDECAR_IMAGE: ghcr.io/acme/sidecar:v0.13.0"),
            "ghcr.io/acme/sidecar:v0.13.0",
        ),
        (
            config_map("  app.yaml: |\n    agent: { image: \"jenkins/agent:3385\" }"),
            "jenkins/agent:3385",
        ),
        (
            config_map("  app.yaml: |\n    agent:\n      image: redis:7 # why\n"),
            "redis:7",
        ),
        (
            config_map("  app.json: '{\"agents\": [{\"dockerImage\": \"redis:7\"}]}'"),
            "redis:7",
        ),
        (
            config_map("  app.toml: |\n    [agent]\n    image = \"redis:7\"\n"),
            "redis:7",
        ),
        (
            config_map("  app.properties: |\n    agent.image=redis:7\n    x=y\n"),
            "redis:7",
        ),
        (
            config_map("  app.xml: |\n    <agent><image>redis:7</image></agent>\n    <x/>\n"),
            "redis:7",
        ),
        (
            config_map("  run.sh: |\n    #!/bin/sh\n    docker run ghcr.io/acme/app:1.2 true\n"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            config_map("  pod.yaml: |\n    ---\n    a: 1\n    ---\n    spec:\n      image: \
                        redis:7\n"),
            "redis:7",
        ),
        (
            config_map("  trivy.repository: ghcr.io/acme/scanner\n  trivy.tag: \"0.67\""),
            "ghcr.io/acme/scanner:0.67",
        ),
        (
            config_map("  a: '{\"b\": \"{\\\"image\\\": \\\"redis:7\\\"}\"}'"),
            "redis:7",
        ),
        (
            config_map("  a: 'uses **ghcr.io/acme/app:1.2** today'"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            config_map("  a: 'wget -O- ghcr.io/acme/app:1.2, then quay.io/acme/other:3.'"),
            "quay.io/acme/other:3",
        ),
        (
            format!(
                "kind: ConfigMap\nmetadata: {{name: m}}\nbinaryData: {{a: {}}}\n",
                base64("image: ghcr.io/acme/app:1.2\n")
            ),
            "ghcr.io/acme/app:1.2",
        ),
        (
            format!(
                "kind: Secret\nmetadata: {{name: s}}\ndata: {{a: {}}}\n",
                base64("acme/app:1.2")
            ),
            "acme/app:1.2",
        ),
        (
            format!(
                "kind: Secret\nmetadata: {{name: s}}\ndata: {{a: {}}}\n",
                base64(&base64("image: redis:7.2\n"))
            ),
            "redis:7.2",
        ),
        (
            format!(
                "kind: Secret\nmetadata: {{name: s}}\ndata: {{release: {}}}\n",
                base64(&release)
            ),
            "ghcr.io/acme/app:1.2",
        ),
        (
            format!(
                "kind: Secret\nmetadata: {{name: s}}\nstringData: {{a: {}}}\n",
                base64("image: ghcr.io/acme/app:1.2\n").trim_end_matches('=')
            ),
            "ghcr.io/acme/app:1.2",
        ),
        (
            resource(&format!(
                "{{source: 'data:text/plain;charset=utf-8;base64,{}'}}",
                base64("acme/app:1.2")
            )),
            "acme/app:1.2",
        ),
        (
            "kind: Secret\nmetadata: {name: s}\nstringData: \
             {a.yaml: \"agent:\\n  image: redis:7\\n\"}\n".to_owned(),
            "redis:7",
        ),
        (
            "kind: Service\nmetadata: \
             {name: s, annotations: {example.com/inject: 'ghcr.io/acme/app:1.2'}}\n".to_owned(),
            "ghcr.io/acme/app:1.2",
        ),
        (
            "kind: Service\nmetadata: \
             {name: s, annotations: {example.com/sidecar-image: 'redis:7'}}\n".to_owned(),
            "redis:7",
        ),
        (
            "kind: Service\nmetadata: \
             {name: s, annotations: {a: '[{\"name\": \"x\", \"image\": \"redis:7\"}]'}}\n".to_owned(),
            "redis:7",
        ),
        (
            config_map("  pod.yaml: |\n    spec:\n      containers: [{name: a, image: busybox}]\n"),
            "busybox",
        ),
        (
            config_map("  app.conf: |\n    agent_image:redis:7\n    {{ x }\n"),
            "redis:7",
        ),
        (
            config_map("  app.tpl: |\n    image: {{ .Registry }}/acme/app:{{ .Tag }}\n    \
                        {{ end }}\n"),
            "{{ .Registry }}/acme/app:{{ .Tag }}",
        ),
        (
            config_map("  app.conf: |\n    image=%s/acme/app:%s\n    {{ x }\n"),
            "%s/acme/app:%s",
        ),
        (
            resource("{image: 'ghcr.io/acme/app:1.2'}"),
            "ghcr.io/acme/app:1.2",
        ),
        (resource("{image: busybox}"), "busybox"),
        (resource("{image: acme/app}"), "acme/app"),
        (resource("{images: {server: 'redis:7'}}"), "redis:7"),
        (resource("{images: ['acme/one:1']}"), "acme/one:1"),
        (
            resource("{image: {repository: acme/app, tag: 1.2}}"),
            "acme/app:1.2",
        ),
        (
            resource("{image: {registry: quay.io, repository: acme/app, tag: '1.2'}}"),
            "quay.io/acme/app:1.2",
        ),
        (
            resource("{driver: {repository: nvcr.io/nvidia, image: driver, version: 550.1}}"),
            "nvcr.io/nvidia/driver:550.1",
        ),
        (
            resource("{sidecar: {imageRepository: acme/app, imageTag: v2}}"),
            "acme/app:v2",
        ),
        (
            resource("{extraArgs: ['--agent-image=redis:7']}"),
            "redis:7",
        ),
        (
            resource("{catalog: {'ghcr.io/acme/app:1.2': {}}}"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            resource("{catalog: {'acme/app:1.2': true}}"),
            "acme/app:1.2",
        ),
        (
            resource("{source: 'https://example.com/api?image=ghcr.io/acme/app:1.2&x=y'}"),
            "ghcr.io/acme/app:1.2",
        ),
        (
            "apiVersion: fluentbit.fluent.io/v1alpha2\nkind: FluentBit\nmetadata: \
             {name: f}\nspec: {image: 'ghcr.io/fluent/fluent-bit:5.1.0'}\n".to_owned(),
            "ghcr.io/fluent/fluent-bit:5.1.0",
        ),
        (
            "apiVersion: acid.zalan.do/v1\nkind: OperatorConfiguration\nmetadata: \
             {name: z}\nconfiguration: {docker_image: 'ghcr.io/zalando/spilo:4.1'}\n".to_owned(),
            "ghcr.io/zalando/spilo:4.1",
        ),
        (
            "apiVersion: elasticsearch.k8s.elastic.co/v1\nkind: Elasticsearch\nmetadata: \
             {name: e}\nspec: {version: 9.2.0}\n".to_owned(),
            "docker.elastic.co/elasticsearch/elasticsearch:9.2.0",
        ),
        (
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: \
             {name: c}\nspec: \
             {versions: [{schema: {properties: {image: {default: 'ghcr.io/acme/app:1.2', description: 'such as ghcr.io/other/app:9'}}}}]}\n".to_owned(),
            "ghcr.io/acme/app:1.2",
        ),
    ]
}

#[test]
fn references_in_odd_places_are_found() {
    let others = in_other_objects()
        .into_iter()
        .map(|(object, reference)| (object, reference.to_owned()));
    let rows: Vec<(String, String)> = in_containers().into_iter().chain(others).collect();
    assert!(rows.len() >= 60);
    for (object, reference) in &rows {
        let found = references(object);
        assert!(
            found.contains(reference),
            "{reference} is not among {found:?} of {object}"
        );
    }
}

#[test]
fn the_line_of_every_possible_image_declares_its_place_and_nothing_is_lost() {
    let others = in_other_objects()
        .into_iter()
        .map(|(object, reference)| (object, reference.to_owned()));
    for (object, _) in in_containers().into_iter().chain(others) {
        let mut places = ImagePlaces::default();
        for (_, named) in discover(&object, &places.clone()) {
            match named {
                Named::Possible(_, Declaration::Variable(name)) => places.variables.push(name),
                Named::Possible(_, Declaration::Option(name)) => places.options.push(name),
                Named::Possible(_, Declaration::Field(field)) => {
                    assert!(
                        crate::policy::field_steps(&field.path).is_some(),
                        "{field:?}"
                    );
                    places.fields.push(field);
                }
                _ => {}
            }
        }
        let (before, after) = (references(&object), discover(&object, &places));
        let images: Vec<String> = after
            .into_iter()
            .map(|(place, named)| {
                if let Named::Image(text) = named {
                    text
                } else {
                    panic!("{named:?} at {place:?} of {object}")
                }
            })
            .collect();
        assert!(
            before.iter().all(|text| images.contains(text)),
            "{before:?} are not all among {images:?} of {object}"
        );
    }
}

/// Strings that are not images, each under a key that says nothing, below `spec`.
const NOT_IMAGES: &str = include_str!("not_images.txt");

#[test]
fn strings_that_only_look_like_images_are_rarely_taken_for_some() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in NOT_IMAGES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        count += 1;
        let (key, text) = line.split_once(" = ").unwrap_or(("value", line));
        let text = serde_json::to_string(&text.replace("\\n", "\n")).unwrap();
        for object in [
            resource(&format!("{{{key}: {text}}}")),
            config_map(&format!("  {key}: {text}")),
        ] {
            if let Some(found) = references(&object).first() {
                wrong.push(format!("{line}: {found}"));
                break;
            }
        }
    }
    assert!(
        count >= 200 && wrong.len() <= 3,
        "{} of {count} are wrong: {wrong:#?}",
        wrong.len()
    );
}

#[test]
fn a_secret_is_shown_as_nothing_but_the_reference() {
    let secret = "user = admin\npassword = hunter2\nimage = ghcr.io/acme/app:1.2\n";
    let object = format!(
        "kind: Secret\nmetadata: {{name: s}}\ndata: {{a.ini: {}}}\n",
        Base64::encode_string(secret.as_bytes())
    );
    let found = format!("{:?}", discover(&object, &ImagePlaces::default()));
    assert!(
        found.contains("ghcr.io/acme/app:1.2")
            && !found.contains("hunter2")
            && !found.contains("admin"),
        "{found}"
    );
    for (key, value) in [
        ("password", "acme/word:x1"),
        (
            ".dockerconfigjson",
            r#"{"auths":{"ghcr.io":{"auth":"YWNtZS91c2VyOnBhc3MxMjM0NQ=="}}}"#,
        ),
    ] {
        let object = format!(
            "kind: Secret\nmetadata: {{name: s}}\ndata: {{{key}: {}}}\n",
            Base64::encode_string(value.as_bytes())
        );
        assert_eq!(references(&object), Vec::<String>::new(), "{key}");
    }
    let declared = ImagePlaces {
        variables: vec!["URL".to_owned()],
        ..ImagePlaces::default()
    };
    let object =
        "kind: Secret\nmetadata: {name: s}\nstringData: {URL: 'hunter2 is not an image'}\n";
    let found = format!("{:?}", discover(object, &declared));
    assert!(
        found.contains("NoReference") && !found.contains("hunter2"),
        "{found}"
    );
}

#[test]
fn large_strings_are_read_in_a_time_that_grows_with_their_size() {
    // Deep nesting, long runs without a separator, and many words: all end.
    let texts = [
        "a/".repeat(400_000),
        "{{".repeat(200_000),
        "${".repeat(200_000),
        "[".repeat(200_000),
        format!("{}:1 ", "a".repeat(300_000)).repeat(2),
        "ghcr.io/a/b:1 ".repeat(20_000),
        Base64::encode_string(Base64::encode_string("x".repeat(300_000).as_bytes()).as_bytes()),
    ];
    for text in texts {
        let object = config_map(&format!("  a: {}", serde_json::to_string(&text).unwrap()));
        discover(&object, &ImagePlaces::default());
    }
}
