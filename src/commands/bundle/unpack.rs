//! `unpack`: verified extraction, all or nothing.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::{BundleOptions, threads},
    trust_source::TrustSource,
};
use crate::{
    archive::EntryName,
    bundle::{self, BundleIndex, BundleSource},
    policy::Glob,
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::Failure,
    progress::Progress,
    text::{exact_size, size},
};

#[derive(Debug, Clone)]
pub(crate) struct UnpackOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) directory: Option<Utf8PathBuf>,
    pub(crate) only: Vec<String>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnpackReport {
    directory: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    files: usize,
    bytes: u64,
    /// What was left out by `--only`: how many entries, and how many bytes of them were not even
    /// read.
    entries_left_out: usize,
    bytes_not_read: u64,
    dry_run: bool,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("no entry of the bundle matches `{0}`")]
#[failure(NotFound: "`*` stands for anything up to a slash, `**/` for any directories; \
    `rune-bundle inspect --entries` lists all entries")]
struct NothingMatches(String);

impl Report for UnpackReport {
    const VERB: &'static str = "unpack";

    fn text(&self) -> String {
        let Self {
            directory,
            name,
            version,
            files,
            bytes,
            entries_left_out,
            bytes_not_read,
            ..
        } = self;
        let bytes = exact_size(*bytes);
        let mut text = if self.dry_run {
            format!(
                "would unpack {name} {version} into `{directory}`: {files} files, {bytes}; only \
                 its head was checked\n"
            )
        } else {
            format!("unpacked {name} {version} into `{directory}`: {files} files, {bytes}\n")
        };
        if *entries_left_out > 0 {
            let not_read = size(*bytes_not_read);
            text.push_str(&format!(
                "left out       {entries_left_out} entries; {not_read} of the bundle were not \
                 read, so not checked\n"
            ));
        }
        if let Some(trust) = &self.trust {
            text.push_str(&format!("trust          {trust}\n"));
        }
        if *entries_left_out == 0 && !self.dry_run {
            text.push_str(&format!(
                "next: `rune-bundle install`, or by hand: read `{directory}/INSTALL.md`\n"
            ));
        }
        text
    }
}

/// Nothing is left after a failure.
pub(crate) fn run(
    options: &UnpackOptions,
    progress: &dyn Progress,
) -> Result<UnpackReport, CommandError> {
    let (source, head) = options.bundle.authenticate()?;
    let index = head.index();
    let only = chosen(index, &options.only)?;
    let is_file = matches!(source, BundleSource::File(_));
    let directory = options
        .directory
        .clone()
        .unwrap_or_else(|| format!("{}-{}", index.name, index.version).into());
    if options.is_dry_run {
        bundle::check_unpack_destination(&head, only.as_ref(), &directory)?;
    } else {
        let unpacked = bundle::unpack(
            source,
            &head,
            only.as_ref(),
            &directory,
            threads(),
            progress,
        );
        unpacked.map_err(|error| {
            CommandError::from(error).context(format!("did not unpack `{}`", options.bundle.bundle))
        })?;
    }
    let (taken, left): (Vec<_>, Vec<_>) = index
        .entries
        .iter()
        .partition(|entry| only.as_ref().is_none_or(|only| only.contains(&entry.path)));
    Ok(UnpackReport {
        directory,
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust_source(),
        files: taken.len(),
        bytes: taken.iter().map(|entry| entry.size).sum(),
        entries_left_out: left.len(),
        // A stream is read to its end, whatever is wanted of it.
        bytes_not_read: if is_file {
            left.iter().map(|entry| entry.size).sum()
        } else {
            0
        },
        dry_run: options.is_dry_run,
    })
}

/// The names of the entries that patterns want; nothing when all are wanted.
fn chosen(
    index: &BundleIndex,
    patterns: &[String],
) -> Result<Option<BTreeSet<EntryName>>, NothingMatches> {
    let mut names = BTreeSet::new();
    for pattern in patterns {
        let glob = Glob::new(pattern.strip_prefix("./").unwrap_or(pattern));
        let matching = index
            .entries
            .iter()
            .filter(|entry| glob.matches(entry.path.as_str()))
            .map(|entry| entry.path.clone());
        let matching: BTreeSet<EntryName> = matching.collect();
        if matching.is_empty() {
            return Err(NothingMatches(pattern.clone()));
        }
        names.extend(matching);
    }
    Ok((!patterns.is_empty()).then_some(names))
}
