//! One law, tried in hundreds of drawn situations: exit 0 means that an independent reader sees
//! exactly what was promised, any other exit means that nothing changed.
//!
//! The engine is the Python below `matrix/`: it draws a database, a trouble and a verb from a seed,
//! runs `rune-db`, and lets Python's sqlite3, psycopg and `pg_dump` read what is there afterwards.
//! Here are only the servers and the shards.
//!
//! | variable | |
//! |---|---|
//! | `RUNE_MATRIX_CASES` | how many cases the plan has |
//! | `RUNE_MATRIX_SEED` | another plan |
//! | `RUNE_MATRIX_CASE` | the one case that `one_case_can_be_repeated_by_its_line` runs |
//! | `RUNE_MATRIX_MAJOR` | the version of PostgreSQL for it |
//! | `RUNE_MATRIX_PROGRAM` | another `rune-db` than the one that was built |

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use rune_testkit::postgres::Server;
use serde_json::json;

const CASES: u64 = 600;
const SEED: u64 = 1;
/// How often every verb and every environment is at least tried.
const LEAST: u64 = 15;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn tools() -> PathBuf {
    std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    )
}

/// Runs the engine with what is the same for all; `more` says which cases.
fn run(server: Option<&Server>, more: &serde_json::Value) {
    let scratch = tempfile::Builder::new()
        .prefix("rune-matrix-")
        .tempdir()
        .unwrap();
    let program = std::env::var("RUNE_MATRIX_PROGRAM")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_rune-db").to_owned());
    let mut options = json!({
        "program": program, "scratch": scratch.path(), "seed": number("RUNE_MATRIX_SEED", SEED), "cases": number("RUNE_MATRIX_CASES", CASES),
        "socketDirectory": server.map(Server::socket_directory), "port": server.map(Server::port),
        "shard": 0, "shards": 1, "kind": "file", "least": LEAST,
    });
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/matrix/main.py");
    let mut python = Command::new("python3");
    python
        .arg(engine)
        .arg(options.to_string())
        .env("PYTHONPATH", tools().join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_plan_tries_every_verb_and_every_environment_often_enough() {
    run(None, &json!({ "countOnly": true }));
}

/// Shards of the plan, each small enough for a test's minute beside others.
const FILE_SHARDS: u64 = 4;
const SERVER_SHARDS: u64 = 12;
const KILL_SHARDS: u64 = 4;

fn on_files(shard: u64) {
    run(
        None,
        &json!({ "kind": "file", "shard": shard, "shards": FILE_SHARDS }),
    );
}

fn on_server(major: u32, shard: u64) {
    let server = Server::start(major);
    run(
        Some(&server),
        &json!({ "kind": "server", "shard": shard, "shards": SERVER_SHARDS }),
    );
}

fn with_kills(major: u32, shard: u64) {
    let server = Server::start(major);
    run(
        Some(&server),
        &json!({ "kind": "kill", "shard": shard, "shards": KILL_SHARDS }),
    );
}

#[test]
fn files_keep_the_law_1() {
    on_files(0);
}

#[test]
fn files_keep_the_law_2() {
    on_files(1);
}

#[test]
fn files_keep_the_law_3() {
    on_files(2);
}

#[test]
fn files_keep_the_law_4() {
    on_files(3);
}

#[test]
fn postgres_15_keeps_the_law_1() {
    on_server(15, 0);
}

#[test]
fn postgres_15_keeps_the_law_2() {
    on_server(15, 1);
}

#[test]
fn postgres_15_keeps_the_law_3() {
    on_server(15, 2);
}

#[test]
fn postgres_16_keeps_the_law_1() {
    on_server(16, 3);
}

#[test]
fn postgres_16_keeps_the_law_2() {
    on_server(16, 4);
}

#[test]
fn postgres_16_keeps_the_law_3() {
    on_server(16, 5);
}

#[test]
fn postgres_17_keeps_the_law_1() {
    on_server(17, 6);
}

#[test]
fn postgres_17_keeps_the_law_2() {
    on_server(17, 7);
}

#[test]
fn postgres_17_keeps_the_law_3() {
    on_server(17, 8);
}

#[test]
fn postgres_18_keeps_the_law_1() {
    on_server(18, 9);
}

#[test]
fn postgres_18_keeps_the_law_2() {
    on_server(18, 10);
}

#[test]
fn postgres_18_keeps_the_law_3() {
    on_server(18, 11);
}

#[test]
fn kills_on_postgres_15_keep_the_law() {
    with_kills(15, 0);
}

#[test]
fn kills_on_postgres_16_keep_the_law() {
    with_kills(16, 1);
}

#[test]
fn kills_on_postgres_17_keep_the_law() {
    with_kills(17, 2);
}

#[test]
fn kills_on_postgres_18_keep_the_law() {
    with_kills(18, 3);
}

/// The case that a failure prints, or any other: it is shown with what the program said.
#[test]
fn one_case_can_be_repeated_by_its_line() {
    let major = u32::try_from(number("RUNE_MATRIX_MAJOR", 17)).unwrap();
    let server = Server::start(major);
    let case =
        std::env::var("RUNE_MATRIX_CASE").unwrap_or_else(|_| "backup @ plain # 1".to_owned());
    run(Some(&server), &json!({ "case": case }));
}
