//! Accepts the certificates of servers that [`TrustedCertificates`] issued, and says why it refuses
//! others.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::CryptoProvider,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{
    Certificate, CertificateProblem, Day, Proof, TrustedCertificates, certificate::fingerprint,
    verify_handshake,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameCheck {
    ThisHost,
    AnyHost,
}

#[derive(Debug)]
pub struct TrustVerifier {
    trusted: TrustedCertificates,
    name_check: NameCheck,
    provider: Arc<CryptoProvider>,
}

impl TrustVerifier {
    pub const fn new(
        trusted: TrustedCertificates,
        name_check: NameCheck,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self {
            trusted,
            name_check,
            provider,
        }
    }

    /// Evaluates a certificate and those that the server sent to lead from it to a CA.
    pub(crate) fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        let certificate = Certificate::read(end_entity)
            .ok_or_else(|| CertificateProblem::Malformed("not X.509".to_owned()))?;
        if self.trusted.rejects(end_entity) {
            return Err(CertificateProblem::Rejected {
                subject: certificate.subject(),
            });
        }
        check_dates(&certificate, "it", now)?;
        if !self.trusted.contains(end_entity) {
            // No way leads through a certificate that is rejected.
            let intermediates: Vec<_> = intermediates
                .iter()
                .filter(|sent| !self.trusted.rejects(sent))
                .cloned()
                .collect();
            self.check_chain(&certificate, end_entity, &intermediates, now)?;
        }
        match self.name_check {
            NameCheck::AnyHost => Ok(()),
            NameCheck::ThisHost => check_name(&certificate, end_entity, server_name),
        }
    }

    fn check_chain(
        &self,
        certificate: &Certificate,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        if certificate.is_version_1() {
            return Err(CertificateProblem::Version1);
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        let outcome = ParsedCertificate::try_from(end_entity).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.trusted.issuers(now),
                intermediates,
                now,
                algorithms,
            )
        });
        outcome.map_err(|error| match error {
            rustls::Error::InvalidCertificate(error) => {
                self.explain(&error, certificate, (end_entity, intermediates), now)
            }
            other => CertificateProblem::Malformed(other.to_string()),
        })
    }

    /// What the library says about a chain whose leaf's dates are right.
    fn explain(
        &self,
        error: &CertificateError,
        certificate: &Certificate,
        shown: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        now: UnixTime,
    ) -> CertificateProblem {
        match error {
            CertificateError::UnknownIssuer
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                self.missing_issuer(certificate, shown, now)
            }
            CertificateError::BadSignature => CertificateProblem::BadSignature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                CertificateProblem::WrongPurpose
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                CertificateProblem::UnsupportedSignature
            }
            // The library has no word of its own for this one, and finds it before it looks for the
            // issuer.
            _ if certificate.is_ca() => match self.missing_issuer(certificate, shown, now) {
                CertificateProblem::UnknownIssuer { missing, .. }
                    if self.trusted.of_subject(&missing).next().is_some() =>
                {
                    CertificateProblem::CaAsServer
                }
                problem => problem,
            },
            other => CertificateProblem::Malformed(other.to_string()),
        }
    }

    /// Why no way leads from a certificate to a CA: one of those on the way is out of date, must
    /// not issue, or is not there.
    fn missing_issuer(
        &self,
        certificate: &Certificate,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        now: UnixTime,
    ) -> CertificateProblem {
        let sent: Vec<Certificate> = intermediates.iter().filter_map(Certificate::read).collect();
        let issuers: Vec<String> = std::iter::once(certificate)
            .chain(&sent)
            .map(Certificate::issuer)
            .collect();
        let given: Vec<&Certificate> = issuers
            .iter()
            .flat_map(|issuer| self.trusted.of_subject(issuer))
            .collect();
        let out_of_date = |issuer: &Certificate| {
            check_dates(
                issuer,
                &format!("the certificate of its issuer `{}`", issuer.subject()),
                now,
            )
            .err()
        };
        if let Some(problem) = sent
            .iter()
            .chain(given.iter().copied())
            .find_map(out_of_date)
        {
            return problem;
        }
        if let Some(issuer) = given.iter().find(|issuer| !issuer.is_issuer()) {
            return CertificateProblem::NotAnIssuer {
                issuer: issuer.subject(),
            };
        }
        if let Some(subject) = issuers
            .iter()
            .find(|issuer| self.trusted.rejects_subject(issuer))
        {
            return CertificateProblem::Rejected {
                subject: subject.clone(),
            };
        }
        CertificateProblem::UnknownIssuer {
            subject: certificate.subject(),
            issuer: certificate.issuer(),
            missing: issuers.last().cloned().unwrap_or_default(),
            fingerprint: fingerprint(end_entity),
        }
    }
}

fn check_dates(
    certificate: &Certificate,
    what: &str,
    now: UnixTime,
) -> Result<(), CertificateProblem> {
    let (start, end, now) = (certificate.start(), certificate.end(), Day::now(now));
    if now.seconds < start.seconds {
        return Err(CertificateProblem::NotYetValid {
            what: what.to_owned(),
            start,
            now,
        });
    }
    if now.seconds > end.seconds {
        return Err(CertificateProblem::Expired {
            what: what.to_owned(),
            end,
            now,
        });
    }
    Ok(())
}

fn check_name(
    certificate: &Certificate,
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
) -> Result<(), CertificateProblem> {
    // A certificate of version 1 has no names, and the library cannot read it.
    let is_for_it = !certificate.is_version_1()
        && ParsedCertificate::try_from(end_entity)
            .is_ok_and(|parsed| verify_server_name(&parsed, server_name).is_ok());
    if is_for_it {
        return Ok(());
    }
    let (names, common_name) = (certificate.names(), certificate.common_name());
    Err(CertificateProblem::WrongName {
        wanted: server_name.to_str().into_owned(),
        names,
        common_name,
    })
}

impl From<CertificateProblem> for rustls::Error {
    fn from(problem: CertificateProblem) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
    }
}

impl CertificateProblem {
    /// The problem behind an error of the TLS library, if it is one of ours.
    pub fn of(error: &rustls::Error) -> Option<&Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(problem))) => {
                problem.downcast_ref()
            }
            _ => None,
        }
    }
}

/// A signature that proves nothing is not good enough where certificates are verified.
fn proven(proof: Proof) -> Result<HandshakeSignatureValid, rustls::Error> {
    match proof {
        Proof::Verified => Ok(HandshakeSignatureValid::assertion()),
        Proof::Unverifiable(kind) => Err(CertificateProblem::UnsupportedKey(kind).into()),
    }
}

impl ServerCertVerifier for TrustVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        proven(verify_handshake(
            &self.provider.signature_verification_algorithms,
            usize::MAX,
            message,
            certificate,
            signed,
        )?)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        proven(verify_handshake(
            &self.provider.signature_verification_algorithms,
            1,
            message,
            certificate,
            signed,
        )?)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
