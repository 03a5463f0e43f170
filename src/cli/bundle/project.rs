//! Which manifest a verb works on: the one that was named, or the only one of the project around
//! the working directory.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the working directory is read"
)]

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::{
    cli::annotation::{AnnotateArgs, Annotator},
    commands::bundle::{ManifestChoice, ProjectOptions},
};

const MANIFESTS: &str = "bundle-manifests";

/// The one that is taken where there are several.
const PREFERRED: &str = "rune.yaml";

/// Which manifest.
#[derive(Debug, Args)]
pub(super) struct ProjectArgs {
    /// Bundle manifest, or the directory of a project [default: the manifest in
    /// `bundle-manifests/`, here or in a directory above]
    manifest: Option<Utf8PathBuf>,
    /// Directory that the paths in the manifest are relative to [default: the parent of
    /// `bundle-manifests/`, or the manifest's own directory]
    #[arg(long, value_name = "DIR")]
    project: Option<Utf8PathBuf>,
}

impl From<ProjectArgs> for ProjectOptions {
    fn from(args: ProjectArgs) -> Self {
        Self {
            manifest: args.choice(),
            directory: args.project,
        }
    }
}

impl ProjectArgs {
    fn choice(&self) -> ManifestChoice {
        match (&self.manifest, &self.project) {
            (Some(path), _) if path.is_dir() => {
                in_project(path).unwrap_or_else(|| ManifestChoice::Missing(path.clone()))
            }
            (Some(path), _) => ManifestChoice::Path(path.clone()),
            (None, Some(project)) => {
                in_project(project).unwrap_or_else(|| ManifestChoice::Missing(project.clone()))
            }
            (None, None) => around_here(),
        }
    }

    /// Shows a CI what is said about the manifest and its files; without one, at the place where it
    /// is looked for.
    pub(super) fn annotator(&self, annotate: &AnnotateArgs) -> Annotator {
        annotate.about(|| match self.choice() {
            ManifestChoice::Path(path) => path,
            ManifestChoice::Missing(_) | ManifestChoice::Several(_) => MANIFESTS.into(),
        })
    }
}

fn around_here() -> ManifestChoice {
    let depth = std::env::current_dir().map_or(0, |path| path.ancestors().count());
    let mut directory = Utf8PathBuf::new();
    for _ in 0..depth {
        if let Some(found) = in_project(&directory) {
            return found;
        }
        directory.push("..");
    }
    ManifestChoice::Missing(Utf8PathBuf::new())
}

fn in_project(project: &Utf8Path) -> Option<ManifestChoice> {
    let directory = if project.file_name() == Some(MANIFESTS) {
        project.to_owned()
    } else {
        project.join(MANIFESTS)
    };
    let entries = directory.read_dir_utf8().ok()?;
    let mut found: Vec<Utf8PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.into_path()))
        .filter(|path| path.extension() == Some("yaml") && path.file_name() != Some("policy.yaml"))
        .collect();
    found.sort();
    let preferred = found
        .iter()
        .find(|path| path.file_name() == Some(PREFERRED));
    match (preferred, found.as_slice()) {
        (Some(path), _) | (None, [path]) => Some(ManifestChoice::Path(path.clone())),
        (None, []) => None,
        (None, _) => Some(ManifestChoice::Several(found)),
    }
}
