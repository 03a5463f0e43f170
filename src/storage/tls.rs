//! TLS to a PostgreSQL server, by libpq's five modes, with a certificate of our own if one is named.
//!
//! `require` and `prefer` without root certificates encrypt and prove nothing about the server: that is what these
//! words mean to every PostgreSQL client, and the judgement that does it is named for it.

use std::{
    os::unix::fs::MetadataExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres_url::{ClientCertificate, PostgresUrl, RootCertificates, SslMode};
use crate::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
};

const MAX_BYTES: u64 = 16 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read what `{parameter}` names")]
    File {
        /// The parameter that names it.
        parameter: &'static str,
        /// What is wrong with the file.
        source: PathError,
    },
    /// A file holds nothing usable.
    #[error("`{path}` (`{parameter}`) holds no {expected} in PEM form")]
    Empty {
        /// The parameter that names it.
        parameter: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// What should stand in it.
        expected: &'static str,
    },
    /// Verification is asked for, but by nothing.
    #[error("the certificate of the server is to be verified, but no root certificates are named")]
    NoRoots,
    /// A certificate without its key, or the other way round.
    #[error("`{given}` is named, but not `{missing}`")]
    HalfClient {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// The private key is not its owner's alone.
    #[error("the private key `{0}` (`sslkey`) can be read by others")]
    KeyExposed(Utf8PathBuf),
    /// The private key is not that of the certificate, or of a kind that is not known.
    #[error("the private key of `sslkey` cannot be used with the certificate of `sslcert`")]
    Client(#[source] rustls::Error),
    /// The TLS library refuses the settings.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
    /// The TLS library refuses the root certificates.
    #[error("cannot verify with these root certificates")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

impl Failure for TlsError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::File { source, .. } => source.kind(),
            Self::Empty { .. } | Self::Verifier(_) | Self::Client(_) => FailureKind::Input,
            Self::NoRoots | Self::HalfClient { .. } => FailureKind::Usage,
            Self::KeyExposed(_) => FailureKind::Access,
            Self::Setup(_) => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::File { source, .. } => return source.help(),
            Self::Empty { parameter: "sslrootcert", .. } => {
                "name the file of the authority that issued the server's certificate".to_owned()
            }
            Self::Empty { .. } => "a key must not be encrypted: `openssl pkey -in KEY -out PLAIN` takes the passphrase off".to_owned(),
            Self::NoRoots => "add `sslrootcert=/path/to/ca.crt`, or `sslrootcert=system` for the public authorities".to_owned(),
            Self::HalfClient { missing, .. } => format!("add `{missing}=/path/to/file`; a certificate is of no use without its key"),
            Self::KeyExposed(path) => format!("run `chmod 600 {path}`, or `chmod 640` if root owns it"),
            Self::Client(_) | Self::Setup(_) | Self::Verifier(_) => return None,
        })
    }
}

/// How TLS is spoken to the servers of a URL.
#[derive(Clone)]
pub(super) struct Tls {
    /// What the PostgreSQL library is handed.
    pub(super) connector: MakeRustlsConnect,
    shown: Shown,
}

/// The certificate that a server showed last.
type Shown = Arc<Mutex<Option<CertificateDer<'static>>>>;

impl Tls {
    /// The settings that a URL asks for; `None` for no TLS at all.
    pub(super) fn of(url: &PostgresUrl) -> Result<Option<Self>, TlsError> {
        let mode = url.ssl_mode.unwrap_or(SslMode::Prefer);
        if mode == SslMode::Disable || url.has_only_sockets() {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shown = Shown::default();
        let judgement = Judgement::of(mode, url.ssl_root_certificate.as_ref(), &provider)?;
        let verifier = Verifier { judgement, provider: Arc::clone(&provider), shown: Arc::clone(&shown) };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let config = match url.client_certificate.files()? {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, key) = (load_chain("sslcert", certificate)?, load_key(key)?);
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Client)?
            }
        };
        Ok(Some(Self { connector: MakeRustlsConnect::new(config), shown }))
    }

    /// Forgets the certificate of the server before.
    pub(super) fn forget_certificate(&self) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The certificate that the server showed, in DER form.
    pub(super) fn shown_certificate(&self) -> Option<CertificateDer<'static>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientCertificate {
    /// Certificate and key, when there are any.
    fn files(&self) -> Result<Option<(&Utf8Path, &Utf8Path)>, TlsError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (Some(_), None) => Err(TlsError::HalfClient { given: "sslcert", missing: "sslkey" }),
            (None, Some(_)) => Err(TlsError::HalfClient { given: "sslkey", missing: "sslcert" }),
        }
    }
}

fn read(parameter: &'static str, path: &Utf8Path) -> Result<Vec<u8>, TlsError> {
    fsx::read(path, MAX_BYTES).map_err(|source| TlsError::File { parameter, source })
}

/// The certificates of a PEM file, at least one.
fn load_chain(parameter: &'static str, path: &Utf8Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(&read(parameter, path)?).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if certificates.is_empty() {
        return Err(TlsError::Empty { parameter, path: path.to_owned(), expected: "certificate" });
    }
    Ok(certificates)
}

/// A private key that nobody else can read: as with libpq, it is the user's alone, or root's and the group may read it.
fn load_key(path: &Utf8Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = fsx::open(path).map_err(|source| TlsError::File { parameter: "sslkey", source })?;
    let is_exposed = |metadata: std::fs::Metadata| {
        let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        metadata.mode() & others != 0
    };
    if file.metadata().is_ok_and(is_exposed) {
        return Err(TlsError::KeyExposed(path.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read("sslkey", path)?);
    key.map_err(|_| TlsError::Empty { parameter: "sslkey", path: path.to_owned(), expected: "private key without a passphrase" })
}

fn load(roots: &RootCertificates) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        RootCertificates::System => {
            store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        RootCertificates::File(path) => {
            if store.add_parsable_certificates(load_chain("sslrootcert", path)?).0 == 0 {
                return Err(TlsError::Empty { parameter: "sslrootcert", path: path.clone(), expected: "certificate" });
            }
        }
    }
    Ok(store)
}

/// What makes a server's certificate good enough.
#[derive(Debug)]
enum Judgement {
    /// Nothing: what goes over the wire is encrypted, for whoever answers.
    UnsafeAny,
    /// A trusted authority issued it, whatever host it is for.
    AnyHost(RootCertStore),
    /// A trusted authority issued it for this very host.
    ThisHost(Arc<WebPkiServerVerifier>),
}

impl Judgement {
    fn of(mode: SslMode, roots: Option<&RootCertificates>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        Ok(match (mode, roots) {
            (SslMode::Disable | SslMode::Prefer, _) | (SslMode::Require, None) => Self::UnsafeAny,
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => return Err(TlsError::NoRoots),
            (SslMode::Require | SslMode::VerifyCa, Some(roots)) => Self::AnyHost(load(roots)?),
            (SslMode::VerifyFull, Some(roots)) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(load(roots)?), Arc::clone(provider));
                Self::ThisHost(verifier.build()?)
            }
        })
    }
}

/// Judges certificates, and remembers the one that was shown.
#[derive(Debug)]
struct Verifier {
    judgement: Judgement,
    provider: Arc<CryptoProvider>,
    shown: Shown,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        match &self.judgement {
            Judgement::UnsafeAny => {}
            Judgement::AnyHost(roots) => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                let algorithms = self.provider.signature_verification_algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
            }
            Judgement::ThisHost(verifier) => {
                return verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
