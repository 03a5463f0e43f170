//! What a SQLite database is on a file system: one regular file under its resolved name, and what
//! lies beside that name.
//!
//! SQLite finds the log and the journal of a database by appending to the name that links lead to,
//! and believes what lies there. So links are resolved before anything is decided about a file, and
//! a new file is not created where side files of another wait for it. A path is given to SQLite as
//! an absolute one, so that it is never read as a URI or as `:memory:`.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::{sqlite::OpenError, sqlite_error::SqliteError};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::{self, FileIdentity, PathError, SIDE_FILES},
};

/// How long a connection waits for another program to release the database, unless less is asked
/// for; RUNE waits as long.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What may stand in the path of a SQLite URI as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a name cannot be that of a database.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Conflict)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SqliteFileError {
    #[error(transparent)]
    // Somebody is about to create it, or to mount what it is on.
    #[failure(may_pass: .0.kind() == FailureKind::NotFound)]
    Path(#[from] PathError),
    #[error("`{0}` cannot be the name of a database file")]
    #[failure(Usage: format!("choose another name; names that end in {} belong to SQLite",
        SIDE_FILES.join(", ")))]
    Name(Utf8PathBuf),
    #[error("`{0}` is {1}, not a regular file")]
    #[failure(Input: "name the database file itself")]
    NotRegular(Utf8PathBuf, &'static str),
    #[error("`{0}` is a symbolic link, and a database is not written through a link")]
    #[failure(help: match fsx::resolve(.0) {
        Ok(target) => format!("name the file itself: `{target}`"),
        Err(_) => "remove the link, or choose another name".to_owned(),
    })]
    Link(Utf8PathBuf),
    /// A log or journal waits for a database that is not there, or has nothing in it.
    #[error("`{path}` {state}, but SQLite would read {} as part of it", listed(.beside))]
    #[failure(help: format!("they belong to a database that was moved or removed: move {} to where \
        that database is now, under its name, or choose another name", listed(.beside)))]
    SideFiles {
        path: Utf8PathBuf,
        state: &'static str,
        beside: Vec<Utf8PathBuf>,
    },
    /// Reserved by a run that was killed.
    #[error(
        "`{0}` is empty: the program that was writing the database was killed, or has not finished"
    )]
    #[failure(Input: "run the command again that was to write it: it starts over and removes \
        `{0}.partial`")]
    Unfinished(Utf8PathBuf),
    #[error(
        "`{path}` has {links} names (hard links), and SQLite's log and journal lie beside one of \
         them only"
    )]
    #[failure(help: "remove the other names, or make sure that no other name has a `-wal` or \
        `-journal` beside it and work on a copy made with `cp`")]
    SeveralNames { path: Utf8PathBuf, links: u64 },
    /// A file mounted by itself, as containers do.
    #[error("`{0}` is mounted by itself, and SQLite's log lies beside its other name only")]
    #[failure(help: "mount the directory of the database, not the file alone")]
    Mounted(Utf8PathBuf),
    #[error("`{0}` was replaced by another file meanwhile")]
    #[failure(help: "run the same command again when nothing replaces the file")]
    Replaced(Utf8PathBuf),
    /// Bytes are missing at the end, which SQLite reads as zeros.
    #[error("`{path}` is cut off: it has {bytes} bytes of {expected}")]
    #[failure(Input: "restore a backup; `sqlite3 {path} .recover` extracts what can be saved")]
    CutOff {
        path: Utf8PathBuf,
        bytes: u64,
        expected: u64,
    },
    /// Its header forbids writing, and so would that of every copy.
    #[error("the header of `{0}` says that only a later version of SQLite may write it")]
    #[failure(Input: "it is of a later version of SQLite, or damaged; restore a backup")]
    WriteVersion(Utf8PathBuf),
    #[error("`{destination}` is the same file as the source `{path}`")]
    #[failure(help: "choose another destination")]
    Same {
        path: Utf8PathBuf,
        destination: Utf8PathBuf,
    },
}

fn listed(paths: &[Utf8PathBuf]) -> String {
    paths
        .iter()
        .map(|path| format!("`{path}`"))
        .collect::<Vec<_>>()
        .join(" and ")
}

