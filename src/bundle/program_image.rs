//! An image that is built: static programs, CA roots, the migrations; nothing else.

use std::{collections::BTreeMap, fmt::Write as _};

use base64ct::{Base64, Encoding as _};

use crate::oci::{BuiltImage, ImageBuilderError, ImageConfig, ImageFile, Platform, build_image};

const PROGRAMS: &str = "usr/local/bin";

const CA_ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";

/// Where the migrations lie, to be read by people; the program has the same ones built in.
const MIGRATIONS: &str = "usr/share/rune-db/migrations";

/// Where programs that call each other leave files for each other.
const TEMPORARY: &str = "tmp";

/// A user without rights or name; any other user works as well.
const USER: &str = "65532:65532";

#[derive(Debug, Clone)]
pub struct ImageProgram {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Makes the image from the programs of each platform and the migrations. The first program of the
/// first platform is the entrypoint of all.
pub fn program_image<'a>(
    license: &str,
    platforms: Vec<(Platform, Vec<ImageProgram>)>,
    migrations: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<BuiltImage, ImageBuilderError> {
    let file = |path: String, bytes: Vec<u8>| ImageFile {
        path,
        mode: 0o644,
        content: Some(bytes),
    };
    let programs = platforms.first().map_or(&[][..], |(_, programs)| programs);
    let name = programs.first().map_or("", |program| program.name.as_str());
    let mut shared: Vec<ImageFile> = migrations
        .map(|(name, bytes)| file(format!("{MIGRATIONS}/{name}"), bytes.to_vec()))
        .collect();
    shared.push(file(CA_ROOTS.to_owned(), ca_roots().into_bytes()));
    let mut env = vec![format!("SSL_CERT_FILE=/{CA_ROOTS}")];
    if programs.len() > 1 {
        env.push(format!("PATH=/{PROGRAMS}"));
        shared.push(ImageFile {
            path: TEMPORARY.to_owned(),
            mode: 0o1777,
            content: None,
        });
    }
    let config = ImageConfig {
        user: USER.to_owned(),
        entrypoint: vec![format!("/{PROGRAMS}/{name}")],
        env,
        labels: BTreeMap::from([
            (
                "org.opencontainers.image.licenses".to_owned(),
                license.to_owned(),
            ),
            ("org.opencontainers.image.title".to_owned(), name.to_owned()),
            (
                "org.opencontainers.image.version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        ]),
    };
    let platforms = platforms.into_iter().map(|(platform, programs)| {
        let programs = programs.into_iter().map(|program| ImageFile {
            path: format!("{PROGRAMS}/{}", program.name),
            mode: 0o755,
            content: Some(program.bytes),
        });
        (platform, shared.iter().cloned().chain(programs).collect())
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
