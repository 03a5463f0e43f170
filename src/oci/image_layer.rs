//! The one layer of an image made from scratch: files and the directories they lie in, as a
//! compressed ustar.
//!
//! Everything that usually differs between two layers of the same files is fixed: times are 0,
//! owners are root, entries are in byte order, the gzip header says nothing about when or where.
//! What does not fit a plain ustar is refused, because readers disagree about the extensions.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use flate2::{Compression, GzBuilder};

use super::{Digest, Sha256};
use rune_core::failure::Failure;

/// "Unknown" in the operating system byte of a gzip header.
const GZIP_UNKNOWN_SYSTEM: u8 = 255;

/// Named, because the default of a library may move, and the digests of all images with it.
const COMPRESSION_LEVEL: u32 = 6;

#[derive(Debug, Clone)]
pub(crate) struct ImageFile {
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// Its bytes; `None` for an empty directory.
    pub(crate) content: Option<Vec<u8>>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum ImageLayerError {
    /// The path is absolute, empty, or has an empty, `.` or `..` component.
    #[error("`{0}` is not a path below the root of an image")]
    Path(String),
    #[error("the path `{path}` does not fit into an image layer")]
    #[failure(help: "give the file a shorter name")]
    LongPath {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("two files of an image are in each other's way at `{0}`")]
    Collision(String),
    #[error("the layer cannot be compressed")]
    #[failure(Internal)]
    Compress(#[source] io::Error),
}

pub(super) struct ImageLayer {
    /// The digest of the uncompressed tar, which the image's configuration names.
    pub(super) diff_id: Digest,
    pub(super) bytes: Vec<u8>,
}

impl ImageLayer {
    pub(super) fn of(files: Vec<ImageFile>) -> Result<Self, ImageLayerError> {
        let files = ordered(files)?;
        let gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(GZIP_UNKNOWN_SYSTEM);
        let gzip = gzip.write(Vec::new(), Compression::new(COMPRESSION_LEVEL));
        let mut archive = tar::Builder::new(Hashed {
            hasher: Sha256::new(),
            inner: gzip,
        });
        for directory in directories(&files)? {
            append(
                &mut archive,
                tar::EntryType::Directory,
                &directory,
                0o755,
                &[],
            )?;
        }
        for (path, file) in files {
            match file.content {
                Some(bytes) => append(
                    &mut archive,
                    tar::EntryType::Regular,
                    &path,
                    file.mode,
                    &bytes,
                )?,
                None => append(
                    &mut archive,
                    tar::EntryType::Directory,
                    &format!("{path}/"),
                    file.mode,
                    &[],
                )?,
            }
        }
        let Hashed { hasher, inner } = archive.into_inner().map_err(ImageLayerError::Compress)?;
        Ok(Self {
            diff_id: hasher.finish(),
            bytes: inner.finish().map_err(ImageLayerError::Compress)?,
        })
    }
}

fn ordered(files: Vec<ImageFile>) -> Result<BTreeMap<String, ImageFile>, ImageLayerError> {
    let mut by_path = BTreeMap::new();
    for file in files {
        if file
            .path
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(ImageLayerError::Path(file.path));
        }
        if let Some(other) = by_path.insert(file.path.clone(), file) {
            return Err(ImageLayerError::Collision(other.path));
        }
    }
    Ok(by_path)
}

/// Every directory above a file, parents first, each with a slash at its end.
fn directories(files: &BTreeMap<String, ImageFile>) -> Result<BTreeSet<String>, ImageLayerError> {
    let mut directories = BTreeSet::new();
    for path in files.keys() {
        for (end, _) in path.match_indices('/') {
            let (Some(name), Some(directory)) = (path.get(..end), path.get(..=end)) else {
                continue;
            };
            if files.contains_key(name) {
                return Err(ImageLayerError::Collision(name.to_owned()));
            }
            directories.insert(directory.to_owned());
        }
    }
    Ok(directories)
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<(), ImageLayerError> {
    let mut header = tar::Header::new_ustar();
    // Not `append_data`, which takes to a GNU extension when the path is long.
    header
        .set_path(path)
        .map_err(|source| ImageLayerError::LongPath {
            path: path.to_owned(),
            source,
        })?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    archive
        .append(&header, bytes)
        .map_err(ImageLayerError::Compress)
}

/// Hashes what passes through, so that the uncompressed layer is never whole in memory.
struct Hashed<W> {
    hasher: Sha256,
    inner: W,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{ImageFile, ImageLayer, ImageLayerError};
    use rune_core::digest::Digest;

    fn file(path: &str, mode: u32) -> ImageFile {
        ImageFile {
            path: path.to_owned(),
            mode,
            content: Some(path.as_bytes().to_vec()),
        }
    }

    fn unpacked(layer: &ImageLayer) -> Vec<u8> {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(layer.bytes.as_slice())
            .read_to_end(&mut tar)
            .unwrap();
        tar
    }

    #[test]
    fn holds_the_files_with_their_modes_below_directories_of_root() {
        let layer = ImageLayer::of(vec![
            file("usr/local/bin/x", 0o755),
            file("etc/passwd", 0o644),
        ])
        .unwrap();
        let tar = unpacked(&layer);
        assert_eq!(layer.diff_id, Digest::of(&tar));
        let mut archive = tar::Archive::new(tar.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert!(header.as_ustar().is_some());
                assert_eq!(
                    (
                        header.mtime().unwrap(),
                        header.uid().unwrap(),
                        header.gid().unwrap()
                    ),
                    (0, 0, 0)
                );
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("etc/", 0o755),
            ("usr/", 0o755),
            ("usr/local/", 0o755),
            ("usr/local/bin/", 0o755),
            ("etc/passwd", 0o644),
            ("usr/local/bin/x", 0o755),
        ];
        assert!(
            found
                .iter()
                .map(|(path, mode)| (path.as_str(), *mode))
                .eq(expected),
            "{found:?}"
        );
    }

    #[test]
    fn the_compressed_bytes_are_the_same_on_every_machine() {
        // Long enough, and repetitive enough, for the compressor to have choices.
        let bytes = (0_u32..60_000)
            .flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes())
            .collect();
        let layer = ImageLayer::of(vec![ImageFile {
            path: "x".to_owned(),
            mode: 0o644,
            content: Some(bytes),
        }])
        .unwrap();
        assert_eq!(
            Digest::of(&layer.bytes).to_string(),
            "sha256:507c2a7854528fc987ead1ab69355613b3a04b4fa611cbeab0514760b232dda0"
        );
    }

    #[test]
    fn refuses_paths_that_leave_the_root_or_need_an_extension() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a"] {
            assert!(
                matches!(
                    ImageLayer::of(vec![file(path, 0o644)]),
                    Err(ImageLayerError::Path(_))
                ),
                "{path}"
            );
        }
        let long = ImageLayer::of(vec![file(&"x".repeat(101), 0o644)]);
        assert!(matches!(long, Err(ImageLayerError::LongPath { .. })));
    }

    #[test]
    fn refuses_files_that_are_in_each_others_way() {
        for paths in [["a", "a"], ["a", "a/b"], ["a/b/c", "a"]] {
            let layer = ImageLayer::of(paths.map(|path| file(path, 0o644)).to_vec());
            assert!(
                matches!(layer, Err(ImageLayerError::Collision(path)) if path == "a"),
                "{paths:?}"
            );
        }
    }
}
