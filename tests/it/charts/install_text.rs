//! `INSTALL.md` of a real bundle: what it tells an administrator to type is typed, with our binary
//! and without it.

use std::{fs, path::Path, process::Command};

use clap::Parser as _;
use rune_bundle::cli::RuneBundle;
use rune_testkit::registry::Registry;

use crate::{
    bundle::{
        project::{Project, repository},
        small_bundle::ends_with,
    },
    charts::support::in_tools_env,
    docs::sandbox::{DockerFormat, put_docker_image},
};

/// The commands under a heading: the lines that are indented by four.
pub(crate) fn commands(text: &str, heading: &str) -> String {
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap_or_else(|| panic!("no `{heading}` in {text}"));
    section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Runs commands as a person would, stopping at the first that fails, and says what they printed.
fn type_in(directory: &Path, script: &str) -> Result<String, String> {
    let binaries = Path::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binaries.display(), in_tools_env("echo $PATH"));
    let mut shell = Command::new("sh");
    shell
        .args(["-e", "-c", &format!("exec 2>&1\n{script}")])
        .current_dir(directory)
        .env("PATH", path)
        .env("HOME", directory);
    let output = shell.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("{script}\n{said}"))
    }
}

/// A built bundle on the far side, with the text that lies in it.
fn carried(project: &Project) -> String {
    project.lock();
    project.build("rune-0.1.0.bundle.tar");
    type_in(
        &project.path(""),
        "tar --occurrence=1 -xOf rune-0.1.0.bundle.tar INSTALL.md",
    )
    .unwrap()
}

#[test]
fn a_bundle_signed_with_p256_can_be_checked_with_older_openssl_too() {
    let project = Project::new();
    let here = project.path("");
    let make = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out release.key\nopenssl pkey -in release.key -pubout -out release.pub";
    type_in(&here, make).unwrap();
    let text = carried(&project);
    let older = text
        .split('`')
        .find(|code| code.starts_with("openssl dgst "))
        .unwrap();
    let said = type_in(&here, &format!("{}{older}", commands(&text, "1. "))).unwrap();
    for word in ["Verified OK", "Signature Verified Successfully", "listed"] {
        assert!(said.contains(word), "{word} in {said}");
    }
}

#[test]
fn the_bundle_can_be_checked_and_unpacked_with_and_without_our_binary() {
    let project = Project::new();
    let here = project.path("");
    let text = carried(&project);
    let said = type_in(&here, &commands(&text, "1. ")).unwrap();
    for word in ["Verified OK", "Signature Verified Successfully", "listed"] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let unpacking = commands(&text, "2. ");
    let (ours, theirs) = unpacking.split_once('\n').unwrap();
    assert!(ours.starts_with("rune-bundle unpack "), "{ours}");
    type_in(&here, ours).unwrap();
    fs::rename(project.path("rune-0.1.0"), project.path("ours")).unwrap();
    let said = type_in(&here, theirs).unwrap();
    assert!(said.contains("whole"), "{said}");
    // Ours also keeps the index and the signatures, which vouch for the list and so cannot stand on
    // it.
    let difference = type_in(&here, "diff -r ours rune-0.1.0 || :").unwrap();
    let lines: Vec<_> = difference
        .lines()
        .filter(|line| {
            !["bundle.json", "signatures", "SHA256SUMS"]
                .iter()
                .any(|name| line.ends_with(name))
        })
        .collect();
    assert!(lines.is_empty(), "{difference}");
}

