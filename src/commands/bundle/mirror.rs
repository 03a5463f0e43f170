//! `mirror`: the configuration of nodes with which charts need no change.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{open::BundleOptions, trust_source::TrustSource};
use crate::mirror::{self, ConfigurationFile, FileState};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
};

pub(crate) use mirror::{Destination as MirrorDestination, Format as MirrorFormat};

#[derive(Debug, Clone)]
pub(crate) struct MirrorOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) format: MirrorFormat,
    pub(crate) destination: MirrorDestination,
    /// Where to write; without one, the configuration is the report.
    pub(crate) out: Option<Utf8PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MirrorReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    sources: Vec<String>,
    files: Vec<ReportedFile>,
    left_out: Vec<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportedFile {
    path: Utf8PathBuf,
    content: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Printed,
    Written,
    Unchanged,
}

impl Report for MirrorReport {
    const VERB: &'static str = "mirror";

    fn text(&self) -> String {
        let mut text = String::new();
        for ReportedFile {
            path,
            content,
            state,
        } in &self.files
        {
            let _ = match state {
                // One file can be sent on as it is; several need their names, and those that come
                // in several have comments.
                State::Printed if self.files.len() == 1 => write!(text, "{content}"),
                State::Printed => writeln!(text, "# {path}\n{content}"),
                State::Written => writeln!(text, "wrote `{path}`"),
                State::Unchanged => writeln!(text, "`{path}` already exists"),
            };
        }
        text
    }
}

pub(crate) fn run(
    options: &MirrorOptions,
    progress: &dyn Progress,
) -> Result<MirrorReport, CommandError> {
    let (_, head) = options.bundle.authenticate()?;
    let trust = options.bundle.trust_source();
    // Standard output is the configuration.
    if let Some(trust) = &trust {
        progress.announce(&format!("trust: {trust}"));
    }
    let index = head.index();
    let images: Vec<_> = index.images.iter().map(|image| &image.reference).collect();
    let configuration = options
        .format
        .configuration(&index.name, &images, &options.destination)?;
    let states = match &options.out {
        Some(directory) => mirror::write_files(&configuration, directory)?
            .into_iter()
            .map(State::from)
            .collect(),
        None => vec![State::Printed; configuration.files.len()],
    };
    let directory = options
        .out
        .clone()
        .unwrap_or_else(|| configuration.place.into());
    for source in &configuration.left_out {
        progress.announce(&format!(
            "note: this runtime cannot be sent elsewhere for {source}: give the charts the name \
             of the registry"
        ));
    }
    for note in &configuration.notes {
        progress.announce(&format!("note: {note}"));
    }
    let file = |(ConfigurationFile { path, text }, state)| ReportedFile {
        path: directory.join(path),
        content: text,
        state,
    };
    Ok(MirrorReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust,
        sources: mirror::source_registries(&images)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        files: configuration
            .files
            .into_iter()
            .zip(states)
            .map(file)
            .collect(),
        left_out: configuration.left_out,
        notes: configuration.notes,
    })
}

impl From<FileState> for State {
    fn from(state: FileState) -> Self {
        match state {
            FileState::Written => Self::Written,
            FileState::Unchanged => Self::Unchanged,
        }
    }
}
