//! Where credentials are found: files and variables of docker and podman.

use std::process::Command;

use rune_testkit::{
    registry::{Auth, Registry},
    sample::Sample,
};

use crate::bundle::project_support::Project;

/// `lock` with variables, `DIR` in them standing for the project; gives the exit code and what is
/// on standard error.
fn lock(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    let directory = project.path("");
    let value =
        |value: &str| value.replace("DIR", directory.to_str().unwrap().trim_end_matches('/'));
    command
        .args(["lock", "--no-chart-check", "--verbose"])
        .args(arguments)
        .current_dir(&directory)
        .env_clear();
    command.envs(variables.iter().map(|(name, text)| (*name, value(text))));
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        project.shown(std::str::from_utf8(&output.stderr).unwrap()),
    )
}

#[test]
fn every_place_of_docker_and_podman_is_read_in_its_order_and_named_without_its_content() {
    let mut project = Project::new();
    project.registry =
        Registry::start_with(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    project
        .registry
        .put_image("library/postgres", "17-alpine", &Sample::default().build());
    project.write_manifest("platforms: all\n");
    let login = |password: &str| {
        serde_json::json!({"auths": {project.registry.host(): {"username": "alice", "password": password}}}).to_string()
    };
    let (right, wrong) = (login("wonderland"), login("hunter2"));
    for place in [
        "right.json",
        "runtime/containers/auth.json",
        "config/containers/auth.json",
        "home/.config/containers/auth.json",
    ] {
        project.write(place, &right);
    }
    project.write("docker/config.json", &right);
    project.write("wrong/config.json", &wrong);
    project.write("wrong/containers/auth.json", &wrong);
    project.write("empty/containers/auth.json", "");
    for (arguments, variables, place) in [
        (
            &["--authfile", "right.json"][..],
            &[("REGISTRY_AUTH_FILE", "DIR/wrong/config.json")][..],
            "`right.json`",
        ),
        (
            &[],
            &[
                ("REGISTRY_AUTH_FILE", "DIR/right.json"),
                ("XDG_RUNTIME_DIR", "DIR/wrong"),
            ],
            "right.json`",
        ),
        (
            &[],
            &[
                ("XDG_RUNTIME_DIR", "DIR/runtime"),
                ("XDG_CONFIG_HOME", "DIR/wrong"),
            ],
            "runtime/containers/auth.json`",
        ),
        (
            &[],
            &[
                ("XDG_RUNTIME_DIR", "DIR/empty"),
                ("XDG_CONFIG_HOME", "DIR/config"),
                ("DOCKER_AUTH_CONFIG", &wrong),
            ],
            "config/containers/auth.json`",
        ),
        (
            &[],
            &[
                ("XDG_RUNTIME_DIR", "DIR/empty"),
                ("HOME", "DIR/home"),
                ("DOCKER_AUTH_CONFIG", &wrong),
            ],
            "home/.config/containers/auth.json`",
        ),
        (
            &[],
            &[
                ("DOCKER_AUTH_CONFIG", &right),
                ("DOCKER_CONFIG", "DIR/wrong"),
            ],
            "the variable DOCKER_AUTH_CONFIG",
        ),
        (
            &[],
            &[("DOCKER_CONFIG", "DIR/docker"), ("HOME", "DIR/nowhere")],
            "docker/config.json`",
        ),
    ] {
        let (code, errors) = lock(&project, arguments, variables);
        assert_eq!(code, 0, "{variables:?}: {errors}");
        assert!(
            errors.contains("credentials from") && errors.contains(place),
            "{place}: {errors}"
        );
        assert!(
            !errors.contains("wonderland") && !errors.contains("hunter2"),
            "{errors}"
        );
    }
    // The variable of one file is the only one that counts.
    let only = [
        ("REGISTRY_AUTH_FILE", "DIR/empty/containers/auth.json"),
        ("DOCKER_CONFIG", "DIR/docker"),
    ];
    assert_eq!(lock(&project, &[], &only).0, 9);
    assert_eq!(
        lock(
            &project,
            &[],
            &[
                ("REGISTRY_AUTH_FILE", "DIR/none.json"),
                ("DOCKER_CONFIG", "DIR/docker")
            ]
        )
        .0,
        4
    );
    let (code, errors) = lock(&project, &[], &[("DOCKER_AUTH_CONFIG", "{hunter2")]);
    assert!(
        code == 3
            && errors.contains("the variable DOCKER_AUTH_CONFIG is not a docker config.json")
            && !errors.contains("hunter2"),
        "{errors}"
    );
}
