//! The tables of the reference name every verb, every exit code and every variable, in the words of
//! the programs; the README stays short.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory as _;
use rune_bundle::cli::{GUIDE, RuneBundle};
use rune_core::failure::FailureKind;
use rune_db::cli::RuneDb;

use super::markdown::{code, document, rows};

fn verbs(command: &clap::Command) -> Vec<String> {
    command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect()
}

#[test]
fn the_page_about_commands_lists_every_verb() {
    let page = document("docs/reference/commands.md");
    let listed: Vec<String> = rows(page.section("# Commands"))
        .iter()
        .map(|row| code(&row[0]).unwrap().to_owned())
        .collect();
    let (bundle, database) = (verbs(&RuneBundle::command()), verbs(&RuneDb::command()));
    let is_sorted_alike = |one: &[String], other: &[String]| {
        let (mut one, mut other) = (one.to_vec(), other.to_vec());
        one.sort();
        other.sort();
        one == other
    };
    let (first, second) = listed.split_at(bundle.len());
    assert!(
        is_sorted_alike(first, &bundle),
        "{first:?} are not {bundle:?}"
    );
    assert!(
        is_sorted_alike(second, &database),
        "{second:?} are not {database:?}"
    );
}

#[test]
fn the_page_about_exit_codes_explains_every_one() {
    let page = document("docs/reference/exit-codes.md");
    let listed: Vec<String> = rows(page.section("# Exit codes"))
        .iter()
        .map(|row| row.join(" "))
        .collect();
    let of_databases: BTreeMap<_, _> = rune_db::cli::GUIDE.exit_meanings().collect();
    let known = GUIDE.exit_meanings().map(|(code, meaning)| {
        let of_databases = of_databases.get(&code).unwrap_or(&"—");
        format!("{code} {meaning} {of_databases}")
    });
    assert_eq!(listed, known.collect::<Vec<_>>());
    let kinds: Vec<_> = GUIDE.exit_codes.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, FailureKind::ALL);
}

#[test]
fn the_security_model_has_ten_rules() {
    let page = document("docs/explanation/security-model.md");
    let lines = page
        .section("# Security model")
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(lines.count(), 10);
}

/// The variables of the environment that options and site file name.
fn variables(command: &clap::Command, found: &mut BTreeSet<String>) {
    let is_variable = |word: &&str| word.starts_with("RUNE_") && *word != "RUNE_";
    for argument in command.get_arguments() {
        found.extend(
            argument
                .get_env()
                .map(|name| name.to_str().unwrap().to_owned()),
        );
        let help = argument
            .get_long_help()
            .or(argument.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        let words =
            help.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        found.extend(words.filter(is_variable).map(str::to_owned));
    }
    for verb in command.get_subcommands() {
        variables(verb, found);
    }
}

#[test]
fn the_page_about_the_environment_has_every_variable_of_the_help() {
    let page = document("docs/reference/environment.md");
    let listed: BTreeSet<String> = rows(&page.text)
        .iter()
        .flat_map(|row| {
            row[0]
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let mut known = BTreeSet::new();
    variables(&RuneBundle::command(), &mut known);
    variables(&RuneDb::command(), &mut known);
    assert!(known.len() > 8, "{known:?}");
    let missing: Vec<_> = known.difference(&listed).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readme_is_short_and_has_both_set_up_commands() {
    let readme = document("README.md");
    assert!(readme.text.lines().count() <= 120);
    for command in ["\n$ make demo ", "\n$ make test "] {
        assert!(readme.text.contains(command), "{command}");
    }
}
