//! A packed chart that somebody else made: its metadata and its files, within Helm's limits.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::bufread::GzDecoder;

use super::{ChartError, ChartTree, MAX_CHART_BYTES, MAX_CHART_FILES, Package};
use rune_core::fsx;

/// The longest path of a file in a chart; no file system has longer ones.
const MAX_PATH_BYTES: usize = 4096;

/// The headers of a file in an archive, with the longest path.
const HEADER_BYTES: u64 = 8192;

/// How deep packed charts may lie in packed charts.
const MAX_DEPTH: usize = 8;

/// What one chart may unpack to, its packed subcharts included.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: u64,
    files: usize,
}

impl Budget {
    pub(super) const fn of_a_chart() -> Self {
        Self {
            bytes: MAX_CHART_BYTES,
            files: MAX_CHART_FILES,
        }
    }

    pub(super) fn count(&mut self, chart: &Utf8Path, bytes: u64) -> Result<(), ChartError> {
        let too_large = || ChartError::TooLarge {
            what: chart.to_string(),
            max_bytes: MAX_CHART_BYTES,
        };
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(too_large)?;
        self.files = self
            .files
            .checked_sub(1)
            .ok_or_else(|| ChartError::TooManyFiles(chart.to_owned()))?;
        Ok(())
    }
}

/// Reads a `.tgz` and the metadata of the chart in it; the bytes stay as they are.
pub fn read_package(path: &Utf8Path) -> Result<Package, ChartError> {
    package_from_bytes(path, fsx::read(path, MAX_CHART_BYTES)?)
}

/// Reads the metadata of the chart in a `.tgz`, whose bytes stay as they are. `path` is what errors
/// call it.
pub(crate) fn package_from_bytes(path: &Utf8Path, bytes: Vec<u8>) -> Result<Package, ChartError> {
    let metadata = unpack_package(path, &bytes)?.own_metadata(path)?;
    Ok(Package {
        metadata,
        bytes,
        provenance: None,
        published: None,
    })
}

/// Reads all files of a `.tgz` into memory, those of packed subcharts in a directory of the
/// subchart's file name. Nothing is written anywhere. `path` is what errors call it. Links and
/// devices have no content and are left out.
pub(crate) fn unpack_package(path: &Utf8Path, bytes: &[u8]) -> Result<ChartTree, ChartError> {
    let mut budget = Budget::of_a_chart();
    let files = unpack(path, bytes, &mut budget)?;
    unfold(path, files, budget)
}

/// Replaces packed subcharts, at any depth, by directories of the same name.
pub(super) fn unfold(
    chart: &Utf8Path,
    files: BTreeMap<Utf8PathBuf, Vec<u8>>,
    mut budget: Budget,
) -> Result<ChartTree, ChartError> {
    let mut unfolded = BTreeMap::new();
    let mut pending = vec![(Utf8PathBuf::new(), files, 0)];
    while let Some((place, files, depth)) = pending.pop() {
        for (path, bytes) in files {
            let place = place.join(&path);
            if !is_packed_subchart(&path) {
                unfolded.insert(place, bytes);
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(ChartError::TooDeep(chart.join(place)));
            }
            let inner = unpack(&chart.join(&place), &bytes, &mut budget)?;
            pending.push((place, inner, depth.saturating_add(1)));
        }
    }
    Ok(ChartTree::new(unfolded))
}

/// Whether a file of a chart is a packed subchart of it, or of an unpacked subchart:
/// `charts/a.tgz`, `charts/b/charts/a.tgz`.
fn is_packed_subchart(path: &Utf8Path) -> bool {
    let parts: Vec<&str> = path.as_str().split('/').collect();
    let (pairs, rest) = parts.as_chunks::<2>();
    rest.is_empty()
        && path.extension() == Some("tgz")
        && pairs
            .iter()
            .all(|[charts, name]| *charts == "charts" && is_subchart(name))
}

/// Whether Helm takes what has this name in `charts/` for a subchart.
pub(super) fn is_subchart(name: &str) -> bool {
    !name.starts_with(['_', '.'])
}

