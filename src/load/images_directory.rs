//! A file of images where k3s, RKE2 and k0s import them from: whole or not at all, never instead of
//! another. The same file is not written twice: they import what has another time or size.

use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::{ImageArchive, LoadError, Selection};
use crate::{archive::EntryName, bundle::OpenBundle};
use rune_core::{
    fsx::{self, Action, NewFile, PathError},
    progress::Progress,
};

#[derive(Debug)]
pub(crate) struct ImagesFile {
    pub(crate) path: Utf8PathBuf,
    /// How many bytes were written; none when exactly this file existed already.
    pub(crate) written_bytes: u64,
}

/// Writes the selected images into a directory that must exist, as
/// `<name>-<version>-<os>-<architecture>.tar` of the bundle; nothing after a failure.
pub(crate) fn write_images_file(
    bundle: &OpenBundle,
    selection: &Selection,
    directory: &Utf8Path,
    progress: &dyn Progress,
) -> Result<ImagesFile, LoadError> {
    if !fsx::is_taken(directory) {
        return Err(LoadError::NoDirectory(directory.to_owned()));
    }
    let archive = ImageArchive::new(bundle, &selection.images, |_| false)?;
    let path = directory.join(file_name(bundle, selection)?);
    progress.begin("writing", archive.total_bytes());
    let written_bytes = if fsx::is_taken(&path) {
        compare(&archive, bundle, &path, progress)?;
        0
    } else {
        write(&archive, bundle, &path, progress)?;
        archive.total_bytes()
    };
    progress.end();
    Ok(ImagesFile {
        path,
        written_bytes,
    })
}

/// A plain name, whatever the bundle is called.
fn file_name(bundle: &OpenBundle, selection: &Selection) -> Result<String, LoadError> {
    let index = bundle.index();
    let platform = selection.platform.to_string().replace('/', "-");
    let name = format!("{}-{}-{platform}.tar", index.name, index.version);
    if name.contains('/') {
        return Err(LoadError::FileName(name));
    }
    Ok(EntryName::new(name)?.as_str().to_owned())
}

fn write(
    archive: &ImageArchive,
    bundle: &OpenBundle,
    path: &Utf8Path,
    progress: &dyn Progress,
) -> Result<(), LoadError> {
    let directory = fsx::parent(path);
    let (needed_bytes, available_bytes) = (archive.total_bytes(), fsx::available_space(directory)?);
    if needed_bytes > available_bytes {
        return Err(LoadError::Space {
            directory: directory.to_owned(),
            needed_bytes,
            available_bytes,
        });
    }
    let mut file = NewFile::create(path, 0o644)?;
    archive.stream(bundle, progress, |piece| {
        file.write(piece).map_err(LoadError::from)
    })?;
    Ok(file.finish()?)
}

fn compare(
    archive: &ImageArchive,
    bundle: &OpenBundle,
    path: &Utf8Path,
    progress: &dyn Progress,
) -> Result<(), LoadError> {
    let mut file = fsx::open(path)?;
    let mut found = Vec::new();
    let mut next = |expected: &[u8]| {
        found.resize(expected.len(), 0);
        match file.read_exact(&mut found) {
            Ok(()) if found == expected => Ok(()),
            Err(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => Err(PathError {
                action: Action::Read,
                path: path.to_owned(),
                source,
            }
            .into()),
            _ => Err(LoadError::OtherFile(path.to_owned())),
        }
    };
    archive.stream(bundle, progress, &mut next)?;
    match file.read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(LoadError::OtherFile(path.to_owned())),
    }
}
