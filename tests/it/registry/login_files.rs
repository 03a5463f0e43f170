//! Which file `login` writes to, what it leaves alone, and when it writes nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use rune_testkit::registry::{Auth, Fault, Registry};
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::{Scratch, ends_with},
    registry::login::with_input,
};

/// A home without anything, and a registry that knows `alice`.
struct Home {
    scratch: Scratch,
    registry: Registry,
}

impl Home {
    fn new() -> Self {
        Self::at(Registry::start_with(Auth::Basic(
            "alice".to_owned(),
            "wonderland".to_owned(),
        )))
    }

    fn at(registry: Registry) -> Self {
        Self {
            scratch: Scratch::new(),
            registry,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// A command in this home; `HOME` in values stands for it.
    fn command(&self, verb: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        let home = self.path("");
        let home = home.to_str().unwrap().trim_end_matches('/');
        command.args([verb, &self.registry.host()]).args(
            arguments
                .iter()
                .map(|argument| argument.replace("HOME", home)),
        );
        command
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (*name, value.replace("HOME", home))),
            );
        command
    }

    fn login(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let arguments = [&["-u", "alice", "--password-stdin"], arguments].concat();
        with_input(
            &mut self.command("login", &arguments, variables),
            "wonderland",
        )
    }

    fn logout(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command("logout", arguments, variables)
            .output()
            .unwrap()
    }

