//! The tables of the README name every verb and every exit code, in the words of the programs.

use clap::CommandFactory as _;
use rune_bundle::cli::RuneBundle;
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
fn the_readme_lists_every_verb() {
    let readme = document("README.md");
    let listed: Vec<String> = rows(readme.section("## Commands"))
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
fn the_readme_explains_every_exit_code() {
    let readme = document("README.md");
    let listed: Vec<String> = rows(readme.section("## Exit codes"))
        .iter()
        .map(|row| row.join(" "))
        .collect();
    let known = FailureKind::ALL
        .iter()
        .map(|kind| format!("{} {}", kind.exit_code(), kind.meaning()));
    assert_eq!(
        listed,
        std::iter::once("0 done".to_owned())
            .chain(known)
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_readme_describes_the_security_model_in_ten_lines() {
    let readme = document("README.md");
    let lines = readme
        .section("## Security model")
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(lines.count(), 10);
}
