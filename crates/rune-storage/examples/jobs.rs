//! Makes a database for RUNE, takes a job on and finishes it, as RUNE's service would.
//!
//! `cargo run --package rune-storage --example jobs -- NEW_FILE`

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use camino::Utf8PathBuf;
use rune_storage::{
    migrations::Migrations,
    open_for_writing,
    port::{JobChange, JobStatus, NewJob, SqliteStore, StoragePort as _},
    schema::{Events, MigrateSettings, Migrated, SiteGuard, Verb, on_sqlite},
};

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program: it talks, and reads the clock"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let path = Utf8PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("name a file that does not exist yet")?,
    );

    let connection = open_for_writing(&path, Duration::from_secs(5))?;
    let mut done = Migrated::default();
    on_sqlite::migrate(
        &connection,
        &path,
        &Migrations::embedded()?,
        &MigrateSettings::default(),
        &mut done,
    )?;
    println!("applied migrations {:?}", done.applied);

    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64())
    };
    let store = SqliteStore::open(
        &path,
        Box::new(clock),
        Arc::new(SiteGuard::new(Verb::Write {
            table: "jobs",
            statements: Events::UPSERT,
        })),
    )?;
    let request = NewJob {
        tenant_id: "team-a",
        kind: "benchmark",
        request_json: r#"{"model":"small"}"#,
        idempotency_key: Some("request-1"),
    };
    let job = store.create_job(&request)?;
    assert!(
        !store.create_job(&request)?.is_new,
        "the same request is the same job"
    );

    let finished = JobChange {
        status: Some(JobStatus::Succeeded),
        ..JobChange::default()
    };
    store.update_job(&job.job_id, &finished)?;
    let job = store
        .get_job(&job.job_id, Some("team-a"))?
        .ok_or("the job is gone")?;
    println!("job {} of {} is {}", job.job_id, job.tenant_id, job.status);
    Ok(())
}
