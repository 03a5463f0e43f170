//! `render`: charts and values from templates, manifest and lock; or whether the files on disk
//! still are that.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::project::ProjectOptions;
use crate::{
    bundle::{self, Development, RenderedFiles},
    chart::{self, OutOfStep, ReleasedVersions},
    manifest::{Lock, Programs},
};
use rune_core::{
    command::{CommandError, Report, counted},
    failure::{Failure, FailureKind},
    fsx,
    remark::Remark,
    yaml::Place,
};

#[derive(Debug, Clone)]
pub(crate) struct RenderOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) form: RenderForm,
    /// The directory to write to; without one, the project, which only the development form may be
    /// written to.
    pub(crate) out: Option<Utf8PathBuf>,
    pub(crate) mode: RenderMode,
    pub(crate) is_release: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RenderForm {
    Development,
    /// Digests from this lock; without a name, from the one beside the manifest.
    Pinned(Option<Utf8PathBuf>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenderMode {
    Write,
    DryRun,
    Check,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the pinned form is not written into the project")]
#[failure(Usage: "set --output to another directory; what is committed is the development form")]
struct NoDestination;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenderReport {
    directory: Utf8PathBuf,
    /// The lock whose digests were used; absent for the development form.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<Utf8PathBuf>,
    files: Vec<FileSummary>,
    /// With `--check`: what differs from what the templates make.
    out_of_step: Vec<OutOfStep>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileSummary {
    path: Utf8PathBuf,
    state: FileState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum FileState {
    Unchanged,
    Written,
    /// It would be written, were this no dry run.
    WouldBeWritten,
    /// It is not what it should be, and was left so.
    OutOfStep,
}

impl Report for RenderReport {
    const VERB: &'static str = "render";

    fn remarks(&self) -> Vec<Remark> {
        let remark = |file: &OutOfStep| {
            let place = Place {
                line: file.line,
                column: 1,
            };
            Remark::error(self.place(&file.path), place, difference(file))
                .with_help("run `rune-bundle render` and commit the files")
        };
        self.out_of_step.iter().map(remark).collect()
    }

    fn verdict(&self) -> Option<FailureKind> {
        (!self.out_of_step.is_empty()).then_some(FailureKind::Drift)
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for file in &self.out_of_step {
            let _ = writeln!(text, "{}: {}", self.spot(file), difference(file));
        }
        let count = |state| self.files.iter().filter(|file| file.state == state).count();
        for (place, files) in self.written() {
            let word = if count(FileState::Written) > 0 {
                "wrote"
            } else {
                "would write"
            };
            let files = files.map_or_else(String::new, |files| format!(": {files}"));
            let _ = writeln!(text, "{word}  {}{files}", self.place(&place));
        }
        let (unchanged, wrong) = (count(FileState::Unchanged), count(FileState::OutOfStep));
        if wrong > 0 {
            let _ = writeln!(
                text,
                "{} out of date: not what templates, manifest and lock give; run `rune-bundle \
                 render`",
                counted(wrong, "file")
            );
        }
        if unchanged > 0 {
            let _ = writeln!(text, "{} up to date", counted(unchanged, "file"));
        }
        if self.files.is_empty() && self.out_of_step.is_empty() {
            text.push_str("no chart has templates to render; `build` fills in values templates\n");
        }
        text
    }
}

/// `charts/NAME` for a file of a chart.
fn chart_directory(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut parts = path.components();
    let directory: Utf8PathBuf = parts.by_ref().take(2).collect();
    (directory.starts_with("charts") && parts.next().is_some()).then_some(directory)
}

fn difference(file: &OutOfStep) -> String {
    let shown = |line: &str| format!("`{line}`");
    let end = || "the end of the file".to_owned();
    match (file.line, &file.expected, &file.found) {
        (0, ..) => "does not exist".to_owned(),
        (_, None, None) => "has other bytes".to_owned(),
        (_, Some(expected), Some(found)) if expected == found => {
            format!("ends with another line end after {}", shown(expected))
        }
        (_, expected, found) => {
            let (expected, found) = (
                expected.as_deref().map_or_else(end, shown),
                found.as_deref().map_or_else(end, shown),
            );
            format!("expected {expected}, found {found}")
        }
    }
}

impl RenderReport {
    /// What was written, or would be: each file; of a chart that is new as a whole its directory
    /// and how many files it has.
    fn written(&self) -> Vec<(Utf8PathBuf, Option<String>)> {
        let is_written = |file: &&FileSummary| {
            [FileState::Written, FileState::WouldBeWritten].contains(&file.state)
        };
        let mut lines: Vec<(Utf8PathBuf, Option<String>)> = Vec::new();
        for file in self.files.iter().filter(is_written) {
            let chart = chart_directory(&file.path);
            let files = || {
                self.files
                    .iter()
                    .filter(|other| chart_directory(&other.path) == chart)
            };
            let line = match &chart {
                Some(chart) if files().all(|other| is_written(&other)) => {
                    (chart.clone(), Some(counted(files().count(), "file")))
                }
                _ => (file.path.clone(), None),
            };
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    }

    fn spot(&self, file: &OutOfStep) -> String {
        let path = self.place(&file.path);
        if file.line == 0 || (file.expected.is_none() && file.found.is_none()) {
            path.into_string()
        } else {
            format!("{path}:{}", file.line)
        }
    }

    fn place(&self, path: &Utf8Path) -> Utf8PathBuf {
        if self.directory == "." {
            path.to_owned()
        } else {
            self.directory.join(path)
        }
    }
}

/// A file that is out of date is not an error but the verdict of the report.
pub(crate) fn run(options: &RenderOptions) -> Result<RenderReport, CommandError> {
    let (rendered, project_directory, lock) = match &options.form {
        RenderForm::Development => {
            let project = options.project.load(Programs::NotNeeded)?;
            let Development { mut files, charts } = bundle::render_development(&project)?;
            // A released version never changes; nothing is written then.
            let released = ReleasedVersions::read(project.directory())?;
            released.check(&charts)?;
            if options.is_release {
                files.insert(
                    chart::RELEASED_VERSIONS.into(),
                    released.with_release(&charts)?.into_bytes(),
                );
            }
            (files, Some(project.directory().to_owned()), None)
        }
        RenderForm::Pinned(lock) => {
            // The digest of an image that the packager builds follows from its programs.
            let project = options.project.load(Programs::Required)?;
            let path = lock.clone().unwrap_or_else(|| project.lock_path());
            (
                bundle::render_pinned(&project, &Lock::read(&path)?)?,
                None,
                Some(path),
            )
        }
    };
    let directory = options
        .out
        .clone()
        .or(project_directory)
        .ok_or(NoDestination)?;
    let out_of_step = match options.mode {
        RenderMode::Check => compare(&directory, &rendered)?,
        RenderMode::Write | RenderMode::DryRun => Vec::new(),
    };
    let mut files = Vec::new();
    for (path, bytes) in rendered {
        let state = match options.mode {
            RenderMode::Check if out_of_step.iter().any(|finding| finding.path == path) => {
                FileState::OutOfStep
            }
            RenderMode::Check => FileState::Unchanged,
            RenderMode::Write | RenderMode::DryRun => {
                write(&directory.join(&path), &bytes, options.mode)?
            }
        };
        files.push(FileSummary { path, state });
    }
    Ok(RenderReport {
        directory,
        lock,
        files,
        out_of_step,
    })
}

/// Compares texts line by line and everything else as a whole.
fn compare(directory: &Utf8Path, rendered: &RenderedFiles) -> Result<Vec<OutOfStep>, CommandError> {
    let mut texts = BTreeMap::new();
    let mut out_of_step = Vec::new();
    for (path, bytes) in rendered {
        match std::str::from_utf8(bytes) {
            Ok(text) => _ = texts.insert(path.clone(), text.to_owned()),
            Err(_)
                if fsx::read(&directory.join(path), bytes.len() as u64)
                    .is_ok_and(|found| found == *bytes) => {}
            Err(_) => {
                let line = usize::from(fsx::exists(&directory.join(path)));
                out_of_step.push(OutOfStep {
                    path: path.clone(),
                    line,
                    expected: None,
                    found: None,
                });
            }
        }
    }
    out_of_step.extend(chart::compare(directory, &texts)?);
    out_of_step.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(out_of_step)
}

/// Writes a file unless it exists already, byte for byte.
fn write(path: &Utf8Path, bytes: &[u8], mode: RenderMode) -> Result<FileState, CommandError> {
    if fsx::read(path, bytes.len() as u64).is_ok_and(|found| found == bytes) {
        return Ok(FileState::Unchanged);
    }
    if mode == RenderMode::DryRun {
        return Ok(FileState::WouldBeWritten);
    }
    fsx::create_dir_all(fsx::parent(path))?;
    fsx::write_atomic(path, bytes)?;
    Ok(FileState::Written)
}
