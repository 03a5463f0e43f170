//! Which manifest a verb works on.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    bundle::UnverifiedHead,
    manifest::{Programs, Project},
};
use rune_core::{command::CommandError, failure::Failure, fsx};

#[derive(Debug, Clone)]
pub struct ProjectOptions {
    pub manifest: ManifestChoice,
    pub directory: Option<Utf8PathBuf>,
}

/// The manifest, as far as it was named or found.
#[derive(Debug, Clone)]
pub enum ManifestChoice {
    Path(Utf8PathBuf),
    /// None was found in this directory, or, when it is empty, in the working directory and above.
    Missing(Utf8PathBuf),
    Several(Vec<Utf8PathBuf>),
}

#[derive(Debug, thiserror::Error, Failure)]
enum ChoiceError {
    #[error("no bundle manifest in `bundle-manifests/` of {0}")]
    #[failure(NotFound: "name the manifest, or create a project with `rune-bundle init`")]
    Missing(String),
    #[error("several bundle manifests: {}", list(.0))]
    #[failure(Usage: format!("name one, such as {}", list(.0.get(..1)?)))]
    Several(Vec<Utf8PathBuf>),
    #[error("`{0}` is a bundle, and this verb works on a manifest")]
    #[failure(Usage: "`rune-bundle verify {0} --policy FILE` checks a bundle, `rune-bundle inspect \
        {0}` shows it")]
    Bundle(Utf8PathBuf),
}

impl fmt::Display for ManifestChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Path(path) => path.as_str(),
            Self::Missing(directory) if !directory.as_str().is_empty() => directory.as_str(),
            Self::Missing(_) | Self::Several(_) => ".",
        })
    }
}

fn list(paths: &[Utf8PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    paths.join(", ")
}

impl ProjectOptions {
    pub(super) fn load(&self, programs: Programs) -> Result<Project, CommandError> {
        match &self.manifest {
            ManifestChoice::Path(path) if is_bundle(path) => {
                Err(ChoiceError::Bundle(path.clone()).into())
            }
            ManifestChoice::Path(path) => {
                Ok(Project::load(path, self.directory.as_deref(), programs)?)
            }
            ManifestChoice::Missing(directory) => {
                let place = if directory.as_str().is_empty() {
                    "the working directory and the directories above".to_owned()
                } else {
                    format!("`{directory}`")
                };
                Err(ChoiceError::Missing(place).into())
            }
            ManifestChoice::Several(paths) => Err(ChoiceError::Several(paths.clone()).into()),
        }
    }
}

/// Whether a file begins as a bundle does. One that cannot be read does not; the reader of the
/// manifest says why.
fn is_bundle(path: &Utf8Path) -> bool {
    fsx::open(path).is_ok_and(|mut file| UnverifiedHead::read(&mut file).is_ok())
}
