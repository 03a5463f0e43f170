//! What changes and what stays, at every kind of place and in every style of YAML.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};

use super::{ObstacleReason, replace_images};
use crate::{
    chart::discover,
    policy::{ImageField, ImagePlaces},
};

const OLD: &str = "docker.io/library/postgres:17";
const NEW: &str = "r.example:5000/team/library/postgres@sha256:\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn map(images: &[&str]) -> BTreeMap<String, String> {
    images
        .iter()
        .map(|image| ((*image).to_owned(), NEW.to_owned()))
        .collect()
}

fn replaced_with(text: &str, places: &ImagePlaces, images: &[&str]) -> String {
    let replaced = replace_images(text, places, &map(images));
    assert_eq!(replaced.obstacles, [], "{text}");
    replaced.text
}

fn replaced(text: &str) -> String {
    replaced_with(text, &ImagePlaces::default(), &[OLD, "postgres"])
}

fn obstacles(text: &str, images: &[&str]) -> Vec<ObstacleReason> {
    let found = replace_images(text, &ImagePlaces::default(), &map(images)).obstacles;
    found.into_iter().map(|obstacle| obstacle.reason).collect()
}

fn pod(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n    - name: \
         c\n      image: {image}\n"
    )
}

#[test]
fn every_style_of_scalar_is_replaced_in_its_own_bytes() {
    let parts = OLD.split_once('/').unwrap();
    for (old, new) in [
        (OLD.to_owned(), NEW.to_owned()),
        (format!("'{OLD}'"), format!("'{NEW}'")),
        (format!("\"{OLD}\""), format!("\"{NEW}\"")),
        (format!("{OLD} # {OLD}"), format!("{NEW} # {OLD}")),
        (format!("&a {OLD}"), format!("&a {NEW}")),
        (format!("!!str {OLD}"), format!("!!str {NEW}")),
        (format!(">-\n        {OLD}"), format!(">-\n        {NEW}")),
        (format!("|-\n        {OLD}"), format!("|-\n        {NEW}")),
        (format!("\"docker.io\\/{}\"", parts.1), format!("\"{NEW}\"")),
        (
            format!("\"docker.io\\x2f{}\"", parts.1),
            format!("\"{NEW}\""),
        ),
    ] {
        assert_eq!(replaced(&pod(&old)), pod(&new), "{old}");
    }
    let flow = |image: &str| {
        format!(
            "{{kind: Pod, apiVersion: v1, metadata: {{name: p}}, spec: {{containers: [{{image: {image}, name: c}}]}}}}"
        )
    };
    assert_eq!(replaced(&flow(OLD)), flow(NEW));
    let address = "[fd00::1]:5000/postgres@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let map = BTreeMap::from([(OLD.to_owned(), address.to_owned())]);
    let six = replace_images(&flow(OLD), &ImagePlaces::default(), &map);
    assert_eq!(six.text, flow(&format!("\"{address}\"")));
}

#[test]
fn everything_else_stays_to_the_byte() {
    let text = |image: &str| {
        let around = "---\r\n# Source: a.yaml\r\napiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  \
                      name: 'p'\r\n  annotations: \
                      {a: yes, b: 012, c: ~, d: \"\\u00e9\\n\", e: 1e3, f: 12:30, é: ☃}\r\nspec:\r\n  \
                      containers: # before\r\n    - &c\r\n      name: on\r\n      image: \
                      IMAGE   \r\n      command: [ sh, -c, \"echo IMAGE.old\" \
                      ]\r\n...\r\n---   \r\n# nothing\r\n---\nkind: Service\napiVersion: \
                      v1\nmetadata: {name: IMAGEs}\nspec: |+\n  x\n\n\n--- # end\n";
        around
            .replace("image: IMAGE", &format!("image: {image}"))
            .replace("IMAGE", OLD)
    };
    assert_eq!(replaced(&text(OLD)), text(NEW));
    // A word within another, and a prefix of another, are other words.
    let other = pod(&format!("x/{OLD}.4"));
    let images = [&format!("x/{OLD}.4"), OLD];
    let same = replace_images(
        &other,
        &ImagePlaces::default(),
        &images
            .iter()
            .map(|image| ((*image).to_owned(), (*image).to_owned()))
            .collect(),
    );
    assert_eq!(
        (same.text.as_str(), same.obstacles.len()),
        (other.as_str(), 0)
    );
}

