//! The far side with its own tools: images into a registry as `INSTALL.md` says, charts rendered by
//! the real Helm, and every image that the charts ask for is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    bundle::foreign_shipment::Shipment,
    bundle::foreign_support::{Distribution, Foreign},
    bundle::project::sha256,
    charts::support::{Helm, Objects, text},
};
use rune_testkit::process::succeeded;

const KUBERNETES: &str = "1.31.0";

fn chart(shipment: &Shipment) -> String {
    shipment.text_path(&format!("unpacked/{}", shipment.index().charts[0].path))
}

/// Renders the packed chart with a profile's values and what is said besides them.
fn render(helm: &Helm, shipment: &Shipment, profile: &str, besides: &str) -> Objects {
    let values =
        fs::read_to_string(shipment.path(&format!("unpacked/values/{profile}.yaml"))).unwrap();
    helm.template(
        &chart(shipment),
        KUBERNETES,
        &format!("{values}\n{besides}"),
    )
    .unwrap()
}

fn images(objects: &Objects) -> BTreeSet<String> {
    objects
        .containers()
        .map(|container| text(&container["image"]).to_owned())
        .collect()
}

#[test]
fn helm_renders_every_profile_with_nothing_but_the_locked_images() {
    let shipment = Shipment::whole();
    let index = shipment.index();
    let locked: BTreeSet<_> = index
        .images
        .iter()
        .map(|image| format!("{}@{}", image.reference, image.target.digest))
        .collect();
    for helm in Helm::both() {
        let mut rendered = BTreeSet::new();
        for profile in &index.profiles {
            rendered.extend(images(&render(&helm, &shipment, &profile.name, "")));
        }
        assert_eq!(rendered, locked, "{helm:?}");
    }
}

#[test]
fn helm_4_would_install_every_profile() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    for profile in shipment.index().profiles {
        let values = shipment.text_path(&format!("unpacked/values/{}.yaml", profile.name));
        // Helm 3 asks a cluster even then.
        let said = tools.run(
            "helm4",
            [
                "install",
                "rune",
                &chart(&shipment),
                "--dry-run=client",
                "--values",
                &values,
            ],
        );
        assert!(said.contains("STATUS: pending-install"), "{said}");
    }
}

/// The commands in the section of `INSTALL.md` that brings images into a registry.
fn documented_copies(shipment: &Shipment) -> String {
    let install = fs::read_to_string(shipment.path("unpacked/INSTALL.md")).unwrap();
    let section = install
        .split("\n## ")
        .find(|section| section.starts_with("3. Bring the images into your registry"))
        .unwrap();
    let commands = section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with("REGISTRY="));
    commands.map(|line| format!("{line}\n")).collect()
}

/// Brings the images into a registry under a private authority with passwords, by the documented
/// commands.
fn bring_images(shipment: &Shipment) -> Distribution {
    let (registry, tools) = (Distribution::start("tls-basic"), Foreign::new());
    let trusted = tools.path(&format!(".config/containers/certs.d/{}", registry.host()));
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(registry.text("ca").unwrap(), trusted.join("ca.crt")).unwrap();
    let [user, password] = ["user", "password"].map(|key| registry.text(key).unwrap());
    tools.run(
        "skopeo",
        [
            "login",
            "--username",
            user,
            "--password",
            password,
            registry.host(),
        ],
    );
    let mut shell = tools.command("sh", ["-e", "-c", &documented_copies(shipment)]);
    succeeded(
        shell
            .env("REGISTRY", registry.host())
            .current_dir(shipment.path("unpacked")),
    );
    registry
}

#[test]
fn every_image_that_the_charts_ask_for_is_where_the_documented_commands_brought_it() {
    let shipment = Shipment::whole();
    let registry = bring_images(&shipment);
    let host = registry.host();
    let helm = Helm::new("helm3");
    for profile in shipment.index().profiles {
        let objects = render(
            &helm,
            &shipment,
            &profile.name,
            &format!("global: {{ imageRegistry: \"{host}\" }}\n"),
        );
        for image in images(&objects) {
            let (name, digest) = image
                .strip_prefix(&format!("{host}/"))
                .and_then(|name| name.split_once('@'))
                .unwrap();
            let (name, tag) = name.split_once(':').unwrap();
            assert_eq!(registry.digest(name, digest), digest, "{image}");
            assert_eq!(registry.digest(name, tag), digest, "{image}: its tag");
        }
    }
}

/// A layout of what is no image, which only borrows the blobs of the unpacked bundle.
pub(crate) fn artifacts_layout(shipment: &Shipment, tools: &Foreign) -> PathBuf {
    let layout = tools.path("artifacts");
    fs::create_dir(&layout).unwrap();
    let unpacked = |name: &str| shipment.path("unpacked").join(name);
    fs::copy(unpacked("oci-layout"), layout.join("oci-layout")).unwrap();
    fs::copy(unpacked("artifacts/index.json"), layout.join("index.json")).unwrap();
    std::os::unix::fs::symlink(unpacked("blobs"), layout.join("blobs")).unwrap();
    layout
}

#[test]
fn helm_pulls_the_chart_artifact_as_the_file_that_the_bundle_includes() {
    let (shipment, registry, tools) = (
        Shipment::whole(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let chart_record = &shipment.index().charts[0];
    let (name, version) = (&chart_record.name, &chart_record.version);
    let layout = artifacts_layout(&shipment, &tools);
    let target = format!("{}/charts/{name}:{version}", registry.host());
    let named = format!("{name}:{version}");
    let layout = layout.to_str().unwrap();
    tools.run(
        "oras",
        [
            "cp",
            "--no-tty",
            "--from-oci-layout-path",
            layout,
            &named,
            "--to-plain-http",
            &target,
        ],
    );
    assert_eq!(
        registry.digest(&format!("charts/{name}"), version),
        chart_record.artifact.digest.to_string()
    );
    let source = format!("oci://{}/charts/{name}", registry.host());
    for helm in ["helm3", "helm4"] {
        fs::create_dir(tools.path(helm)).unwrap();
        tools.run(
            helm,
            [
                "pull",
                &source,
                "--version",
                version,
                "--plain-http",
                "--destination",
                helm,
            ],
        );
        let pulled = tools.path(&format!("{helm}/{name}-{version}.tgz"));
        assert_eq!(
            sha256(&pulled),
            sha256(Path::new(&chart(&shipment))),
            "{helm}"
        );
    }
}
