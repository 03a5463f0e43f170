//! The whole way of a release engineer, with a registry as people run it.

use std::fs;

use rune_testkit::{process::succeeded, sample::Sample};

use super::support::{Place, deployment};
use crate::bundle::{
    foreign_support::{Distribution, Foreign},
    remote_support::{Site, packed_chart},
    small_bundle::private_key,
};

/// Pushes an image to where its name leads once the registry is a mirror.
fn push(registry: &Distribution, tools: &Foreign, repository: &str, license: Option<&str>) {
    let labels = license.map(|license| {
        (
            "org.opencontainers.image.licenses".to_owned(),
            license.to_owned(),
        )
    });
    let layout = tools.path(&repository.replace(['/', ':'], "-"));
    let sample = Sample {
        labels: labels.into_iter().collect(),
        seed: repository.to_owned(),
        ..Sample::default()
    };
    sample.build().write_layout(&layout, "image");
    let (from, to) = (
        format!("oci:{}:image", layout.display()),
        format!("docker://{}/{repository}", registry.host()),
    );
    let options = registry.skopeo_options();
    let copy = ["copy", "--quiet", "--all", "--preserve-digests"]
        .into_iter()
        .chain(options.iter().map(String::as_str));
    succeeded(&mut tools.command("skopeo", copy.chain([from.as_str(), to.as_str()])));
}

#[test]
fn from_a_chart_of_two_images_to_a_verified_bundle_in_four_commands() {
    let (registry, tools, place) = (Distribution::start("plain"), Foreign::new(), Place::new());
    push(&registry, &tools, "acme/web:1.2.0", Some("Apache-2.0"));
    push(&registry, &tools, "library/redis:7.2", None);
    let mirror = serde_json::json!({"endpoint": [registry.text("url").unwrap()]});
    let mirrors = serde_json::json!({"mirrors": {"docker.io": mirror, "ghcr.io": mirror}});
    place.write("registries.yaml", &mirrors.to_string());
    place.write_chart(
        &[r#""{{ .Values.web.image.repository }}:{{ .Values.web.image.tag }}""#],
        "web: { image: { repository: ghcr.io/acme/web, tag: 1.2.0 } }\nredis: redis:7.2\n",
    );
    place.write(
        "chart/templates/redis.yaml",
        &deployment("redis", "\"{{ .Values.redis }}\""),
    );
    fs::write(
        place.path("release.pub"),
        private_key().public_key().to_pem(),
    )
    .unwrap();

    let said = place.run(0, &["init", "--chart", "chart"]);
    assert!(
        said.contains("next: rune-bundle lock shop/bundle-manifests/shop.yaml\n"),
        "{said}"
    );
    let said = place.run(0, &["lock", "shop/bundle-manifests/shop.yaml"]);
    assert!(
        said.contains("unreviewed  no licence is stated: redis\n"),
        "{said}"
    );
    place.run(
        0,
        &[
            "build",
            "shop/bundle-manifests/shop.yaml",
            "--key",
            "release.key",
            "-o",
            "shop.tar",
        ],
    );
    let said = place.run(0, &["verify", "shop.tar", "--key", "release.pub"]);
    assert!(
        said.contains("shop 1.2.0 is intact")
            && said.contains("not reviewed, no licence is stated: redis"),
        "{said}"
    );

    let said = place.run(0, &["inspect", "shop.tar", "--key", "release.pub"]);
    assert!(
        said.contains("not reviewed   redis: no licence is stated\n"),
        "{said}"
    );
    place.run(
        0,
        &[
            "report",
            "shop.tar",
            "--key",
            "release.pub",
            "-o",
            "shop.html",
        ],
    );
    assert!(
        place
            .read("shop.html")
            .contains("not reviewed, and the policy allowed that: redis")
    );
    // The policy of whoever receives it is its own.
    place.write("strict.yaml", "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [Apache-2.0] }\nsources: { allow: ['**'] }\n");
    let said = place.run(
        8,
        &[
            "verify",
            "shop.tar",
            "--key",
            "release.pub",
            "--policy",
            "strict.yaml",
        ],
    );
    assert!(
        said.contains("an unstated licence cannot be allowed"),
        "{said}"
    );
}

#[test]
fn a_chart_of_a_registry_or_a_web_server_is_taken_as_it_came() {
    let (registry, site, tools) = (
        Distribution::start("plain"),
        Site::start("plain"),
        Foreign::new(),
    );
    let archive = packed_chart(&tools, "app", "1.2.3", "a: 1\n");
    let repository = format!("oci://{}/charts", registry.host());
    tools.run(
        "helm4",
        [
            "push",
            archive.to_str().unwrap(),
            &repository,
            "--plain-http",
        ],
    );
    fs::copy(&archive, site.file("app-1.2.3.tgz")).unwrap();
    let place = Place::new();
    place.put_image("docker.io/acme/a:1.0.0", &[]);
    let url = format!("http://{}/app-1.2.3.tgz", site.host());
    for (name, chart) in [("a", format!("{repository}/app:1.2.3")), ("b", url)] {
        let plain = format!("--plain-http={}", site.host());
        place.run(
            0,
            &[
                "init",
                "--name",
                name,
                "--chart",
                &chart,
                "--image",
                "docker.io/acme/a:1.0.0",
                &plain,
            ],
        );
        let taken = fs::read(place.path(&format!("{name}/charts/app-1.2.3.tgz"))).unwrap();
        assert_eq!(taken, fs::read(&archive).unwrap(), "{chart}");
    }
}
