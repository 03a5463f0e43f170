//! What the tests of moves share: a source with one row of every kind, and a second program that
//! knows the digests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::postgres::Database;
use serde_json::Value;
use tempfile::TempDir;

use crate::tool::{Ended, rune_db, sqlite_execute, sqlite_url};

/// Text that stands in rows and must not stand in any output.
pub const PAYLOAD: &str = "TOP-SECRET-PAYLOAD";

/// Rows of every table, with what a conversion could break.
const ROWS: &str = "
    INSERT INTO jobs VALUES ('job-1', 't', 'benchmark', 'succeeded', '{\"p\": \"TOP-SECRET-PAYLOAD\", \"x\": NaN}', '', NULL, 'é ∑ 𝄞',
        1775000000.1234567, 1.7976931348623157e308);
    INSERT INTO jobs VALUES ('', '', '', '', '', NULL, 'a\tb\\n', NULL, 5e-324, -0.5);
    INSERT INTO idempotency_keys VALUES ('t', 'benchmark', '', 'job-1', 0.1), ('t', 'benchmark', 'k', 'job-1', 0.2);
    INSERT INTO workflow_events VALUES (7, 'job-1', 'start', 'ok', 12.25, NULL, NULL, 9e999), (9000000000, NULL, 'end', 'error', NULL, 'E', '{}', -9e999);
    INSERT INTO workflow_events VALUES (9000000005, NULL, 'gone', 'ok', NULL, NULL, NULL, 0);
    DELETE FROM workflow_events WHERE id = 9000000005;
    INSERT INTO chain_state VALUES ('job-1', '{\"nodes\": []}', 'success', 3.5);
    INSERT INTO audit_artifact VALUES ('a-1', 'job-1', 'sbom', 'n', 3, 'x', x'00ff10', 1.0), ('a-2', 'job-1', 'log', '', 0, '', x'', 2.0),
        ('a-3', 'job-1', 'log', 'large', 300000, '', zeroblob(300000), 3.0);
    INSERT INTO settings VALUES ('rune_config', '{\"TOP-SECRET-PAYLOAD\": 1}', 1.0);
";

/// A SQLite file in a directory of its own.
pub struct Source {
    directory: TempDir,
}

impl Source {
    /// A file with the current schema and no rows.
    pub fn empty() -> Self {
        let source = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        rune_db(&["migrate"]).on(&source.url()).run().succeeds();
        source
    }

    /// One with rows of every table.
    pub fn with_rows() -> Self {
        let source = Self::empty();
        source.execute(ROWS);
        source
    }

    /// One with so many jobs and events.
    pub fn large(rows: u32) -> Self {
        let source = Self::empty();
        source.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            INSERT INTO jobs SELECT 'job-' || i, 't', 'benchmark', 'succeeded', '{{\"i\": ' || i || '}}', NULL, NULL, NULL, 1.7e9 + i / 7.0, 0.1 FROM n;
            INSERT INTO workflow_events (job_id, event, status, duration_ms, recorded_at)
            SELECT job_id, 'step', 'ok', created_at / 3, created_at FROM jobs;"
        ));
        source
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("jobs.db")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> String {
        sqlite_url(&self.path())
    }

    pub fn execute(&self, sql: &str) {
        sqlite_execute(&self.path(), sql);
    }
}

/// A call of the move, with the URL of the target where other users do not see it.
pub fn moving(source: &str, target: &str, options: &[&str]) -> crate::tool::RuneDb {
    let mut arguments = vec![
        "migrate-to-postgres",
        "--source",
        source,
        "--target",
        "env:TARGET",
    ];
    arguments.extend(options);
    rune_db(&arguments).env("TARGET", target)
}

/// Runs the move, and looks that it says nothing that it should not.
pub fn moved(source: &str, target: &str, options: &[&str]) -> Ended {
    let ended = moving(source, target, options).run();
    assert!(
        !ended.stdout.contains(PAYLOAD) && !ended.stderr.contains(PAYLOAD),
        "a payload: {ended:?}"
    );
    ended
}

pub fn compared(left: &str, right: &str, options: &[&str]) -> Ended {
    let mut arguments = vec!["compare", "env:LEFT", "env:RIGHT"];
    arguments.extend(options);
    let ended = rune_db(&arguments)
        .env("LEFT", left)
        .env("RIGHT", right)
        .run();
    assert!(
        !ended.stdout.contains(PAYLOAD) && !ended.stderr.contains(PAYLOAD),
        "a payload: {ended:?}"
    );
    ended
}

/// Asks a file with `sqlite3`, a program that nobody here wrote, of another version than our
/// library.
pub fn sqlite3(path: &Path, sql: &str) -> String {
    crate::process::succeeded(
        Command::new("sqlite3")
            .args(["-batch", "-readonly"])
            .arg(path)
            .arg(sql),
    )
    .trim_end()
    .to_owned()
}

/// Everything that a refused or broken-off move could have changed in a target.
pub fn traces(database: &Database<'_>) -> String {
    let objects = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    let mut traces = database.query(objects);
    if traces.contains("workflow_events_id_seq") {
        traces
            .push_str(&database.query("SELECT last_value, is_called FROM workflow_events_id_seq"));
        for table in [
            "jobs",
            "idempotency_keys",
            "workflow_events",
            "chain_state",
            "audit_artifact",
            "settings",
        ] {
            traces.push_str(&database.query(&format!("SELECT '{table}', count(*) FROM {table}")));
        }
    }
    traces
}

/// The definition of the digests, written down a second time: a program that shares nothing with
/// ours.
const DIGESTS: &str = r#"
import hashlib, json, os, sqlite3, struct, sys
TABLES = {
    "jobs": "job_id tenant_id kind status request_json result_json error message created_at updated_at",
    "idempotency_keys": "tenant_id operation idempotency_key job_id created_at",
    "workflow_events": "id job_id event status duration_ms error_type labels_json recorded_at",
    "chain_state": "job_id state_json overall_status updated_at",
    "audit_artifact": "artifact_id job_id kind name size_bytes sha256 content created_at",
    "settings": "key value_json updated_at",
}

def field(column, value):
    if value is None:
        return b"\x00"
    if column == "content":
        data = hashlib.sha256(bytes(value)).digest()
    elif isinstance(value, str):
        data = value.encode("utf-8")
    elif isinstance(value, int):
        data = struct.pack(">q", value)
    else:
        data = struct.pack(">d", value)
    return b"\x01" + struct.pack(">q", len(data)) + data

def digest(connection, table, columns):
    rows, total = 0, 0
    cursor = connection.cursor()
    cursor.execute(f"SELECT {', '.join(columns)} FROM {table}")
    for row in cursor:
        data = b"".join(field(column, value) for column, value in zip(columns, row))
        total += int.from_bytes(hashlib.sha256(data).digest(), "big")
        rows += 1
    return {"rows": rows, "digest": f"{total % 2**256:064x}"}

url = os.environ["URL"]
if url.startswith("sqlite"):
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
else:
    import psycopg
    connection = psycopg.connect(url)
print(json.dumps({table: digest(connection, table, columns.split()) for table, columns in TABLES.items()}))
"#;

/// What the second program computes.
pub fn python_digests(url: &str) -> Value {
    serde_json::from_str(&python(DIGESTS, url)).unwrap()
}

/// Runs a Python program that has psycopg and the URL of a database.
pub fn python(program: &str, url: &str) -> String {
    let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    );
    let mut command = Command::new("python3");
    command
        .args(["-c", program])
        .env("PYTHONPATH", tools.join("python"))
        .env("URL", url);
    crate::process::succeeded(&mut command)
}
