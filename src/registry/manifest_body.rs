//! What a registry sent when it was asked for a manifest.

use http::header;

use super::{EndpointError, api_client::Head, client::check_digest, quirks::unpacked};
use crate::oci::{Manifest, ManifestError};
use rune_core::digest::Digest;

/// What the types of all manifests begin with. Other types say nothing: servers of plain files send
/// what they like.
const TELLING_TYPES: [&str; 2] = [
    "application/vnd.oci.image.",
    "application/vnd.docker.distribution.manifest.",
];

const MAX_TYPE_CHARACTERS: usize = 80;

/// Reads a manifest out of an answer; what it has to be is checked. When it is not valid, the error
/// says what came instead.
pub(super) fn read(
    head: &Head,
    bytes: Vec<u8>,
    expected: Option<Digest>,
    expected_type: Option<&str>,
) -> Result<Manifest, EndpointError> {
    let stated = head
        .text(header::CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let stated = Some(stated.as_str()).filter(|stated| {
        TELLING_TYPES
            .iter()
            .any(|telling| stated.starts_with(telling))
    });
    let is_as_expected = expected.is_some_and(|expected| Digest::of(&bytes) == expected);
    let bytes = if is_as_expected {
        bytes
    } else {
        unpacked(head.text(header::CONTENT_ENCODING), bytes)
    };
    // A page has another digest, too; what it is says more. What is said to be a manifest is a
    // damaged one.
    let parsed = Manifest::parse(bytes.clone(), expected_type.or(stated));
    match parsed {
        Err(error @ ManifestError::Syntax(_))
            if expected.is_none() || (!is_as_expected && stated.is_none()) =>
        {
            Err(no_manifest(head, &bytes, error))
        }
        parsed => {
            check_digest(&bytes, expected)?;
            parsed.map_err(|error| no_manifest(head, &bytes, error))
        }
    }
}

fn no_manifest(head: &Head, bytes: &[u8], error: ManifestError) -> EndpointError {
    let shown = |name| {
        head.text(name)
            .chars()
            .take(MAX_TYPE_CHARACTERS)
            .flat_map(char::escape_debug)
            .collect::<String>()
    };
    let start = String::from_utf8_lossy(bytes.get(..256).unwrap_or(bytes))
        .trim_start()
        .to_lowercase();
    let hint = match bytes {
        [] => ", which is empty",
        [0xef, 0xbb, 0xbf, ..] => ", which begins with a byte order mark",
        [0x1f, 0x8b, ..] => ", which is gzip",
        _ if start.starts_with("<!doctype html") || start.starts_with("<html") => {
            ", which is an HTML page"
        }
        _ => "",
    };
    let encoding = match shown(header::CONTENT_ENCODING) {
        encoding if encoding.is_empty() => String::new(),
        encoding => format!(", Content-Encoding `{encoding}`"),
    };
    let what = format!(
        "{}, Content-Type `{}`{encoding}{hint}",
        head.status,
        shown(header::CONTENT_TYPE)
    );
    EndpointError::NoManifest {
        what,
        is_page: hint.contains("HTML"),
        error,
    }
}
