//! What help, man pages and messages say about verbs and options is true for every verb.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::CommandFactory as _;
use rune_bundle::cli::{GUIDE, RuneBundle};
use rune_core::cli::help::Guide;
use rune_db::cli::RuneDb;

use crate::bundle::{project::repository, small_bundle::ends_with};

fn tools() -> [(&'static str, clap::Command, Guide); 2] {
    [
        (
            env!("CARGO_BIN_EXE_rune-bundle"),
            RuneBundle::command(),
            GUIDE,
        ),
        (
            rune_testkit::programs::rune_db(),
            RuneDb::command(),
            rune_db::cli::GUIDE,
        ),
    ]
}

/// Verbs that have none of their own, with the words that lead to them.
fn leaves(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
    let inner: Vec<_> = command.get_subcommands().collect();
    if inner.is_empty() {
        return vec![(path.to_owned(), command.clone())];
    }
    inner
        .into_iter()
        .flat_map(|verb| leaves(verb, format!("{path} {}", verb.get_name()).trim_start()))
        .collect()
}

fn run(program: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn every_verb_is_in_exactly_one_group() {
    for (_, command, guide) in tools() {
        let mut grouped: Vec<&str> = guide
            .groups
            .iter()
            .flat_map(|group| group.verbs)
            .copied()
            .collect();
        let mut known: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        grouped.sort_unstable();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }
}

#[test]
fn every_verb_of_rune_bundle_has_two_to_four_examples_in_its_short_help() {
    for (verb, _) in leaves(&RuneBundle::command(), "") {
        let words: Vec<&str> = verb.split(' ').chain(["-h"]).collect();
        let help = String::from_utf8(run(tools()[0].0, &words).stdout).unwrap();
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let begin = format!("  rune-bundle {verb}");
        let count = examples.filter(|line| line.starts_with(&begin)).count();
        assert!((2..=4).contains(&count), "{verb}: {count} examples\n{help}");
        for example in GUIDE.examples_of(&verb) {
            assert!(example.len() <= 110, "{example}");
        }
    }
}

#[test]
fn what_other_tools_call_it_leads_to_the_verb_that_does_it() {
    for (program, command, guide) in tools() {
        for (other, ours) in guide.synonyms {
            assert!(
                command.find_subcommand(other).is_none(),
                "{other} is a verb"
            );
            let verb = ours.split(' ').next().unwrap();
            assert!(
                verb.starts_with("--") || verb == "helm" || command.find_subcommand(verb).is_some(),
                "{ours} is not a verb"
            );
            let said = ends_with(&run(program, &[other]), 2);
            assert_eq!(
                said.lines().next(),
                Some(format!("error: unknown verb `{other}`").as_str())
            );
            assert!(said.contains("\nhelp: ") && said.contains(ours), "{said}");
        }
    }
}

#[test]
fn what_other_tools_call_an_option_leads_to_the_one_that_does_it() {
    let bundle = tools()[0].0;
    for (arguments, help) in [
        (
            &["split", "--size", "3M"][..],
            "did you mean `--volume-size`?",
        ),
        (&["verify", "--format", "json"], "did you mean `--json`?"),
        (&["verify", "-o", "json"], "did you mean `--json`?"),
        (&["verify", "-k", "release.pub"], "did you mean `--key`?"),
        (&["push", "--insecure"], "did you mean `--plain-http`?"),
        (&["push", "-k"], "did you mean `--ca-file`?"),
        (&["push", "-u", "alice"], "did you mean `--username`?"),
        (
            &["login", "--password", "x"],
            "did you mean `--password-stdin`?",
        ),
        (
            &["push", "--password", "x"],
            "did you mean `--password-file`?",
        ),
        (
            &["unpack", "-C", "there"],
            "write `<DIRECTORY>` as the last argument, without an option",
        ),
        (
            &["help", "exit-codes"],
            "`rune-bundle --help` lists the verbs",
        ),
        (&["uninstall"], "run `helm uninstall`"),
    ] {
        let said = ends_with(&run(bundle, arguments), 2);
        assert!(said.ends_with(&format!("\nhelp: {help}\n")), "{said}");
    }
    // Each leads somewhere.
    for (_, command, guide) in tools() {
        let verbs = leaves(&command, "");
        for (other, ours) in guide.option_synonyms {
            let name = ours.strip_prefix("--");
            let is_known = verbs
                .iter()
                .flat_map(|(_, verb)| verb.get_arguments())
                .chain(command.get_arguments())
                .any(|known| match name {
                    Some(name) => known.get_long() == Some(name),
                    None => known
                        .get_value_names()
                        .is_some_and(|names| names == [*ours]),
                });
            assert!(is_known, "{other}: nobody has {ours}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_said_like_every_other_error() {
    let bundle = tools()[0].0;
    for (arguments, error, help) in [
        (
            &["verfy"][..],
            "unknown verb `verfy`",
            "did you mean `rune-bundle verify`?",
        ),
        (
            &["lock", "--chekc"],
            "unknown option `--chekc`",
            "did you mean `--check`?",
        ),
        (
            &["lock", "--check", "--dry-run"],
            "`--check` cannot be used with `--dry-run`",
            "for example: `rune-bundle lock`",
        ),
        (
            &["lock", "--color", "sometimes"],
            "invalid value `sometimes` for `--color <WHEN>`",
            "use one of `auto`, `always`, `never`",
        ),
        (
            &["verify"],
            "missing `<BUNDLE>`",
            "for example: `rune-bundle verify",
        ),
        (
            &["lock", "a", "b"],
            "unexpected argument `b`",
            "for example: `rune-bundle lock`",
        ),
        (
            &[
                "install",
                "rune.bundle.tar",
                "--plain-http",
                "10.0.0.1:5000",
            ],
            "unexpected argument `10.0.0.1:5000`",
            "the value of `--plain-http` is written with `=`: `--plain-http=10.0.0.1:5000`",
        ),
        (
            &["keygen", "--output", ""],
            "invalid value `` for `--output <PREFIX>`: an empty text is not a path",
            "for example",
        ),
        (
            &["zzz"],
            "unknown verb `zzz`",
            "`rune-bundle --help` lists the verbs",
        ),
    ] {
        let said = ends_with(&run(bundle, arguments), 2);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert_eq!(lines[0], format!("error: {error}"));
        assert!(lines[1].starts_with(&format!("help: {help}")), "{said}");
    }
    let said = run(bundle, &["verfy", "--color", "always"]);
    assert!(
        String::from_utf8(said.stderr)
            .unwrap()
            .starts_with("\u{1b}[1;31merror")
    );
}

#[test]
fn man_pages_have_examples_variables_exit_codes_and_neighbours() {
    let page = |verb: &[&str]| {
        let words = [&["man"], verb].concat();
        String::from_utf8(run(tools()[0].0, &words).stdout).unwrap()
    };
    let push = page(&["push"]);
    for part in [
        "\n.SH EXAMPLES\n.nf\nrune\\-bundle push ",
        "\n.SH ENVIRONMENT\n",
        "RUNE_BUNDLE_REGISTRY",
        "\n.SH \"EXIT STATUS\"\n",
        "\n.SH \"SEE ALSO\"\n\\fBrune\\-bundle\\fR(1), \\fBrune\\-bundle\\-load\\fR(1)",
    ] {
        assert!(push.contains(part), "{part}: {push}");
    }
    assert!(!push.contains("EXTRA"), "{push}");
    assert!(!page(&["status"]).contains("COSIGN_PASSWORD"));
    assert!(page(&["sign"]).contains("COSIGN_PASSWORD"));
    assert!(page(&[]).contains("COSIGN_PASSWORD") && page(&[]).contains("\\fBrune\\-db\\fR(1)"));
}

#[test]
fn all_man_pages_are_written_into_a_directory() {
    for (program, command, _) in tools() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("man1");
        let listed = run(program, &["man", "--out", directory.to_str().unwrap()]);
        ends_with(&listed, 0);
        let name = command.get_name().to_owned();
        let mut expected = BTreeSet::from([format!("{name}.1")]);
        for verb in command.get_subcommands() {
            expected.insert(format!("{name}-{}.1", verb.get_name()));
            let inner = verb.get_subcommands().map(clap::Command::get_name);
            expected.extend(inner.map(|inner| format!("{name}-{}-{inner}.1", verb.get_name())));
        }
        let written: BTreeSet<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(written, expected);
        let page = fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
        assert_eq!(page.as_bytes(), run(program, &["man"]).stdout);
    }
}

/// Which verbs can end with the errors of a file. A verb of verbs stands for all of them.
const REACHED: &[(&str, &[&str])] = &[
    (
        "src/receipt/",
        &["push", "install", "rollback", "scan", "receipts list"],
    ),
    ("src/scan/", &["scan"]),
    ("src/commands/bundle/scan.rs", &["scan"]),
    ("src/syft/", &["lock"]),
    (
        "src/net/tls.rs",
        &[
            "init", "lock", "build", "doctor", "push", "prune", "install", "login", "have", "apply",
        ],
    ),
    (
        "src/bundle/trust_error.rs",
        &[
            "verify",
            "inspect",
            "cat",
            "unpack",
            "push",
            "load",
            "serve",
            "mirror",
            "install",
            "diff",
            "report",
            "evidence",
            "scan",
            "split",
            "join",
            "delta",
            "apply",
            "doctor receive",
        ],
    ),
    (
        "src/bundle/materialise/",
        &["build", "delta", "apply", "join", "fetch"],
    ),
    ("src/bundle/stored.rs", &["fetch"]),
    ("src/bundle/delta/", &["apply"]),
    ("src/bundle/compose/", &["build"]),
    (
        "src/bundle/completeness/",
        &["init", "lock", "build", "doctor build"],
    ),
    ("src/load/", &["load"]),
    ("src/containerd/", &["load", "have", "apply"]),
    ("src/serve/", &["serve"]),
    ("src/mirror/", &["mirror"]),
    (
        "src/install/cluster.rs",
        &["install", "status", "rollback", "prune"],
    ),
    ("src/install/error.rs", &["install", "rollback"]),
    ("src/install/", &["install"]),
    ("src/scaffold/", &["init"]),
    ("src/prune/", &["prune"]),
    ("src/push/", &["push", "install"]),
    (
        "src/chart/helm.rs",
        &["init", "lock", "build", "install", "status", "rollback"],
    ),
    ("src/chart/provenance.rs", &["build"]),
    ("src/chart/versions.rs", &["render"]),
    ("src/report/", &["verify"]),
    (
        "src/registry/advice.rs",
        &[
            "push", "prune", "install", "init", "lock", "build", "login", "have", "apply",
        ],
    ),
    (
        "src/registry/",
        &[
            "init", "lock", "build", "doctor", "push", "prune", "install", "login", "logout",
            "have", "apply",
        ],
    ),
    ("src/manifest/", &["lock", "build"]),
    ("src/bundle/provenance.rs", &["push", "publish", "evidence"]),
    ("src/commands/bundle/evidence/", &["evidence"]),
    ("src/cli/passphrase.rs", &["login"]),
    ("src/cli/bundle/credentials.rs", &["login"]),
    (
        "src/commands/bundle/key_kind.rs",
        &[
            "verify",
            "inspect",
            "cat",
            "unpack",
            "push",
            "prune",
            "load",
            "serve",
            "mirror",
            "install",
            "diff",
            "report",
            "attach",
            "split",
            "join",
            "delta",
            "apply",
            "doctor receive",
        ],
    ),
    (
        "src/commands/bundle/trust_source.rs",
        &[
            "verify", "inspect", "cat", "unpack", "push", "load", "serve", "mirror", "install",
            "diff", "report", "split", "join", "delta", "apply",
        ],
    ),
    (
        "src/commands/bundle/receipt",
        &["push", "install", "rollback", "scan"],
    ),
    (
        "src/bundle/parts.rs",
        &[
            "verify", "inspect", "cat", "unpack", "push", "load", "serve", "mirror", "install",
            "diff", "report", "split", "join", "delta", "apply",
        ],
    ),
    ("src/bundle/volume/rewrite_error.rs", &["split", "join"]),
    (
        "src/bundle/volume/",
        &[
            "verify", "inspect", "cat", "unpack", "push", "load", "serve", "mirror", "install",
            "diff", "report", "sign", "attach", "split", "join", "delta",
        ],
    ),
    ("src/commands/bundle/build/", &["build"]),
    ("src/commands/bundle/verify.rs", &["verify"]),
    ("src/commands/bundle/doctor/build.rs", &["doctor build"]),
    ("src/commands/bundle/doctor/receive.rs", &["doctor receive"]),
    ("src/commands/bundle/install/", &["install"]),
    ("src/commands/bundle/login.rs", &["login", "logout"]),
];

/// Options that only verbs that write, or that have no host, may name, because the code asks for
/// them before; and options of other programs.
const ASKED_BEFORE: &[(&str, &str)] = &[
    // Only where a verb has a list of hosts.
    ("src/registry/advice.rs", "--allow-host"),
    // Only where names of repositories are made.
    ("src/registry/advice.rs", "--flatten"),
    // Only where it was given.
    ("src/registry/credential_store.rs", "--password-file"),
    // Of kubectl and of k3s.
    ("src/install/checks/references.rs", "--from-file"),
    ("src/mirror/k3s.rs", "--disable-default-registry-endpoint"),
];

/// Where options are listed and not named to people, or in examples, which are run.
const LISTS: [&str; 1] = ["src/cli/guide.rs"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
            && !path.parent().unwrap().ends_with("tests")
        {
            found.push(path);
        }
    }
}

/// Source in which each text that goes on in the next line is on one.
pub(crate) fn joined(source: &str) -> String {
    let broken = regex::Regex::new(r"\\\n\s*").unwrap();
    broken.replace_all(source, "").into_owned()
}

/// The texts of a file in which an option is named: errors, help, notes and reports. What is an
/// option and nothing else is an argument of a program.
fn texts(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let literal = regex::Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).unwrap();
    let argument = regex::Regex::new(r"^--[a-z-]+(=.*)?$").unwrap();
    literal
        .captures_iter(&code.join("\n"))
        .map(|text| joined(&text[1]))
        .filter(|text| text.contains("--") && !argument.is_match(text))
        .collect()
}

/// Verb and options of commands of this tool, and options that stand alone.
fn named_options(text: &str, tool: &str) -> Vec<(Option<String>, String)> {
    let option = regex::Regex::new(r"--[a-z][a-z-]*").unwrap();
    let mut named = Vec::new();
    for (number, part) in text.split('`').enumerate() {
        let is_code = number % 2 == 1;
        let words: Vec<&str> = part.split_whitespace().collect();
        let verb = match words.as_slice() {
            [first, verb, ..] if is_code && *first == tool => Some((*verb).to_owned()),
            [first, ..] if is_code && !first.starts_with('-') => continue,
            _ => None,
        };
        named.extend(
            option
                .find_iter(part)
                .map(|found| (verb.clone(), found.as_str().to_owned())),
        );
    }
    named
}

fn has_option(command: &clap::Command, verb: &str, option: &str) -> bool {
    let global = command.get_arguments().filter_map(clap::Arg::get_long);
    let found = leaves(command, "");
    let mut of_verb = found
        .iter()
        .filter(|(known, _)| known == verb || known.starts_with(&format!("{verb} ")))
        .peekable();
    assert!(of_verb.peek().is_some(), "{verb} is not a verb");
    let name = option.trim_start_matches("--");
    global.into_iter().any(|long| long == name)
        || of_verb.all(|(_, verb)| {
            verb.get_arguments()
                .filter_map(clap::Arg::get_long)
                .any(|long| long == name)
        })
}

#[test]
fn a_message_names_only_options_of_the_verbs_that_can_print_it() {
    let command = RuneBundle::command();
    let mut files = Vec::new();
    sources(&repository().join("src"), &mut files);
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let path = file
            .strip_prefix(repository())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if LISTS.contains(&path.as_str()) {
            continue;
        }
        let named = texts(&source);
        for (verb, option) in named
            .iter()
            .flat_map(|text| named_options(text, "rune-bundle"))
        {
            checked += 1;
            if ASKED_BEFORE.contains(&(path.as_str(), option.as_str())) {
                continue;
            }
            let own = path
                .strip_prefix("src/commands/bundle/")
                .and_then(|name| name.strip_suffix(".rs"))
                .filter(|name| command.find_subcommand(name).is_some());
            let verbs: Vec<&str> = match (&verb, own) {
                (Some(verb), _) => vec![verb],
                (None, Some(own)) => vec![own],
                (None, None) => REACHED
                    .iter()
                    .find(|(prefix, _)| path.starts_with(prefix))
                    .unwrap_or_else(|| panic!("{path} names {option}: which verbs reach it?"))
                    .1
                    .to_vec(),
            };
            for verb in verbs {
                if !has_option(&command, verb, &option) {
                    wrong.push(format!("{path}: `{verb}` has no {option}"));
                }
            }
        }
    }
    assert!(checked > 150, "only {checked} options were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_message_of_rune_db_names_only_options_of_its_verbs() {
    let command = RuneDb::command();
    let verbs = leaves(&command, "");
    let mut files = Vec::new();
    for part in ["crates/rune-db/src", "crates/rune-storage/src"] {
        sources(&repository().join(part), &mut files);
    }
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for file in files.iter().filter(|file| !file.ends_with("cli/guide.rs")) {
        let named = texts(&fs::read_to_string(file).unwrap());
        for (verb, option) in named.iter().flat_map(|text| named_options(text, "rune-db")) {
            checked += 1;
            let is_known = match &verb {
                Some(verb) => has_option(&command, verb, &option),
                None => verbs
                    .iter()
                    .any(|(verb, _)| has_option(&command, verb, &option)),
            };
            if !is_known {
                wrong.push(format!("{}: {verb:?} has no {option}", file.display()));
            }
        }
    }
    assert!(checked > 10, "only {checked} options were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
