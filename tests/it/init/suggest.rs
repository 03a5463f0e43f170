//! `lock --suggest`: what a project lacks, as a patch that other programs apply.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use super::support::{Place, deployment};

const MANIFEST: &str = "bundle-manifests/shop.yaml";
const WEB: &str = r#""{{ .Values.web.repository }}:{{ .Values.web.tag }}""#;
const CACHE: &str = r#""{{ .Values.cache }}""#;

/// A project in the style of somebody who writes blocks and comments.
const BLOCKS: (&str, &str) = (
    "# Our shop.
apiVersion: rune-bundle/v1
kind: BundleManifest
name: shop
version: 1.2.0

images:
  # The program itself.
  - name: web
    reference: ghcr.io/acme/web:1.2.0
    license: MIT

# What is installed.
charts:
  - path: chart
profiles:
  - name: prod
    values:
      - prod.yaml
policy: policy.yaml
",
    "apiVersion: rune-bundle/v1
kind: Policy
licenses:
  allow:
    # Ours.
    - MIT
sources:
  allow:
    - ghcr.io/acme/web
",
);

/// The same in the style of somebody who writes brackets.
const BRACKETS: (&str, &str) = (
    "apiVersion: rune-bundle/v1
kind: BundleManifest
name: shop
version: 1.2.0
images: [{ name: web, reference: 'ghcr.io/acme/web:1.2.0', license: MIT }]
charts: [{ path: chart }]
profiles: [{ name: prod, values: [prod.yaml] }]
policy: policy.yaml
",
    "{ apiVersion: rune-bundle/v1, kind: Policy, licenses: { allow: [MIT] }, sources: { allow: [ghcr.io/acme/web] } }\n",
);

fn project(manifest: &str, policy: Option<&str>) -> Place {
    let place = Place::new();
    place.write_chart(
        &[WEB, CACHE, "docker.io/acme/fixed:1.0.0"],
        "web: { repository: ghcr.io/acme/web, tag: 1.2.0 }\ncache: redis:7.2\n",
    );
    place.write("prod.yaml", "web: { replicas: 2 }\n");
    place.write(MANIFEST, manifest);
    if let Some(policy) = policy {
        place.write("policy.yaml", policy);
    }
    place.put_image("ghcr.io/acme/web:1.2.0", &[]);
    place.put_image("docker.io/library/redis:7.2", &[]);
    place.put_image(
        "docker.io/acme/fixed:1.0.0",
        &[("org.opencontainers.image.licenses", "Apache-2.0")],
    );
    place
}

/// The content of every file.
fn content(place: &Place) -> BTreeMap<String, Vec<u8>> {
    place
        .files_of("")
        .into_iter()
        .map(|file| (file.clone(), fs::read(place.path(&file)).unwrap()))
        .collect()
}

/// The patch, after which nothing has changed.
fn suggested(place: &Place) -> Vec<u8> {
    let before = content(place);
    let Output {
        status,
        stdout,
        stderr,
    } = place.tool(&["lock", MANIFEST, "--suggest"]);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    assert_eq!(content(place), before);
    stdout
}

fn apply(place: &Place, program: &str, arguments: &[&str], patch: &[u8]) {
    fs::write(place.path("missing.patch"), patch).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .arg("missing.patch")
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(
        output.status.success() && !said.contains("fuzz") && !said.contains("offset"),
        "{said}{}",
        String::from_utf8_lossy(patch)
    );
}

#[test]
fn the_patch_applies_with_patch_and_with_git_and_then_the_lock_passes() {
    for (manifest, policy) in [BLOCKS, BRACKETS] {
        let programs: [(&str, &[&str]); 2] = [("patch", &["-p1", "-i"]), ("git", &["apply"])];
        for (program, arguments) in programs {
            let place = project(manifest, Some(policy));
            place.run(8, &["lock", MANIFEST]);
            let patch = suggested(&place);
            apply(&place, program, arguments, &patch);
            let policy = place.read("policy.yaml");
            assert!(
                policy.contains("docker.io/library/redis") && policy.contains("unstated: allow"),
                "{policy}"
            );
            place.run(0, &["lock", MANIFEST]);
            // Then there is nothing to add.
            assert_eq!(String::from_utf8(suggested(&place)).unwrap(), "");
        }
    }
}

#[test]
fn what_a_person_has_written_stays_and_the_pins_win() {
    let place = project(BLOCKS.0, Some(BLOCKS.1));
    place.write("prod.yaml", "web: { tag: 1.2.0 }\n");
    let patch = String::from_utf8(suggested(&place)).unwrap();
    assert!(
        !patch
            .lines()
            .any(|line| line.starts_with('-') && !line.starts_with("---")),
        "only additions: {patch}"
    );
    apply(&place, "patch", &["-p1", "-i"], patch.as_bytes());
    let manifest = place.read(MANIFEST);
    assert!(
        manifest.contains("      - prod.yaml\n      - templates/values/shop-pins.yaml.j2\n"),
        "{manifest}"
    );
    assert!(
        manifest.starts_with("# Our shop.\n")
            && manifest.contains("  # The program itself.\n  - name: web\n"),
        "{manifest}"
    );
    place.run(0, &["lock", MANIFEST]);
}

#[test]
fn a_project_without_a_policy_of_its_own_gets_one() {
    let manifest = BLOCKS
        .0
        .replace("policy: policy.yaml\n", "")
        .replace("license: MIT", "license: Apache-2.0");
    let place = project(&manifest, None);
    let patch = suggested(&place);
    apply(&place, "git", &["apply"], &patch);
    assert!(
        place
            .read(MANIFEST)
            .ends_with("policy: bundle-manifests/policy.yaml\n")
    );
    place.run(0, &["lock", MANIFEST]);
}

#[test]
fn a_second_profile_and_a_second_chart_get_their_pins_too() {
    let manifest = BLOCKS.0.replace("  - path: chart\n", "  - path: chart\n  - path: other\n").replace(
        "    values:\n      - prod.yaml\n",
        "    charts: [chart]\n    values:\n      - prod.yaml\n  - { name: lab, charts: [chart], values: [lab.yaml] }\n",
    );
    let place = project(&manifest, Some(BLOCKS.1));
    place.write(
        "lab.yaml",
        "lab: { enabled: true, image: 'docker.io/acme/lab:1.0.0' }\n",
    );
    let lab = deployment("lab", "{{ .Values.lab.image }}");
    place.write(
        "chart/templates/lab.yaml",
        &format!(
            "{{{{ with .Values.lab }}}}\n{}\n{{{{ end }}}}\n",
            lab.replace(".Values.lab.image", ".image")
        ),
    );
    place.write(
        "other/Chart.yaml",
        "apiVersion: v2\nname: other\nversion: 0.1.0\n",
    );
    place.write("other/values.yaml", "image: docker.io/acme/other:1.0.0\n");
    place.write(
        "other/templates/o.yaml",
        &deployment("o", "{{ .Values.image }}"),
    );
    for image in ["docker.io/acme/lab:1.0.0", "docker.io/acme/other:1.0.0"] {
        place.put_image(image, &[]);
    }
    let patch = suggested(&place);
    apply(&place, "patch", &["-p1", "-i"], &patch);
    place.run(0, &["lock", MANIFEST]);
}
