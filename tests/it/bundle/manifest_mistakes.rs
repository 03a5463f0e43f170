//! Every mistake in a manifest is reported in one run, with its place and a hint.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use rune_bundle::{
    manifest::{FetchedCharts, Programs, Project, evaluate},
    policy::Policy,
};
use rune_core::failure::{Failure as _, FailureKind};

/// A project directory with one of everything that a manifest can name.
struct Scratch {
    _guard: tempfile::TempDir,
    directory: Utf8PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let directory = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
        for (path, content) in [
            ("charts/rune/Chart.yaml", "name: rune\n"),
            ("packed.tgz", ""),
            ("values.yaml", "a: 1\n"),
            ("migrations/0001_first.sql", "-- migrate:all\n"),
            ("dist/rune-db", "program"),
            ("notes.txt", "notes"),
            ("bundle-manifests/.keep", ""),
        ] {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self {
            _guard: guard,
            directory,
        }
    }

    fn load(&self, text: &str) -> Result<Project, rune_bundle::manifest::ManifestError> {
        let path = self.directory.join("bundle-manifests/rune.yaml");
        fs::write(&path, text).unwrap();
        Project::load(&path, None, Programs::Required)
    }

    /// The findings as a person sees them, with the scratch directory taken out.
    fn mistakes(&self, text: &str) -> String {
        let error = self
            .load(text)
            .expect_err("the manifest should have mistakes");
        assert_eq!(error.kind(), FailureKind::Input);
        assert_eq!(
            error.details().unwrap().as_array().unwrap().len(),
            error.to_string().matches("\n  /").count()
        );
        error
            .to_string()
            .replace(self.directory.as_str(), "[project]")
    }
}

const HEAD: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\n";

#[test]
fn a_manifest_that_names_everything_is_read() {
    let scratch = Scratch::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    let project = scratch
        .load(&format!(
            "{HEAD}platforms: [linux/amd64, linux/arm64]
components:
  postgres: {{ default: false, description: a server }}
images:
  - {{ name: postgres, reference: 'docker.io/library/postgres:17-alpine', component: postgres, license: PostgreSQL, extra: true }}
  - name: rune-db
    build:
      reference: ghcr.io/lpasquali/rune-db:0.1.0
      binaries: {{ linux/amd64: dist/rune-db }}
charts: [{{ path: charts/rune }}, {{ path: packed.tgz }}]
profiles: [{{ name: airgap, values: [values.yaml] }}]
migrations: migrations
binaries: [{{ name: rune-db, platform: linux/amd64, path: dist/rune-db }}]
files: [{{ source: notes.txt, path: files/notes.txt }}]
predecessor: {digest}
"
        ))
        .unwrap();
    insta::assert_debug_snapshot!(project.manifest());
    assert_eq!(
        project.lock_path(),
        scratch.directory.join("bundle-manifests/rune.lock")
    );
    assert_eq!(
        project.path("dist/rune-db"),
        scratch.directory.join("dist/rune-db")
    );
}

#[test]
fn the_usual_mistakes_are_all_reported_in_one_run() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes(
        "apiVersion: rune-bundle/v1
kind: BundleManifest
name: rune
name: rune2
version: v0.1
platfroms: all
components:
  postgres: { description: a server }
images:
  - name: postgres
    reference: docker.io/library/postgres:latest
    component: postgers
  - name: untagged
    reference: docker.io/library/redis
  - name: hostless
    reference: postgres:17
  - name: one
    reference: docker.io/library/same:1
  - name: two
    reference: quay.io/library/same:1
charts:
  - path: charts/nothing
policy: bundle-manifests/none.yaml
"
    ));
}

#[test]
fn two_spellings_of_one_image_are_named_as_they_were_written() {
    let scratch = Scratch::new();
    for (one, other) in [
        ("docker.io/postgres:17", "docker.io/library/postgres:17"),
        ("[fd00:0::1]:5000/postgres:17", "[fd00::1]:5000/postgres:17"),
    ] {
        let said = scratch.mistakes(&format!(
            "{HEAD}images:\n  - {{ name: a, reference: '{one}', license: MIT }}\n  - {{ name: b, reference: '{other}', license: MIT }}\n"
        ));
        assert!(
            said.contains(&format!(
                "rune.yaml:7:27: `{other}` and `{one}` (line 6) are both named "
            )),
            "{said}"
        );
    }
}

#[test]
fn keys_are_checked_at_every_level() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes(&format!(
        "{HEAD}Images: []
components:
  a: {{ defualt: true }}
  b: {{ default: maybe }}
  C: {{}}
images:
  - {{ name: a, refrence: 'docker.io/library/a:1' }}
  - {{ name: b, build: {{ reference: 'docker.io/library/b:1', binary: {{}} }} }}
  - {{ name: c, reference: 'docker.io/library/c:1', build: {{}} }}
  - {{ name: d, reference: 'docker.io/library/d:1', extra: yes, license: [MIT] }}
  - just a text
charts: {{ path: charts/rune }}
profiles: [{{ values: values.yaml }}]
files: [{{ source: notes.txt }}]
migrations:
"
    )));
}

