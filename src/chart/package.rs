//! A chart as a `.tgz` whose bytes depend on its files alone.
//!
//! `<name>/Chart.yaml` first, as Helm writes it, then the other files in byte order; ustar headers
//! with fixed owner, mode and time, and an extended header of POSIX where a path does not fit; a
//! gzip header without time, name or operating system. Packed subcharts stay packed.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::{Compression, GzBuilder};

use super::{ChartArtifact, ChartError, ChartMetadata, ChartTree, MAX_FILE_BYTES};

/// "Unknown" in the operating system byte of a gzip header.
const GZIP_UNKNOWN_SYSTEM: u8 = 255;

#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    pub metadata: ChartMetadata,
    pub bytes: Vec<u8>,
    /// The content of the `.prov` beside it, when it is signed for Helm.
    pub provenance: Option<Vec<u8>>,
    /// What a registry has of it, when it comes from one.
    pub(crate) published: Option<ChartArtifact>,
}

pub fn package(name: &str, tree: &ChartTree) -> Result<Package, ChartError> {
    let metadata = tree.metadata(name)?;
    let gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(GZIP_UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(gzip);
    let is_head = |path: &Utf8Path| path == "Chart.yaml";
    for (path, bytes) in tree
        .iter()
        .filter(|(path, _)| is_head(path))
        .chain(tree.iter().filter(|(path, _)| !is_head(path)))
    {
        let shown = Utf8Path::new(name).join(path);
        append(&mut archive, &metadata.name, path, &shown, bytes)?;
    }
    let gzip = archive.into_inner().map_err(ChartError::Archive)?;
    let mut bytes = gzip.finish().map_err(ChartError::Archive)?;
    bytes.flush().map_err(ChartError::Archive)?;
    Ok(Package {
        metadata,
        bytes,
        provenance: None,
        published: None,
    })
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    chart: &str,
    path: &Utf8Path,
    shown: &Utf8Path,
    bytes: &[u8],
) -> Result<(), ChartError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ChartError::TooLarge {
            what: shown.to_string(),
            max_bytes: MAX_FILE_BYTES,
        });
    }
    if let Some(reason) = misread(path.as_str()) {
        return Err(ChartError::PackPath {
            path: shown.to_owned(),
            reason,
        });
    }
    let name = Utf8PathBuf::from(chart).join(path);
    let mut header = header(tar::EntryType::Regular, bytes.len());
    if !name.as_str().is_ascii() || header.set_path(&name).is_err() {
        let record = pax_record("path", name.as_str());
        let mut extended = self::header(tar::EntryType::XHeader, record.len());
        set_ascii_name(&mut extended, "PaxHeaders/path");
        extended.set_cksum();
        archive
            .append(&extended, record.as_bytes())
            .map_err(ChartError::Archive)?;
        // For a reader that does not know extended headers.
        set_ascii_name(&mut header, name.as_str());
    }
    header.set_cksum();
    archive.append(&header, bytes).map_err(ChartError::Archive)
}

/// Why Helm, or a person who lists the archive, would take a path for another one.
fn misread(path: &str) -> Option<&'static str> {
    if path.contains('\\') {
        return Some("Helm reads `\\` in an archive as the separator of directories");
    }
    if path.chars().any(char::is_control) {
        return Some("its name has a control character");
    }
    let is_drive = path.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && path.get(1..3) == Some(":/");
    if is_drive {
        return Some("Helm refuses a path that begins like a drive of Windows");
    }
    let is_below = !path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..");
    (!is_below).then_some("it does not stay below the chart")
}

