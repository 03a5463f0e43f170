//! The certificates that were given to be trusted.

use std::sync::LazyLock;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::{Certificate, GivenCertificate};

type Issuer = (Certificate, TrustAnchor<'static>);

/// Mozilla's, which this program brings along. Read once, and only when a certificate has to be
/// verified with them.
static PUBLIC: LazyLock<Vec<Issuer>> = LazyLock::new(|| {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(issuer)
        .collect()
});

#[derive(Debug)]
pub struct TrustedCertificates {
    given: Vec<CertificateDer<'static>>,
    /// Those that the file with them says are not for servers.
    rejected: Vec<CertificateDer<'static>>,
    /// What can be read of the given ones.
    read: Vec<Certificate>,
    issuers: Vec<Issuer>,
    with_public: bool,
}

impl TrustedCertificates {
    /// Takes certificates of files. One that is not a CA's is trusted for itself and never as an
    /// issuer: whoever holds the key of a server must not be able to speak for other servers. One
    /// that a file rejects is not trusted, whatever else says that it is.
    pub fn new(files: Vec<GivenCertificate>) -> Self {
        let (given, rejected): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|certificate| certificate.is_for_servers);
        let ders = |list: Vec<GivenCertificate>| {
            list.into_iter()
                .map(|certificate| certificate.der)
                .collect::<Vec<_>>()
        };
        let (mut given, rejected) = (ders(given), ders(rejected));
        given.retain(|der| !rejected.contains(der));
        Self {
            read: given.iter().filter_map(Certificate::read).collect(),
            issuers: given.iter().filter_map(issuer).collect(),
            given,
            rejected,
            with_public: false,
        }
    }

    /// The same, and the public CAs that this program brings along: Mozilla's.
    #[must_use]
    pub fn and_public(self) -> Self {
        Self {
            with_public: true,
            ..self
        }
    }

    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given
            .iter()
            .any(|given| given.as_ref() == certificate.as_ref())
    }

    pub(super) fn rejects(&self, certificate: &CertificateDer<'_>) -> bool {
        self.rejected
            .iter()
            .any(|rejected| rejected.as_ref() == certificate.as_ref())
    }

    /// The CAs that may issue now: the TLS library does not check the dates of those that it starts
    /// from.
    pub(super) fn issuers(&self, now: UnixTime) -> RootCertStore {
        let is_valid = |certificate: &Certificate| {
            (certificate.start().seconds..=certificate.end().seconds).contains(&now.as_secs())
        };
        let valid = self
            .all_issuers()
            .filter(|(certificate, _)| is_valid(certificate))
            .map(|(_, anchor)| anchor.clone());
        RootCertStore {
            roots: valid.collect(),
        }
    }

    fn all_issuers(&self) -> impl Iterator<Item = &Issuer> {
        let is_rejected = |certificate: &Certificate| {
            self.rejected
                .iter()
                .filter_map(Certificate::read)
                .any(|other| other == *certificate)
        };
        let public = self
            .with_public
            .then(|| PUBLIC.iter())
            .into_iter()
            .flatten();
        self.issuers
            .iter()
            .chain(public.filter(move |(certificate, _)| !is_rejected(certificate)))
    }

    pub(super) fn of_subject<'a>(
        &'a self,
        subject: &'a str,
    ) -> impl Iterator<Item = &'a Certificate> {
        let public = self
            .with_public
            .then(|| PUBLIC.iter())
            .into_iter()
            .flatten()
            .map(|(certificate, _)| certificate);
        self.read
            .iter()
            .chain(public)
            .filter(move |certificate| certificate.subject() == subject)
    }

    pub(super) fn rejects_subject(&self, subject: &str) -> bool {
        self.rejected
            .iter()
            .filter_map(Certificate::read)
            .any(|certificate| certificate.subject() == subject)
    }
}

fn issuer(der: &CertificateDer<'static>) -> Option<Issuer> {
    let certificate = Certificate::read(der).filter(Certificate::is_issuer)?;
    let mut store = RootCertStore::empty();
    store.add(der.clone()).ok()?;
    Some((certificate, store.roots.pop()?))
}