#[test]
fn names_platforms_licences_and_digests_are_checked() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes(&format!(
        "{HEAD}platforms: [linux/amd46, linux, plan9/amd64]
images:
  - {{ name: Postgres, reference: 'docker.io/library/postgres:17-alpine' }}
  - {{ name: '', reference: 'docker.io/library/a:1' }}
  - {{ name: b, reference: 'docker.io/library/b:1', license: MIT/Apache }}
  - {{ name: b, reference: 'docker.io/library/b:2', license: 'MIT OR' }}
  - {{ name: c, reference: 'docker.io/library/C:1' }}
  - {{ name: d, reference: 'docker.io/library/d@sha256:123' }}
binaries:
  - {{ name: a/b, platform: linux/amd64, path: dist/rune-db }}
  - {{ name: x, platform: linux/arm/v6, path: dist/rune-db }}
  - {{ name: x, platform: linux/arm/v7, path: dist/rune-db }}
profiles:
  - {{ name: p, values: [] }}
  - {{ name: p, values: [] }}
predecessor: sha256:abc
"
    )));
}

#[test]
fn files_are_looked_for_and_paths_stay_within_the_project() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes(&format!(
        "{HEAD}charts:
  - {{ path: charts }}
  - {{ path: values.yaml }}
  - {{ path: none.tgz }}
  - {{ path: /etc }}
profiles: [{{ name: p, values: [none.yaml.j2, ../x, migrations] }}]
migrations: notes.txt
binaries: [{{ name: x, platform: linux/amd64, path: dist/none }}]
files:
  - {{ source: none.txt, path: notes.txt }}
  - {{ source: notes.txt, path: files/A }}
  - {{ source: notes.txt, path: files/a }}
  - {{ source: notes.txt, path: files/../../etc/passwd }}
"
    )));
}

#[test]
fn built_images_are_checked_against_the_platforms() {
    let scratch = Scratch::new();
    let digest = format!("sha256:{}", "a".repeat(64));
    insta::assert_snapshot!(scratch.mistakes(&format!(
        "{HEAD}platforms: [linux/amd64]
images:
  - name: a
    build:
      reference: ghcr.io/lpasquali/a:1@{digest}
      binaries: {{ linux/arm64: dist/rune-db, linux/amd64: dist/rune-db }}
  - name: b
    build: {{ reference: 'ghcr.io/lpasquali/b:1', binaries: {{}} }}
  - name: c
    build: {{ reference: 'ghcr.io/lpasquali/c:edge', binaries: {{ linux/amd64: dist/none }} }}
  - name: d
    build:
      reference: ghcr.io/lpasquali/d:1
      binaries:
        linux/amd64: [dist/rune-db, bin/rune-db]
        linux/arm64: dist/rune-db
  - name: e
    build: {{ reference: 'ghcr.io/lpasquali/e:1', binaries: {{ linux/amd64: [] }} }}
"
    )));
}

#[test]
fn charts_and_files_from_elsewhere_name_exactly_one_thing() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes(&format!(
        "{HEAD}charts:
  - {{ reference: 'oci://ghcr.io/acme/charts/app:1.0.0', version: 1.0.0 }}
  - {{ reference: ghcr.io/acme/charts/app, version: ^1.2 }}
  - {{ reference: 'oci://user:word@ghcr.io/acme/app', version: 1.0.0, name: app }}
  - {{ repository: 'https://user:word@charts.example/stable', name: app, version: 1.0.0 }}
  - {{ repository: 'file:///srv/charts', name: a/b, version: latest }}
  - {{ repository: 'https://charts.example/stable?token=word' }}
  - {{ path: charts/rune, version: 1.0.0 }}
  - {{ repository: 'https://charts.example', reference: 'oci://ghcr.io/a/b', name: app, version: 1.0.0 }}
  - {{ version: 1.0.0 }}
binaries:
  - {{ name: helm, platform: linux/amd64, url: 'https://get.helm.sh/helm', sha256: abc }}
  - {{ name: kubectl, platform: linux/amd64, url: 'https://dl.k8s.io/kubectl?sig=word' }}
  - {{ name: both, platform: linux/amd64, url: 'https://dl.k8s.io/both', path: dist/rune-db }}
  - {{ name: local, platform: linux/amd64, path: dist/rune-db, sha256: abc }}
files:
  - {{ url: 'ftp://host/a', sha256: '{digest}', path: files/a }}
  - {{ url: '/etc/passwd', sha256: '{digest}', path: files/b }}
  - {{ path: files/c }}
",
        digest = "0".repeat(64)
    )));
}