fn unpack(
    path: &Utf8Path,
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<BTreeMap<Utf8PathBuf, Vec<u8>>, ChartError> {
    let failed = |error| ChartError::Unpack(path.to_owned(), error);
    let refused = |name: &str, reason| ChartError::ArchivePath {
        archive: path.to_owned(),
        path: name.to_owned(),
        reason,
    };
    // Whatever the archive says of its files, no more is unpacked than they may have.
    let most = budget.bytes.saturating_add(
        (budget.files as u64)
            .saturating_add(1)
            .saturating_mul(HEADER_BYTES),
    );
    let mut archive = tar::Archive::new(GzipMembers::of(bytes).take(most));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| ChartError::NotText(path.to_owned()))?;
        if name.len() > MAX_PATH_BYTES {
            return Err(refused(&name, "has a path of more than 4096 bytes"));
        }
        let inside = inside(&name).map_err(|reason| refused(&name, reason))?;
        budget.count(path, entry.size())?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(failed)?;
        let content = without_byte_order_mark(content);
        if files
            .get(&inside)
            .is_some_and(|earlier| *earlier != content)
        {
            return Err(refused(&name, "is there twice, with different content"));
        }
        files.insert(inside, content);
    }
    // An archive that is cut off, or damaged after its last file, is not given to anybody as whole.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
    Ok(files)
}

/// What is packed in the members of a gzip file, one after the other; what is after the last of
/// them is not a member.
struct GzipMembers<'a> {
    member: GzDecoder<&'a [u8]>,
}

impl<'a> GzipMembers<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            member: GzDecoder::new(bytes),
        }
    }
}

impl Read for GzipMembers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let bytes = self.member.read(buffer)?;
            let rest = *self.member.get_ref();
            if bytes > 0 || buffer.is_empty() || !rest.starts_with(b"\x1f\x8b") {
                return Ok(bytes);
            }
            self.member = GzDecoder::new(rest);
        }
    }
}

/// The path of a file in the chart: everything lies in one directory. Archives made on Windows may
/// have `\`.
fn inside(name: &str) -> Result<Utf8PathBuf, &'static str> {
    let separator = if name.contains('\\') { '\\' } else { '/' };
    let (_, inside) = name.split_once(separator).ok_or("is outside the chart")?;
    let inside = inside.replace(separator, "/");
    let mut path = Utf8PathBuf::new();
    for part in inside
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part != ".." {
            path.push(part);
        } else if !path.pop() {
            return Err("is outside the chart");
        }
    }
    let is_absolute = inside.starts_with('/') || path.as_str().get(1..3) == Some(":/");
    if is_absolute || path.as_str().is_empty() {
        Err("is outside the chart")
    } else {
        Ok(path)
    }
}

