//! Running the site's own vulnerability scanner on images that are served at a loopback address.
//!
//! The scanner has a directory of its own for everything but the database of the site: it sees
//! neither configuration nor credentials, and it is told to update and to check nothing. What it
//! says is read far enough to count and to show it. What it cannot scan is an error and never an
//! image without findings.
#![deny(clippy::arithmetic_side_effects)]

mod error;
mod finding;
mod grype;
mod trivy;
mod vex;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::process::Command;

pub(crate) use self::{
    error::ScanError,
    finding::{Counts, Finding, Scanned, Severity},
    vex::Advisory,
};
pub(crate) use crate::evidence::AdvisoryKind;
use crate::{
    oci::{Platform, Reference},
    process::{self, MissingSpace, isolated, shortened},
};
use rune_core::{digest::Digest, fsx::ScratchDirectory, text::shown};

/// What a scanner says about itself is a few lines.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

const MAX_REPORT_BYTES: u64 = 256 << 20;

const ANSWER_TIME: Duration = Duration::from_mins(1);

/// A large image takes long; a scan that never ends is a mistake.
const SCAN_TIME: Duration = Duration::from_hours(2);

const READ: [AdvisoryKind; 2] = [AdvisoryKind::OpenVex, AdvisoryKind::Csaf];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Grype,
    Trivy,
}

