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
use crate::{
    evidence::AdvisoryKind,
    oci::{Platform, Reference},
    process::{self, isolated, shortened},
};
use rune_core::{
    digest::Digest,
    fsx::{self, ScratchDirectory},
    text::shown,
};

/// What a scanner says about itself is a few lines.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// The largest report about one image that is read, in bytes.
const MAX_REPORT_BYTES: u64 = 256 << 20;

const ANSWER_TIME: Duration = Duration::from_mins(1);

/// A large image takes long; a scan that never ends is a mistake.
const SCAN_TIME: Duration = Duration::from_hours(2);

/// A scanner keeps the layers of an image unpacked: they are larger than in the bundle by this
/// factor at most, in all likelihood.
const UNPACKED_FACTOR: u64 = 4;

/// What a scanner needs besides.
const SPARE_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grype,
    Trivy,
}

/// The directories of the site in which the scanners keep their databases.
#[derive(Debug, Clone, Default)]
pub(crate) struct DatabaseDirectories {
    pub(crate) grype: Option<Utf8PathBuf>,
    pub(crate) trivy: Option<Utf8PathBuf>,
}

/// A scanner that was found to be one, with its database.
#[derive(Debug)]
pub(crate) struct Scanner {
    program: Utf8PathBuf,
    kind: Kind,
    version: String,
    /// As the scanner takes it.
    database: Utf8PathBuf,
    built: String,
}

/// One manifest of an image, as a registry has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The host, with the port, that serves the image under its own repository.
    pub(crate) host: &'a str,
    /// What charts and advisories call the image.
    pub(crate) reference: &'a Reference,
    /// What the reference was resolved to: the manifest, or the image index that lists it.
    pub(crate) root: Digest,
    pub(crate) manifest: Digest,
    pub(crate) platform: Option<&'a Platform>,
    /// The size of its layers as they are served.
    pub(crate) packed_bytes: u64,
}

impl Scanner {
    /// Checks which scanner a program is, and whether it has a database.
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
            help: kind.import(),
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

    /// When its database was built, as the scanner says it.
    pub(crate) fn built(&self) -> &str {
        &self.built
    }

    /// Whether it can apply advisories of a kind to an image.
    pub(crate) const fn reads(&self, kind: AdvisoryKind) -> bool {
        matches!(kind, AdvisoryKind::OpenVex | AdvisoryKind::Csaf)
    }

    /// Scans one manifest. Advisories that the scanner does not read are left out.
    pub(crate) async fn scan(
        &self,
        subject: &Subject<'_>,
        advisories: &[Advisory],
    ) -> Result<Scanned, ScanError> {
        let of = |kinds: &[AdvisoryKind]| -> Vec<&Advisory> {
            let advisories = advisories.iter();
            advisories
                .filter(|advisory| kinds.contains(&advisory.kind) && self.reads(advisory.kind))
                .collect()
        };
        match self.kind {
            Kind::Trivy => self.scan_with(subject, &of(&AdvisoryKind::ALL)).await,
            // grype reads all documents of a run as what the first one is.
            Kind::Grype => {
                let groups = [AdvisoryKind::OpenVex, AdvisoryKind::Csaf].map(|kind| of(&[kind]));
                let mut groups = groups.iter().filter(|group| !group.is_empty());
                let first = groups.next().map(Vec::as_slice).unwrap_or_default();
                let mut scanned = self.scan_with(subject, first).await?;
                for group in groups {
                    scanned = scanned.and(self.scan_with(subject, group).await?);
                }
                Ok(scanned)
            }
        }
    }

    async fn scan_with(
        &self,
        subject: &Subject<'_>,
        advisories: &[&Advisory],
    ) -> Result<Scanned, ScanError> {
        let scratch = ScratchDirectory::create()?;
        subject.check_space(scratch.path(), self.name())?;
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
            let stderr = String::from_utf8_lossy(&ended.stderr);
            let stderr = stderr.replace(&format!("{}/", scratch.path()), "");
            return Err(self.failed(subject, shortened(stderr.trim())));
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

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Grype => "grype",
            Self::Trivy => "trivy",
        }
    }

    /// How a site gets a database.
    const fn import(self) -> &'static str {
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
    /// The reference under which the scanner gets it.
    fn served(&self) -> String {
        let repository = self.reference.repository();
        format!("{}/{repository}@{}", self.host, self.manifest)
    }

    fn check_space(&self, directory: &Utf8Path, scanner: &'static str) -> Result<(), ScanError> {
        let needed_bytes = self
            .packed_bytes
            .saturating_mul(UNPACKED_FACTOR)
            .saturating_add(SPARE_BYTES);
        let available_bytes = fsx::available_space(directory)?;
        if needed_bytes > available_bytes {
            return Err(ScanError::Space {
                scanner,
                image: self.to_string(),
                directory: fsx::parent(directory).to_owned(),
                needed_bytes,
                available_bytes,
            });
        }
        Ok(())
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
