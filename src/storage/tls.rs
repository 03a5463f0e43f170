//! TLS to a PostgreSQL server, by libpq's five modes.
//!
//! `require` and `prefer` without root certificates encrypt and prove nothing about the server: that is what these
//! words mean to every PostgreSQL client, and the type that does it is named for it.

use std::sync::Arc;

use camino::Utf8PathBuf;
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
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

use super::postgres_url::{RootCertificates, SslMode};
use crate::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
};

const MAX_BYTES: u64 = 16 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The root certificates cannot be read.
    #[error("cannot read the root certificates of `sslrootcert`")]
    RootFile(#[source] PathError),
    /// The file holds no usable certificate.
    #[error("`{0}` (`sslrootcert`) holds no certificate in PEM form")]
    NoCertificate(Utf8PathBuf),
    /// Verification is asked for, but by nothing.
    #[error("the certificate of the server is to be verified, but no root certificates are named")]
    NoRoots,
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
            Self::RootFile(error) => error.kind(),
            Self::NoCertificate(_) | Self::Verifier(_) => FailureKind::Input,
            Self::NoRoots => FailureKind::Usage,
            Self::Setup(_) => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::RootFile(error) => return error.help(),
            Self::NoCertificate(_) => "name the file of the authority that issued the server's certificate".to_owned(),
            Self::NoRoots => "add `sslrootcert=/path/to/ca.crt`, or `sslrootcert=system` for the public authorities".to_owned(),
            Self::Setup(_) | Self::Verifier(_) => return None,
        })
    }
}

/// The TLS settings for a mode; `None` for no TLS at all.
pub(super) fn client_config(mode: SslMode, roots: Option<&RootCertificates>) -> Result<Option<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (mode, roots) {
        (SslMode::Disable, _) => return Ok(None),
        (SslMode::Prefer, _) | (SslMode::Require, None) => Arc::new(UnsafeAnyCertificate(Arc::clone(&provider))),
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => return Err(TlsError::NoRoots),
        (SslMode::Require | SslMode::VerifyCa, Some(roots)) => Arc::new(AnyHost { roots: load(roots)?, provider: Arc::clone(&provider) }),
        (SslMode::VerifyFull, Some(roots)) => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(load(roots)?), Arc::clone(&provider)).build()?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
    Ok(Some(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn load(roots: &RootCertificates) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        RootCertificates::System => {
            store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        }
        RootCertificates::File(path) => {
            let text = fsx::read(path, MAX_BYTES).map_err(TlsError::RootFile)?;
            let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|_| TlsError::NoCertificate(path.clone()))?;
            if store.add_parsable_certificates(certificates).0 == 0 {
                return Err(TlsError::NoCertificate(path.clone()));
            }
        }
    }
    Ok(store)
}

/// Takes any certificate: what goes over the wire is encrypted, for whoever answers.
#[derive(Debug)]
struct UnsafeAnyCertificate(Arc<CryptoProvider>);

/// Takes a certificate of a trusted authority, whatever host it is for.
#[derive(Debug)]
struct AnyHost {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for UnsafeAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
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
