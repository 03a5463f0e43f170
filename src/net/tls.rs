//! Which certificates are trusted, and which one is shown.
//!
//! The public CAs are Mozilla's, compiled in, so that two machines with the same command line
//! believe the same servers. What makes a certificate good enough is decided by [`rune_core::tls`].

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::NetError;
use rune_core::{
    fsx,
    tls::{
        GivenCertificate, NameCheck, PemProblem, TrustVerifier, TrustedCertificates, certificates,
        private_key, provider,
    },
};

const MAX_PEM_BYTES: u64 = 4 << 20;

/// Files that change what the built-in settings are. Each path comes with the option it was given
/// by.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    /// Certificates of CAs, and of servers that are trusted for themselves.
    pub(crate) authorities: Vec<(String, Utf8PathBuf)>,
    pub(crate) identity: Option<[(String, Utf8PathBuf); 2]>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: ClientConfig,
}

impl Tls {
    /// Joins them with the public CAs; the error names option and file.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, NetError> {
        let mut given: Vec<GivenCertificate> = Vec::new();
        for (option, path) in &files.authorities {
            given.extend(read(option, path, certificates)?);
        }
        let trust = TrustVerifier::new(
            TrustedCertificates::new(given).and_public(),
            NameCheck::ThisHost,
            provider(),
        );
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(NetError::Tls)?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = identity(files)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|source| NetError::identity(files, source))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }
}

/// Settings of a server with this certificate and key, each with the option it was given by;
/// HTTP/1.1 only.
pub(crate) fn server_config(
    files: &[(String, Utf8PathBuf); 2],
) -> Result<Arc<ServerConfig>, NetError> {
    let (chain, key) = identity(files)?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(NetError::Tls)?;
    let made = builder.with_no_client_auth().with_single_cert(chain, key);
    let mut config = made.map_err(|source| NetError::identity(files, source))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn identity(
    [certificate, key]: &[(String, Utf8PathBuf); 2],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NetError> {
    let chain = read(&certificate.0, &certificate.1, certificates)?;
    Ok((
        chain.into_iter().map(|given| given.der).collect(),
        read(&key.0, &key.1, private_key)?,
    ))
}

fn read<T>(
    option: &str,
    path: &Utf8Path,
    parse: impl FnOnce(&[u8]) -> Result<T, PemProblem>,
) -> Result<T, NetError> {
    let bytes = fsx::read(path, MAX_PEM_BYTES).map_err(|source| NetError::File {
        option: option.to_owned(),
        source,
    })?;
    parse(&bytes).map_err(|problem| NetError::Pem {
        option: option.to_owned(),
        path: path.to_owned(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{Tls, TlsFiles};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        fsx,
    };

    #[test]
    fn a_file_without_certificates_is_named_with_its_option() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("ca.pem")).unwrap();
        fsx::write_atomic(&path, b"hello").unwrap();
        let error = Tls::load(&TlsFiles {
            authorities: vec![("--ca-file".to_owned(), path)],
            identity: None,
        })
        .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Input);
        let text = error.to_string();
        assert!(
            text.contains("ca.pem`, given with `--ca-file`, holds no certificate in PEM form"),
            "{text}"
        );
        assert!(
            error.help().unwrap().contains("BEGIN CERTIFICATE"),
            "{:?}",
            error.help()
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = TlsFiles {
            authorities: vec![("--ca-file".to_owned(), "/nowhere/ca.pem".into())],
            identity: None,
        };
        assert_eq!(Tls::load(&files).unwrap_err().kind(), FailureKind::NotFound);
    }
}