/// Helm drops the mark from every file.
pub(super) fn without_byte_order_mark(bytes: Vec<u8>) -> Vec<u8> {
    bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .map(<[u8]>::to_vec)
        .unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write as _};

    use camino::{Utf8Path, Utf8PathBuf};
    use flate2::{Compression, write::GzEncoder};

    use super::{MAX_DEPTH, inside, read_package, unpack_package};
    use crate::chart::{ChartError, ChartTree, package};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        fsx,
    };

    const CHART: &[u8] = b"apiVersion: v2\nname: a\nversion: 1.2.3\n";

    fn path() -> &'static Utf8Path {
        Utf8Path::new("a.tgz")
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn reads_back_what_was_packed() {
        let guard = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(guard.path()).unwrap().join("a.tgz");
        let packed = package(
            "a",
            &ChartTree::new(BTreeMap::from([("Chart.yaml".into(), CHART.to_vec())])),
        )
        .unwrap();
        fsx::write_atomic(&file, &packed.bytes).unwrap();
        assert_eq!(read_package(&file).unwrap(), packed);
        assert_eq!(
            unpack_package(&file, &packed.bytes)
                .unwrap()
                .get("Chart.yaml"),
            Some(CHART)
        );
        assert_eq!(
            unpack_package(&file, b"no archive").unwrap_err().kind(),
            FailureKind::Input
        );
        fsx::write_atomic(&file, b"no archive").unwrap();
        assert_eq!(read_package(&file).unwrap_err().kind(), FailureKind::Input);
    }

    #[test]
    fn packed_subcharts_are_read_at_any_depth_within_the_limits_of_the_outer_chart() {
        let inner = archive(&[("b/Chart.yaml", CHART), ("b/charts/_skipped.tgz", b"x")]);
        let middle = archive(&[("m/Chart.yaml", CHART), ("m/charts/b-1.tgz", &inner)]);
        let outer = archive(&[
            ("a/Chart.yaml", CHART),
            ("a/charts/d/charts/m.tgz", &middle),
            ("a/files/charts/x.tgz", b"no chart"),
        ]);
        let tree = unpack_package(path(), &outer).unwrap();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "Chart.yaml",
                "charts/d/charts/m.tgz/Chart.yaml",
                "charts/d/charts/m.tgz/charts/b-1.tgz/Chart.yaml",
                "charts/d/charts/m.tgz/charts/b-1.tgz/charts/_skipped.tgz",
                "files/charts/x.tgz",
            ]
        );
        let mut nested = inner;
        for _ in 0..=MAX_DEPTH {
            nested = archive(&[("a/Chart.yaml", CHART), ("a/charts/a.tgz", &nested)]);
        }
        assert!(matches!(
            unpack_package(path(), &nested),
            Err(ChartError::TooDeep(_))
        ));
        // Each is within the limit for itself.
        let large = vec![0; 30 << 20];
        let part = archive(&[("p/Chart.yaml", CHART), ("p/large", &large)]);
        let parts: Vec<String> = (0..4)
            .map(|number| format!("a/charts/{number}.tgz"))
            .collect();
        let files: Vec<(&str, &[u8])> = parts
            .iter()
            .map(|name| (name.as_str(), part.as_slice()))
            .collect();
        assert_eq!(
            unpack_package(path(), &archive(&files)).unwrap_err().kind(),
            FailureKind::Space
        );
        unpack_package(path(), &archive(&files[..3])).unwrap();
        let empty = archive(&[("p/x", b"".as_slice())]);
        assert!(unpack_package(path(), &empty).is_ok());
        let names: Vec<String> = (0..=7_000).map(|number| format!("p/{number}")).collect();
        let many = archive(
            &names
                .iter()
                .map(|name| (name.as_str(), b"".as_slice()))
                .collect::<Vec<_>>(),
        );
        let files: Vec<(&str, &[u8])> = parts
            .iter()
            .map(|name| (name.as_str(), many.as_slice()))
            .collect();
        assert!(matches!(
            unpack_package(path(), &archive(&files)),
            Err(ChartError::TooManyFiles(_))
        ));
    }

    #[test]
    fn several_members_of_gzip_are_one_archive() {
        let whole = archive(&[("a/Chart.yaml", CHART), ("a/x", b"y")]);
        let mut tar = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(whole.as_slice()),
            &mut tar,
        )
        .unwrap();
        let mut members = Vec::new();
        for part in [&tar[..512], &tar[512..]] {
            let mut encoder = GzEncoder::new(members, Compression::fast());
            encoder.write_all(part).unwrap();
            members = encoder.finish().unwrap();
        }
        assert_eq!(
            unpack_package(path(), &members).unwrap(),
            unpack_package(path(), &whole).unwrap()
        );
    }

    #[test]
    fn an_archive_that_is_cut_off_or_damaged_at_its_end_is_refused_and_what_is_after_it_is_not_read()
     {
        let whole = archive(&[("a/Chart.yaml", CHART), ("a/x", b"y")]);
        for end in 0..whole.len() {
            assert!(
                unpack_package(path(), &whole[..end]).is_err(),
                "{end} bytes of {}",
                whole.len()
            );
        }
        // The sum of everything, and the length of it.
        for byte in whole.len() - 8..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            assert!(unpack_package(path(), &damaged).is_err(), "byte {byte}");
        }
        for after in [&b"x"[..], b"garbage", &[0; 512], b"\x1f"] {
            assert!(
                unpack_package(path(), &[&whole, after].concat()).is_ok(),
                "{after:?}"
            );
        }
    }

    #[test]
    fn paths_are_read_as_helm_reads_them() {
        for (name, expected) in [
            ("a/b/c", "b/c"),
            ("a\\b\\c", "b/c"),
            ("a/./b", "b"),
            ("a/b//c", "b/c"),
            ("x/y\\b", "b"),
        ] {
            assert_eq!(inside(name), Ok(Utf8PathBuf::from(expected)), "{name}");
        }
        assert_eq!(inside("a/b/../c"), Ok(Utf8PathBuf::from("c")));
        for name in [
            "a",
            "a/",
            "a/..",
            "a/../b",
            "a/b/..",
            "a/b/../../c",
            "a//b",
            "a/c:/b",
            "a/.",
        ] {
            assert!(inside(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_there_twice_is_refused_unless_it_is_the_same() {
        let twice = |text: &[u8]| {
            unpack_package(
                path(),
                &archive(&[("a/Chart.yaml", CHART), ("a/Chart.yaml", text)]),
            )
        };
        assert!(twice(CHART).is_ok());
        assert!(matches!(
            twice(b"name: other"),
            Err(ChartError::ArchivePath { .. })
        ));
    }
}
