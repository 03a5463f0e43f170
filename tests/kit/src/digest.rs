//! Digests as text; the product has its own type, and this is the second opinion.

use sha2::Digest as _;

/// The digest of bytes, `sha256:<hex>`.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
