//! The move from SQLite to PostgreSQL against the server's own limit and against other ways, in one
//! run.
//!
//! The limit is `COPY … BINARY` of the same rows from files that are ready, into the same tables of
//! the same server. The other ways are row-by-row INSERTs (on a part of the rows) and pgloader.
//! What is reported are ratios within this run. Run it with `make bench`, on a machine that has
//! nothing else to do.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark talks, fails by panicking, and looks at the world directly"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use rune_testkit::postgres::{Database, Server, Setup};
use serde_json::Value;

const ROUNDS: usize = 3;
/// Jobs, and as many events.
const ROWS: u32 = 1_000_000;
/// Artifacts of one MiB each.
const ARTIFACTS: u32 = 2048;
/// How many of the jobs are inserted row by row.
const INSERTED: u32 = 20_000;
const TABLES: [&str; 6] = [
    "jobs",
    "idempotency_keys",
    "workflow_events",
    "chain_state",
    "audit_artifact",
    "settings",
];

/// Runs a command, passes its output on, and prints the peak of its memory in bytes on a line of
/// its own.
const PEAK: &str = "
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print()
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
";

/// Inserts jobs the way RUNE's own tool does: one statement and one answer for each row.
const INSERT: &str = "
import os, sqlite3, psycopg
source = sqlite3.connect(os.environ['SOURCE'])
with psycopg.connect(os.environ['TARGET']) as target:
    cursor = target.cursor()
    for row in source.execute('SELECT * FROM jobs LIMIT ' + os.environ['LIMIT']):
        cursor.execute('INSERT INTO jobs VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (job_id) DO NOTHING', row)
";

fn main() {
    // `cargo test --benches` passes this; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    Bench::prepare().run();
}

struct Bench {
    directory: PathBuf,
    server: Server,
}