#[derive(Debug, Clone)]
pub(crate) struct DatabaseDirectories {
    pub(crate) grype: Option<Utf8PathBuf>,
    pub(crate) trivy: Option<Utf8PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Scanner {
    program: Utf8PathBuf,
    kind: Kind,
    version: String,
    database: Utf8PathBuf,
    built: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The host, with the port, that serves the image under its own repository.
    pub(crate) host: &'a str,
    pub(crate) reference: &'a Reference,
    /// What the reference was resolved to: the manifest, or the image index that lists it.
    pub(crate) root: Digest,
    pub(crate) manifest: Digest,
    pub(crate) platform: Option<&'a Platform>,
    pub(crate) packed_bytes: u64,
}

impl Scanner {
    /// Checks which scanner a program is, and whether there is a database in the directory of the
    /// site for it.
    pub(crate) async fn find(
        program: &Utf8Path,
        databases: &DatabaseDirectories,
    ) -> Result<Self, ScanError> {
        let scratch = ScratchDirectory::create()?;
        let mut command = isolated(program, scratch.path());
        command.arg("version").envs(grype::SETTINGS);
        let answer = answer(program, command).await?.unwrap_or_default();
        let unknown = || ScanError::Unknown(program.to_owned());
        let (kind, version) = grype::version(&answer)
            .map(|version| (Kind::Grype, version))
            .or_else(|| trivy::version(&answer).map(|version| (Kind::Trivy, version)))
            .ok_or_else(unknown)?;
        let directory = match kind {
            Kind::Grype => &databases.grype,
            Kind::Trivy => &databases.trivy,
        };
        let database = directory.clone().ok_or(ScanError::NoHome(kind.name()))?;
        let mut command = isolated(program, scratch.path());
        match kind {
            Kind::Grype => grype::ask_database(&mut command, &database),
            Kind::Trivy => trivy::ask_database(&mut command, &database),
        }
        let answer = self::answer(program, command).await?;
        let built = match kind {
            Kind::Grype => answer.as_deref().and_then(grype::built),
            Kind::Trivy => answer.as_deref().and_then(trivy::built),
        };
        let no_database = || ScanError::NoDatabase {
            scanner: kind.name(),
            directory: database.clone(),
            help: kind.database_help(),
        };
        Ok(Self {
            program: program.to_owned(),
            kind,
            version: shown(version),
            built: built.ok_or_else(no_database)?,
            database,
        })
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.kind.name()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn program(&self) -> &Utf8Path {
        &self.program
    }

    pub(crate) fn built(&self) -> &str {
        &self.built
    }

    pub(crate) async fn scan(
        &self,
        subject: &Subject<'_>,
        advisories: &[Advisory],
    ) -> Result<Scanned, ScanError> {
        // grype reads all documents of a run as what the first one is, so each kind has its own.
        let of = |kind: AdvisoryKind| -> Vec<&Advisory> {
            let advisories = advisories.iter();
            advisories
                .filter(|advisory| advisory.kind == kind)
                .collect()
        };
        let groups = READ.map(of);
        let mut groups = groups.iter().filter(|group| !group.is_empty());
        let first = groups.next().map(Vec::as_slice).unwrap_or_default();
        let mut scanned = self.scan_with(subject, first).await?;
        for group in groups {
            scanned = scanned.and(self.scan_with(subject, group).await?);
        }
        Ok(scanned)
    }

    async fn scan_with(
        &self,
        subject: &Subject<'_>,
        advisories: &[&Advisory],
    ) -> Result<Scanned, ScanError> {
        let scratch = ScratchDirectory::create()?;
        let missing = MissingSpace::to_unpack(subject.packed_bytes, scratch.path())?;
        if let Some(missing) = missing {
            return Err(ScanError::Space {
                scanner: self.name(),
                image: subject.to_string(),
                missing,
            });
        }
        let mut documents = Vec::new();
        for (number, advisory) in advisories.iter().enumerate() {
            let text = advisory.about(subject).map_err(|error| {
                self.failed(subject, format!("`{}` is not JSON: {error}", advisory.path))
            })?;
            documents.push(scratch.write(&format!("{number}.json"), &text)?);
        }
        let mut command = isolated(&self.program, scratch.path());
        match self.kind {
            Kind::Grype => grype::scan(
                &mut command,
                &self.database,
                &scratch.write("grype.yaml", b"")?,
                &documents,
            ),
            Kind::Trivy => trivy::scan(&mut command, &self.database, &documents),
        }
        command.arg(match self.kind {
            Kind::Grype => format!("registry:{}", subject.served()),
            Kind::Trivy => subject.served(),
        });
        let child = command.spawn().map_err(|source| ScanError::Start {
            program: self.program.clone(),
            source,
        })?;
        let ended = process::ended(child, SCAN_TIME, MAX_REPORT_BYTES).await;
        let ended = ended.map_err(|failure| self.failed(subject, failure.to_string()))?;
        if !ended.is_success {
            let stderr = ended.stderr_text(scratch.path());
            return Err(self.failed(subject, shortened(&stderr)));
        }
        let read = match self.kind {
            Kind::Grype => grype::read(&ended.output),
            Kind::Trivy => trivy::read(&ended.output),
        };
        let (scanned, digests) = read.map_err(|error| {
            self.failed(subject, format!("its report is not understood: {error}"))
        })?;
        if !digests.contains(&subject.manifest.to_string()) {
            let other = format!("its report is about another image: {}", digests.join(", "));
            return Err(self.failed(subject, shown(&other)));
        }
        Ok(scanned)
    }

    fn failed(&self, subject: &Subject<'_>, what: String) -> ScanError {
        ScanError::Failed {
            scanner: self.name(),
            image: subject.to_string(),
            what,
        }
    }
}

pub(crate) fn is_read(kind: AdvisoryKind) -> bool {
    READ.contains(&kind)
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Grype => "grype",
            Self::Trivy => "trivy",
        }
    }

    const fn database_help(self) -> &'static str {
        match self {
            Self::Grype => {
                "import one with `grype db import FILE`, or set GRYPE_DB_CACHE_DIR to the \
                 directory that has one"
            }
            Self::Trivy => {
                "unpack one into `db` of that directory, or set TRIVY_CACHE_DIR to the directory \
                 that has one"
            }
        }
    }
}

impl Subject<'_> {
    fn served(&self) -> String {
        let repository = self.reference.repository();
        format!("{}/{repository}@{}", self.host, self.manifest)
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.reference)?;
        match self.platform {
            Some(platform) => write!(formatter, " ({platform})"),
            None => Ok(()),
        }
    }
}

/// What a program answers; nothing when it ends with an error.
async fn answer(program: &Utf8Path, mut command: Command) -> Result<Option<String>, ScanError> {
    let child = command.spawn().map_err(|source| ScanError::Start {
        program: program.to_owned(),
        source,
    })?;
    let ended = process::ended(child, ANSWER_TIME, MAX_ANSWER_BYTES).await;
    let ended = ended.ok().filter(|ended| ended.is_success);
    Ok(ended.and_then(|ended| String::from_utf8(ended.output).ok()))
}
