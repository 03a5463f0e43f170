//! `login` and `logout` at a real registry with an htpasswd file: what is written, every program
//! reads.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::bundle::{
    foreign_support::{Distribution, Foreign},
    sign_support::Team,
    small_bundle::ends_with,
};

/// A user's home, a registry with a password, and a bundle to push.
struct Place {
    registry: Distribution,
    home: Foreign,
    team: Team,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            registry: Distribution::start("tls-basic"),
            home: Foreign::new(),
            team: Team::new(),
        };
        // Where skopeo looks for the CA certificate of a registry.
        let trusted = place.home.path(&format!(
            ".config/containers/certs.d/{}",
            place.registry.host()
        ));
        fs::create_dir_all(&trusted).unwrap();
        fs::copy(place.registry.text("ca").unwrap(), trusted.join("ca.crt")).unwrap();
        place
    }

    /// `rune-bundle` with this home and nothing else of the surroundings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.unbounded(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .env_remove("REGISTRY_AUTH_FILE")
            .env("RUNE_BUNDLE_CA_FILE", self.registry.text("ca").unwrap());
        command.env("RUNE_BUNDLE_RECEIPTS", self.home.path("receipts"));
        command
    }

    fn login(&self, password: &str) -> Output {
        with_input(
            &mut self.command(&[
                "login",
                self.registry.host(),
                "-u",
                self.registry.text("user").unwrap(),
                "--password-stdin",
            ]),
            password,
        )
    }

    fn push(&self, options: &[&str]) -> Output {
        let bundle = self.team.bundle.to_str().unwrap();
        let key = self.team.file("first.pub");
        self.command(
            &[
                &["push", bundle, self.registry.host(), "--key", &key],
                options,
            ]
            .concat(),
        )
        .output()
        .unwrap()
    }

    fn crane(&self) -> Output {
        let mut crane = self.home.command(
            "crane",
            ["digest", &format!("{}/small:1", self.registry.host())],
        );
        crane
            .env("SSL_CERT_FILE", self.registry.text("ca").unwrap())
            .env_remove("REGISTRY_AUTH_FILE")
            .output()
            .unwrap()
    }

    fn skopeo(&self) -> Output {
        let reference = format!("docker://{}/small:1", self.registry.host());
        let authfile = self.home.path(".docker/config.json");
        let mut skopeo = self.home.command(
            "skopeo",
            [
                "inspect",
                "--raw",
                "--authfile",
                authfile.to_str().unwrap(),
                &reference,
            ],
        );
        skopeo.output().unwrap()
    }
}

/// Runs a command with a text on its standard input.
pub(crate) fn with_input(command: &mut Command, text: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses at once does not read.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn after_login_every_verb_and_crane_and_skopeo_get_in_and_after_logout_none_does() {
    let place = Place::new();
    let said = ends_with(&place.push(&[]), 9);
    assert!(
        said.contains(&format!(
            "run `rune-bundle login {} -u USER`",
            place.registry.host()
        )),
        "{said}"
    );
    let password = place.registry.text("password").unwrap();
    let said = ends_with(&place.login(&format!("{password}\n")), 0);
    let file = place.home.path(".docker/config.json");
    assert!(
        said.contains(&format!("the credentials are in `{}`", file.display()))
            && !said.contains(password),
        "{said}"
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(
        fs::metadata(file.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o700
    );
    let listed: Vec<_> = fs::read_dir(file.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(listed, ["config.json"], "nothing else is left there");

    ends_with(&place.push(&[]), 0);
    for output in [place.crane(), place.skopeo()] {
        assert!(output.status.success(), "{output:?}");
    }
    let bundle = place.team.bundle.to_str().unwrap();
    let arguments = [
        "doctor",
        "receive",
        bundle,
        "--registry",
        place.registry.host(),
        "--json",
    ];
    let report: Value =
        serde_json::from_slice(&place.command(&arguments).output().unwrap().stdout).unwrap();
    let registry = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "registry")
        .unwrap();
    assert_eq!(registry["state"], "ok", "{report:#}");

    let said = ends_with(
        &place
            .command(&["logout", place.registry.host()])
            .output()
            .unwrap(),
        0,
    );
    assert!(
        said.contains(&format!("from `{}`", file.display())),
        "{said}"
    );
    ends_with(&place.push(&[]), 9);
    for output in [place.crane(), place.skopeo()] {
        assert!(!output.status.success(), "{output:?}");
    }
    ends_with(
        &place
            .command(&["logout", place.registry.host()])
            .output()
            .unwrap(),
        4,
    );
}

#[test]
fn a_wrong_password_is_told_before_anything_is_written() {
    let place = Place::new();
    let said = ends_with(&place.login("hunter2"), 9);
    let user = place.registry.text("user").unwrap();
    assert!(
        said.contains(&format!("refused the credentials of `{user}`")),
        "{said}"
    );
    assert!(
        said.contains("help: check user and password; nothing was written")
            && !said.contains("hunter2"),
        "{said}"
    );
    assert!(!place.home.path(".docker").exists());
    fs::create_dir(place.home.path(".docker")).unwrap();
    // A file that exists stays as it is, to the byte.
    fs::write(place.home.path(".docker/config.json"), "{ \"auths\" : {} }").unwrap();
    ends_with(&place.login("hunter2"), 9);
    assert_eq!(
        fs::read_to_string(place.home.path(".docker/config.json")).unwrap(),
        "{ \"auths\" : {} }"
    );
}

#[test]
fn user_and_password_file_go_before_the_file_that_login_wrote_and_reach_no_report() {
    let place = Place::new();
    let host = place.registry.host();
    fs::create_dir_all(place.home.path(".docker")).unwrap();
    let wrong = serde_json::json!({"auths": {host: {"username": "alice", "password": "hunter2"}}});
    fs::write(place.home.path(".docker/config.json"), wrong.to_string()).unwrap();
    fs::write(
        place.home.path("password"),
        format!("{}\n", place.registry.text("password").unwrap()),
    )
    .unwrap();
    ends_with(&place.push(&[]), 9);
    let user = place.registry.text("user").unwrap();
    let password = place.home.path("password");
    let given = [
        "--username",
        user,
        "--password-file",
        password.to_str().unwrap(),
    ];
    let said = ends_with(&place.push(&[&given[..], &["-vv"]].concat()), 0);
    assert!(
        said.contains("credentials from --username")
            && !said.contains(place.registry.text("password").unwrap()),
        "{said}"
    );
    let receipt = fs::read_dir(place.home.path("receipts"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let receipts: String = receipt
        .filter(|path| path.extension().is_some())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(!receipts.is_empty() && !receipts.contains(place.registry.text("password").unwrap()));
    // One of the two alone, and a file that is none.
    ends_with(&place.push(&given[..2]), 2);
    let said = ends_with(
        &place.push(&["--username", user, "--password-file", "nowhere"]),
        4,
    );
    assert!(
        said.contains("cannot use the file of --password-file"),
        "{said}"
    );
}
