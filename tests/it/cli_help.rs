//! Everything a person can type, as the programs explain it: the help of both tools and all verbs
//! as snapshots, completions, man pages.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use clap::CommandFactory as _;
use rune_bundle::cli::RuneBundle;
use rune_db::cli::RuneDb;

use crate::bundle::small_bundle::ends_with;

fn tools() -> [&'static str; 2] {
    [
        env!("CARGO_BIN_EXE_rune-bundle"),
        rune_testkit::programs::rune_db(),
    ]
}

/// A tool without any surroundings: no terminal width, no settings.
fn tool(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = tool(program, arguments).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

fn verbs(command: &clap::Command) -> Vec<String> {
    command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect()
}

/// The help of a tool and of each of its verbs.
fn whole_help(program: &str, command: &clap::Command) -> String {
    let mut text = printed(program, &["--help"]);
    for verb in command.get_subcommands() {
        let name = verb.get_name();
        text.push_str(&format!(
            "\n==== {name} ====\n{}",
            printed(program, &[name, "--help"])
        ));
        for inner in verbs(verb) {
            text.push_str(&format!(
                "\n==== {name} {inner} ====\n{}",
                printed(program, &[name, &inner, "--help"])
            ));
        }
    }
    // No line of it ends in spaces that an editor would take away.
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn the_help_of_rune_bundle_is_the_one_that_was_agreed_on() {
    insta::assert_snapshot!(
        "rune-bundle",
        whole_help(tools()[0], &RuneBundle::command())
    );
}

#[test]
fn the_help_of_rune_db_is_the_one_that_was_agreed_on() {
    insta::assert_snapshot!("rune-db", whole_help(tools()[1], &RuneDb::command()));
}

#[test]
fn a_tool_without_arguments_shows_its_help_and_fails() {
    for program in tools() {
        let output = tool(program, &[]).output().unwrap();
        assert!(ends_with(&output, 2).contains("Usage: ") && output.stdout.is_empty());
    }
}

#[test]
fn the_version_is_that_of_the_package_and_the_long_one_names_machine_and_formats() {
    let machine = format!(
        "\nfor {} on {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    for (program, name, formats) in [
        (
            tools()[0],
            "rune-bundle",
            "\nbundle format 1, lock format 5\n",
        ),
        (tools()[1], "rune-db", "\nschema version 6, SQLite 3."),
    ] {
        let short = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed(program, &["-V"]), short);
        let long = printed(program, &["--version"]);
        assert!(
            long.starts_with(&short) && long.contains(&machine) && long.contains(formats),
            "{long}"
        );
    }
}

#[test]
fn completions_name_every_verb_and_option() {
    for (program, command) in tools()
        .into_iter()
        .zip([RuneBundle::command(), RuneDb::command()])
    {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = printed(program, &["completions", shell]);
            for verb in command.get_subcommands() {
                assert!(
                    script.contains(verb.get_name()),
                    "{shell}: {}",
                    verb.get_name()
                );
                for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
                    assert!(
                        script.contains(option),
                        "{shell}: {} --{option}",
                        verb.get_name()
                    );
                }
            }
        }
    }
}

#[test]
fn bash_completes_verbs_and_the_options_of_each_verb() {
    for (program, command) in tools()
        .into_iter()
        .zip([RuneBundle::command(), RuneDb::command()])
    {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("completions");
        fs::write(&file, printed(program, &["completions", "bash"])).unwrap();
        ends_with(
            &Command::new("bash").arg("-n").arg(&file).output().unwrap(),
            0,
        );
        let name = command.get_name();
        let script = format!(
            r#"source "$0"
            complete_word() {{
                COMP_WORDS=({name} "$@") COMP_CWORD=$#
                $function {name} "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
                echo "${{COMPREPLY[@]}}"
            }}
            function=$(complete -p {name} | sed 's/.*-F \([^ ]*\).*/\1/')
            for verb; do complete_word "$verb"; complete_word "$verb" --quie; done"#
        );
        let verbs = verbs(&command);
        let output = Command::new("bash")
            .args(["--norc", "-c", &script])
            .arg(&file)
            .args(&verbs)
            .output()
            .unwrap();
        let beginning = |word: &String| {
            verbs
                .iter()
                .filter(|verb| verb.starts_with(word))
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let expected: String = verbs
            .iter()
            .map(|verb| format!("{}\n--quiet\n", beginning(verb)))
            .collect();
        assert_eq!(ends_with(&output, 0), expected, "{name}");
    }
}

#[test]
fn man_pages_begin_as_man_pages_do_and_name_what_there_is() {
    for (program, command) in tools()
        .into_iter()
        .zip([RuneBundle::command(), RuneDb::command()])
    {
        let (name, version) = (command.get_name(), env!("CARGO_PKG_VERSION"));
        let page = printed(program, &["man"]);
        assert!(
            page.contains(&format!("\n.TH {name} 1 "))
                && page.contains(&format!("\"{name} {version}\"")),
            "{page}"
        );
        for verb in command.get_subcommands() {
            let verb_name = verb.get_name();
            assert!(
                page.contains(&format!("{name}-{verb_name}(1)").replace('-', "\\-")),
                "{verb_name}: {page}"
            );
            let page = printed(program, &["man", verb_name]);
            assert!(
                page.contains(&format!("\n.TH {name}-{verb_name} 1 "))
                    && page.contains(&format!("\"{name} {version}\"")),
                "{page}"
            );
            for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(
                    page.contains(&format!("\\-\\-{}", option.replace('-', "\\-"))),
                    "{verb_name} --{option}"
                );
            }
            for inner in verb.get_subcommands().map(clap::Command::get_name) {
                let page = printed(program, &["man", verb_name, inner]);
                assert!(
                    page.contains(&format!("\n.TH {name}-{verb_name}-{inner} 1 ")),
                    "{verb_name} {inner}: {page}"
                );
            }
        }
    }
}

#[test]
fn a_page_of_an_unknown_verb_is_a_usage_error() {
    let output = tool(tools()[0], &["man", "biuld"]).output().unwrap();
    assert!(ends_with(&output, 2).contains("`biuld`"));
}

#[test]
fn whoever_stops_reading_makes_nothing_fail() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["completions", "bash"],
        &["man"],
        &["man", "migrate"],
        &["status", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let directory = tempfile::tempdir().unwrap();
        let mut command = tool(tools()[1], arguments);
        let url = format!("sqlite:///{}", directory.path().join("jobs.db").display());
        if arguments[0] == "status" {
            command.env("RUNE_DB_URL", &url);
            ends_with(
                &tool(tools()[1], &["migrate"])
                    .env("RUNE_DB_URL", &url)
                    .output()
                    .unwrap(),
                0,
            );
        }
        let output = command.stdout(writer).output().unwrap();
        assert_eq!(ends_with(&output, 0), "", "{arguments:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_said() {
    for arguments in [&["completions", "bash"][..], &["man"], &["inspect", "-"]] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let scratch = crate::bundle::small_bundle::Scratch::new();
        let bundle = fs::read(crate::bundle::small_bundle::signed(&scratch)).unwrap();
        let mut child = tool(tools()[0], arguments)
            .stdin(Stdio::piped())
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The tool reads as much as it needs.
        let _ = child.stdin.take().unwrap().write_all(&bundle);
        let said = ends_with(&child.wait_with_output().unwrap(), 11);
        assert!(
            said.starts_with("error: cannot write to standard output\n"),
            "{arguments:?}: {said}"
        );
    }
}
