//! The certificates that were given to be trusted.

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::Certificate;

/// Certificates that a person trusts: those of CAs to issue others, each for itself.
#[derive(Debug)]
pub struct TrustedCertificates {
    given: Vec<CertificateDer<'static>>,
    /// What can be read of them.
    read: Vec<Certificate>,
    /// Those of CAs, and what the TLS library needs of each.
    issuers: Vec<(Certificate, TrustAnchor<'static>)>,
}

impl TrustedCertificates {
    /// Takes certificates in DER form. One that is not a CA's is trusted for itself and never as an issuer: whoever holds
    /// the key of a server must not be able to speak for other servers.
    pub fn new(given: Vec<CertificateDer<'static>>) -> Self {
        let issuer = |der: &CertificateDer<'static>| {
            let certificate = Certificate::read(der).filter(Certificate::is_issuer)?;
            let mut store = RootCertStore::empty();
            store.add(der.clone()).ok()?;
            Some((certificate, store.roots.pop()?))
        };
        Self { read: given.iter().filter_map(Certificate::read).collect(), issuers: given.iter().filter_map(issuer).collect(), given }
    }

    /// The public CAs that this program brings along: Mozilla's.
    pub fn system() -> Self {
        Self::new(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec())
    }

    /// Whether there is none that can be read.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Whether this very certificate was given.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|given| given.as_ref() == certificate.as_ref())
    }

    /// The CAs that may issue now: the TLS library does not look at the dates of those that it starts from.
    pub(super) fn issuers(&self, now: UnixTime) -> RootCertStore {
        let is_valid = |certificate: &Certificate| (certificate.start().seconds..=certificate.end().seconds).contains(&now.as_secs());
        let valid = self.issuers.iter().filter(|(certificate, _)| is_valid(certificate)).map(|(_, anchor)| anchor.clone());
        RootCertStore { roots: valid.collect() }
    }

    /// The given certificates of a subject.
    pub(super) fn of_subject<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a Certificate> {
        self.read.iter().filter(move |certificate| certificate.subject() == subject)
    }
}
