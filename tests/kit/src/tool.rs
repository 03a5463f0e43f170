//! How the tests of `rune-db` run it.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The six migrations, as every database must have them on record, once each.
pub const ALL_VERSIONS: &str = "1 2 3 4 5 6";

/// A call of `rune-db` with nothing of the caller's environment.
pub struct RuneDb(Command);

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn rune_db(arguments: &[&str]) -> RuneDb {
    let mut command = Command::new(crate::programs::rune_db());
    command.args(arguments).env_clear().stdin(Stdio::null());
    RuneDb(command)
}

impl RuneDb {
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Names the database through the environment, where other users do not see it.
    #[must_use]
    pub fn on(self, url: &str) -> Self {
        self.env("RUNE_DB_URL", url)
    }

    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.0.current_dir(directory);
        self
    }

    pub fn command(mut self) -> Command {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.0
    }

    pub fn run(self) -> Ended {
        self.command().output().unwrap().into()
    }

    /// Runs it and takes the JSON report of a success.
    pub fn report(mut self) -> Value {
        self.0.arg("--json");
        let ended = self.run();
        assert_eq!(ended.code, 0, "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let ended = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let secrets = [
            crate::postgres::PASSWORD,
            crate::postgres::ENCODED_PASSWORD,
            "p@ss",
            "p%40ss",
        ];
        assert!(
            !secrets
                .iter()
                .any(|secret| ended.stdout.contains(secret) || ended.stderr.contains(secret)),
            "a password: {ended:?}"
        );
        ended
    }
}

impl Ended {
    /// Asserts that it failed with a code, and said some words.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {self:?}");
        }
    }

    /// Asserts that it succeeded, and gives what it said.
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// The URL of a SQLite file.
pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:///{}", path.display())
}

/// Runs SQL on a SQLite file: lines of columns divided by `|`.
pub fn sqlite_query(path: &Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cell = |index| match row.get(index).unwrap() {
            rusqlite::types::Value::Null => String::new(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Real(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Blob(bytes) => format!("{} bytes", bytes.len()),
        };
        lines.push((0..columns).map(cell).collect::<Vec<_>>().join("|"));
    }
    lines.join("\n")
}

/// Runs SQL statements on a SQLite file that is made if needed.
pub fn sqlite_execute(path: &Path, sql: &str) {
    rusqlite::Connection::open(path)
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

/// The versions on record, in order.
pub fn sqlite_versions(path: &Path) -> String {
    sqlite_query(path, "SELECT version FROM schema_version ORDER BY version").replace('\n', " ")
}

/// The names of what is in a directory, in order.
pub fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory with the built-in migrations and some more files.
pub fn migrations(more: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations")).unwrap()
    {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    for (name, text) in more {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}
