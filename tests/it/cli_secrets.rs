//! Help shows names of variables, never values; and what is secret is shown nowhere.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use clap::CommandFactory as _;
use rune_bundle::cli::RuneBundle;
use rune_db::cli::RuneDb;
use rune_testkit::registry::{Auth, Registry};

use crate::{bundle::small_bundle::ends_with, registry::push_support::Shipped};

fn tools() -> [&'static str; 2] {
    [
        env!("CARGO_BIN_EXE_rune-bundle"),
        rune_testkit::programs::rune_db(),
    ]
}
const MARKER: &str = "hunter2-marker";

/// Every variable that the command line reads, as its source names them.
fn variables() -> BTreeSet<String> {
    let sources = [
        "src/cli",
        "crates/rune-core/src/cli",
        "crates/rune-db/src/cli",
    ]
    .map(|part| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        let files =
            rune_core::fsx::list_files(camino::Utf8Path::from_path(&root).unwrap()).unwrap();
        files
            .iter()
            .map(|file| fs::read_to_string(root.join(file)).unwrap())
            .collect::<String>()
    });
    let source = sources.concat();
    let is_variable = |word: &&str| {
        word.len() > 3
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let found = source.split('"').filter(is_variable).map(str::to_owned);
    let others = [
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "RUNE_DB_URL",
        "RUNE_DATABASE_URL",
        "RUNE_API_DB_PATH",
    ];
    found.chain(others.map(str::to_owned)).collect()
}

fn with_markers(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .envs(variables().into_iter().map(|name| (name, MARKER)))
}

/// The arguments of every verb and of the verbs in it.
fn verbs(command: &clap::Command) -> Vec<Vec<String>> {
    let inner = |verb: &clap::Command| {
        verb.get_subcommands()
            .map(|inner| vec![verb.get_name().to_owned(), inner.get_name().to_owned()])
            .collect::<Vec<_>>()
    };
    command
        .get_subcommands()
        .flat_map(|verb| [vec![vec![verb.get_name().to_owned()]], inner(verb)].concat())
        .collect()
}

#[test]
fn help_man_pages_and_completions_show_names_of_variables_and_never_values() {
    let known = variables();
    for name in [
        "RUNE_BUNDLE_TRUST",
        "RUNE_BUNDLE_SITE",
        "RUNE_BUNDLE_HELM",
        "RUNE_DB_URL",
        "DOCKER_AUTH_CONFIG",
        "COSIGN_PASSWORD",
    ] {
        assert!(known.contains(name), "{name} in {known:?}");
    }
    for (program, command) in tools()
        .iter()
        .zip([RuneBundle::command(), RuneDb::command()])
    {
        let mut all = vec![
            vec!["--help".to_owned()],
            vec!["-h".to_owned()],
            vec!["man".to_owned()],
            vec!["--version".to_owned()],
        ];
        all.extend(
            ["bash", "zsh", "fish"].map(|shell| vec!["completions".to_owned(), shell.to_owned()]),
        );
        for verb in verbs(&command) {
            all.extend(["--help", "-h"].map(|option| [&verb[..], &[option.to_owned()]].concat()));
            all.push([&["man".to_owned()][..], &verb].concat());
        }
        for arguments in all {
            let output = with_markers(Command::new(program).args(&arguments))
                .output()
                .unwrap();
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!said.contains(MARKER), "{arguments:?}: {said}");
        }
    }
    let help = |verb: &str| {
        String::from_utf8(
            Command::new(tools()[0])
                .args([verb, "--help"])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    };
    let (install, push) = (help("install"), help("push"));
    for name in [
        "TRUST",
        "REGISTRY",
        "CA_FILE",
        "AUTHFILE",
        "NAMESPACE",
        "SITE",
        "RECEIPTS",
    ] {
        assert!(
            install.contains(&format!("RUNE_BUNDLE_{name}")),
            "{name} in {install}"
        );
        assert!(
            name == "NAMESPACE" || push.contains(&format!("RUNE_BUNDLE_{name}")),
            "{name} in {push}"
        );
    }
}

/// A project with a bundle, a registry with a password, and secrets wherever a verb may get one.
struct Secrets {
    shipped: Shipped,
    registry: Registry,
}

impl Secrets {
    fn new() -> Self {
        let secrets = Self {
            shipped: Shipped::twins(),
            registry: Registry::start_with(Auth::Basic("alice".to_owned(), MARKER.to_owned())),
        };
        fs::write(secrets.shipped.project.path("password"), MARKER).unwrap();
        fs::write(
            secrets.shipped.project.path("wrong"),
            format!("not-{MARKER}"),
        )
        .unwrap();
        secrets
    }

