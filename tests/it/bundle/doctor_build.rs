//! `doctor build`: each thing that a build needs, with what there is; and that it looks only.

use std::fs;

use rune_testkit::{registry::Fault, sample::Sample};
use serde_json::Value;

use crate::{bundle::project::Project, bundle::small_bundle::ends_with};

/// The checks of a run that ends with `code`: name, state, what there is.
fn checks(project: &Project, options: &[&str], code: i32) -> Vec<(String, String, String)> {
    let arguments = [
        &[
            "doctor",
            "build",
            "--registry-config",
            "registries.yaml",
            "--json",
        ],
        options,
    ]
    .concat();
    let output = project.run(&arguments);
    ends_with(&output, code);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            (
                text(check, "name"),
                text(check, "state"),
                text(check, "available"),
            )
        })
        .collect()
}

/// The only check that is not in order.
fn odd(project: &Project, options: &[&str], code: i32) -> (String, String, String) {
    let mut odd: Vec<_> = checks(project, options, code)
        .into_iter()
        .filter(|(_, state, _)| state != "ok")
        .collect();
    assert_eq!(odd.len(), 1, "{odd:?}");
    odd.remove(0)
}

fn names(checks: &[(String, String, String)]) -> Vec<&str> {
    checks.iter().map(|(name, ..)| name.as_str()).collect()
}

#[test]
fn a_project_that_can_be_built_is_ready() {
    let project = Project::new();
    project.lock();
    let before = listing(&project);
    let requests = project.registry.requests().len();
    let found = checks(&project, &["--key", "release.key"], 0);
    assert_eq!(
        names(&found),
        [
            "manifest", "lock", "policy", "key", "helm", "registry", "registry", "room"
        ]
    );
    assert!(found.iter().all(|(_, state, _)| state == "ok"), "{found:?}");
    assert_eq!(listing(&project), before, "it wrote something");
    let asked = &project.registry.requests()[requests..];
    assert!(
        asked
            .iter()
            .all(|request| request.method == "GET" && request.path.contains("/manifests/sha256:")),
        "{asked:?}"
    );
    let said = ends_with(
        &project.run(&["doctor", "build", "--registry-config", "registries.yaml"]),
        0,
    );
    assert!(said.ends_with("\nready\n"), "{said}");
}

fn listing(project: &Project) -> Vec<String> {
    let names = fs::read_dir(project.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_manifest_with_a_mistake_ends_with_3() {
    let project = Project::new();
    project.lock();
    let path = project.path("bundle-manifests/rune.yaml");
    fs::write(
        &path,
        fs::read_to_string(&path)
            .unwrap()
            .replacen("name: rune", "nmae: rune", 1),
    )
    .unwrap();
    let (name, state, found) = odd(&project, &[], 3);
    assert_eq!((name.as_str(), state.as_str()), ("manifest", "problem"));
    assert!(
        found.contains("rune.yaml:") && found.contains("nmae"),
        "{found}"
    );
}

#[test]
fn a_lock_that_is_missing_or_out_of_date_is_named() {
    let project = Project::new();
    assert_eq!(odd(&project, &[], 4).0, "lock");
    project.lock();
    fs::write(
        project.path("migrations/0001_jobs.sql"),
        "-- migrate:all\nSELECT 1;\n",
    )
    .unwrap();
    let (name, _, found) = odd(&project, &[], 5);
    assert!(name == "lock" && found.contains("0001_jobs.sql"), "{found}");
}

#[test]
fn what_the_policy_denies_ends_with_8() {
    let project = Project::new();
    project.lock();
    let path = project.path("bundle-manifests/policy.yaml");
    fs::write(
        &path,
        fs::read_to_string(&path).unwrap().replacen(
            "- docker.io/library/*",
            "- docker.io/other/*",
            1,
        ),
    )
    .unwrap();
    assert_eq!(odd(&project, &[], 8).0, "policy");
}

#[test]
fn keys_are_read_and_no_passphrase_is_asked_for() {
    let project = Project::new();
    project.lock();
    ends_with(
        &project
            .command(&["keygen", "--out", "locked"])
            .env("COSIGN_PASSWORD", "secret")
            .output()
            .unwrap(),
        0,
    );
    let found = checks(&project, &["--key", "locked.key"], 0);
    assert!(
        found
            .iter()
            .any(|(name, _, found)| name == "key" && found.starts_with("an encrypted one")),
        "{found:?}"
    );
    assert_eq!(odd(&project, &["--key", "none.key"], 4).0, "key");
    let (name, _, found) = odd(&project, &["--key", "release.pub"], 3);
    assert!(name == "key" && found.contains("release.pub"), "{found}");
}

#[test]
fn a_program_that_is_not_helm_and_a_check_that_is_left_out() {
    let project = Project::new();
    project.lock();
    assert_eq!(odd(&project, &["--helm", "/bin/false"], 4).0, "helm");
    let (name, state, _) = odd(&project, &["--no-chart-check"], 0);
    assert_eq!((name.as_str(), state.as_str()), ("helm", "warning"));
}

/// A project with one image, locked, whose registry has no mirror.
fn with_own_registry() -> Project {
    let project = Project::with_manifest("");
    project.put("library/base", "1.0", &Sample::default());
    let manifest = format!(
        "apiVersion: rune-bundle/v1
kind: BundleManifest
name: own
version: 0.1.0
images: [{{ name: base, reference: '{}/library/base:1.0', license: MIT }}]
policy: policy.yaml
",
        project.registry.host()
    );
    fs::write(project.path("bundle-manifests/rune.yaml"), manifest).unwrap();
    let policy = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['127.0.0.1:*/**'] }\n";
    fs::write(project.path("policy.yaml"), policy).unwrap();
    project.lock();
    project
}

#[test]
fn a_registry_is_asked_for_what_is_locked_and_its_trouble_is_said() {
    let manifests = || Fault::on("GET", "*/manifests/*").always();
    for (fault, code, part, requests) in [
        (manifests().status(404), 4, "404", 1),
        (manifests().status(403), 9, "403", 1),
        (manifests().status(500), 10, "500", 2),
        (manifests().wrong_at(3), 6, "digest", 1),
    ] {
        let project = with_own_registry();
        project.registry.fault(fault);
        project.registry.forget_requests();
        let (name, state, found) = odd(&project, &[], code);
        assert_eq!((name.as_str(), state.as_str()), ("registry", "problem"));
        assert!(found.contains(part), "{found}");
        assert_eq!(
            project.registry.requests_to("*/manifests/*").len(),
            requests,
            "{part}"
        );
    }
}

#[test]
fn a_registry_that_wants_credentials_gets_those_that_there_are() {
    let project = with_own_registry();
    project.registry.fault(
        Fault::on("GET", "*")
            .always()
            .answer(401, "{}")
            .header("WWW-Authenticate", "Basic realm=x"),
    );
    let (_, _, found) = odd(&project, &[], 9);
    assert!(found.contains("asks for credentials"), "{found}");
}

#[test]
fn an_output_that_exists_or_has_no_directory() {
    let project = Project::new();
    project.lock();
    fs::write(project.path("taken.tar"), "").unwrap();
    assert_eq!(odd(&project, &["--output", "taken.tar"], 12).0, "room");
    assert_eq!(
        odd(&project, &["--output", "no/such/place.tar"], 4).0,
        "room"
    );
}
