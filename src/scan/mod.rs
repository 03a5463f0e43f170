//! Running the site's own grype, a vulnerability scanner, on images that are served at a loopback address.
//!
//! The scanner has a directory of its own for everything but the database of the site: it sees
//! neither configuration nor credentials, and it is told to update and to check nothing. What it
//! says is read far enough to count and to show it. What it cannot scan is an error and never an
//! image without findings.
#![deny(clippy::arithmetic_side_effects)]

mod error;
mod finding;
mod grype;
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

pub(crate) const SCANNER: &str = "grype";

/// What a scanner says about itself is a few lines.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

const MAX_REPORT_BYTES: u64 = 256 << 20;

const ANSWER_TIME: Duration = Duration::from_mins(1);

/// A large image takes long; a scan that never ends is a mistake.
const SCAN_TIME: Duration = Duration::from_hours(2);

const READ: [AdvisoryKind; 2] = [AdvisoryKind::OpenVex, AdvisoryKind::Csaf];

#[derive(Debug)]
pub(crate) struct Scanner {
    program: Utf8PathBuf,
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
    /// Checks whether a program is grype, and whether there is a database in the directory of the
    /// site for it.
    pub(crate) async fn find(
        program: &Utf8Path,
        database: Option<&Utf8Path>,
    ) -> Result<Self, ScanError> {
        let scratch = ScratchDirectory::create()?;
        let mut command = isolated(program, scratch.path());
        command.arg("version").envs(grype::SETTINGS);
        let answer = answer(program, command).await?.unwrap_or_default();
        let unknown = || ScanError::Unknown(program.to_owned());
        let version = grype::version(&answer).ok_or_else(unknown)?;
        let database = database.ok_or(ScanError::NoHome)?;
        let mut command = isolated(program, scratch.path());
        grype::ask_database(&mut command, database);
        let answer = self::answer(program, command).await?;
        let no_database = || ScanError::NoDatabase(database.to_owned());
        Ok(Self {
            program: program.to_owned(),
            version: shown(version),
            database: database.to_owned(),
            built: answer
                .as_deref()
                .and_then(grype::built)
                .ok_or_else(no_database)?,
        })
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
        // grype reads all documents of a run as what the first one is.
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
            let image = subject.to_string();
            return Err(ScanError::Space { image, missing });
        }
        let mut documents = Vec::new();
        for (number, advisory) in advisories.iter().enumerate() {
            let text = advisory.about(subject).map_err(|error| {
                failed(subject, format!("`{}` is not JSON: {error}", advisory.path))
            })?;
            documents.push(scratch.write(&format!("{number}.json"), &text)?);
        }
        let mut command = isolated(&self.program, scratch.path());
        grype::scan(
            &mut command,
            &self.database,
            &scratch.write("grype.yaml", b"")?,
            &documents,
        );
        command.arg(format!("registry:{}", subject.served()));
        let child = command.spawn().map_err(|source| ScanError::Start {
            program: self.program.clone(),
            source,
        })?;
        let ended = process::ended(child, SCAN_TIME, MAX_REPORT_BYTES).await;
        let ended = ended.map_err(|failure| failed(subject, failure.to_string()))?;
        if !ended.is_success {
            let stderr = ended.stderr_text(scratch.path());
            return Err(failed(subject, shortened(&stderr)));
        }
        let (scanned, digest) = grype::read(&ended.output)
            .map_err(|error| failed(subject, format!("its report is not understood: {error}")))?;
        if digest != subject.manifest.to_string() {
            let other = format!("its report is about another image: {digest}");
            return Err(failed(subject, shown(&other)));
        }
        Ok(scanned)
    }
}

pub(crate) fn is_read(kind: AdvisoryKind) -> bool {
    READ.contains(&kind)
}

fn failed(subject: &Subject<'_>, what: String) -> ScanError {
    ScanError::Failed {
        image: subject.to_string(),
        what,
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