    /// Runs a verb with every secret in its surroundings, and checks what can be seen afterwards.
    fn run(&self, arguments: &[&str], code: i32) -> String {
        for options in [&["-vv"][..], &["--json", "-vv"]] {
            let mut command = self.shipped.project.command(arguments);
            let auths = serde_json::json!({"auths": {self.registry.host(): {"username": "alice", "password": MARKER}, "q": {"identitytoken": MARKER}}});
            let proxy = format!("http://alice:{MARKER}@127.0.0.1:1");
            command
                .args(options)
                .env("DOCKER_AUTH_CONFIG", auths.to_string())
                .env("COSIGN_PASSWORD", MARKER);
            command.envs(
                ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"]
                    .map(|name| (name, &proxy)),
            );
            command.env(
                "RUNE_DB_URL",
                format!("postgresql://rune:{MARKER}@127.0.0.1:1/rune"),
            );
            self.is_hidden(&command.output().unwrap(), arguments, code);
        }
        let output = self.shipped.project.command(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn is_hidden(&self, output: &Output, arguments: &[&str], code: i32) {
        let said = ends_with(output, code);
        let encoded = [
            MARKER.to_owned(),
            Base64::encode_string(format!("alice:{MARKER}").as_bytes()),
            Base64::encode_string(MARKER.as_bytes()),
        ];
        for secret in &encoded {
            assert!(
                !said.contains(secret.trim_end_matches('=')),
                "{arguments:?}: {said}"
            );
        }
        // Whatever was written for others to read.
        let root = self.shipped.project.path("");
        for file in rune_core::fsx::list_files(camino::Utf8Path::from_path(&root).unwrap()).unwrap()
        {
            if file.as_str().starts_with("rune-bundle-receipts") || file.extension() == Some("html")
            {
                let text =
                    String::from_utf8_lossy(&fs::read(root.join(&file)).unwrap()).into_owned();
                assert!(
                    encoded.iter().all(|secret| !text.contains(secret)),
                    "{file} after {arguments:?}"
                );
            }
        }
    }
}

#[test]
fn no_secret_is_in_errors_verbose_output_reports_receipts_or_pages() {
    let secrets = Secrets::new();
    let host = secrets.registry.host();
    let push = ["push", "x.tar", host.as_str(), "--key", "release.pub"];
    secrets.run(&push, 0);
    secrets.run(
        &[
            &push[..],
            &["--username", "alice", "--password-file", "password"],
        ]
        .concat(),
        0,
    );
    secrets.run(
        &[
            &push[..],
            &["--username", "alice", "--password-file", "wrong"],
        ]
        .concat(),
        9,
    );
    let credentials = format!("alice:{MARKER}@{host}");
    for arguments in [
        &["push", "x.tar", &credentials, "--key", "release.pub"][..],
        &[
            "mirror",
            "k3s",
            "x.tar",
            &credentials,
            "--key",
            "release.pub",
        ],
    ] {
        secrets.run(arguments, 2);
    }
    secrets.run(
        &[
            "doctor",
            "receive",
            "x.tar",
            "--key",
            "release.pub",
            "--registry",
            &host,
        ],
        0,
    );
    secrets.run(&["receipts", "list"], 0);
    secrets.run(&["receipts", "show", "1"], 0);
    secrets.run(&["verify", "x.tar", "--key", "release.pub"], 0);
    secrets.run(&["inspect", "x.tar"], 0);
    secrets.run(
        &[
            "install",
            "x.tar",
            "--key",
            "release.pub",
            "--registry",
            &host,
            "--kubeconfig",
            "nowhere",
        ],
        4,
    );
    secrets.run(&["lock", "--registry-config", "registries.yaml"], 0);
    // Once, because it writes a file.
    let mut report = secrets
        .shipped
        .project
        .command(&["report", "x.tar", "--output", "x.html", "-vv"]);
    secrets.is_hidden(
        &report.env("COSIGN_PASSWORD", MARKER).output().unwrap(),
        &["report"],
        0,
    );
    let mut login = secrets.shipped.project.command(&[
        "login",
        &host,
        "-u",
        "alice",
        "--password-stdin",
        "-vv",
    ]);
    let output = crate::registry::login::with_input(&mut login, MARKER);
    secrets.is_hidden(&output, &["login"], 0);
    secrets.run(&["logout", &host], 12);
    let status = Command::new(tools()[1])
        .args(["status", "-vv"])
        .env(
            "RUNE_DB_URL",
            format!("postgresql://rune:{MARKER}@127.0.0.1:1/rune"),
        )
        .output()
        .unwrap();
    assert!(!format!("{status:?}").contains(MARKER), "{status:?}");
}