    /// The files below the home, with directories that are empty.
    fn files(&self) -> Vec<String> {
        rune_core::fsx::list_files(&self.scratch.utf8(""))
            .unwrap()
            .into_iter()
            .map(|path| path.to_string())
            .collect()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

#[test]
fn the_first_place_that_is_named_is_written_and_said() {
    for (arguments, variables, file) in [
        (
            &["--authfile", "HOME/a.json"][..],
            &[
                ("REGISTRY_AUTH_FILE", "HOME/b.json"),
                ("DOCKER_CONFIG", "HOME/d"),
            ][..],
            "a.json",
        ),
        (
            &[],
            &[
                ("RUNE_BUNDLE_AUTHFILE", "HOME/e.json"),
                ("REGISTRY_AUTH_FILE", "HOME/b.json"),
            ],
            "e.json",
        ),
        (
            &[],
            &[
                ("REGISTRY_AUTH_FILE", "HOME/b.json"),
                ("DOCKER_CONFIG", "HOME/d"),
            ],
            "b.json",
        ),
        (&[], &[("DOCKER_CONFIG", "HOME/d")], "d/config.json"),
        (&[], &[], ".docker/config.json"),
    ] {
        let home = Home::new();
        let said = ends_with(&home.login(arguments, variables), 0);
        assert!(
            said.contains(&format!(
                "the credentials are in `{}`",
                home.path(file).display()
            )),
            "{said}"
        );
        assert_eq!(home.files(), [file]);
        assert_eq!(
            home.json(file),
            json!({"auths": {home.registry.host(): {"auth": "YWxpY2U6d29uZGVybGFuZA=="}}})
        );
        assert_eq!(
            fs::metadata(home.path(file)).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        ends_with(&home.logout(arguments, variables), 0);
        assert_eq!(home.json(file), json!({"auths": {}}));
    }
    let home = Home::new();
    let mut command = home.command("login", &["-u", "alice", "--password-stdin"], &[]);
    let said = ends_with(&with_input(command.env_remove("HOME"), "wonderland"), 2);
    assert!(said.contains("name one with --authfile"), "{said}");
}

#[test]
fn what_is_not_known_and_other_hosts_stay_and_links_and_open_permissions_do_not_spread() {
    let home = Home::new();
    let host = home.registry.host();
    let before = format!(
        "{{\n\t\"credHelpers\": {{\"gcr.io\": \"gcloud\"}},\n\t\"auths\": {{\n\t\t\"https://{host}/v2/\": {{\"auth\": \"YTpi\"}},\n\t\t\"{host}/team\": {{\"auth\": \"Yzpk\"}},\n\t\t\"q\": {{\"auth\":\"Yzpk\",\"x\":1.50}}\n\t}},\n\t\"psFormat\": \"{{{{.ID}}}}\"\n}}"
    );
    home.write("real/config.json", &before);
    fs::set_permissions(
        home.path("real/config.json"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    fs::create_dir(home.path(".docker")).unwrap();
    std::os::unix::fs::symlink("../real/config.json", home.path(".docker/config.json")).unwrap();
    let said = ends_with(&home.login(&[], &[]), 0);
    assert!(
        said.contains(&format!("note: `{host}/team` has credentials of its own")),
        "{said}"
    );
    assert!(
        fs::symlink_metadata(home.path(".docker/config.json"))
            .unwrap()
            .is_symlink()
    );
    let after = fs::read_to_string(home.path("real/config.json")).unwrap();
    for part in [
        "\"credHelpers\": {\"gcr.io\": \"gcloud\"},",
        "\"q\": {\"auth\":\"Yzpk\",\"x\":1.50}",
        "\"psFormat\": \"{{.ID}}\"",
    ] {
        assert!(after.contains(part), "{part} in {after}");
    }
    assert!(
        !after.contains("YTpi") && after.contains("YWxpY2U6d29uZGVybGFuZA=="),
        "{after}"
    );
    assert_eq!(
        fs::metadata(home.path("real/config.json"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o600
    );
    // Whoever logs out of a host has none of its repositories either.
    ends_with(&home.logout(&[], &[]), 0);
    assert_eq!(
        home.json("real/config.json")["auths"],
        json!({"q": {"auth": "Yzpk", "x": 1.5}})
    );
}

#[test]
fn nothing_is_written_past_a_credential_helper() {
    for config in [
        json!({"credsStore": "desktop"}),
        json!({"credHelpers": {"HOST": "ecr-login"}}),
    ] {
        let home = Home::new();
        let text = config.to_string().replace("HOST", &home.registry.host());
        home.write(".docker/config.json", &text);
        for output in [home.login(&[], &[]), home.logout(&[], &[])] {
            let said = ends_with(&output, 12);
            assert!(
                said.contains("in the helper `") && said.contains("--authfile"),
                "{said}"
            );
        }
        assert_eq!(
            fs::read_to_string(home.path(".docker/config.json")).unwrap(),
            text
        );
        assert!(
            home.registry.requests().is_empty(),
            "no password is shown before it is known that it can be kept"
        );
    }
    // A helper of another host is no matter.
    let home = Home::new();
    home.write(
        ".docker/config.json",
        &json!({"credHelpers": {"gcr.io": "gcloud"}}).to_string(),
    );
    ends_with(&home.login(&[], &[]), 0);
}

#[test]
fn what_is_read_first_is_not_a_silent_obstacle() {
    let home = Home::new();
    let other = json!({"auths": {home.registry.host(): {"auth": "YTpi"}}}).to_string();
    home.write("run/containers/auth.json", &other);
    let podman = [("XDG_RUNTIME_DIR", "HOME/run")];
    let said = ends_with(&home.login(&[], &podman), 12);
    assert!(
        said.contains("run/containers/auth.json` has credentials of")
            && said.contains("rune-bundle logout"),
        "{said}"
    );
    let said = ends_with(&home.login(&[], &[("DOCKER_AUTH_CONFIG", &other)]), 12);
    assert!(
        said.contains("the variable DOCKER_AUTH_CONFIG has credentials of"),
        "{said}"
    );
    assert!(home.registry.requests().is_empty());
    // Logging out removes what would be read, wherever it is.
    let said = ends_with(&home.logout(&[], &podman), 0);
    assert!(said.contains("run/containers/auth.json"), "{said}");
    ends_with(&home.login(&[], &podman), 0);
    let said = ends_with(&home.logout(&[], &[("DOCKER_AUTH_CONFIG", &other)]), 12);
    assert!(
        said.contains("the variable DOCKER_AUTH_CONFIG has credentials of"),
        "{said}"
    );
}

#[test]
fn a_password_follows_no_redirect() {
    let home = Home::new();
    let elsewhere = Registry::start_with(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    home.registry.fault(
        Fault::on("GET", "/v2/")
            .times(9)
            .redirect(&format!("{}/v2/", elsewhere.url())),
    );
    let said = ends_with(&home.login(&[], &[]), 9);
    assert!(
        said.contains("a password is shown to the registry itself only"),
        "{said}"
    );
    assert!(elsewhere.requests().is_empty() && home.files().is_empty());
}

#[test]
fn a_token_server_is_asked_as_docker_asks_it() {
    let token = |password: &str| Auth::Token {
        user: "alice".to_owned(),
        password: password.to_owned(),
        anonymous_pull: true,
        realm: None,
    };
    let home = Home::at(Registry::start_with(token("wonderland")));
    ends_with(&home.login(&[], &[]), 0);
    let home = Home::at(Registry::start_with(token("another")));
    ends_with(&home.login(&[], &[]), 9);
    assert!(home.files().is_empty());
}

#[test]
fn a_registry_that_asks_nobody_is_said_to_have_proven_nothing() {
    let home = Home::at(Registry::start());
    let said = ends_with(&home.login(&[], &[]), 0);
    assert!(
        said.contains("so the password could not be verified"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_a_user_a_password_or_a_registry_is_refused_without_a_word_of_it() {
    let home = Home::new();
    for user in ["", "a:b", "a\nb"] {
        let said = ends_with(
            &with_input(
                &mut home.command("login", &["-u", user, "--password-stdin"], &[]),
                "wonderland",
            ),
            2,
        );
        assert!(said.contains("the name of a user"), "{said}");
    }
    for (password, code) in [("", 2), ("\n", 2), ("\u{feff}hunter2", 9)] {
        let output = with_input(
            &mut home.command("login", &["-u", "alice", "--password-stdin"], &[]),
            password,
        );
        let said = ends_with(&output, code);
        assert!(!said.contains("hunter2"), "{said}");
    }
    let mut command = home.command("login", &["-u", "alice", "--password-stdin"], &[]);
    let arguments = [
        "login",
        "alice:hunter2@registry.lan",
        "-u",
        "alice",
        "--password-stdin",
    ];
    let said = ends_with(
        &with_input(
            Command::new(command.get_program())
                .args(arguments)
                .env_clear(),
            "x",
        ),
        2,
    );
    assert!(
        said.contains("a registry is written without a user") && !said.contains("hunter2"),
        "{said}"
    );
    let said = ends_with(
        &with_input(
            command.env("DOCKER_CONFIG", home.path("nowhere")),
            "hunter2",
        ),
        9,
    );
    assert!(
        !said.contains("hunter2") && !home.path("nowhere").exists(),
        "{said}"
    );
    home.write(".docker/config.json", "{\"auths\": [\"hunter2\"");
    let said = ends_with(&home.login(&[], &[]), 3);
    assert!(
        said.contains("is not a docker config.json (line 1") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn logins_at_the_same_time_lose_nothing() {
    const USERS: usize = 6;
    let homes: Vec<Home> = (0..USERS).map(|_| Home::new()).collect();
    let file = homes[0].path("shared.json");
    thread::scope(|scope| {
        for home in &homes {
            scope.spawn(|| ends_with(&home.login(&["--authfile", file.to_str().unwrap()], &[]), 0));
        }
    });
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        written["auths"].as_object().unwrap().len(),
        USERS,
        "{written:#}"
    );
}
