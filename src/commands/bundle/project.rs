//! Which manifest a verb works on.

use camino::Utf8PathBuf;

use crate::manifest::{ManifestError, Programs, Project};

/// A manifest and where its paths lead.
#[derive(Debug, Clone)]
pub struct ProjectOptions {
    pub manifest: Utf8PathBuf,
    /// The project directory, when it is not where it usually is.
    pub directory: Option<Utf8PathBuf>,
}

impl ProjectOptions {
    /// Reads the manifest and its policy.
    pub(super) fn load(&self, programs: Programs) -> Result<Project, ManifestError> {
        Project::load(&self.manifest, self.directory.as_deref(), programs)
    }
}