#[test]
fn options_variables_lists_and_fields_are_replaced_where_they_name_images() {
    let text = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  \
             template:\n    spec:\n      initContainers: [{{name: i, image: postgres}}]\n      \
             containers:\n        - name: postgres\n          image: '{image}'\n          args: \
             [--image={image}, --other-image, {image}, --postgres=postgres]\n          \
             env:\n            - {{name: RELATED_IMAGE_X, value: {image}}}\n            - \
             {{name: A, value: \"{image},{image}\"}}\n            - \
             {{name: B, value: postgres}}\n      volumes: \
             [{{name: v, image: {{reference: {image}}}}}]\n"
        )
    };
    let expected = text(NEW).replace("image: postgres}", &format!("image: {NEW}}}"));
    assert_eq!(replaced(&text(OLD)), expected);
    let field = |image: &str| {
        format!(
            "apiVersion: x.test/v1\nkind: App\nmetadata: {{name: a}}\nspec: \
             {{engine: {{{image}: 1, with: [{image}]}}, name: postgres}}\n"
        )
    };
    let places = ImagePlaces {
        fields: vec![ImageField {
            kind: "App".to_owned(),
            path: "spec.engine".to_owned(),
            form: crate::policy::FieldForm::References,
        }],
        ..ImagePlaces::default()
    };
    let quoted = field(OLD)
        .replace(&format!("{OLD}: 1"), &format!("{NEW}: 1"))
        .replace(&format!("[{OLD}]"), &format!("[{NEW}]"));
    assert_eq!(replaced_with(&field(OLD), &places, &[OLD]), quoted);
}

#[test]
fn strings_of_yaml_json_and_base64_are_replaced_within() {
    let config = |image: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  a.yaml: |\n    # \
             {OLD}\n    pod:\n      image: {image}\n      name: on\n  b.json: \
             '{{\"image\":\"{image}\",\"x\":1}}'\n  \
             c.json: \"{{\\\"image\\\":\\\"{image}\\\"}}\"\n  d.yaml: \"pods:\\n- image: \
             '{image}'\\n\"\n"
        )
    };
    assert_eq!(replaced(&config(OLD)), config(NEW));
    let secret = |image: &str| {
        let inner = Base64::encode_string(format!("image: {image}\nport: 1\n").as_bytes());
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata:\n  x.yaml: {inner}\n  \
             password: aGFsbG8=\n"
        )
    };
    assert_eq!(replaced(&secret(OLD)), secret(NEW));
    // Named by what is declared and by what it looks like.
    let variable = |image: &str| {
        let inner = Base64::encode_string(format!("{image} {image}").as_bytes());
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: \
             {{X_IMAGES: {inner}, other: {inner}}}\n"
        )
    };
    assert_eq!(replaced(&variable(OLD)), variable(NEW));
}

#[test]
fn references_in_parts_are_set_in_their_parts() {
    let text = |parts: &str| {
        format!(
            "apiVersion: x.test/v1\nkind: App\nmetadata: {{name: a}}\nspec:\n  image: {parts}\n"
        )
    };
    let digest = NEW.split_once('@').unwrap().1;
    for (old, new, image) in [
        (
            "{repository: docker.io/library/postgres, tag: '17'}".to_owned(),
            format!("{{repository: r.example:5000/team/library/postgres, tag: '17@{digest}'}}"),
            OLD.to_owned(),
        ),
        (
            "{registry: docker.io, repository: library/postgres, tag: 17}".to_owned(),
            format!(
                "{{registry: r.example:5000, repository: team/library/postgres, tag: 17@{digest}}}"
            ),
            OLD.to_owned(),
        ),
        (
            format!(
                "{{repository: quay.io/a/b, tag: v1, digest: 'sha256:{}'}}",
                "b".repeat(64)
            ),
            format!(
                "{{repository: r.example:5000/team/library/postgres, tag: v1, digest: '{digest}'}}"
            ),
            format!("quay.io/a/b:v1@sha256:{}", "b".repeat(64)),
        ),
    ] {
        assert_eq!(
            replaced_with(&text(&old), &ImagePlaces::default(), &[&image]),
            text(&new)
        );
    }
}

