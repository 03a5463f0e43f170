//! The image of `rune-db`: the static program, CA roots, the migrations; nothing else.

use std::{collections::BTreeMap, fmt::Write as _};

use base64ct::{Base64, Encoding as _};

use crate::oci::{BuiltImage, ImageBuilderError, ImageConfig, ImageFile, Platform, build_image};

const PROGRAM: &str = "usr/local/bin/rune-db";

/// Where TLS libraries look for CA certificates.
const CA_ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where the migrations lie, for looking at; the program has the same ones built in.
const MIGRATIONS: &str = "usr/share/rune-db/migrations";

/// A user without rights or name; any other user works as well.
const USER: &str = "65532:65532";

/// Makes the image from the program of each platform and the migrations.
///
/// # Errors
/// When the name of a migration is too long for the layer.
pub fn rune_db_image<'a>(
    programs: Vec<(Platform, Vec<u8>)>,
    migrations: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<BuiltImage, ImageBuilderError> {
    let file = |path: String, bytes: Vec<u8>| ImageFile {
        path,
        mode: 0o644,
        bytes,
    };
    let mut shared: Vec<ImageFile> = migrations
        .map(|(name, bytes)| file(format!("{MIGRATIONS}/{name}"), bytes.to_vec()))
        .collect();
    shared.push(file(CA_ROOTS.to_owned(), ca_roots().into_bytes()));
    let config = ImageConfig {
        user: USER.to_owned(),
        entrypoint: vec![format!("/{PROGRAM}")],
        env: vec![format!("SSL_CERT_FILE=/{CA_ROOTS}")],
        labels: BTreeMap::from([
            (
                "org.opencontainers.image.licenses".to_owned(),
                "Apache-2.0".to_owned(),
            ),
            (
                "org.opencontainers.image.title".to_owned(),
                "rune-db".to_owned(),
            ),
            (
                "org.opencontainers.image.version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]),
    };
    let platforms = programs.into_iter().map(|(platform, bytes)| {
        let program = ImageFile {
            path: PROGRAM.to_owned(),
            mode: 0o755,
            bytes,
        };
        (platform, shared.iter().cloned().chain([program]).collect())
    });
    build_image(&config, platforms.collect())
}

/// Mozilla's CA roots as PEM, from a crate of pinned version.
fn ca_roots() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let base64 = Base64::encode_string(certificate);
        for line in base64.as_bytes().chunks(64) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
