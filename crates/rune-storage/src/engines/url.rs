//! Database URLs: which engine, and for SQLite which file.
//!
//! RUNE's releases read the same URL in different ways. Accepted is what has one safe meaning, and
//! printed is the one spelling that all of them agree on (`sqlite:////absolute/path`,
//! `postgresql://…`). Everything else is refused with the reason. No message repeats a text that
//! was not understood: a misspelt URL may hold a password anywhere.

use std::fmt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::postgres_url::PostgresUrl;
use rune_core::failure::Failure;

/// Where RUNE's database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite database.
    Sqlite(SqliteUrl),
    /// A database on a PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

/// A SQLite database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqliteUrl {
    /// In memory; gone when its last connection is.
    Memory,
    /// In a file, by its absolute path.
    File(Utf8PathBuf),
}

/// What relative paths and `~` mean; the caller knows, this module does not ask the system.
#[derive(Debug, Clone)]
pub struct Places {
    /// The directory that relative paths start at, if it is known; absolute.
    pub working_directory: Option<Utf8PathBuf>,
    /// The home directory, if there is one.
    pub home: Option<Utf8PathBuf>,
}

/// Why a text is not a database URL that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Usage)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum UrlError {
    #[error("the text is not a database URL")]
    #[failure(help: "write `sqlite:///./jobs.db` or `sqlite:////absolute/path.db` for a file, \
        `postgresql://user:password@host:5432/database` for a server")]
    NotAUrl,
    #[error("the text is a URL where a plain path is expected")]
    #[failure(help: "put URLs into RUNE_DB_URL; RUNE_API_DB_PATH takes the path of a SQLite file")]
    NotAPath,
    #[error("unsupported storage URL scheme '{0}'; supported: sqlite://, postgresql://")]
    #[failure(help: "write `sqlite:///./jobs.db` or `sqlite:////absolute/path.db` for a file, \
        `postgresql://user:password@host:5432/database` for a server")]
    Scheme(String),
    #[error(
        "a SQLite URL has no host, but this one has something between `sqlite://` and the path"
    )]
    #[failure(help: "write the absolute path after four slashes, \
        `sqlite:////var/lib/rune/jobs.db`")]
    SqliteHost,
    #[error("the SQLite URL names no file")]
    #[failure(help: "write the absolute path after four slashes, \
        `sqlite:////var/lib/rune/jobs.db`")]
    SqlitePath,
    #[error("the SQLite URL names a path on a Windows drive")]
    #[failure(help: "write the absolute path after four slashes, \
        `sqlite:////var/lib/rune/jobs.db`")]
    SqliteDrive,
    #[error("the SQLite path contains {0}, which RUNE's versions do not read alike")]
    #[failure(help: "rename the file, or use a path without that character")]
    SqliteCharacter(&'static str),
    #[error("the `~` in the SQLite path has no meaning here")]
    #[failure(help: "write the absolute path after four slashes, \
        `sqlite:////var/lib/rune/jobs.db`")]
    SqliteHome,
    /// Three slashes and a path: absolute for some parts of RUNE, relative to the working directory
    /// for others.
    #[error(
        "the SQLite URL has two meanings for RUNE: `{absolute}`, and `{relative}` below the \
         working directory"
    )]
    #[failure(help: "write `{absolute}` or `{relative}`")]
    SqliteAmbiguous {
        /// The spelling of the absolute path.
        absolute: String,
        /// The spelling of the relative path.
        relative: String,
    },
    #[error("the SQLite path is relative, and the working directory is not known")]
    #[failure(help: "write the absolute path after four slashes, \
        `sqlite:////var/lib/rune/jobs.db`")]
    SqliteRelative,
    #[error("the PostgreSQL URL {0}")]
    #[failure(help: "write `postgresql://user:password@host:5432/database`, and in user and \
        password every character that is not a letter, digit, `-`, `.` or `_` as `%` and two hex \
        digits (`@` is `%40`, `/` is `%2F`, `#` is `%23`)")]
    Postgres(&'static str),
    #[error("the PostgreSQL URL has the parameter `{0}`, which is not supported")]
    #[failure(help: format!("leave it out; supported are {}", PostgresUrl::PARAMETERS.join(", ")))]
    UnknownParameter(String),
    #[error("the parameter `{parameter}` of the PostgreSQL URL must be {expected}")]
    ParameterValue {
        parameter: &'static str,
        expected: &'static str,
    },
    #[error("`{roots_from}=system` needs `sslmode=verify-full`, but `{mode_from}` is `{mode}`")]
    #[failure(help: "anybody can get a certificate of a public CA, for a host of their own: set \
        `sslmode=verify-full`, or name the file of your CA in `sslrootcert`")]
    WeakMode {
        roots_from: &'static str,
        mode_from: &'static str,
        mode: &'static str,
    },
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it has no safe meaning; the error does not repeat the text.
    pub fn parse(text: &str, places: &Places) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NotAUrl)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !is_scheme {
            return Err(UrlError::NotAUrl);
        }
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" | "sqlite+pysqlite" => SqliteUrl::parse(rest, places).map(Self::Sqlite),
            "postgresql" | "postgres" | "postgresql+psycopg" | "postgres+psycopg" => {
                PostgresUrl::parse(rest).map(|url| Self::Postgres(Box::new(url)))
            }
            other => Err(UrlError::Scheme(other.to_owned())),
        }
    }

    /// The scheme that RUNE takes, where a URL has another one that means the same here.
    pub fn scheme_for_rune(text: &str) -> Option<&'static str> {
        let scheme = text.split_once("://")?.0;
        match scheme.to_ascii_lowercase().as_str() {
            _ if matches!(scheme, "sqlite" | "postgresql" | "postgres") => None,
            "sqlite" | "sqlite+pysqlite" => Some("sqlite://"),
            "postgresql" | "postgres" | "postgresql+psycopg" | "postgres+psycopg" => {
                Some("postgresql://")
            }
            _ => None,
        }
    }

    /// Reads a plain path, the form of `RUNE_API_DB_PATH`.
    ///
    /// # Errors
    /// When it is a URL, or names no file.
    pub fn from_path(path: &str, places: &Places) -> Result<Self, UrlError> {
        if path == ":memory:" {
            return Ok(Self::Sqlite(SqliteUrl::Memory));
        }
        if path.contains("://") {
            return Err(UrlError::NotAPath);
        }
        if path.starts_with('~') {
            return Err(UrlError::SqliteHome);
        }
        SqliteUrl::file(Utf8Path::new(path), places).map(Self::Sqlite)
    }
}

