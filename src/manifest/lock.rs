//! The lock file: what every reference, file and chart of a manifest was when a person decided on
//! it.
//!
//! Written by the verb `lock` alone and read by everything else. It holds every digest with its
//! size, so that a build can lay out the whole archive before the first byte arrives, and so that
//! nothing but `lock` resolves a tag. It holds no manifest bytes: those are fetched by digest.

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Blob, Contradiction, LockedContent, LockedImage, Platforms, platform_text};
use crate::{
    chart::ChartVersion,
    oci::{Platform, Reference},
    policy::SubjectKind,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
    yaml::{self, YamlError},
};

/// The newest format that this version of the tool reads. It writes the oldest that holds what
/// there is to say.
pub(crate) const LOCK_FORMAT_VERSION: u32 = 5;

const MAX_LOCK_BYTES: u64 = 16 << 20;

const HEADER: &str = "# written by rune-bundle lock; do not edit\n";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// 1; with other tags, charts or files from elsewhere 2; with referrers or artifacts 3; with
    /// images of several programs 4; with generated SBOMs or licences of packages
    /// [`LOCK_FORMAT_VERSION`].
    pub(crate) format_version: u32,
    pub(crate) bundle: BundleIdentity,
    pub(crate) platforms: Platforms,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<LockedImage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) artifacts: Vec<LockedImage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) charts: Vec<LockedChart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) migrations: Option<LockedMigrations>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) binaries: Vec<LockedBinary>,
    /// Other files that come from web servers, sorted by path. Those of the project are read when a
    /// bundle is built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<LockedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BundleIdentity {
    pub(crate) name: String,
    pub(crate) version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedChart {
    pub(crate) name: String,
    pub(crate) version: ChartVersion,
    pub(crate) source: LockedChartSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(crate) enum LockedChartSource {
    /// A directory of the project. Its files are the project's own and versioned with it.
    Directory { path: Utf8PathBuf },
    /// A packed chart, pinned byte by byte.
    Archive {
        path: Utf8PathBuf,
        digest: Digest,
        size: u64,
    },
    /// A chart of an OCI registry, pinned by its manifest.
    Registry {
        reference: Reference,
        manifest: Blob,
        digest: Digest,
        size: u64,
    },
    Repository {
        /// Where the index of the repository is, without a query.
        repository: String,
        digest: Digest,
        size: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedMigrations {
    pub(crate) path: Utf8PathBuf,
    /// The version of the schema after the last of them.
    pub(crate) schema_version: u32,
    pub(crate) files: Vec<LockedMigration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedMigration {
    pub(crate) version: u32,
    pub(crate) file: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedBinary {
    pub(crate) name: String,
    #[serde(with = "platform_text")]
    pub(crate) platform: Platform,
    /// Path relative to the project directory, of one of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<Utf8PathBuf>,
    /// Where one from a web server is, without a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedFile {
    pub(crate) path: Utf8PathBuf,
    /// Where it is, without a query.
    pub(crate) url: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input: "lock files are not edited by hand; run `rune-bundle lock` again")]
pub enum LockError {
    #[error("cannot use the lock file")]
    #[failure(inner: match .0.kind() {
        FailureKind::NotFound => Some("run `rune-bundle lock` first".to_owned()),
        _ => .0.help(),
    })]
    File(#[source] PathError),
    #[error("the lock file is malformed")]
    #[failure(inner)]
    Syntax(#[source] YamlError),
    #[error("`{path}` has lock format {found}, this tool reads format 1 to {LOCK_FORMAT_VERSION}")]
    FormatVersion { path: Utf8PathBuf, found: u32 },
    #[error("`{path}` contradicts itself: {what}")]
    Contradiction {
        path: Utf8PathBuf,
        what: Contradiction,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormatProbe {
    format_version: u32,
}

impl Lock {
    /// The format of locks that say nothing of what came later.
    pub(super) const FIRST_FORMAT: u32 = 1;

    /// The format of locks with other tags, or charts or files from elsewhere.
    const SECOND_FORMAT: u32 = 2;

    const THIRD_FORMAT: u32 = 3;

    const FOURTH_FORMAT: u32 = 4;

    pub(crate) fn read(path: &Utf8Path) -> Result<Self, LockError> {
        let text = fsx::read_to_string(path, MAX_LOCK_BYTES).map_err(LockError::File)?;
        Self::parse(path, &text)
    }

    pub fn parse(path: &Utf8Path, text: &str) -> Result<Self, LockError> {
        // The version first: a later format may have keys that this one does not know.
        let probe: FormatProbe = yaml::from_str(path, text).map_err(LockError::Syntax)?;
        if !(Self::FIRST_FORMAT..=LOCK_FORMAT_VERSION).contains(&probe.format_version) {
            return Err(LockError::FormatVersion {
                path: path.to_owned(),
                found: probe.format_version,
            });
        }
        let lock: Self = yaml::from_str(path, text).map_err(LockError::Syntax)?;
        lock.check().map_err(|what| LockError::Contradiction {
            path: path.to_owned(),
            what,
        })?;
        Ok(lock)
    }

    /// The text of the lock file: the same lock gives the same bytes.
    pub fn to_text(&self) -> Result<String, LockError> {
        Ok(format!(
            "{HEADER}{}",
            yaml::to_string(self).map_err(LockError::Syntax)?
        ))
    }

    pub(crate) fn write(&self, path: &Utf8Path) -> Result<(), LockError> {
        fsx::write_atomic(path, self.to_text()?.as_bytes()).map_err(LockError::File)
    }

    /// Notes that the registry of an image has the same digest under another tag.
    pub(crate) fn add_other_tag(&mut self, image: &str, tag: &str) {
        for image in self.images.iter_mut().filter(|locked| {
            locked.name == image && !locked.other_tags.iter().any(|known| known == tag)
        }) {
            image.other_tags.push(tag.to_owned());
            image.other_tags.sort();
        }
        self.set_format();
    }

    pub(crate) fn set_format(&mut self) {
        let has_other_tags = self.images.iter().any(|image| !image.other_tags.is_empty());
        let has_remote = |chart: &LockedChart| {
            matches!(
                chart.source,
                LockedChartSource::Registry { .. } | LockedChartSource::Repository { .. }
            )
        };
        let is_from_elsewhere = self.charts.iter().any(has_remote)
            || self.binaries.iter().any(|binary| binary.url.is_some())
            || !self.files.is_empty();
        let has_referrers = |image: &LockedImage| {
            matches!(&image.content,
            LockedContent::Registry(pulled) if !pulled.referrers.is_empty())
        };
        let has_programs_beside = |image: &LockedImage| {
            matches!(&image.content,
            LockedContent::Build(built) if built.beside().next().is_some())
        };
        let has_licenses = |image: &LockedImage| {
            matches!(&image.content,
            LockedContent::Registry(pulled) if pulled.found_licenses.is_some())
        };
        let has_sboms = self.sboms().next().is_some();
        self.format_version = if has_sboms || self.images.iter().any(has_licenses) {
            LOCK_FORMAT_VERSION
        } else if self.images.iter().any(has_programs_beside) {
            Self::FOURTH_FORMAT
        } else if !self.artifacts.is_empty() || self.images.iter().any(has_referrers) {
            Self::THIRD_FORMAT
        } else if has_other_tags || is_from_elsewhere {
            Self::SECOND_FORMAT
        } else {
            Self::FIRST_FORMAT
        };
    }

    pub(crate) fn image(&self, name: &str) -> Option<&LockedImage> {
        self.images.iter().find(|image| image.name == name)
    }

    pub(crate) fn artifact(&self, name: &str) -> Option<&LockedImage> {
        self.artifacts.iter().find(|artifact| artifact.name == name)
    }

    pub(crate) fn named(&self, kind: SubjectKind, name: &str) -> Option<&LockedImage> {
        match kind {
            SubjectKind::Image => self.image(name),
            SubjectKind::Artifact => self.artifact(name),
        }
    }

    /// Images and artifacts, with what each is.
    pub(crate) fn images_and_artifacts(&self) -> impl Iterator<Item = (SubjectKind, &LockedImage)> {
        let images = self.images.iter().map(|image| (SubjectKind::Image, image));
        let artifacts = self.artifacts.iter();
        images.chain(artifacts.map(|artifact| (SubjectKind::Artifact, artifact)))
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Contradiction, Lock, LockError};
    use crate::manifest::LockedContent;
    use rune_core::failure::{Failure as _, FailureKind};

    const SAMPLE: &str = include_str!("sample.lock");

    fn parse(text: &str) -> Result<Lock, LockError> {
        Lock::parse(Utf8Path::new("rune.lock"), text)
    }

    fn contradiction(text: &str) -> Contradiction {
        match parse(text) {
            Err(LockError::Contradiction { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reading_and_writing_gives_the_same_bytes() {
        assert_eq!(parse(SAMPLE).unwrap().to_text().unwrap(), SAMPLE);
    }

    #[test]
    fn a_lock_has_the_newer_format_only_when_it_says_something_newer() {
        let mut lock = parse(SAMPLE).unwrap();
        assert_eq!(lock.format_version, 1);
        lock.add_other_tag("postgres", "17");
        lock.add_other_tag("postgres", "17");
        let text = lock.to_text().unwrap();
        assert!(
            text.contains("formatVersion: 2\n") && text.matches("otherTags:").count() == 1,
            "{text}"
        );
        assert_eq!(parse(&text).unwrap(), lock);
    }

    #[test]
    fn carried_blobs_leave_out_the_platforms_that_were_not_chosen() {
        let lock = parse(SAMPLE).unwrap();
        let LockedContent::Registry(postgres) = &lock.image("postgres").unwrap().content else {
            panic!()
        };
        assert!(postgres.is_index() && !postgres.is_complete());
        assert_eq!(postgres.carried_blobs().count(), 7);
        assert_eq!(postgres.blobs().count(), 13);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = parse(&SAMPLE.replace("schemaVersion: 6", "schemaVersion: 6\n  colour: red"))
            .unwrap_err();
        assert!(
            matches!(error, LockError::Syntax(_)) && error.kind() == FailureKind::Input,
            "{error:?}"
        );
    }

    #[test]
    fn another_format_is_named_before_its_keys_are_looked_at() {
        let error = parse("formatVersion: 99\nsomethingNew: {}\n").unwrap_err();
        assert!(
            matches!(error, LockError::FormatVersion { found: 99, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn a_lock_that_contradicts_itself_is_refused() {
        let first_layer = "size: 5000";
        assert!(matches!(
            contradiction(&SAMPLE.replacen(first_layer, "size: 9007199254740992", 1)),
            Contradiction::Size { .. }
        ));
        // Both attestations have the same configuration.
        assert!(matches!(
            contradiction(&SAMPLE.replacen("size: 167", "size: 168", 1)),
            Contradiction::Sizes { .. }
        ));
        assert!(matches!(
            contradiction(&SAMPLE.replacen("carried: true", "carried: false", 1)),
            Contradiction::Carried { .. }
        ));
        assert!(matches!(
            contradiction(&SAMPLE.replacen("name: rune-db", "name: postgres", 1)),
            Contradiction::Duplicate(_)
        ));
    }
}