#[test]
fn aliases_are_followed_where_they_mean_the_same_and_refused_where_not() {
    let same = |image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  initContainers: \
             [{{name: i, image: &i {image}}}]\n  containers:\n    - &c \
             {{name: c, image: *i}}\n    - {{<<: *c, name: d}}\n"
        )
    };
    assert_eq!(replaced(&same(OLD)), same(NEW));
    let other = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: \
         {{name: p, labels: {{x: &i '{OLD}'}}, annotations: {{a: *i}}}}\nspec: \
         {{containers: [{{name: c, image: *i}}]}}\n"
    );
    let found = obstacles(&other.replace(OLD, "postgres"), &["postgres"]);
    assert_eq!(found, [ObstacleReason::Shared]);
}

#[test]
fn what_cannot_be_replaced_is_an_obstacle() {
    assert_eq!(obstacles(&pod(OLD), &[]), [ObstacleReason::NotMapped]);
    assert_eq!(
        obstacles("kind: Pod\n a: b\n", &[]),
        [ObstacleReason::Unreadable]
    );
    assert_eq!(obstacles("kind: *x\n", &[]), [ObstacleReason::Unreadable]);
    let version = "apiVersion: elasticsearch.k8s.elastic.co/v1\nkind: Elasticsearch\nmetadata: \
                   {name: e}\nspec: {version: 8.1.0}\n";
    let image = "docker.elastic.co/elasticsearch/elasticsearch:8.1.0";
    assert_eq!(obstacles(version, &[image]), [ObstacleReason::NotWritten]);
    // What only looks like an image is not an image when the map does not have it.
    let looks =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {see: 'docker.io/a/b:1'}\n";
    assert_eq!(obstacles(looks, &[]), []);
}

fn drawn() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let scalar = prop_oneof![
        Just(OLD.to_owned()),
        Just(format!("'{OLD}'")),
        Just(format!("\"{OLD}\" # {OLD}")),
        Just(format!("|\n          {OLD}\n")),
        "[a-z]{1,8}",
        Just("yes".to_owned()),
        Just("~".to_owned()),
        Just(format!("[{OLD}, 'x {OLD}', 1.0]")),
        Just(format!("{{image: {OLD}, a: \"b\\tc\"}}")),
    ];
    let key = prop_oneof![
        Just("image"),
        Just("sidecarImage"),
        Just("note"),
        Just("on"),
        Just("a.b")
    ];
    let entries = prop::collection::vec((key, scalar), 0..6);
    let newline = prop_oneof![Just("\n"), Just("\r\n")];
    (prop::collection::vec(entries, 1..4), newline).prop_map(|(documents, newline)| {
        let mut text = String::new();
        for (number, entries) in documents.iter().enumerate() {
            text.push_str(&format!(
                "---\n# Source: {number}.yaml\napiVersion: x.test/v1\nkind: App\nmetadata:\n    \
                 name: a\nspec:\n"
            ));
            for (position, (key, value)) in entries.iter().enumerate() {
                text.push_str(&format!("    k{position}:\n      {key}: {value}\n"));
            }
        }
        text.replace('\n', newline)
    })
}

proptest::proptest! {
    #[test]
    fn images_that_stay_leave_every_byte_as_it_is(text in drawn()) {
        let same = BTreeMap::from([(OLD.to_owned(), OLD.to_owned())]);
        for map in [BTreeMap::new(), same] {
            let replaced = replace_images(&text, &ImagePlaces::default(), &map);
            proptest::prop_assert_eq!(&replaced.text, &text);
        }
    }

    #[test]
    fn afterwards_the_new_image_stands_where_the_old_one_was(text in drawn()) {
        let replaced = replace_images(&text, &ImagePlaces::default(), &map(&[OLD]));
        proptest::prop_assert_eq!(&replaced.obstacles, &[]);
        let named = |text: &str| -> Vec<String> {
            let found = discover(text, &ImagePlaces::default());
            found.into_iter().map(|(place, named)| format!("{place:?} {named:?}")).collect()
        };
        let expected: Vec<String> = named(&text).into_iter().map(|line| line.replace(OLD, NEW)).collect();
        proptest::prop_assert_eq!(named(&replaced.text), expected);
    }

    #[test]
    fn any_text_is_replaced_or_an_obstacle(text in "[-a-z0-9:\\[\\]{},&*!|>'\"#%@`< \\t\\r\\n]{0,120}") {
        let _ = replace_images(&text, &ImagePlaces::default(), &map(&[OLD]));
    }
}
