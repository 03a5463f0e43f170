//! TLS to a PostgreSQL server, by libpq's five modes, with a certificate of our own if one is
//! named.
//!
//! `require` and `prefer` without root certificates encrypt and prove nothing about the server:
//! that is what these words mean to every PostgreSQL client. Its certificate is then not checked,
//! but the handshake's signature is verified with the certificate's key wherever that can be done:
//! channel binding is worth something only if the server holds that key.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::WebPkiSupportedAlgorithms,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::tls::TlsConnect;
use tokio_rustls::TlsConnector;

use super::{
    encrypted::{Encrypted, end_point},
    postgres_url::{ClientCertificate, PostgresUrl, RootCertificates, SslMode},
};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
    tls::{
        NameCheck, PemProblem, Proof, TrustVerifier, TrustedCertificates, certificates,
        private_key, provider, verify_handshake,
    },
};

const MAX_BYTES: u64 = 16 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error, Failure)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("cannot read what `{parameter}` names")]
    #[failure(inner)]
    File {
        parameter: &'static str,
        source: PathError,
    },
    #[error("`{path}` (`{parameter}`) {problem}")]
    #[failure(Input: .problem.help())]
    Pem {
        parameter: &'static str,
        path: Utf8PathBuf,
        problem: PemProblem,
    },
    #[error("the certificate of the server is to be verified, but no root certificates are named")]
    #[failure(Usage: "add `sslrootcert=/path/to/ca.crt`, or `sslrootcert=system` with \
        `sslmode=verify-full` for the public CAs")]
    NoRoots,
    #[error("`{given}` is named, but not `{missing}`")]
    #[failure(Usage: "add `{missing}=/path/to/file`; a certificate is of no use without its key")]
    HalfClient {
        given: &'static str,
        missing: &'static str,
    },
    #[error("the private key `{0}` (`sslkey`) can be read by others")]
    #[failure(Access: "run `chmod 600 {0}`, or `chmod 640` if root owns it")]
    KeyExposed(Utf8PathBuf),
    /// The private key is not that of the certificate, or of a kind that is not known.
    #[error("the private key of `sslkey` cannot be used with the certificate of `sslcert`")]
    #[failure(Input)]
    Client(#[source] rustls::Error),
    #[error("cannot set up TLS")]
    #[failure(Internal)]
    Setup(#[source] rustls::Error),
    #[error("the host `{0}` is neither a DNS name nor an IP address, so TLS cannot be used")]
    #[failure(Usage: "use another name of the server")]
    Host(String),
}

/// The certificate that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// In DER form.
    pub der: CertificateDer<'static>,
    /// The kind of its key, if the handshake's signature could not be verified with it: anybody may
    /// have shown the certificate.
    pub unverifiable_key: Option<String>,
}

/// How TLS is spoken to the servers of a URL.
#[derive(Clone)]
pub(super) struct Tls {
    config: ClientConfig,
    trust: Option<Arc<TrustVerifier>>,
}

impl Tls {
    /// The settings that a URL asks for; `None` for no TLS at all.
    pub(super) fn of(url: &PostgresUrl) -> Result<Option<Self>, TlsError> {
        let mode = url.ssl_mode();
        if mode == SslMode::Disable || url.has_only_sockets() {
            return Ok(None);
        }
        let trust = trust(mode, url.ssl_root_certificate.as_ref())?.map(Arc::new);
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let verifier = Recorder {
            trust: trust.clone(),
            seen: Arc::default(),
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match url.client_certificate.files()? {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, key) = (read("sslcert", certificate, certificates)?, load_key(key)?);
                let chain = chain.into_iter().map(|given| given.der).collect();
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(TlsError::Client)?
            }
        };
        // Every connection shows its certificate.
        config.resumption = Resumption::disabled();
        Ok(Some(Self { config, trust }))
    }

    /// What one connection to a host is encrypted with.
    pub(super) fn connector(&self, host: &str) -> Result<Connector, TlsError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))?;
        let (mut config, seen) = (self.config.clone(), Arc::<Seen>::default());
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(Recorder {
                trust: self.trust.clone(),
                seen: Arc::clone(&seen),
            }));
        Ok(Connector {
            library: TlsConnector::from(Arc::new(config)),
            name,
            seen,
        })
    }
}

/// What makes a server's certificate good enough; `None` for nothing: what goes over the wire is
/// encrypted, for whoever answers.
fn trust(
    mode: SslMode,
    roots: Option<&RootCertificates>,
) -> Result<Option<TrustVerifier>, TlsError> {
    let name_check = if mode == SslMode::VerifyFull {
        NameCheck::ThisHost
    } else {
        NameCheck::AnyHost
    };
    match (mode, roots) {
        (_, Some(roots)) => Ok(Some(TrustVerifier::new(
            load(roots)?,
            name_check,
            provider(),
        ))),
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => Err(TlsError::NoRoots),
        (SslMode::Disable | SslMode::Prefer | SslMode::Require, None) => Ok(None),
    }
}