#[test]
fn releases_are_put_in_order_and_lead_somewhere() {
    let scratch = Scratch::new();
    let parts = "charts: [{ path: charts/rune }, { path: packed.tgz }]
profiles: [{ name: p, charts: [charts/rune], values: [values.yaml] }]
releases:
";
    let project = scratch.load(&format!(
        "{HEAD}{parts}  - {{ name: c, chart: packed.tgz, after: [b] }}
  - {{ name: a, chart: charts/rune, profile: p }}
  - {{ name: b, chart: charts/rune, namespace: elsewhere, after: [a] }}
"
    ));
    let project = project.unwrap();
    let names = project.manifest().releases.iter();
    let names: Vec<&str> = names.map(|release| release.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);

    let said = scratch.mistakes(&format!(
        "{HEAD}{parts}  - {{ name: a, chart: charts/none }}
  - {{ name: b, chart: packed.tgz, profile: p }}
  - {{ name: c, chart: packed.tgz, after: [d, nobody] }}
  - {{ name: d, chart: packed.tgz, after: [c] }}
"
    ));
    for mistake in [
        "the manifest has no chart `charts/none`",
        "no profile `p` is for this chart",
        "there is no release `nobody`",
        "release `c` comes after itself",
        "release `d` comes after itself",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
}

#[test]
fn text_that_is_not_yaml_has_a_place_too() {
    let scratch = Scratch::new();
    insta::assert_snapshot!(scratch.mistakes("apiVersion: rune-bundle/v1\nkind: [\n"));
    insta::assert_snapshot!(scratch.mistakes(&format!("{HEAD}images: &x []\ncharts: *x\n")));
    insta::assert_snapshot!(scratch.mistakes(""));
}

#[test]
fn mistakes_in_the_policy_are_reported_together_with_those_of_the_manifest() {
    let scratch = Scratch::new();
    fs::write(
        scratch.directory.join("policy.yaml"),
        "apiVersion: rune-bundle/v1
kind: Policies
licenses: { allow: [MIT], deny: [{ license: BUSL-1.1 }] }
sources: { alow: [] }
tags: { deny: latest }
attestations: [{ match: '**', require: [sbom, slsa] }]
waivers: [{ rule: source, match: a/b, reason: '', until: soon }]
",
    )
    .unwrap();
    insta::assert_snapshot!(scratch.mistakes(&format!("{HEAD}policy: policy.yaml\nversoin: 1\n")));
}

#[test]
fn a_tag_that_a_waiver_covers_is_fine_until_the_waiver_ends() {
    let scratch = Scratch::new();
    let policy = |until: &str| {
        format!(
            "apiVersion: rune-bundle/v1\nkind: Policy\ntags: {{ deny: [latest] }}\nwaivers:\n  - {{ rule: tags, match: docker.io/library/*, reason: a trial, until: {until} }}\n"
        )
    };
    let manifest = format!(
        "{HEAD}images: [{{ name: a, reference: 'docker.io/library/a:latest' }}]\npolicy: policy.yaml\n"
    );
    fs::write(scratch.directory.join("policy.yaml"), policy("0.2.0")).unwrap();
    scratch.load(&manifest).unwrap();
    fs::write(scratch.directory.join("policy.yaml"), policy("0.1.0")).unwrap();
    insta::assert_snapshot!(scratch.mistakes(&manifest));
}

#[test]
fn programs_may_be_missing_when_nothing_reads_them() {
    let scratch = Scratch::new();
    let path = scratch.directory.join("bundle-manifests/rune.yaml");
    fs::write(
        &path,
        format!("{HEAD}binaries: [{{ name: x, platform: linux/amd64, path: dist/none }}]\n"),
    )
    .unwrap();
    Project::load(&path, None, Programs::NotNeeded).unwrap();
    Project::load(&path, None, Programs::Required).unwrap_err();
}

#[test]
fn a_manifest_that_is_not_there_is_not_found() {
    let error = Project::load(
        Utf8Path::new("/nonexistent/rune.yaml"),
        None,
        Programs::Required,
    )
    .unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound);
}

#[test]
fn the_manifests_of_this_project_are_read_and_pass_the_policy() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["rune", "postgres"] {
        let project = match Project::load(
            &root.join(format!("bundle-manifests/{name}.yaml")),
            None,
            Programs::NotNeeded,
        ) {
            Ok(project) => project,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(*project.policy(), Policy::built_in().unwrap());
        let denied: Vec<String> = evaluate(&project, None, &FetchedCharts::default(), None)
            .unwrap()
            .denied()
            .map(ToString::to_string)
            .collect();
        assert_eq!(denied, Vec::<String>::new());
    }
}
