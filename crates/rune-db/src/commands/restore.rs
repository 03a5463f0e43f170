//! `rune-db restore`: fills an empty database, of either engine, from a backup.

use std::{fmt::Write as _, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    DatabaseOptions,
    export_sqlite::table_lines,
    migrate_to_postgres::move_file,
    target::{Place, Target},
};
use crate::transfer::{
    CarriedTable, FileSnapshot, MoveSettings, SourceTrust, into_empty_file, into_new_file,
};
use rune_core::{
    command::{CommandError, Report},
    fsx::{self, FileMode},
    progress::Progress,
};
use rune_storage::{migrations::Migrations, schema::MigrateSettings};

/// After how many rows at the latest what is there goes to a server.
const BATCH_ROWS: u64 = 1000;

#[derive(Debug)]
pub(crate) struct RestoreOptions {
    pub(crate) database: DatabaseOptions,
    pub(crate) from: Utf8PathBuf,
    pub(crate) owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RestoreReport {
    pub(crate) from: Utf8PathBuf,
    pub(crate) target: String,
    pub(crate) tables: Vec<CarriedTable>,
    pub(crate) file: Option<FileOwner>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FileOwner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: String,
    /// The owner of the directory, when that is another user or group: often the one that RUNE runs
    /// as.
    pub(crate) directory: Option<DirectoryOwner>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct DirectoryOwner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

pub(crate) fn run(
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<RestoreReport, CommandError> {
    let target = options.database.resolve()?;
    let tables = fill(&target, options, progress).map_err(|error| target.explain(error))?;
    let file = match &target.place {
        Place::File(path) => Some(FileOwner::of(path)?),
        Place::Server(_) => None,
    };
    Ok(RestoreReport {
        from: options.from.clone(),
        target: target.location,
        tables,
        file,
    })
}

impl FileOwner {
    fn of(path: &Utf8Path) -> Result<Self, CommandError> {
        let (file, directory) = (fsx::identity(path)?, fsx::identity(fsx::parent(path))?);
        let directory = DirectoryOwner {
            uid: directory.uid,
            gid: directory.gid,
        };
        let (uid, gid, mode) = (file.uid, file.gid, format!("{:04o}", file.mode));
        Ok(Self {
            uid,
            gid,
            mode,
            directory: Some(directory)
                .filter(|directory| (directory.uid, directory.gid) != (uid, gid)),
        })
    }

    fn lines(&self, path: &str) -> String {
        let Self {
            uid,
            gid,
            mode,
            directory,
        } = self;
        let mut text = format!(
            "owner uid {uid}, gid {gid}, mode {mode}; RUNE must be able to write the file and its \
             directory\n"
        );
        if let Some(DirectoryOwner { uid, gid }) = directory {
            let _ = writeln!(
                text,
                "warning: its directory belongs to uid {uid}, gid {gid}; if RUNE runs as that \
                 user, run `chown {uid}:{gid} {path}`"
            );
        }
        text
    }
}

fn fill(
    target: &Target,
    options: &RestoreOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<CarriedTable>, CommandError> {
    let path = match &target.place {
        Place::File(_) if options.owner.is_some() => return Err(super::OwnerError.into()),
        Place::File(path) => path,
        Place::Server(url) => {
            let migrate = MigrateSettings {
                owner: options.owner.clone(),
                is_strict: false,
            };
            let settings = MoveSettings {
                migrate,
                batch_rows: BATCH_ROWS,
                allow_live_source: false,
            };
            let moved = move_file(
                &options.from,
                SourceTrust::Shared,
                url,
                false,
                &settings,
                progress,
            )?;
            let table = |table: crate::transfer::MovedTable| CarriedTable {
                table: table.table,
                rows: table.source_rows,
                digest: table.digest.unwrap_or_default(),
            };
            return Ok(moved.tables.into_iter().map(table).collect());
        }
    };
    let (source, migrations) = (
        FileSnapshot::open(&options.from, SourceTrust::Shared)?,
        Migrations::embedded()?,
    );
    if fsx::is_taken(path) {
        Ok(into_empty_file(
            &source,
            path,
            &migrations,
            progress.as_ref(),
        )?)
    } else {
        fsx::create_dir_all(fsx::parent(path))?;
        Ok(into_new_file(
            &source,
            path,
            FileMode::Umask,
            &migrations,
            progress.as_ref(),
        )?)
    }
}

impl Report for RestoreReport {
    const VERB: &'static str = "db-restore";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        let path = self
            .target
            .strip_prefix("sqlite:///")
            .unwrap_or(&self.target);
        let owner = self
            .file
            .as_ref()
            .map_or_else(String::new, |file| file.lines(path));
        format!(
            "{}restored {} from {}\n{owner}",
            table_lines(&self.tables),
            self.target,
            self.from
        )
    }
}