impl SqliteUrl {
    fn parse(rest: &str, places: &Places) -> Result<Self, UrlError> {
        if rest.is_empty() || rest == "/:memory:" {
            return Ok(Self::Memory);
        }
        let path = rest.strip_prefix('/').ok_or(UrlError::SqliteHost)?;
        if let Some(below_home) = path.strip_prefix("~/") {
            let home = places.home.as_ref().ok_or(UrlError::SqliteHome)?;
            return Self::file(&home.join(below_home), places);
        }
        if path.starts_with('~') {
            return Err(UrlError::SqliteHome);
        }
        let mut start = path.chars();
        if start
            .next()
            .is_some_and(|drive| drive.is_ascii_alphabetic())
            && start.next() == Some(':')
        {
            return Err(UrlError::SqliteDrive);
        }
        if path.starts_with("./") || path.starts_with("../") {
            return Self::file(Utf8Path::new(path), places);
        }
        let file = Self::file(Utf8Path::new(rest), places)?;
        // With a fourth slash it is absolute for all; without, only where both meanings are one
        // path.
        if path.starts_with('/') || Self::file(Utf8Path::new(path), places).as_ref() == Ok(&file) {
            return Ok(file);
        }
        Err(UrlError::SqliteAmbiguous {
            absolute: format!("sqlite:////{path}"),
            relative: format!("sqlite:///./{path}"),
        })
    }