/// Types the third step of `INSTALL.md` for a bundle of these platforms, and gives what a registry
/// has then under the tag.
fn bring_over(format: DockerFormat, platforms: &str) -> (Project, Registry) {
    let project = Project::new();
    let manifest = project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap().replacen(
        "platforms: all",
        &format!("platforms: {platforms}"),
        1,
    );
    fs::write(&manifest, text).unwrap();
    put_docker_image(&project.registry, "lpasquali/rune", "v0.0.0a6", format);
    let text = carried(&project);
    let here = project.path("");
    type_in(
        &here,
        "rune-bundle unpack rune-0.1.0.bundle.tar --key release.pub",
    )
    .unwrap();
    let registry = Registry::start();
    // The registry of the test has no TLS.
    let script = commands(&text, "3. ")
        .replace(
            "REGISTRY=registry.example:5000",
            &format!("REGISTRY={}", registry.host()),
        )
        .replace("skopeo copy ", "skopeo copy --dest-tls-verify=false ")
        .replace("oras cp ", "oras cp --to-plain-http ");
    type_in(&project.path("rune-0.1.0"), &script).unwrap();
    (project, registry)
}

#[test]
fn images_with_dockers_media_types_are_brought_over_by_what_it_says() {
    for format in [DockerFormat::List, DockerFormat::Manifest] {
        let (project, registry) = bring_over(format, "all");
        let there = registry.manifest("lpasquali/rune", "v0.0.0a6").unwrap();
        assert_eq!(
            there,
            project
                .registry
                .manifest("lpasquali/rune", "v0.0.0a6")
                .unwrap(),
            "{format:?}"
        );
        assert_eq!(registry.tags("library/postgres"), ["17-alpine"]);
    }
}

#[test]
fn one_platform_of_an_image_with_dockers_media_types_is_brought_over_by_what_it_says() {
    let (project, registry) = bring_over(DockerFormat::List, "[linux/amd64]");
    let (media_type, _) = registry.manifest("lpasquali/rune", "v0.0.0a6").unwrap();
    assert!(media_type.ends_with("manifest.v2+json"), "{media_type}");
    let text = fs::read_to_string(project.path("rune-0.1.0/INSTALL.md")).unwrap();
    assert!(text.contains("oras cp --platform linux/amd64 "), "{text}");
}

#[test]
fn by_hand_a_changed_bundle_is_refused_too() {
    let project = Project::new();
    let text = carried(&project);
    let here = project.path("");
    let mut bundle = fs::read(project.path("rune-0.1.0.bundle.tar")).unwrap();
    // The last content of the archive lies before the two closing blocks.
    let at = bundle.iter().rposition(|byte| *byte != 0).unwrap();
    bundle[at] ^= 1;
    fs::write(project.path("rune-0.1.0.bundle.tar"), bundle).unwrap();
    let without_ours = |heading| {
        commands(&text, heading)
            .split_once('\n')
            .unwrap()
            .1
            .to_owned()
    };
    // Signature and list are untouched; it is the content that no longer is what the list says.
    type_in(&here, &without_ours("1. ")).unwrap();
    let said = type_in(&here, &without_ours("2. ")).unwrap_or_else(|said| said);
    assert!(
        said.contains("FAILED") && !said.lines().any(|line| line == "whole"),
        "{said}"
    );
}

#[test]
fn skopeo_copies_every_image_with_its_digest() {
    for manifest_platforms in ["platforms: all", "platforms: [linux/amd64]"] {
        let manifest = fs::read_to_string(repository().join("bundle-manifests/rune.yaml")).unwrap();
        let line = manifest
            .lines()
            .find(|line| line.starts_with("platforms: all"))
            .unwrap()
            .to_owned();
        let project = Project::new();
        fs::write(
            project.path("bundle-manifests/rune.yaml"),
            manifest.replace(&line, manifest_platforms),
        )
        .unwrap();
        let text = carried(&project);
        let unpack = commands(&text, "2. ");
        type_in(&project.path(""), unpack.lines().next().unwrap()).unwrap();
        // A directory stands in for the registry: `docker://host/name:tag` becomes
        // `oci:directory/name:tag`.
        let registry = project.path("registry");
        for name in ["library/postgres", "lpasquali/rune", "lpasquali/rune-db"] {
            fs::create_dir_all(registry.join(name)).unwrap();
        }
        let script = commands(&text, "3. ")
            .replace("docker://", "oci:")
            .replace("registry.example:5000", registry.to_str().unwrap());
        type_in(&project.path("rune-0.1.0"), &script).unwrap();
        let copied = fs::read_to_string(registry.join("library/postgres/index.json")).unwrap();
        let digest = copied.split("sha256:").nth(1).unwrap().get(..64).unwrap();
        // For a part of the platforms the text names the digest beside the command, else in the
        // table of the images.
        assert!(text.contains(&format!("sha256:{digest}")), "{copied}");
    }
}

