//! What holds for every verb: one JSON object or text on standard output, words on standard error,
//! exit codes, silence, colour.

use std::process::{Command, Output};

use serde_json::Value;

use crate::{bundle::project::Project, bundle::small_bundle::ends_with};

const RUNE_BUNDLE: &str = env!("CARGO_BIN_EXE_rune-bundle");
const RUNE_DB: &str = "rune-db";

/// Every verb with something that cannot succeed.
const FAILING: &[(&str, &[&str], i32)] = &[
    (
        RUNE_BUNDLE,
        &["keygen", "--out", "no/such/directory/key"],
        4,
    ),
    (RUNE_BUNDLE, &["lock", "no.yaml"], 4),
    (RUNE_BUNDLE, &["lock", "--update", "nothing"], 4),
    (RUNE_BUNDLE, &["render", "--lock"], 2),
    (RUNE_BUNDLE, &["policy", "no.yaml"], 4),
    (RUNE_BUNDLE, &["build", "no.yaml"], 4),
    (RUNE_BUNDLE, &["sign", "no.tar", "--key", "release.key"], 4),
    (
        RUNE_BUNDLE,
        &[
            "attach",
            "no.tar",
            "--signature",
            "no.sig",
            "--key",
            "release.pub",
        ],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["verify", "no.tar", "--key", "release.pub"],
        4,
    ),
    (RUNE_BUNDLE, &["inspect", "release.pub"], 3),
    (RUNE_BUNDLE, &["diff", "no.tar", "no.tar"], 4),
    (
        RUNE_BUNDLE,
        &["report", "no.tar", "--output", "page.html"],
        4,
    ),
    (RUNE_BUNDLE, &["unpack", "no.tar"], 7),
    (RUNE_BUNDLE, &["evidence", "no.tar"], 7),
    (
        RUNE_BUNDLE,
        &["split", "no.tar", "--volume-size", "fat32"],
        7,
    ),
    (RUNE_BUNDLE, &["join", "no.tar"], 7),
    (RUNE_BUNDLE, &["have", "no.tar"], 4),
    (
        RUNE_BUNDLE,
        &[
            "delta",
            "no.tar",
            "--base",
            "no.tar",
            "--key",
            "release.pub",
        ],
        4,
    ),
    (RUNE_BUNDLE, &["apply", "no.tar", "--key", "release.pub"], 4),
    (RUNE_BUNDLE, &["serve", "no.tar", "--key", "release.pub"], 4),
    (
        RUNE_BUNDLE,
        &["push", "no.tar", "127.0.0.1:1", "--key", "release.pub"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["publish", "no.tar", "127.0.0.1:1", "--key", "release.pub"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["fetch", "127.0.0.1:1/bundles/no:1", "--key", "no.pub"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["install", "no.tar", "--helm", "no", "--key", "release.pub"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &[
            "prune",
            "127.0.0.1:1",
            "--keep",
            "1",
            "--key",
            "release.pub",
            "--kubeconfig",
            "no",
        ],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["status", "--helm", "no", "--kubeconfig", "no"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &["rollback", "rune", "--helm", "no", "--kubeconfig", "no"],
        4,
    ),
    (RUNE_BUNDLE, &["support", "--kubeconfig", "no"], 4),
    (RUNE_BUNDLE, &["receipts", "list"], 4),
    (RUNE_BUNDLE, &["receipts", "show", "1"], 4),
    (RUNE_BUNDLE, &["fingerprint", "no.pub"], 4),
    (
        RUNE_BUNDLE,
        &["cat", "no.tar", "INSTALL.md", "--key", "release.pub"],
        4,
    ),
    (
        RUNE_BUNDLE,
        &[
            "login",
            "127.0.0.1:1",
            "--username",
            "alice",
            "--password-stdin",
        ],
        2,
    ),
    (RUNE_BUNDLE, &["logout", "127.0.0.1:1"], 4),
    (RUNE_DB, &["migrate", "--db-url", "mysql://x"], 2),
    (RUNE_DB, &["status", "--db-url", "sqlite:///./no.db"], 4),
    (RUNE_DB, &["status", "--migrations", "no"], 4),
    (RUNE_DB, &["repair", "--db-url", "sqlite:///./no.db"], 4),
    (RUNE_DB, &["verify", "--db-url", "sqlite:///./no.db"], 4),
    (
        RUNE_DB,
        &[
            "doctor",
            "--db-url",
            "sqlite:///./no.db",
            "--migrations",
            "no",
        ],
        4,
    ),
    (
        RUNE_DB,
        &["wait", "--timeout", "0s", "--db-url", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &["jobs", "list", "--db-url", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &["events", "summary", "--db-url", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &["audit", "verify", "--db-url", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &["settings", "get", "k", "--db-url", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &[
            "prune",
            "--older-than",
            "1d",
            "--db-url",
            "sqlite:///./no.db",
        ],
        4,
    ),
    (
        RUNE_DB,
        &[
            "migrate-to-postgres",
            "--source",
            "sqlite:///./no.db",
            "--target",
            "postgresql://u@127.0.0.1:1/d",
        ],
        4,
    ),
    (
        RUNE_DB,
        &["compare", "sqlite:///./no.db", "sqlite:///./no.db"],
        4,
    ),
    (
        RUNE_DB,
        &[
            "export-sqlite",
            "--source",
            "sqlite:///./no.db",
            "--output",
            "x.db",
        ],
        2,
    ),
    (
        RUNE_DB,
        &[
            "backup",
            "--db-url",
            "sqlite:///./no.db",
            "--output",
            "x.db",
        ],
        4,
    ),
    (
        RUNE_DB,
        &["restore", "--db-url", "sqlite:///./x.db", "--from", "no.db"],
        4,
    ),
];

/// What no verb understands.
const MISUSE: &[(&str, &[&str])] = &[
    (RUNE_BUNDLE, &["nonsense"]),
    (RUNE_BUNDLE, &["lock", "--chekc"]),
    (RUNE_BUNDLE, &["lock", "--check", "--dry-run"]),
    (RUNE_BUNDLE, &["lock", "--quiet", "--verbose"]),
    (RUNE_BUNDLE, &["lock", "--color", "sometimes"]),
    (RUNE_BUNDLE, &["lock", "--client-cert", "only.pem"]),
    (RUNE_BUNDLE, &["build", "--downloads", "0"]),
    (RUNE_BUNDLE, &["verify"]),
    (RUNE_BUNDLE, &["verify", "x", "--expect", "rune"]),
    (RUNE_BUNDLE, &["verify", "x", "--bundle-digest", "12"]),
    (RUNE_BUNDLE, &["serve", "x", "--tls-key", "only.pem"]),
    (RUNE_BUNDLE, &["diff", "x"]),
    (RUNE_BUNDLE, &["report"]),
    (
        RUNE_BUNDLE,
        &[
            "verify",
            "x",
            "--trust",
            "trust.yaml",
            "--key",
            "release.pub",
        ],
    ),
    (RUNE_BUNDLE, &["attach", "x", "--signature", "y"]),
    (RUNE_BUNDLE, &["verify", "x", "--threshold", "2"]),
    (RUNE_BUNDLE, &["login", "127.0.0.1:1"]),
    (
        RUNE_BUNDLE,
        &["push", "x", "127.0.0.1:1", "--username", "alice"],
    ),
    (RUNE_BUNDLE, &["completions", "tcsh"]),
    (RUNE_DB, &["migrate", "--db-url"]),
];

fn run(project: &Project, program: &str, arguments: &[&str], options: &[&str]) -> Output {
    let mut command = Command::new(if program == RUNE_DB {
        rune_testkit::programs::rune_db()
    } else {
        program
    });
    command
        .args(arguments)
        .args(options)
        .current_dir(project.path("."));
    command
        .env_clear()
        .env("HOME", project.path("home"))
        .env("RUNE_BUNDLE_RECEIPTS", project.path("receipts"))
        .output()
        .unwrap()
}

fn error_report(output: &Output, code: i32) -> Value {
    ends_with(output, code);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "rune-bundle/report/error/v1");
    assert_eq!(report["error"]["exitCode"], code);
    assert_eq!(report.as_object().unwrap().len(), 2);
    report
}

#[test]
fn with_json_a_failure_is_one_report_on_standard_output_and_words_on_standard_error() {
    let project = Project::new();
    project.lock();
    for (program, arguments, code) in FAILING.iter().copied() {
        let plain = run(&project, program, arguments, &[]);
        ends_with(&plain, code);
        assert!(plain.stdout.is_empty(), "{arguments:?}: {plain:?}");
        let output = run(&project, program, arguments, &["--json"]);
        let report = error_report(&output, code);
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(
            words.starts_with("error: ")
                && words.contains(report["error"]["message"].as_str().unwrap()),
            "{words}"
        );
        assert_eq!(words.as_bytes(), plain.stderr, "{arguments:?}");
    }
}

#[test]
fn misuse_ends_with_2_and_asks_for_nothing() {
    let project = Project::new();
    for (program, arguments) in MISUSE.iter().copied() {
        let output = run(&project, program, arguments, &[]);
        assert!(
            ends_with(&output, 2).starts_with("error: "),
            "{arguments:?}"
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let report = error_report(&run(&project, program, arguments, &["--json"]), 2);
        assert_eq!(report["error"]["kind"], "usage", "{arguments:?}");
        assert!(
            !report["error"]["message"]
                .as_str()
                .unwrap()
                .contains("error: "),
            "{report}"
        );
    }
    assert!(project.registry.requests().is_empty());
}

#[test]
fn an_option_behind_two_dashes_is_not_an_option() {
    let project = Project::new();
    let output = run(
        &project,
        RUNE_BUNDLE,
        &["lock", "a", "b", "--", "--json"],
        &[],
    );
    ends_with(&output, 2);
    assert!(output.stdout.is_empty());
}

#[test]
fn a_quiet_verb_that_succeeds_says_nothing_on_standard_error() {
    let project = Project::new();
    let steps: &[&[&str]] = &[
        &["keygen", "--out", "quiet"],
        &["lock", "--registry-config", "registries.yaml"],
        &["render", "--lock", "--out", "rendered"],
        &["policy"],
        &[
            "build",
            "--registry-config",
            "registries.yaml",
            "--key",
            "quiet.key",
            "--output",
            "x.tar",
        ],
        &["keygen", "--out", "second"],
        &["sign", "x.tar", "--key", "second.key"],
        &["verify", "x.tar", "--key", "quiet.pub"],
        &["inspect", "x.tar"],
        &["fingerprint", "quiet.pub"],
        &["cat", "x.tar", "INSTALL.md", "--key", "quiet.pub"],
        &["diff", "x.tar", "x.tar"],
        &["report", "x.tar", "--output", "x.html"],
        &["evidence", "x.tar", "--key", "quiet.pub"],
        &[
            "doctor",
            "build",
            "--registry-config",
            "registries.yaml",
            "--output",
            "y.tar",
        ],
        &["doctor", "receive", "x.tar"],
        &["unpack", "x.tar", "--key", "quiet.pub"],
        &["completions", "bash"],
        &["man"],
    ];
    for arguments in steps.iter().copied() {
        let output = project
            .command(arguments)
            .arg("--quiet")
            .env("COSIGN_PASSWORD", "quiet")
            .output()
            .unwrap();
        ends_with(&output, 0);
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
        assert!(
            !output.stdout.is_empty(),
            "{arguments:?}: the report is what was asked for"
        );
    }
    for arguments in [
        ["migrate", "--quiet"],
        ["status", "--quiet"],
        ["wait", "--quiet"],
        ["repair", "--quiet"],
        ["verify", "--quiet"],
        ["doctor", "--quiet"],
    ] {
        let output = run(
            &project,
            RUNE_DB,
            &arguments,
            &["--db-url", "sqlite:///./jobs.db"],
        );
        ends_with(&output, 0);
        assert!(
            output.stderr.is_empty() && !output.stdout.is_empty(),
            "{output:?}"
        );
    }
}

/// What a failure looks like on a terminal.
fn on_a_terminal(variables: &[(&str, &str)], options: &str) -> String {
    let line = format!("{RUNE_BUNDLE} verify no.tar {options}");
    let mut command = Command::new("timeout");
    command
        .args([
            "20",
            "script",
            "--quiet",
            "--return",
            "--command",
            &line,
            "/dev/null",
        ])
        .env_clear();
    let output = command
        .env("PATH", std::env::var("PATH").unwrap())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    ends_with(&output, 7)
}

#[test]
fn colour_is_for_terminals_unless_somebody_says_otherwise() {
    let project = Project::new();
    let is_colored = |text: &str| text.contains("\u{1b}[");
    let piped = |options: &[&str]| {
        ends_with(
            &run(&project, RUNE_BUNDLE, &["verify", "no.tar"], options),
            7,
        )
    };
    assert!(!is_colored(&piped(&[])) && !is_colored(&piped(&["--color", "never"])));
    assert!(is_colored(&piped(&["--color", "always"])));
    assert!(is_colored(&on_a_terminal(&[], "")));
    assert!(is_colored(&on_a_terminal(&[("NO_COLOR", "")], "")));
    assert!(!is_colored(&on_a_terminal(&[("NO_COLOR", "1")], "")));
    assert!(!is_colored(&on_a_terminal(&[], "--color never")));
    assert!(is_colored(&on_a_terminal(
        &[("NO_COLOR", "1")],
        "--color always"
    )));
}
