//! Charts that cannot be rendered with their own values.

use super::support::{Place, deployment};

const IMAGE: &str = "docker.io/acme/a:1.0.0";

#[test]
fn a_missing_value_is_named_with_the_way_to_give_it_and_nothing_is_written() {
    let place = Place::new();
    place.write_chart(&[IMAGE], "app: {}\n");
    place.write(
        "chart/templates/required.yaml",
        "# {{ required \"a host is needed\" .Values.app.host }}\n",
    );
    place.put_image(IMAGE, &[]);
    let before = place.names();
    let said = place.run(3, &["init", "--chart", "chart"]);
    assert!(
        said.contains("a host is needed") && said.contains("write `app.host` into a values file"),
        "{said}"
    );
    assert!(
        said.contains("--values FILE") && !said.contains("--no-chart-check"),
        "{said}"
    );
    assert_eq!(place.names(), before);

    place.write("site.yaml", "app: { host: shop.example }\n");
    place.run(0, &["init", "--chart", "chart", "--values", "site.yaml"]);
    assert_eq!(
        place.read("shop/values/shop.given.yaml"),
        place.read("site.yaml")
    );
    place.run(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
}

#[test]
fn what_a_schema_requires_is_named() {
    let place = Place::new();
    place.write_chart(&[IMAGE], "db: {}\n");
    place.write(
        "chart/values.schema.json",
        r#"{"properties": {"db": {"type": "object", "required": ["user"]}}}"#,
    );
    let said = place.run(3, &["init", "--chart", "chart"]);
    assert!(
        said.contains("write `db.user` into a values file"),
        "{said}"
    );
}

#[test]
fn a_password_for_upgrades_is_given_for_the_check_alone_and_is_not_in_the_bundle() {
    let place = Place::new();
    place.write_chart(&[IMAGE], "auth: { password: '' }\n");
    let asks = "# {{ if .Release.IsUpgrade }}{{ required \"give the current password\" .Values.auth.password }}{{ end }}\n";
    place.write("chart/templates/asks.yaml", asks);
    place.put_image(IMAGE, &[]);
    let said = place.run(3, &["init", "--chart", "chart"]);
    assert!(
        said.contains("as for an upgrade")
            && said.contains("`auth.password`")
            && said.contains("--check-values FILE"),
        "{said}"
    );
    place.write("secret.yaml", "auth: { password: s3cret-word }\n");
    place.run(
        0,
        &["init", "--chart", "chart", "--check-values", "secret.yaml"],
    );
    let manifest = "shop/bundle-manifests/shop.yaml";
    place.run(0, &["lock", manifest]);
    place.run(
        0,
        &[
            "build",
            manifest,
            "--key",
            "release.key",
            "--output",
            "shop.tar",
        ],
    );
    let bundle = std::fs::read(place.path("shop.tar")).unwrap();
    assert!(!bundle.windows(11).any(|bytes| bytes == b"s3cret-word"));
}

#[test]
fn two_charts_each_have_their_own_values_and_profile() {
    let place = Place::new();
    place.write_chart(
        &[r#""docker.io/acme/a:{{ required "x" .Values.tag }}""#],
        "tag:\n",
    );
    place.write(
        "other/Chart.yaml",
        "apiVersion: v2\nname: Other_Chart\nversion: 0.1.0\n",
    );
    place.write(
        "other/templates/a.yaml",
        &deployment("o", "\"docker.io/acme/b:{{ .Values.tag }}\""),
    );
    place.write("other/values.yaml", "tag: 2.0.0\n");
    place.write("shop.values", "tag: 1.0.0\n");
    place.put_image(IMAGE, &[]);
    place.put_image("docker.io/acme/b:2.0.0", &[]);
    let charts = [
        "--chart",
        "chart",
        "--chart",
        "other",
        "--values",
        "shop=shop.values",
    ];
    place.run(
        0,
        &[
            &[
                "init",
                "--name",
                "both",
                "--image",
                "docker.io/acme/extra:1.0.0",
            ][..],
            &charts,
        ]
        .concat(),
    );
    let manifest = place.read("both/bundle-manifests/both.yaml");
    assert!(
        manifest.contains("name: other-chart") && manifest.contains("extra: true"),
        "{manifest}"
    );
    place.put_image("docker.io/acme/extra:1.0.0", &[]);
    place.run(0, &["lock", "both/bundle-manifests/both.yaml"]);
}
