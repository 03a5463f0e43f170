//! Writing a configuration: every file or none, and never over another.

use camino::Utf8Path;

use super::{Configuration, MirrorError};
use rune_core::fsx;

const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    Written,
    Unchanged,
}

/// The states are in the order of the files. Nothing is written when a file is there with other
/// content.
pub(crate) fn write_files(
    configuration: &Configuration,
    directory: &Utf8Path,
) -> Result<Vec<FileState>, MirrorError> {
    let (mut states, mut others) = (Vec::new(), Vec::new());
    for file in &configuration.files {
        let path = directory.join(&file.path);
        if !fsx::is_taken(&path) {
            states.push(FileState::Written);
        } else if fsx::read(&path, MAX_FILE_BYTES)? == file.text.as_bytes() {
            states.push(FileState::Unchanged);
        } else {
            others.push(path);
        }
    }
    if !others.is_empty() {
        return Err(MirrorError::Others(others));
    }
    for (file, state) in configuration.files.iter().zip(&states) {
        if *state == FileState::Written {
            let path = directory.join(&file.path);
            fsx::create_dir_all(fsx::parent(&path))?;
            fsx::write_new(&path, file.text.as_bytes(), 0o644)?;
        }
    }
    Ok(states)
}
