//! Examining a SQLite file and where it lies.

use camino::Utf8Path;
use rusqlite::Connection;

use super::{Check, schema};
use crate::commands::{overview::TableSummary, target::Target};
use rune_core::{
    command::CommandError,
    fsx::{self, FileSystem},
};
use rune_storage::{SqliteError, migrations::Migrations};

/// Less room than this is soon used up, whatever the size of the database.
const LITTLE_BYTES: u64 = 100 << 20;

pub(super) fn examine(path: &Utf8Path, target: &Target, migrations: &Migrations) -> Vec<Check> {
    let directory = fsx::parent(path);
    let mut checks = vec![
        Check::of("directory", writable(directory)),
        Check::of("file system", file_system(directory)),
        Check::of("space", space(path, directory)),
    ];
    let connection = match rune_storage::open_for_looking(path, rune_storage::LOCK_TIMEOUT) {
        Ok(connection) => connection,
        Err(error) => {
            checks.push(Check::error("file", &error.into()));
            return checks;
        }
    };
    checks.push(Check::ok(
        "file",
        format!("SQLite {} reads it", rusqlite::version()),
    ));
    checks.push(Check::of("integrity", integrity(&connection, path)));
    checks.push(Check::of("journal", journal(&connection, path)));
    drop(connection);
    checks.push(Check::of(
        "schema",
        TableSummary::at_file(path, rune_storage::LOCK_TIMEOUT)
            .map(|look| schema(target, look, migrations)),
    ));
    checks
}

fn writable(directory: &Utf8Path) -> Result<Check, CommandError> {
    fsx::check_writable(directory)?;
    Ok(Check::ok(
        "directory",
        "files can be made in it, as SQLite needs to",
    ))
}

fn file_system(directory: &Utf8Path) -> Result<Check, CommandError> {
    const NAME: &str = "file system";
    Ok(match fsx::file_system(directory)? {
        FileSystem::Local => Check::ok(NAME, "local"),
        FileSystem::Network(kind) => Check::warning(
            NAME,
            format!(
                "{kind}: locks and write-ahead logging of SQLite are not reliable over a network"
            ),
            "put the file on a local disk, or move to PostgreSQL",
        ),
        FileSystem::Memory => Check::warning(
            NAME,
            "in memory: the database is gone when the machine or the pod restarts",
            "put the file on a volume that stays",
        ),
        FileSystem::Overlay => Check::warning(
            NAME,
            "the layer of a container: the database is gone when the container is replaced",
            "put the file on a volume that stays",
        ),
    })
}

fn space(path: &Utf8Path, directory: &Utf8Path) -> Result<Check, CommandError> {
    let free = fsx::available_space(directory)?;
    let size = if fsx::exists(path) {
        fsx::file_size(path)?
    } else {
        0
    };
    let found = format!(
        "{} MiB free, the database has {} MiB",
        free >> 20,
        size >> 20
    );
    Ok(if free < LITTLE_BYTES.max(size) {
        Check::warning(
            "space",
            found,
            "make room; a backup or a vacuum needs as much again as the database has",
        )
    } else {
        Check::ok("space", found)
    })
}

fn integrity(connection: &Connection, path: &Utf8Path) -> Result<Check, CommandError> {
    let said: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(SqliteError::on(path))?;
    if said == "ok" {
        return Ok(Check::ok("integrity", "SQLite finds no damage"));
    }
    let damaged = rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some(said),
    );
    Err(SqliteError::on(path)(damaged).into())
}

fn journal(connection: &Connection, path: &Utf8Path) -> Result<Check, CommandError> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(SqliteError::on(path))?;
    Ok(if mode.eq_ignore_ascii_case("wal") {
        Check::ok("journal", "write-ahead log")
    } else {
        Check::warning(
            "journal",
            format!("`{mode}`: who writes keeps readers out"),
            "nothing need be done; RUNE and `rune-db migrate` switch to `wal` where the file \
             system can",
        )
    })
}
