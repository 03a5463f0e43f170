//! Where a verb writes to: a path, and never standard output, which is for what a verb reports.

use camino::Utf8PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum OutputPathError {
    #[error("an empty text is not a path")]
    Empty,
    #[error(
        "standard output is for the report of the command; give a file or directory, or `./-` for \
         one of that name"
    )]
    StandardOutput,
}

/// Reads the path of what a verb writes; one rule for all verbs of both programs.
pub fn output_path(text: &str) -> Result<Utf8PathBuf, OutputPathError> {
    match text {
        "" => Err(OutputPathError::Empty),
        "-" => Err(OutputPathError::StandardOutput),
        path => Ok(path.into()),
    }
}