/// An existing database file, by the name that links lead to.
#[derive(Debug, Clone)]
pub struct SqliteFile {
    path: Utf8PathBuf,
    identity: FileIdentity,
}

impl SqliteFile {
    /// Finds the file behind a name. Nothing is opened.
    ///
    /// # Errors
    /// When there is no regular file, it may not be read, or it is empty and a log lies beside it,
    /// which SQLite would delete.
    pub fn existing(name: &Utf8Path) -> Result<Self, SqliteFileError> {
        check_name(name)?;
        let path = fsx::resolve(name)?;
        // The log first: whoever creates a database writes the file before the log.
        let logs = beside(&path, &["-wal"], 1);
        let identity = fsx::identity(&path)?;
        if !identity.is_regular {
            let what = if identity.is_directory {
                "a directory"
            } else {
                "a pipe, device or socket"
            };
            return Err(SqliteFileError::NotRegular(path, what));
        }
        fsx::check_readable(&path)?;
        if fsx::is_placeholder(&path) {
            return Err(SqliteFileError::Unfinished(path));
        }
        if identity.size == 0 && !logs.is_empty() {
            return Err(SqliteFileError::SideFiles {
                path,
                state: "is empty",
                beside: logs,
            });
        }
        Ok(Self { path, identity })
    }

    /// Its resolved path.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The file that it was when it was found.
    pub const fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Refuses another file under the name.
    ///
    /// # Errors
    /// When the file was replaced or removed since it was found.
    pub fn check_current(&self) -> Result<(), SqliteFileError> {
        let now = fsx::identity(&self.path).ok();
        if now == Some(self.identity) {
            Ok(())
        } else {
            Err(SqliteFileError::Replaced(self.path.clone()))
        }
    }

    /// Refuses a file with several names: what belongs to it may lie beside another of them.
    ///
    /// # Errors
    /// When it has hard links.
    pub fn check_single_name(&self) -> Result<(), SqliteFileError> {
        let links = self.identity.links;
        if links > 1 {
            Err(SqliteFileError::SeveralNames {
                path: self.path.clone(),
                links,
            })
        } else {
            Ok(())
        }
    }

    /// Refuses a database whose write-ahead log may lie beside another name of the file: rows of it
    /// would not be seen, and changes made without it would be overwritten by it. A log outlives
    /// the program that wrote it; a journal only when that was killed.
    ///
    /// # Errors
    /// When the file has hard links or is mounted by itself, and is in that mode; or SQLite cannot
    /// say.
    pub fn check_log(&self, connection: &Connection) -> Result<(), OpenError> {
        let mode: String = connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .map_err(self.failed())?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Ok(());
        }
        self.check_single_name()?;
        if fsx::is_mount_point(&self.path) {
            Err(SqliteFileError::Mounted(self.path.clone()).into())
        } else {
            Ok(())
        }
    }

    /// The files beside it that hold changes: those of its log and journal that are not empty.
    pub fn changes_beside(&self) -> Vec<Utf8PathBuf> {
        beside(&self.path, &["-wal", "-journal"], 1)
    }

    /// Whether a journal that is not empty lies beside it: whoever may write rolls back what is in
    /// it.
    pub fn has_journal(&self) -> bool {
        !beside(&self.path, &["-journal"], 1).is_empty()
    }

    /// Refuses a file that can be filled only by deleting what lies beside it.
    ///
    /// # Errors
    /// When it is empty, and a log or journal is not.
    pub fn check_fillable(&self) -> Result<(), SqliteFileError> {
        let changes = self.changes_beside();
        if self.identity.size > 0 || changes.is_empty() {
            return Ok(());
        }
        Err(SqliteFileError::SideFiles {
            path: self.path.clone(),
            state: "is empty",
            beside: changes,
        })
    }

    /// Lets SQLite open it, and no other file that a link could lead to meanwhile.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        connect(&self.path, flags)
    }

    /// Lets SQLite read it without locks and side files.
    ///
    /// # Errors
    /// When SQLite cannot.
    pub fn connect_immutable(&self) -> rusqlite::Result<Connection> {
        let uri = format!(
            "file:{}?immutable=1",
            utf8_percent_encode(self.path.as_str(), PATH)
        );
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(uri, flags)
    }

    /// Makes a closure for `map_err`.
    pub fn failed(&self) -> impl FnOnce(rusqlite::Error) -> SqliteError {
        SqliteError::on(&self.path)
    }
}

