//! From options and environment to the target database.

use std::{fmt, time::Duration};

use camino::Utf8PathBuf;

use rune_core::{command::CommandError, failure::Failure, fsx, secret::Secret};
use rune_storage::{
    Candidate, CandidateForm, DatabaseUrl, PasswordError, Places, PostgresDefaults, PostgresUrl,
    Selection, SqliteUrl, UrlError, migrations::Dialect, select,
};

const MAX_URL_BYTES: u64 = 64 << 10;
const DEFAULT_URL: &str = "sqlite:///~/.rune-api/jobs.db";

#[derive(Debug)]
pub(crate) struct DatabaseOptions {
    /// `--db-url`: a URL, `env:NAME` or `file:PATH`.
    pub(crate) url: Option<Secret>,
    pub(crate) password_file: Option<Utf8PathBuf>,
    pub(crate) environment: Environment,
}

pub(crate) type Variables = Box<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

/// What a process finds around it: handed in, because only the command line reads it.
pub(crate) struct Environment {
    pub(crate) variable: Variables,
    pub(crate) working_directory: Option<Utf8PathBuf>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) place: Place,
    /// Never with a password.
    pub(super) location: String,
    pub(super) origin: String,
    /// What else is worth knowing about the choice.
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    File(Utf8PathBuf),
    Server(Box<PostgresUrl>),
}

impl Target {
    pub(super) const fn dialect(&self) -> Dialect {
        match self.place {
            Place::File(_) => Dialect::Sqlite,
            Place::Server(_) => Dialect::Postgres,
        }
    }

    pub(super) fn limited(&self, limit: Option<Duration>) -> Self {
        let mut target = self.clone();
        if let (Place::Server(url), Some(limit)) = (&mut target.place, limit) {
            url.limit_connecting(limit);
        }
        target
    }

    /// Adds to a failure what is worth knowing about the choice: perhaps another database was
    /// meant.
    pub(super) fn explain(&self, error: CommandError) -> CommandError {
        if self.notes.is_empty() {
            return error;
        }
        let help: Vec<&str> = error
            .help()
            .into_iter()
            .chain(self.notes.iter().map(String::as_str))
            .collect();
        let help = help.join("; note that ");
        error.with_help(help)
    }
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum TargetError {
    #[error("`{origin}` names no database that can be used")]
    #[failure(inner)]
    Url { origin: String, source: UrlError },
    #[error("the environment variable `{0}` is not set")]
    #[failure(help: "name the database with `--db-url URL`, or set RUNE_DB_URL")]
    Unset(String),
    #[error("`{0}` names no database: it is empty")]
    #[failure(help: "name the database with `--db-url URL`, or set RUNE_DB_URL")]
    Empty(String),
    #[error("there is no home directory to find the default database in")]
    #[failure(help: "name the database with `--db-url URL`, or set RUNE_DB_URL")]
    NoDefault,
    #[error("the database is in memory and would be gone when the command ends")]
    #[failure(help: "give a file: `sqlite:////absolute/path.db`")]
    Memory,
    #[error(transparent)]
    Settings(#[from] UrlError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("`--password-file` is for PostgreSQL; a SQLite file has no password")]
    SqlitePassword,
}

impl DatabaseOptions {
    pub(super) fn resolve(&self) -> Result<Target, CommandError> {
        self.resolve_as("--db-url")
    }

    /// Decides, when the option that may name the database has another name.
    pub(super) fn resolve_as(&self, option: &str) -> Result<Target, CommandError> {
        let places = Places {
            working_directory: self.environment.working_directory.clone(),
            home: self.variable("HOME").map(|home| home.expose().into()),
        };
        let candidates = match &self.url {
            Some(text) => vec![self.option(option, text)?],
            None => self.variables(),
        };
        let selection = match select(&candidates, &places) {
            Ok(Some(selection)) => selection,
            Ok(None) if self.url.is_some() => {
                return Err(TargetError::Empty(option.to_owned()).into());
            }
            Ok(None) => {
                let url =
                    DatabaseUrl::parse(DEFAULT_URL, &places).map_err(|_| TargetError::NoDefault)?;
                Selection {
                    url,
                    origin: "default".to_owned(),
                    overruled: None,
                    scheme_for_rune: None,
                }
            }
            Err((origin, source)) => return Err(TargetError::Url { origin, source }.into()),
        };
        let location = selection.url.to_string();
        let place = self.place(selection.url)?;
        let origin = selection.origin;
        let overruled = selection.overruled.map(|other| {
            format!("`{origin}` and `{other}` name different databases; `{origin}` is used")
        });
        let refused = selection.scheme_for_rune.map(|scheme| {
            format!("RUNE will not take the URL of `{origin}`: it has to begin with `{scheme}`")
        });
        Ok(Target {
            place,
            location,
            notes: overruled.into_iter().chain(refused).collect(),
            origin,
        })
    }

    fn option(&self, option: &str, text: &Secret) -> Result<Candidate, CommandError> {
        let named = |name: String, text: Secret| Candidate {
            name,
            text,
            form: CandidateForm::Url,
        };
        if let Some(name) = text.expose().strip_prefix("env:") {
            let value = self
                .variable(name)
                .ok_or_else(|| TargetError::Unset(name.to_owned()))?;
            return Ok(named(format!("{option} env:{name}"), value));
        }
        if let Some(path) = text.expose().strip_prefix("file:") {
            let value = Secret::new(fsx::read_to_string(path.into(), MAX_URL_BYTES)?);
            return Ok(named(format!("{option} file:{path}"), value));
        }
        Ok(named(option.to_owned(), text.clone()))
    }

    fn variables(&self) -> Vec<Candidate> {
        let forms = [
            ("RUNE_DB_URL", CandidateForm::Url),
            ("RUNE_DATABASE_URL", CandidateForm::Url),
            ("RUNE_API_DB_PATH", CandidateForm::Path),
        ];
        let candidate = |(name, form): (&str, CandidateForm)| {
            Some(Candidate {
                name: name.to_owned(),
                text: self.variable(name)?,
                form,
            })
        };
        forms.into_iter().filter_map(candidate).collect()
    }

    fn variable(&self, name: &str) -> Option<Secret> {
        (self.environment.variable)(name).filter(|value| !value.expose().trim().is_empty())
    }

    fn place(&self, url: DatabaseUrl) -> Result<Place, TargetError> {
        let mut url = match url {
            DatabaseUrl::Sqlite(SqliteUrl::Memory) => return Err(TargetError::Memory),
            DatabaseUrl::Sqlite(_) if self.password_file.is_some() => {
                return Err(TargetError::SqlitePassword);
            }
            DatabaseUrl::Sqlite(SqliteUrl::File(path)) => return Ok(Place::File(path)),
            DatabaseUrl::Postgres(url) => url,
        };
        let text = |name: &str| self.variable(name).map(|value| value.expose().to_owned());
        url.set_defaults(&PostgresDefaults {
            ssl_mode: text("PGSSLMODE"),
            ssl_root_certificate: text("PGSSLROOTCERT"),
            ssl_certificate: text("PGSSLCERT"),
            ssl_key: text("PGSSLKEY"),
        })?;
        if let Some(path) = &self.password_file {
            url.read_password(path)?;
        }
        if let Some(path) = text("PGPASSFILE") {
            url.look_up_password(path.as_str().into())?;
        }
        Ok(Place::Server(url))
    }
}