impl Bench {
    /// Starts a server and makes the source.
    fn prepare() -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-database");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let server = Setup::new(17)
            .setting("shared_buffers=256MB")
            .setting("max_wal_size=4GB")
            .start();
        let bench = Self { directory, server };
        println!("making {ROWS} jobs, {ROWS} events and {ARTIFACTS} MiB of artifacts");
        bench.rune_db(&["migrate", "--db-url", &bench.source_url()]);
        let connection = rusqlite::Connection::open(bench.source()).unwrap();
        connection
            .execute_batch(&format!(
                "PRAGMA synchronous = OFF;
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                INSERT INTO jobs SELECT lower(hex(randomblob(16))), 'tenant', 'benchmark', 'succeeded',
                    '{{\"backend\": \"ollama\", \"model\": \"llama\", \"seed\": ' || i || '}}', '{{\"score\": ' || i || '}}', NULL, 'done', 1.7e9 + i / 7.0, 1.7e9 + i / 3.0 FROM n;
                INSERT INTO workflow_events (job_id, event, status, duration_ms, labels_json, recorded_at)
                SELECT job_id, 'step', 'ok', created_at / 3, '{{\"node\": \"a\"}}', created_at FROM jobs;
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ARTIFACTS})
                INSERT INTO audit_artifact SELECT 'artifact-' || i, 'job', 'log', 'name', 1048576, '', randomblob(1048576), i FROM n;
                PRAGMA wal_checkpoint(TRUNCATE);"
            ))
            .unwrap();
        bench
    }

    fn source(&self) -> PathBuf {
        self.directory.join("source.db")
    }

    fn source_url(&self) -> String {
        format!("sqlite:///{}", self.source().display())
    }

    fn rune_db(&self, arguments: &[&str]) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/rune-db");
        assert!(
            program.exists(),
            "dist/rune-db is missing; run `make release` first"
        );
        run(Command::new("python3")
            .args(["-c", PEAK])
            .arg(program)
            .args(arguments)
            .arg("--quiet")
            .env("TMPDIR", &self.directory))
    }

    fn run(&self) {
        let (mut copies, mut limits, mut memory, mut last) =
            (Vec::new(), Vec::new(), 0, Value::Null);
        for round in 0..ROUNDS {
            let database = self.server.database();
            let said = self.rune_db(&[
                "migrate-to-postgres",
                "--source",
                &self.source_url(),
                "--target",
                &database.url(),
                "--json",
            ]);
            let (report, peak) = said.trim_end().rsplit_once('\n').unwrap();
            memory = memory.max(peak.trim().parse::<u64>().unwrap());
            last = serde_json::from_str(report).unwrap();
            copies.push(last["move"]["seconds"]["copy"].as_f64().unwrap());
            if round == 0 {
                self.write_files(&database);
            }
            self.drop(&database);
            limits.push(self.copy_files());
        }
        let (copy, limit) = (median(copies), median(limits));
        println!(
            "\nmove, {ROWS} jobs, {ROWS} events, {ARTIFACTS} MiB of artifacts, median of {ROUNDS}"
        );
        println!("  COPY BINARY from files that are ready   {limit:>7.1} s");
        println!(
            "  rune-db, the copy alone                 {copy:>7.1} s   {:.2} times the rate of COPY (bar: at least 0.8)",
            limit / copy
        );
        for phase in ["check", "verification"] {
            println!(
                "  rune-db, {phase:<30} {:>7.1} s",
                last["move"]["seconds"][phase].as_f64().unwrap()
            );
        }
        println!(
            "  rune-db, peak memory                    {:>7.1} MB  (bar: at most 150)",
            memory as f64 / 1e6
        );
        self.compare_rows();
        self.pgloader(copy);
    }

    /// Writes what is in a database into files of the server's own format.
    fn write_files(&self, database: &Database<'_>) {
        for table in TABLES {
            let file = self.directory.join(table);
            database.query(&format!(
                "\\copy {table} TO '{}' (FORMAT BINARY)",
                file.display()
            ));
        }
    }

    /// Seconds that the server needs for the files.
    fn copy_files(&self) -> f64 {
        let database = self.server.database();
        self.rune_db(&["migrate", "--db-url", &database.url()]);
        let started = Instant::now();
        for table in TABLES {
            database.query(&format!(
                "\\copy {table} FROM '{}' (FORMAT BINARY)",
                self.directory.join(table).display()
            ));
        }
        let seconds = started.elapsed().as_secs_f64();
        self.drop(&database);
        seconds
    }

    /// The rate of single INSERTs of jobs, against a move of jobs alone.
    fn compare_rows(&self) {
        let rows = self.directory.join("rows.db");
        let _ = fs::remove_file(&rows);
        fs::copy(self.source(), &rows).unwrap();
        let connection = rusqlite::Connection::open(&rows).unwrap();
        let sql = "PRAGMA synchronous = OFF; DELETE FROM audit_artifact; DELETE FROM workflow_events; DROP TABLE rune_db_ledger; DROP TABLE schema_version; PRAGMA journal_mode = DELETE; VACUUM";
        connection.execute_batch(sql).unwrap();
        drop(connection);

        let database = self.server.database();
        let url = format!("sqlite:///{}", rows.display());
        let said = self.rune_db(&[
            "migrate-to-postgres",
            "--source",
            &url,
            "--target",
            &database.url(),
            "--json",
        ]);
        let report: Value =
            serde_json::from_str(said.trim_end().rsplit_once('\n').unwrap().0).unwrap();
        let seconds = report["move"]["seconds"]["copy"].as_f64().unwrap();
        let ours = f64::from(ROWS) / seconds;
        println!("\n{ROWS} jobs alone");
        let whole: f64 = ["check", "copy", "verification"]
            .iter()
            .map(|phase| report["move"]["seconds"][phase].as_f64().unwrap())
            .sum();
        println!("  rune-db, the copy alone                 {ours:>9.0} rows/s");
        println!(
            "  rune-db, checked and verified           {:>9.0} rows/s",
            f64::from(ROWS) / whole
        );
        self.drop(&database);

        let database = self.server.database();
        self.rune_db(&["migrate", "--db-url", &database.url()]);
        let started = Instant::now();
        let tools = std::env::var("RUNE_TOOLS").unwrap();
        let mut python = Command::new("python3");
        python
            .args(["-c", INSERT])
            .env("PYTHONPATH", format!("{tools}/python"))
            .env("SOURCE", &rows)
            .env("TARGET", database.url());
        run(python.env("LIMIT", INSERTED.to_string()));
        let inserts = f64::from(INSERTED) / started.elapsed().as_secs_f64();
        println!(
            "  single INSERTs, of {INSERTED} rows           {inserts:>9.0} rows/s   rune-db is {:.1} times as fast (bar: at least 15)",
            ours / inserts
        );
        self.drop(&database);
    }

    /// pgloader on all rows, against the copy of the same. Its batches are small, because its heap
    /// does not hold a thousand artifacts.
    fn pgloader(&self, copy: f64) {
        let database = self.server.database();
        self.rune_db(&["migrate", "--db-url", &database.url()]);
        // It would load the bookkeeping as well, which is there already.
        let connection = rusqlite::Connection::open(self.source()).unwrap();
        connection.execute_batch("DROP TABLE schema_version; DROP TABLE rune_db_ledger; PRAGMA journal_mode = DELETE").unwrap();
        drop(connection);
        let load = self.directory.join("pgloader.load");
        let script = format!(
            "LOAD DATABASE FROM sqlite://{} INTO postgresql://postgres@unix:{}:{}/{} WITH data only, include no drop, create no tables, create no indexes, reset no sequences, workers = 2, concurrency = 1, prefetch rows = 20, batch rows = 20;\n",
            self.source().display(),
            self.server.socket_directory().display(),
            self.server.port(),
            database.name()
        );
        fs::write(&load, script).unwrap();
        let started = Instant::now();
        run(Command::new("pgloader")
            .arg("--root-dir")
            .arg(self.directory.join("pgloader"))
            .arg(&load));
        let seconds = started.elapsed().as_secs_f64();
        let sql = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM workflow_events) + (SELECT count(*) FROM audit_artifact)";
        assert_eq!(database.query(sql), (2 * ROWS + ARTIFACTS).to_string());
        println!(
            "\npgloader, all rows                        {seconds:>7.1} s   rune-db is {:.1} times as fast (bar: at least 4)",
            seconds / copy
        );
        self.drop(&database);
    }

    fn drop(&self, database: &Database<'_>) {
        self.server
            .query("postgres", &format!("DROP DATABASE {}", database.name()));
        self.server.query("postgres", "CHECKPOINT");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
