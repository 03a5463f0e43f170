//! Which servers are believed, and who we are to them.
//!
//! The roots are Mozilla's, compiled in, plus the files a person names. The store of the machine is not read:
//! a static binary runs where there is none, two machines with the same command line should believe the same
//! servers, and what an administrator added to one machine by hand is better said by `--ca-file`.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use super::NetError;
use crate::fsx;

const MAX_PEM_BYTES: u64 = 4 << 20;

/// Files that change what the built-in settings are. Each path comes with the option it was given by.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Certificates of authorities.
    pub authorities: Vec<(String, Utf8PathBuf)>,
    /// Certificate and private key of the client.
    pub identity: Option<[(String, Utf8PathBuf); 2]>,
}

/// TLS settings, ready to use.
#[derive(Debug, Clone)]
pub struct Tls {
    config: ClientConfig,
}

impl Tls {
    /// Loads the files and joins them with the built-in roots.
    ///
    /// # Errors
    /// When a file cannot be read or does not hold what it should; the error names option and file.
    pub fn load(files: &TlsFiles) -> Result<Self, NetError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        for (option, path) in &files.authorities {
            for (number, certificate) in certificates(option, path)?.into_iter().enumerate() {
                let damaged =
                    |source| NetError::Certificate { option: option.clone(), path: path.clone(), number: number.saturating_add(1), source };
                roots.add(certificate).map_err(damaged)?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(NetError::Tls)?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match &files.identity {
            None => builder.with_no_client_auth(),
            Some([certificate, key]) => {
                let chain = certificates(&certificate.0, &certificate.1)?;
                let loaded = private_key(&key.0, &key.1)?;
                let wrong = |source| NetError::Identity { certificate: certificate.1.clone(), key: key.1.clone(), source };
                builder.with_client_auth_cert(chain, loaded).map_err(wrong)?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }
}

/// Settings of a server with this certificate and key, each with the option it was given by; HTTP/1.1 only.
///
/// # Errors
/// When a file cannot be read or does not hold what it should, or they do not belong together.
pub fn server_config([certificate, key]: &[(String, Utf8PathBuf); 2]) -> Result<Arc<ServerConfig>, NetError> {
    let chain = certificates(&certificate.0, &certificate.1)?;
    let loaded = private_key(&key.0, &key.1)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(NetError::Tls)?;
    let wrong = |source| NetError::Identity { certificate: certificate.1.clone(), key: key.1.clone(), source };
    let mut config = builder.with_no_client_auth().with_single_cert(chain, loaded).map_err(wrong)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn contents(option: &str, path: &Utf8Path) -> Result<Vec<u8>, NetError> {
    fsx::read(path, MAX_PEM_BYTES).map_err(|source| NetError::File { option: option.to_owned(), source })
}

fn certificates(option: &str, path: &Utf8Path) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let bytes = contents(option, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|source| NetError::Pem { option: option.to_owned(), path: path.to_owned(), source })?;
    if found.is_empty() {
        return Err(NetError::Empty { option: option.to_owned(), path: path.to_owned(), wanted: "certificate", hint: hint(&bytes) });
    }
    Ok(found)
}

fn private_key(option: &str, path: &Utf8Path) -> Result<PrivateKeyDer<'static>, NetError> {
    let bytes = contents(option, path)?;
    let (option, path) = (option.to_owned(), path.to_owned());
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => NetError::Empty { option, path, wanted: "private key", hint: hint(&bytes) },
        source => NetError::Pem { option, path, source },
    })
}

/// What a file holds instead of what it should hold.
fn hint(bytes: &[u8]) -> &'static str {
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if bytes.is_empty() {
        "the file is empty"
    } else if bytes.starts_with(&[0x30, 0x82]) {
        "it looks like DER; convert it with `openssl x509 -inform der -in FILE -out FILE.pem`"
    } else if contains("ENCRYPTED PRIVATE KEY") {
        "it holds an encrypted private key; decrypt it with `openssl pkey -in FILE -out PLAIN`"
    } else if contains("PRIVATE KEY") {
        "it holds a private key; name the file with the certificate instead"
    } else if contains("CERTIFICATE") {
        "it holds a certificate; name the file with the private key instead"
    } else {
        "a PEM file has lines such as `-----BEGIN CERTIFICATE-----`"
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{Tls, TlsFiles};
    use crate::{
        failure::{Failure as _, FailureKind},
        fsx,
        net::NetError,
    };

    fn load(content: &[u8]) -> NetError {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("ca.pem")).unwrap();
        fsx::write_atomic(&path, content).unwrap();
        Tls::load(&TlsFiles { authorities: vec![("--ca-file".to_owned(), path)], identity: None }).unwrap_err()
    }

    #[test]
    fn a_file_without_certificates_is_named_with_its_option() {
        for (content, hint) in [
            (&b""[..], "empty"),
            (b"hello", "BEGIN CERTIFICATE"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"),
        ] {
            let error = load(content);
            assert_eq!(error.kind(), FailureKind::Input);
            let text = error.to_string();
            assert!(text.contains("`--ca-file`") && text.contains("ca.pem`") && text.contains("no certificate"), "{text}");
            assert!(error.help().unwrap().contains(hint), "{:?}", error.help());
        }
    }

    #[test]
    fn a_damaged_certificate_is_counted() {
        let error = load(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(error.to_string().starts_with("certificate 1 in `"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = TlsFiles { authorities: vec![("--ca-file".to_owned(), "/nowhere/ca.pem".into())], identity: None };
        assert_eq!(Tls::load(&files).unwrap_err().kind(), FailureKind::NotFound);
    }
}