    fn file(path: &Utf8Path, places: &Places) -> Result<Self, UrlError> {
        for (character, name) in [('%', "`%`"), ('?', "`?`"), ('#', "`#`")] {
            if path.as_str().contains(character) {
                return Err(UrlError::SqliteCharacter(name));
            }
        }
        if path.as_str().contains(char::is_control) {
            return Err(UrlError::SqliteCharacter("a control character"));
        }
        if path.file_name().is_none() || path.as_str().ends_with('/') {
            return Err(UrlError::SqlitePath);
        }
        // `.` and doubled slashes go; `..` stays, because what it means depends on links.
        let start = match &places.working_directory {
            _ if path.is_absolute() => Utf8Path::new("/"),
            Some(directory) => directory,
            None => return Err(UrlError::SqliteRelative),
        };
        Ok(Self::File(
            start
                .join(path)
                .components()
                .filter(|component| *component != Utf8Component::CurDir)
                .collect(),
        ))
    }
}

impl fmt::Display for DatabaseUrl {
    /// The canonical spelling, without password and parameters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(SqliteUrl::Memory) => formatter.write_str("sqlite:///:memory:"),
            Self::Sqlite(SqliteUrl::File(path)) => write!(formatter, "sqlite:///{path}"),
            Self::Postgres(url) => url.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DatabaseUrl, Places, UrlError};
    use rune_core::failure::Failure as _;

    fn places() -> Places {
        Places {
            working_directory: Some("/work/dir".into()),
            home: Some("/home/rune".into()),
        }
    }

    fn canonical(text: &str) -> String {
        DatabaseUrl::parse(text, &places()).unwrap().to_string()
    }

    fn refused(text: &str) -> UrlError {
        DatabaseUrl::parse(text, &places()).unwrap_err()
    }

    #[test]
    fn every_sqlite_spelling_with_one_safe_meaning_gets_the_canonical_one() {
        for (given, expected) in [
            (
                "sqlite:////var/lib/rune/jobs.db",
                "sqlite:////var/lib/rune/jobs.db",
            ),
            (
                "sqlite://////var//lib/./rune/jobs.db",
                "sqlite:////var/lib/rune/jobs.db",
            ),
            ("SQLite:////a.db", "sqlite:////a.db"),
            ("sqlite+pysqlite:////a.db", "sqlite:////a.db"),
            (
                "sqlite:///./data/jobs.db",
                "sqlite:////work/dir/data/jobs.db",
            ),
            ("sqlite:///../jobs.db", "sqlite:////work/dir/../jobs.db"),
            (
                "sqlite:///~/.rune-api/jobs.db",
                "sqlite:////home/rune/.rune-api/jobs.db",
            ),
            ("sqlite:///:memory:", "sqlite:///:memory:"),
            ("sqlite://", "sqlite:///:memory:"),
        ] {
            assert_eq!(canonical(given), expected, "{given}");
            assert_eq!(canonical(expected), expected);
        }
    }

    #[test]
    fn sqlite_spellings_that_versions_of_rune_read_differently_are_refused() {
        assert_eq!(refused("sqlite://x/y.db"), UrlError::SqliteHost);
        assert_eq!(refused("sqlite://jobs.db"), UrlError::SqliteHost);
        assert_eq!(refused("sqlite:///"), UrlError::SqlitePath);
        assert_eq!(refused("sqlite:////var/lib/"), UrlError::SqlitePath);
        assert_eq!(refused("sqlite:////var/.."), UrlError::SqlitePath);
        assert_eq!(refused("sqlite:///C:/t/j.db"), UrlError::SqliteDrive);
        assert_eq!(refused("sqlite:///~root/j.db"), UrlError::SqliteHome);
        assert_eq!(
            refused("sqlite:////a%20b.db"),
            UrlError::SqliteCharacter("`%`")
        );
        assert_eq!(
            refused("sqlite:////a.db?mode=ro"),
            UrlError::SqliteCharacter("`?`")
        );
        assert_eq!(
            refused("sqlite:////a.db#x"),
            UrlError::SqliteCharacter("`#`")
        );
        assert_eq!(
            refused("sqlite:////a\n.db"),
            UrlError::SqliteCharacter("a control character")
        );
    }

    #[test]
    fn three_slashes_before_a_plain_name_are_refused_with_both_spellings() {
        let error = refused("sqlite:///data/jobs.db");
        let expected = ["`sqlite:////data/jobs.db`", "`sqlite:///./data/jobs.db`"];
        assert!(
            expected
                .iter()
                .all(|spelling| error.to_string().contains(spelling)
                    && error.help().unwrap().contains(spelling)),
            "{error}"
        );
        for hidden in ["sqlite:///.rune/jobs.db", "sqlite:///..data/jobs.db"] {
            assert!(
                matches!(refused(hidden), UrlError::SqliteAmbiguous { .. }),
                "{hidden}"
            );
        }
        let root = Places {
            working_directory: Some("/".into()),
            home: None,
        };
        assert_eq!(
            DatabaseUrl::parse("sqlite:///data/jobs.db", &root)
                .unwrap()
                .to_string(),
            "sqlite:////data/jobs.db"
        );
    }

    #[test]
    fn schemes_that_rune_refuses_are_known() {
        for (text, expected) in [
            ("postgresql://h/d", None),
            ("postgres://h/d", None),
            ("sqlite:////a.db", None),
            ("POSTGRESQL://h/d", Some("postgresql://")),
            ("postgresql+psycopg://h/d", Some("postgresql://")),
            ("sqlite+pysqlite:////a.db", Some("sqlite://")),
            ("mysql://h/d", None),
            ("/a.db", None),
        ] {
            assert_eq!(DatabaseUrl::scheme_for_rune(text), expected, "{text}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_stands() {
        let read = |path: &str| DatabaseUrl::from_path(path, &places());
        assert_eq!(
            read(".rune-api/jobs.db").unwrap().to_string(),
            "sqlite:////work/dir/.rune-api/jobs.db"
        );
        assert_eq!(
            read("/data/jobs.db").unwrap().to_string(),
            "sqlite:////data/jobs.db"
        );
        assert_eq!(read(":memory:").unwrap().to_string(), "sqlite:///:memory:");
        assert_eq!(read("sqlite:////x.db").unwrap_err(), UrlError::NotAPath);
        assert_eq!(read("~/x.db").unwrap_err(), UrlError::SqliteHome);
    }

    #[test]
    fn a_relative_path_needs_a_directory_to_start_at() {
        let nowhere = Places {
            working_directory: None,
            home: None,
        };
        assert_eq!(
            DatabaseUrl::parse("sqlite:///./a.db", &nowhere),
            Err(UrlError::SqliteRelative)
        );
        assert_eq!(
            DatabaseUrl::parse("sqlite:///~/a.db", &nowhere),
            Err(UrlError::SqliteHome)
        );
        assert!(matches!(
            DatabaseUrl::parse("sqlite:///a.db", &nowhere),
            Err(UrlError::SqliteAmbiguous { .. })
        ));
        assert_eq!(
            DatabaseUrl::parse("sqlite:////a.db", &nowhere)
                .unwrap()
                .to_string(),
            "sqlite:////a.db"
        );
    }

    #[test]
    fn other_schemes_are_refused_in_the_words_that_runes_users_know() {
        assert_eq!(
            refused("mysql://u:hunter2@h/d").to_string(),
            "unsupported storage URL scheme 'mysql'; supported: sqlite://, postgresql://"
        );
        for text in [
            "",
            "/var/lib/jobs.db",
            "sqlite:/x",
            "user:hunter2@host/db",
            "host=h password=hunter2",
            "user:hunter2://h",
        ] {
            assert_eq!(refused(text), UrlError::NotAUrl, "{text}");
        }
    }
}