/// Refuses what SQLite itself takes for whole: a file that ends within its last page, and one that
/// it would only read. A read transaction must be open, so that nobody writes pages meanwhile. The
/// file is not opened beside SQLite, because closing it would give up SQLite's locks.
pub fn check_whole(
    connection: &Connection,
    path: &Utf8Path,
    flags: OpenFlags,
) -> Result<(), OpenError> {
    let pragma = |name: &str| {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| {
            row.get::<_, u32>(0).map(u64::from)
        })
    };
    let pages = pragma("page_count").map_err(SqliteError::on(path))?;
    let expected = pages.saturating_mul(pragma("page_size").map_err(SqliteError::on(path))?);
    // Pages that are in the log alone are missing in the file, and rightly.
    let bytes = fsx::file_size(path)?;
    if bytes < expected && beside(path, &["-wal"], 1).is_empty() {
        return Err(SqliteFileError::CutOff {
            path: path.to_owned(),
            bytes,
            expected,
        }
        .into());
    }
    let is_refused = flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE)
        && fsx::is_writable(path)
        && connection
            .is_readonly(MAIN_DB)
            .map_err(SqliteError::on(path))?;
    if is_refused {
        Err(SqliteFileError::WriteVersion(path.to_owned()).into())
    } else {
        Ok(())
    }
}

/// Opens an absolute path without links.
pub fn connect(path: &Utf8Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW,
    )?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    Ok(connection)
}

/// The path that a new database will have, with the links of its directory resolved.
///
/// # Errors
/// When the name is taken, or is that of a link; when the directory does not exist; when side files
/// of another database lie beside it.
pub fn new_name(name: &Utf8Path) -> Result<Utf8PathBuf, SqliteFileError> {
    fsx::check_no_directory(name)?;
    check_name(name)?;
    let file_name = name
        .file_name()
        .ok_or_else(|| SqliteFileError::Name(name.to_owned()))?;
    if SIDE_FILES.iter().any(|suffix| file_name.ends_with(suffix)) {
        return Err(SqliteFileError::Name(name.to_owned()));
    }
    if fsx::is_link(name) {
        return Err(SqliteFileError::Link(name.to_owned()));
    }
    fsx::check_free(name)?;
    let path = fsx::resolve(fsx::parent(name))?.join(file_name);
    check_nothing_beside(&path)?;
    Ok(path)
}

/// Refuses side files, empty ones too, beside the name of a database that is not there.
///
/// # Errors
/// When there are any.
pub fn check_nothing_beside(path: &Utf8Path) -> Result<(), SqliteFileError> {
    let beside = beside(path, &SIDE_FILES, 0);
    if beside.is_empty() {
        return Ok(());
    }
    Err(SqliteFileError::SideFiles {
        path: path.to_owned(),
        state: "does not exist",
        beside,
    })
}

/// Refuses what names nothing: the empty text, a directory, a name with a slash behind it.
fn check_name(name: &Utf8Path) -> Result<(), SqliteFileError> {
    let last = name.as_str().rsplit('/').next().unwrap_or_default();
    if matches!(last, "" | "." | "..") {
        Err(SqliteFileError::Name(name.to_owned()))
    } else {
        Ok(())
    }
}

/// The side files of a database that have so many bytes; a dangling link is one as well.
fn beside(path: &Utf8Path, suffixes: &[&str], min_bytes: u64) -> Vec<Utf8PathBuf> {
    let paths = suffixes
        .iter()
        .map(|suffix| Utf8PathBuf::from(format!("{path}{suffix}")));
    paths
        .filter(|path| {
            fsx::exists(path)
                && (min_bytes == 0 || fsx::file_size(path).map_or(true, |bytes| bytes >= min_bytes))
        })
        .collect()
}
