//! `unpack`: verified extraction, all or nothing.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::open::{BundleOptions, threads};
use crate::{
    bundle,
    commands::{CommandError, Report},
    oci::Digest,
    progress::Progress,
};

/// What to unpack, and where.
#[derive(Debug, Clone)]
pub struct UnpackOptions {
    /// Which bundle, and what it is checked with.
    pub bundle: BundleOptions,
    /// The directory to create; without one, `<name>-<version>` in the working directory.
    pub directory: Option<Utf8PathBuf>,
    /// Only check that it could be done.
    pub is_dry_run: bool,
}

/// What was unpacked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpackReport {
    directory: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
    files: usize,
    bytes: u64,
    dry_run: bool,
}

impl Report for UnpackReport {
    const VERB: &'static str = "unpack";

    fn text(&self) -> String {
        let Self { directory, name, version, files, bytes, .. } = self;
        if self.dry_run {
            format!("would unpack {name} {version} into `{directory}`: {files} files, {bytes} bytes; only its head was checked\n")
        } else {
            format!("unpacked {name} {version} into `{directory}`: {files} files, {bytes} bytes\nread `{directory}/INSTALL.md` next\n")
        }
    }
}

/// Unpacks a bundle into a new directory.
///
/// # Errors
/// When the bundle is not as signed, the directory exists, or there is too little room; nothing is left then.
pub fn run(options: &UnpackOptions, progress: &dyn Progress) -> Result<UnpackReport, CommandError> {
    let (source, head) = options.bundle.authenticate()?;
    let index = head.index();
    let directory = options.directory.clone().unwrap_or_else(|| format!("{}-{}", index.name, index.version).into());
    if options.is_dry_run {
        bundle::check_unpack_destination(&head, &directory)?;
    } else {
        bundle::unpack(source, &head, &directory, threads(), progress)
            .map_err(|error| CommandError::from(error).context(format!("did not unpack `{}`", options.bundle.bundle)))?;
    }
    Ok(UnpackReport {
        directory,
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        files: index.entries.len(),
        bytes: index.entries.iter().map(|entry| entry.size).sum(),
        dry_run: options.is_dry_run,
    })
}