fn header(kind: tar::EntryType, bytes: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(bytes as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn set_ascii_name(header: &mut tar::Header, name: &str) {
    let mut field = [0; 100];
    for (place, character) in field.iter_mut().zip(name.chars()) {
        *place = u8::try_from(character)
            .ok()
            .filter(u8::is_ascii)
            .unwrap_or(b'_');
    }
    header.as_old_mut().name = field;
}

/// `LENGTH KEY=VALUE`, whose length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut digits = 1;
    loop {
        let length = rest.len().saturating_add(digits).to_string();
        if length.len() <= digits {
            return format!("{length}{rest}");
        }
        digits = length.len();
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::package;
    use crate::chart::{ChartError, ChartTree, MAX_FILE_BYTES, unpack_package};
    use rune_core::failure::{Failure as _, FailureKind};

    const CHART: &str = "apiVersion: v2\nname: demo\nversion: 1.2.3\n";

    fn tree(files: &[(&str, &str)]) -> ChartTree {
        ChartTree::new(
            files
                .iter()
                .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec()))
                .collect(),
        )
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut tar)
            .unwrap();
        tar::Archive::new(tar.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn the_same_files_give_the_same_bytes_with_chart_yaml_first() {
        let files = [
            ("templates/a.yaml", "a"),
            ("Chart.yaml", CHART),
            (".helmignore", ""),
            ("templates-x", "b"),
            ("values.yaml", "c: 1"),
        ];
        let one = package("demo", &tree(&files)).unwrap();
        let mut reversed = files;
        reversed.reverse();
        assert_eq!(one, package("demo", &tree(&reversed)).unwrap());
        assert_eq!(
            names(&one.bytes),
            [
                "demo/Chart.yaml",
                "demo/.helmignore",
                "demo/templates-x",
                "demo/templates/a.yaml",
                "demo/values.yaml"
            ]
        );
        // Magic, deflate, no flags, no time, best compression, unknown system.
        assert_eq!(one.bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn a_subchart_must_be_the_one_that_is_asked_for() {
        let parent = format!(
            "{CHART}dependencies:\n  - name: sub\n    version: 0.1.0\n    repository: ''\n"
        );
        let sub = |version: &str| format!("apiVersion: v2\nname: sub\nversion: {version}\n");
        package(
            "demo",
            &tree(&[
                ("Chart.yaml", &parent),
                ("charts/sub/Chart.yaml", &sub("0.1.0")),
            ]),
        )
        .unwrap();
        let error = package(
            "demo",
            &tree(&[
                ("Chart.yaml", &parent),
                ("charts/sub/Chart.yaml", &sub("0.2.0")),
            ]),
        )
        .unwrap_err();
        assert!(error.to_string().contains("meets version 0.2.0"), "{error}");
        assert!(matches!(
            package("demo", &tree(&[("Chart.yaml", &parent)])),
            Err(ChartError::Dependency { .. })
        ));
    }

    #[test]
    fn every_other_name_is_read_back_as_it_was() {
        let long = format!("files/{}/{}.json", "d".repeat(90), "f".repeat(200));
        let paths = [
            "Chart.yaml",
            "files/\u{dc} \u{1f600}.json",
            "files/a:b.json",
            "files/with space",
            &long,
        ];
        let files: Vec<_> = paths.iter().map(|path| (*path, CHART)).collect();
        let bytes = package("demo", &tree(&files)).unwrap().bytes;
        assert_eq!(
            unpack_package("demo.tgz".into(), &bytes).unwrap(),
            tree(&files)
        );
    }

    #[test]
    fn helms_limits_and_bad_paths_are_refused() {
        let mut large = tree(&[("Chart.yaml", CHART)]);
        large.insert("big", vec![0; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]);
        assert_eq!(
            package("demo", &large).unwrap_err().kind(),
            FailureKind::Space
        );
        for path in ["../x", "a//b", "a\\b", "a\nb", "c:/x"] {
            let mut bad = tree(&[("Chart.yaml", CHART)]);
            bad.insert(path, "x");
            // A path type may clean some of these; what remains must be refused.
            assert!(package("demo", &bad).is_err(), "{path:?}");
        }
        let missing = package("demo", &ChartTree::new(BTreeMap::new())).unwrap_err();
        assert_eq!(missing.kind(), FailureKind::NotFound);
    }

    #[test]
    fn what_cannot_be_packed_is_named_with_its_chart() {
        let packed = |file: &str, bytes: Vec<u8>| {
            let files = BTreeMap::from([
                ("Chart.yaml".into(), CHART.as_bytes().to_vec()),
                (file.into(), bytes),
            ]);
            package("charts/demo", &ChartTree::new(files))
                .unwrap_err()
                .to_string()
        };
        assert!(packed("a\\b", Vec::new()).starts_with("`charts/demo/a\\\\b` cannot be packed: "));
        assert!(packed("a\nb", Vec::new()).starts_with("`charts/demo/a\\nb` cannot be packed: "));
        let large = usize::try_from(MAX_FILE_BYTES).unwrap() + 1;
        assert!(packed("large", vec![0; large]).contains("`charts/demo/large`"));
    }
}
