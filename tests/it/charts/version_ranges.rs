//! Ranges of versions mean here what they mean in the library that Helm uses.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use rune_bundle::chart::{ChartVersion, VersionRange};

use super::support::tool;

/// What the library answered, written down.
const FACTS: &str = include_str!("version_ranges.txt");

/// Asks the library; `tools/setup` builds it.
const PROGRAM: &str = "version-ranges";

fn answer(range: &str, version: &str) -> &'static str {
    let Ok(version) = version.parse::<ChartVersion>() else {
        return "no version";
    };
    match range.parse::<VersionRange>() {
        Err(_) => "no range",
        Ok(range) if range.contains(&version) => "in",
        Ok(_) => "out",
    }
}

#[test]
fn the_written_facts_hold() {
    let mut compared = 0;
    for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
        let (range, versions) = line[1..].split_once('"').unwrap();
        if versions == " none" {
            assert_eq!(answer(range, "1.2.3"), "no range", "{range:?}");
            compared += 1;
            continue;
        }
        let mut expected = "in";
        for version in versions.split_whitespace() {
            if version == "!" {
                expected = "out";
            } else {
                assert_eq!(answer(range, version), expected, "{range:?} {version}");
                compared += 1;
            }
        }
    }
    assert!(compared > 450, "{compared}");
}

#[test]
fn ten_thousand_drawn_pairs_get_the_answers_of_the_library() {
    let mut runner = TestRunner::deterministic();
    let pairs: Vec<(String, String)> = (0..10_000)
        .map(|_| {
            (ranges(), versions())
                .new_tree(&mut runner)
                .unwrap()
                .current()
        })
        .collect();
    let lines: String = pairs
        .iter()
        .map(|pair| format!("{}\n", serde_json::to_string(pair).unwrap()))
        .collect();
    let mut child = Command::new(tool(PROGRAM))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers.len(), pairs.len());
    let mut counts = BTreeMap::new();
    for ((range, version), expected) in pairs.iter().zip(answers) {
        assert_eq!(answer(range, version), expected, "{range:?} {version:?}");
        *counts.entry(expected).or_insert(0) += 1;
    }
    for (kind, least) in [
        ("in", 1000),
        ("out", 1000),
        ("no range", 500),
        ("no version", 50),
    ] {
        assert!(
            counts.get(kind).is_some_and(|count| *count >= least),
            "{counts:?}"
        );
    }
}

#[test]
fn the_library_is_the_one_of_the_helm_that_is_tested() {
    for helm in ["helm3", "helm4"] {
        let output = Command::new(tool(PROGRAM))
            .arg(tool(helm))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let versions: Vec<&str> = text.lines().collect();
        assert!(
            matches!(versions[..], [ours, theirs] if ours == theirs),
            "{helm}: {text}"
        );
    }
}

fn ranges() -> impl Strategy<Value = String> {
    let alternative = prop::collection::vec(prop_oneof![9 => comparison(), 2 => hyphen()], 1..3)
        .prop_flat_map(|comparisons| {
            prop_oneof![4 => Just(" "), 3 => Just(", "), 2 => Just(",")]
                .prop_map(move |between| comparisons.join(between))
        });
    let between = prop_oneof![Just("||"), Just(" || ")];
    (prop::collection::vec(alternative, 1..3), between, mistake()).prop_map(
        |(alternatives, between, (extra, place))| {
            let mut text = alternatives.join(between);
            text.insert_str(place.index(text.len().max(1)).min(text.len()), extra);
            text
        },
    )
}

fn hyphen() -> impl Strategy<Value = String> {
    (
        bound(),
        prop_oneof![30 => Just(" - "), 1 => Just("-"), 1 => Just(" -")],
        bound(),
    )
        .prop_map(|(from, hyphen, to)| from + hyphen + &to)
}

fn comparison() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^",
    ]);
    let operator = prop_oneof![40 => known, 1 => prop::sample::select(vec!["==", "><"])];
    (
        operator,
        prop_oneof![3 => Just(""), 1 => Just(" ")],
        bound(),
    )
        .prop_map(|(operator, space, bound)| format!("{operator}{space}{bound}"))
}

fn part() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        60 => prop::sample::select(vec!["0", "1", "2", "3", "10"]),
        10 => prop::sample::select(vec!["x", "X", "*", "01"]),
        1 => Just("1x"),
    ]
}

fn suffix() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        60 => Just(""),
        30 => prop::sample::select(vec!["-0", "-1", "-10", "-rc.1", "-rc.2", "-alpha", "-a.b.c", "-rc-1", "-99999999999999999999", "-rc.1+b"]),
        1 => prop::sample::select(vec!["+b.1", "-01", "-", "+", "-rc..1"]),
    ]
}

fn bound() -> impl Strategy<Value = String> {
    let parts = parts(
        [1, 2, 2].into_iter().chain([3; 20]).chain([4]).collect(),
        part,
    );
    (prop_oneof![9 => Just(""), 1 => Just("v")], parts, suffix())
        .prop_map(|(v, parts, suffix)| format!("{v}{}{suffix}", parts.join(".")))
}

/// Close to the bounds, or nothing could be said of how they are compared.
fn versions() -> impl Strategy<Value = String> {
    let number = || prop_oneof![60 => prop::sample::select(vec!["0", "1", "2", "3", "10"]), 1 => prop::sample::select(vec!["01", "000", "x"])];
    let parts = parts(vec![1, 2, 3, 3, 3, 3, 3, 3], number);
    (prop_oneof![9 => Just(""), 1 => Just("v")], parts, suffix())
        .prop_map(|(v, parts, suffix)| format!("{v}{}{suffix}", parts.join(".")))
}

/// As many parts of a version as one of the counts says.
fn parts<S: Strategy<Value = &'static str> + 'static>(
    counts: Vec<usize>,
    part: fn() -> S,
) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(counts).prop_flat_map(move |count| prop::collection::vec(part(), count))
}

/// Sometimes something that does not belong there, and where it goes.
fn mistake() -> impl Strategy<Value = (&'static str, prop::sample::Index)> {
    (
        prop::sample::select(
            [""; 60]
                .into_iter()
                .chain(["|", ",", "é", "\t", "\u{b}", ">", "v"])
                .collect::<Vec<_>>(),
        ),
        any::<prop::sample::Index>(),
    )
}