/// What is understood as a command line of `rune-bundle`.
fn is_understood(line: &str) -> bool {
    RuneBundle::try_parse_from(line.split_whitespace()).is_ok()
}

#[test]
fn the_way_with_our_binary_comes_first_in_three_lines_for_each_profile() {
    let project = Project::new();
    let text = carried(&project);
    assert_eq!(
        text.split("\n## ").nth(1).unwrap().lines().next(),
        Some("With rune-bundle")
    );
    let commands = commands(&text, "With rune-bundle");
    let (install, before): (Vec<&str>, Vec<&str>) = commands
        .lines()
        .partition(|line| line.starts_with("rune-bundle install "));
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(
        before[0].starts_with("rune-bundle doctor receive ")
            && before[1].starts_with("rune-bundle login "),
        "{before:?}"
    );
    let profiles = ["airgap", "lab", "cnpg", "external"];
    for (line, profile) in install.iter().zip(profiles) {
        assert!(line.contains(&format!(" --profile {profile} ")), "{line}");
    }
    assert_eq!(install.len(), profiles.len());
    assert!(commands.lines().all(is_understood), "{commands}");
}

#[test]
fn every_chart_of_another_application_is_installed_with_every_profile() {
    let project = Project::with_manifest(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 1.0.0\nimages:\n  \
         - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\n\
         charts: [{ path: charts/shop }, { path: charts/stock }]\n\
         profiles:\n  - { name: small, values: [small.yaml] }\n  - { name: large, values: [large.yaml] }\n",
    );
    project.put(
        "library/postgres",
        "17-alpine",
        &rune_testkit::sample::Sample::default(),
    );
    for chart in ["shop", "stock"] {
        fs::create_dir_all(project.path(format!("charts/{chart}"))).unwrap();
        fs::write(
            project.path(format!("charts/{chart}/Chart.yaml")),
            format!("apiVersion: v2\nname: {chart}\nversion: 0.3.0\n"),
        )
        .unwrap();
    }
    fs::remove_dir_all(project.path("templates")).unwrap();
    for values in ["small.yaml", "large.yaml"] {
        fs::write(project.path(values), "{}\n").unwrap();
    }
    for arguments in [
        &[
            "lock",
            "--no-chart-check",
            "--registry-config",
            "registries.yaml",
        ][..],
        &[&project.build_arguments("x.tar")[..], &["--no-chart-check"]].concat(),
    ] {
        ends_with(&project.run(arguments), 0);
    }
    let output = project.run(&["cat", "x.tar", "INSTALL.md", "--key", "release.pub"]);
    ends_with(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    for (chart, profile) in [
        ("shop", "small"),
        ("shop", "large"),
        ("stock", "small"),
        ("stock", "large"),
    ] {
        let ours = format!(
            "rune-bundle install shop-1.0.0.bundle.tar --key release.pub --chart {chart} --profile {profile} --namespace {chart} --create-namespace --registry registry.example:5000 --push"
        );
        assert!(
            text.lines().any(|line| line.trim() == ours) && is_understood(&ours),
            "{text}"
        );
        let by_hand = commands(&text, "4. Install");
        let line = format!(
            "helm upgrade --install {chart} charts/{chart}-0.3.0.tgz --namespace {chart} --create-namespace --wait --timeout 10m \\\n  --values values/{profile}.yaml --set global.imageRegistry=$REGISTRY\n"
        );
        assert!(by_hand.contains(&line), "{line} in {by_hand}");
    }
    assert!(
        !text.contains("Secrets"),
        "what is about RUNE is for RUNE: {text}"
    );
}
