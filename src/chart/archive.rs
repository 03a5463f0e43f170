//! A packed chart that somebody else made: its metadata and its files, within Helm's limits.

use std::{collections::BTreeMap, io::Read as _};

use camino::Utf8Path;
use flate2::read::GzDecoder;

use super::{ChartError, ChartMetadata, ChartTree, MAX_CHART_BYTES, MAX_FILE_BYTES, Package};
use crate::fsx;

/// Reads a `.tgz` and the `Chart.yaml` of the chart in it; the bytes stay as they are.
///
/// # Errors
/// When it is no chart archive, or larger than Helm loads.
pub fn read_package(path: &Utf8Path) -> Result<Package, ChartError> {
    let bytes = fsx::read(path, MAX_CHART_BYTES)?;
    // What is unpacked is limited, whatever the archive says.
    let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()).take(MAX_CHART_BYTES));
    for entry in archive.entries().map_err(|error| ChartError::Unpack(path.to_owned(), error))? {
        let failed = |error| ChartError::Unpack(path.to_owned(), error);
        let entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // The chart's own file lies in its top directory, those of subcharts deeper.
        let is_head = entry.header().entry_type().is_file() && name.split_once('/').is_some_and(|(_, rest)| rest == "Chart.yaml");
        if is_head {
            let mut text = String::new();
            entry.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
            let metadata = ChartMetadata::parse(&path.join("Chart.yaml"), &text)?;
            return Ok(Package { metadata, bytes, provenance: None });
        }
    }
    Err(ChartError::Missing { chart: path.to_string(), file: "Chart.yaml" })
}

/// Reads all files of a `.tgz` into memory, for looking at them: names are text, and nothing is written anywhere. `path` is what errors
/// call it. Links and devices have no content and are left out.
///
/// # Errors
/// When it is no chart archive, or larger than Helm loads.
pub fn unpack_package(path: &Utf8Path, bytes: &[u8]) -> Result<ChartTree, ChartError> {
    let failed = |error| ChartError::Unpack(path.to_owned(), error);
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(MAX_CHART_BYTES));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // Everything lies in one directory that is called like the chart.
        let Some((_, inside)) = name.split_once('/').filter(|(_, inside)| !inside.is_empty()) else { continue };
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(failed)?;
            files.insert(inside.into(), content);
        }
    }
    Ok(ChartTree::new(files))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::Utf8Path;

    use super::{read_package, unpack_package};
    use crate::{
        chart::{ChartTree, package},
        failure::{Failure as _, FailureKind},
        fsx,
    };

    #[test]
    fn reads_back_what_was_packed() {
        let guard = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(guard.path()).unwrap().join("a.tgz");
        let chart = b"apiVersion: v2\nname: a\nversion: 1.2.3\n".to_vec();
        let packed = package("a", &ChartTree::new(BTreeMap::from([("Chart.yaml".into(), chart)]))).unwrap();
        fsx::write_atomic(&path, &packed.bytes).unwrap();
        assert_eq!(read_package(&path).unwrap(), packed);
        assert_eq!(
            unpack_package(&path, &packed.bytes).unwrap().get("Chart.yaml"),
            Some(&b"apiVersion: v2\nname: a\nversion: 1.2.3\n"[..])
        );
        assert_eq!(unpack_package(&path, b"no archive").unwrap_err().kind(), FailureKind::Input);
        fsx::write_atomic(&path, b"no archive").unwrap();
        assert_eq!(read_package(&path).unwrap_err().kind(), FailureKind::Input);
    }
}
