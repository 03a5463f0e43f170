//! The options and variables of registry access, as a person gives them to the tool.

use std::process::Command;

use rune_testkit::{
    registry::{Auth, Registry},
    sample::Sample,
};

use crate::bundle::project_support::Project;

/// A project whose registry speaks TLS and wants a password.
fn guarded() -> Project {
    let mut project = Project::new();
    project.registry =
        Registry::start_tls(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    project
        .registry
        .put_image("library/postgres", "17-alpine", &Sample::default().build());
    project.write_manifest("platforms: all\n");
    project.write("ca.pem", project.registry.ca_pem());
    let login = serde_json::json!({"auths": {project.registry.host(): {"username": "alice", "password": "wonderland"}}});
    project.write("login/config.json", &login.to_string());
    project.write("home/.docker/config.json", &login.to_string());
    project
}

/// Runs `lock` with variables; gives the exit code and what is on standard error.
fn lock(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command
        .args(["lock", "--no-chart-check"])
        .args(arguments)
        .current_dir(project.path(""))
        .env_clear()
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        project.shown(std::str::from_utf8(&output.stderr).unwrap()),
    )
}

#[test]
fn credentials_come_from_the_option_or_from_where_docker_keeps_them() {
    let project = guarded();
    let (login, home) = (project.path("login"), project.path("home"));
    let (login, home) = (login.to_str().unwrap(), home.to_str().unwrap());
    for (arguments, variables) in [
        (
            &["--ca-file", "ca.pem", "--authfile", "login/config.json"][..],
            &[][..],
        ),
        (&["--ca-file", "ca.pem"], &[("DOCKER_CONFIG", login)]),
        (&["--ca-file", "ca.pem"], &[("HOME", home)]),
    ] {
        let (code, errors) = lock(&project, arguments, variables);
        assert_eq!(code, 0, "{errors}");
    }
    let (code, errors) = lock(&project, &["--ca-file", "ca.pem"], &[]);
    assert_eq!(code, 9);
    assert!(
        errors.contains("asks for credentials, and there are none for `registry.test`"),
        "{errors}"
    );
    assert!(
        errors.contains("help: run `rune-bundle login registry.test -u USER`"),
        "{errors}"
    );
    let (code, errors) = lock(
        &project,
        &["--ca-file", "ca.pem", "--authfile", "nowhere.json"],
        &[],
    );
    assert_eq!(code, 4);
    assert!(errors.contains("nowhere.json"), "{errors}");
}

#[test]
fn a_file_of_ca_certificates_that_holds_none_is_named_with_its_option() {
    let project = guarded();
    project.write("empty.pem", "");
    let (code, errors) = lock(&project, &["--ca-file", "empty.pem"], &[]);
    assert_eq!(code, 3);
    assert!(
        errors.contains("`empty.pem`, given with `--ca-file`, holds no certificate in PEM form"),
        "{errors}"
    );
    assert!(errors.contains("help: the file is empty"), "{errors}");
    assert_eq!(project.registry.requests().len(), 0);
}

#[test]
fn half_a_client_certificate_and_a_url_as_host_are_mistakes_of_usage() {
    let project = Project::new();
    for arguments in [
        &["--client-cert", "a.pem"][..],
        &["--plain-http=registry.lan/library"],
    ] {
        assert_eq!(lock(&project, arguments, &[]).0, 2, "{arguments:?}");
    }
}

#[test]
fn proxies_come_from_the_environment_and_never_stand_before_loopback() {
    let project = Project::new();
    let proxy = project.registry.url().to_owned();
    let nowhere = "http://127.0.0.1:1";
    let (code, errors) = lock(
        &project,
        &[],
        &[("HTTP_PROXY", nowhere), ("HTTPS_PROXY", nowhere)],
    );
    assert_eq!(code, 0, "{errors}");

    let manifest = project
        .read("bundle-manifests/rune.yaml")
        .replace(&project.registry.host(), "registry.example");
    project.write("bundle-manifests/rune.yaml", &manifest);
    project.write(
        "policy.yaml",
        &project
            .read("policy.yaml")
            .replace("127.0.0.1:*", "registry.example"),
    );
    project.registry.forget_requests();
    let (code, errors) = lock(
        &project,
        &["--plain-http=registry.example"],
        &[("http_proxy", proxy.as_str())],
    );
    assert_eq!(code, 0, "{errors}");
    assert!(
        project
            .registry
            .requests()
            .iter()
            .all(|request| request.header("host") == Some("registry.example"))
    );
    assert!(!project.registry.requests().is_empty());
}
