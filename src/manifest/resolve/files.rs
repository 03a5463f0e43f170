//! What the files of the project are: digests and sizes.

use camino::Utf8Path;

use super::error::ResolveError;
use crate::{
    chart::ChartTree,
    manifest::{
        Binary, BuildImage, BuiltBinary, BuiltImage, ChartSource, LockedBinary, LockedChart,
        LockedChartSource, LockedMigration, LockedMigrations, Project,
    },
};
use rune_core::{
    digest::{Digest, Sha256},
    fsx,
};

const MAX_MIGRATION_BYTES: u64 = 16 << 20;

const CHUNK_BYTES: usize = 1 << 20;

pub(super) fn built(project: &Project, build: &BuildImage) -> Result<BuiltImage, ResolveError> {
    let mut binaries = Vec::new();
    for (platform, paths) in &build.binaries {
        for path in paths {
            let (digest, size) = identify(&project.path(path))?;
            binaries.push(BuiltBinary {
                platform: platform.clone(),
                path: path.clone(),
                digest,
                size,
            });
        }
    }
    Ok(BuiltImage { binaries })
}

pub(super) fn binary(
    project: &Project,
    binary: &Binary,
    path: &Utf8Path,
) -> Result<LockedBinary, ResolveError> {
    let (digest, size) = identify(&project.path(path))?;
    let (name, platform) = (binary.name.clone(), binary.platform.clone());
    Ok(LockedBinary {
        name,
        platform,
        path: Some(path.to_owned()),
        url: None,
        digest,
        size,
    })
}

/// A chart of the project: its name and version, and the bytes of one that comes packed. Nothing
/// for one from elsewhere.
pub(super) fn chart(
    project: &Project,
    source: &ChartSource,
) -> Result<Option<LockedChart>, ResolveError> {
    let locked = match source {
        ChartSource::Directory(path) => {
            let metadata = ChartTree::read(&project.path(path))?.metadata(path.as_str())?;
            LockedChart {
                name: metadata.name,
                version: metadata.version,
                source: LockedChartSource::Directory { path: path.clone() },
            }
        }
        ChartSource::Archive(path) => {
            let (digest, size) = identify(&project.path(path))?;
            let metadata = crate::chart::read_package(&project.path(path))?.metadata;
            let source = LockedChartSource::Archive {
                path: path.clone(),
                digest,
                size,
            };
            LockedChart {
                name: metadata.name,
                version: metadata.version,
                source,
            }
        }
        ChartSource::Remote(_) => return Ok(None),
    };
    Ok(Some(locked))
}

/// The SQL migrations: every `.sql` file of the directory, ordered by number.
pub(super) fn migrations(
    project: &Project,
    path: &Utf8Path,
) -> Result<LockedMigrations, ResolveError> {
    let directory = project.path(path);
    let mut files: Vec<LockedMigration> = Vec::new();
    for file in fsx::list_files(&directory)?
        .into_iter()
        .filter(|file| file.extension() == Some("sql"))
    {
        let version = migration_version(file.as_str())
            .ok_or_else(|| ResolveError::MigrationName(path.join(&file)))?;
        let bytes = fsx::read(&directory.join(&file), MAX_MIGRATION_BYTES)?;
        files.push(LockedMigration {
            version,
            file: file.into_string(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        });
    }
    files.sort_by_key(|file| file.version);
    let twice = files
        .iter()
        .zip(files.iter().skip(1))
        .find(|(one, other)| one.version == other.version);
    if let Some((one, other)) = twice {
        return Err(ResolveError::MigrationNumber {
            one: one.file.clone(),
            other: other.file.clone(),
        });
    }
    let schema_version = files.last().ok_or(ResolveError::NoMigrations)?.version;
    Ok(LockedMigrations {
        path: path.to_owned(),
        schema_version,
        files,
    })
}

fn migration_version(file: &str) -> Option<u32> {
    let (number, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_good = number.len() == 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(is_name);
    number
        .parse()
        .ok()
        .filter(|version| is_good && *version > 0)
}

fn identify(path: &Utf8Path) -> Result<(Digest, u64), ResolveError> {
    let size = fsx::file_size(path)?;
    let mut hasher = Sha256::new();
    fsx::for_each_chunk(path, size, CHUNK_BYTES, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok((hasher.finish(), size))
}

#[cfg(test)]
mod tests {
    use super::migration_version;

    #[test]
    fn migrations_are_numbered_with_four_digits() {
        assert_eq!(migration_version("0001_create_jobs.sql"), Some(1));
        assert_eq!(migration_version("0123_x9.sql"), Some(123));
        for bad in [
            "1_x.sql",
            "00001_x.sql",
            "0000_x.sql",
            "0001.sql",
            "0001_.sql",
            "0001-x.sql",
            "0001_X.sql",
            "x/0001_x.sql",
            "+001_x.sql",
        ] {
            assert_eq!(migration_version(bad), None, "{bad}");
        }
    }
}