pub(super) struct Connector {
    library: TlsConnector,
    name: ServerName<'static>,
    seen: Arc<Seen>,
}

impl Connector {
    /// What the handshake will have shown.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connector {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let stream = self.library.connect(self.name, stream).await?;
            let shown = self
                .seen
                .certificate()
                .filter(|shown| shown.unverifiable_key.is_none());
            Ok(Encrypted::new(
                stream,
                shown.and_then(|shown| end_point(&shown.der)),
            ))
        })
    }
}

/// What a handshake showed.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Option<ServerCertificate>>);

impl Seen {
    /// The certificate, once there was a handshake.
    pub(super) fn certificate(&self) -> Option<ServerCertificate> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, certificate: ServerCertificate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }
}

impl ClientCertificate {
    /// Certificate and key, when there are any.
    fn files(&self) -> Result<Option<(&Utf8Path, &Utf8Path)>, TlsError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (Some(_), None) => Err(TlsError::HalfClient {
                given: "sslcert",
                missing: "sslkey",
            }),
            (None, Some(_)) => Err(TlsError::HalfClient {
                given: "sslkey",
                missing: "sslcert",
            }),
        }
    }
}

fn read<T>(
    parameter: &'static str,
    path: &Utf8Path,
    parse: impl FnOnce(&[u8]) -> Result<T, PemProblem>,
) -> Result<T, TlsError> {
    let bytes =
        fsx::read(path, MAX_BYTES).map_err(|source| TlsError::File { parameter, source })?;
    parse(&bytes).map_err(|problem| TlsError::Pem {
        parameter,
        path: path.to_owned(),
        problem,
    })
}

/// A private key that nobody else can read: as with libpq, it is the user's alone, or root's and
/// the group may read it.
fn load_key(path: &Utf8Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = fsx::open(path).map_err(|source| TlsError::File {
        parameter: "sslkey",
        source,
    })?;
    let is_exposed = |metadata: std::fs::Metadata| {
        let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        metadata.mode() & others != 0
    };
    if file.metadata().is_ok_and(is_exposed) {
        return Err(TlsError::KeyExposed(path.to_owned()));
    }
    read("sslkey", path, private_key)
}

fn load(roots: &RootCertificates) -> Result<TrustedCertificates, TlsError> {
    match roots {
        RootCertificates::System => Ok(TrustedCertificates::new(Vec::new()).and_public()),
        RootCertificates::File(path) => {
            read("sslrootcert", path, certificates).map(TrustedCertificates::new)
        }
    }
}

/// Lets certificates be checked, if they are to be, and remembers the one that was shown.
#[derive(Debug)]
struct Recorder {
    trust: Option<Arc<TrustVerifier>>,
    seen: Arc<Seen>,
}

/// Kinds of signatures that cannot be verified here, and that a server whose certificate is not
/// checked may use all the same.
const UNVERIFIABLE: [SignatureScheme; 4] = [
    SignatureScheme::ED448,
    // RSASSA-PSS with a key for nothing else (RFC 8446, 4.2.3).
    SignatureScheme::Unknown(0x0809),
    SignatureScheme::Unknown(0x080a),
    SignatureScheme::Unknown(0x080b),
];

impl Recorder {
    /// Verifies a signature of a server that has to prove nothing else.
    fn verify_alone(
        &self,
        candidates: usize,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if let Proof::Unverifiable(kind) =
            verify_handshake(&algorithms(), candidates, message, certificate, signed)?
        {
            self.seen.put(ServerCertificate {
                der: certificate.clone().into_owned(),
                unverifiable_key: Some(kind),
            });
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.seen.put(ServerCertificate {
            der: end_entity.clone().into_owned(),
            unverifiable_key: None,
        });
        match &self.trust {
            Some(trust) => {
                trust.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.trust {
            Some(trust) => trust.verify_tls12_signature(message, certificate, signed),
            None => self.verify_alone(usize::MAX, message, certificate, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match &self.trust {
            Some(trust) => trust.verify_tls13_signature(message, certificate, signed),
            None => self.verify_alone(1, message, certificate, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match &self.trust {
            Some(trust) => trust.supported_verify_schemes(),
            None => algorithms()
                .supported_schemes()
                .into_iter()
                .chain(UNVERIFIABLE)
                .collect(),
        }
    }
}
