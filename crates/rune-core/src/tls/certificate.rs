//! What a certificate says about itself, read without checking it.

use std::{fmt, net::IpAddr};

use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use x509_cert::{
    certificate::{CertificateInner, Raw, Version},
    der::{
        Decode as _, Encode as _, Reader as _, SliceReader,
        asn1::{AnyRef, ObjectIdentifier, UintRef},
        oid::db::{rfc4519::COMMON_NAME, rfc5912},
    },
    ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoOwned,
    time::Time,
};

use crate::text::shown;

const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");

#[derive(Debug, PartialEq, Eq)]
pub struct Certificate(CertificateInner<Raw>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Seconds since 1970.
    pub seconds: u64,
    text: String,
}

impl Day {
    fn of(time: Time) -> Self {
        Self {
            seconds: time.to_unix_duration().as_secs(),
            text: time.to_string(),
        }
    }

    pub(super) fn now(now: UnixTime) -> Self {
        let time = x509_cert::der::DateTime::from_unix_duration(std::time::Duration::from_secs(
            now.as_secs(),
        ));
        let text = time.map_or_else(
            |_| format!("{} s after 1970", now.as_secs()),
            |time| time.to_string(),
        );
        Self {
            seconds: now.as_secs(),
            text,
        }
    }
}

impl fmt::Display for Day {
    /// In RFC 3339 form.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Certificate {
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        CertificateInner::from_der(der).ok().map(Self)
    }

    /// Whether it is of the version without extensions, which can neither name hosts nor say what
    /// it is for.
    pub(crate) fn is_version_1(&self) -> bool {
        self.0.tbs_certificate.version == Version::V1
    }

    /// Whether it may issue others: it says so, or is of a time when none could, as OpenSSL
    /// decides.
    pub(crate) fn is_issuer(&self) -> bool {
        let is_self_issued = || self.0.tbs_certificate.subject == self.0.tbs_certificate.issuer;
        let usage = self
            .0
            .tbs_certificate
            .get::<KeyUsage>()
            .ok()
            .flatten()
            .map(|(_, usage)| usage.key_cert_sign());
        match self.0.tbs_certificate.get::<BasicConstraints>() {
            Err(_) => false,
            Ok(Some((_, constraints))) => constraints.ca && usage != Some(false),
            Ok(None) if self.is_version_1() => is_self_issued(),
            Ok(None) => usage == Some(true),
        }
    }

    pub(crate) fn is_ca(&self) -> bool {
        self.0
            .tbs_certificate
            .get::<BasicConstraints>()
            .ok()
            .flatten()
            .is_some_and(|(_, constraints)| constraints.ca)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(Some((_, SubjectAltName(names)))) = self.0.tbs_certificate.get::<SubjectAltName>()
        else {
            return Vec::new();
        };
        names.iter().filter_map(name_text).collect()
    }

    /// The name in its subject that older programs take for a host name.
    pub(crate) fn common_name(&self) -> Option<String> {
        let mut attributes = self
            .0
            .tbs_certificate
            .subject
            .0
            .iter()
            .flat_map(|name| name.0.iter());
        let common = attributes.rfind(|attribute| attribute.oid == COMMON_NAME)?;
        std::str::from_utf8(common.value.value()).ok().map(shown)
    }

    pub(crate) fn subject(&self) -> String {
        shown(&self.0.tbs_certificate.subject.to_string())
    }

    pub(crate) fn issuer(&self) -> String {
        shown(&self.0.tbs_certificate.issuer.to_string())
    }

    pub(crate) fn start(&self) -> Day {
        Day::of(self.0.tbs_certificate.validity.not_before)
    }

    pub fn end(&self) -> Day {
        Day::of(self.0.tbs_certificate.validity.not_after)
    }

    pub fn signature_algorithm(&self) -> ObjectIdentifier {
        self.0.signature_algorithm.oid
    }

    /// The kind of its key, for people: `RSA of 1024 bits`, `ECDSA on P-521`.
    pub(crate) fn key_kind(&self) -> String {
        let key = self.key();
        let curve = || {
            key.algorithm
                .parameters
                .as_ref()
                .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
        };
        match key.algorithm.oid {
            rfc5912::RSA_ENCRYPTION => self
                .rsa_bits()
                .map_or_else(|| "RSA".to_owned(), |bits| format!("RSA of {bits} bits")),
            rfc5912::ID_EC_PUBLIC_KEY => match curve() {
                Some(rfc5912::SECP_256_R_1) => "ECDSA on P-256".to_owned(),
                Some(rfc5912::SECP_384_R_1) => "ECDSA on P-384".to_owned(),
                Some(rfc5912::SECP_521_R_1) => "ECDSA on P-521".to_owned(),
                Some(other) => format!("ECDSA on the curve {other}"),
                None => "ECDSA on a curve without a name".to_owned(),
            },
            rfc5912::ID_RSASSA_PSS => "RSA for PSS only".to_owned(),
            ED448 => "Ed448".to_owned(),
            other => format!("the algorithm {other}"),
        }
    }

    pub(super) fn rsa_bits(&self) -> Option<usize> {
        let key = self.key();
        if key.algorithm.oid != rfc5912::RSA_ENCRYPTION {
            return None;
        }
        let mut reader = SliceReader::new(key.subject_public_key.as_bytes()?).ok()?;
        let modulus = reader
            .sequence(|reader| {
                let modulus = UintRef::decode(reader)?;
                UintRef::decode(reader)?;
                Ok(modulus)
            })
            .ok()?;
        let bytes = modulus.as_bytes();
        let leading = bytes
            .first()
            .map_or(0, |byte| byte.leading_zeros() as usize);
        Some((bytes.len() * 8).saturating_sub(leading))
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfoOwned {
        &self.0.tbs_certificate.subject_public_key_info
    }

    /// The algorithm of its key as it stands in the certificate, without the outermost tag.
    pub(super) fn key_algorithm(&self) -> Option<Vec<u8>> {
        let der = self.key().algorithm.to_der().ok()?;
        AnyRef::from_der(&der)
            .ok()
            .map(|sequence| sequence.value().to_vec())
    }
}

/// How people compare certificates: its SHA-256, in groups of eight digits.
pub(super) fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digits: Vec<String> = Sha256::digest(der)
        .chunks(4)
        .map(|four| four.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    format!("sha256:{}", digits.join(" "))
}

fn name_text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(shown(name.as_str())),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let address = <[u8; 4]>::try_from(bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

    use super::Certificate;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params =
            CertificateParams::new(vec!["db.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        change(&mut params);
        Certificate::read(
            params
                .self_signed(&KeyPair::generate().unwrap())
                .unwrap()
                .der(),
        )
        .unwrap()
    }

    #[test]
    fn a_certificate_says_for_which_names_and_until_when() {
        let read = certificate(|params| params.not_after = rcgen::date_time_ymd(2030, 2, 1));
        assert_eq!(read.names(), ["db.example", "192.0.2.1"]);
        assert_eq!(
            (read.end().seconds, read.end().to_string()),
            (1_896_134_400, "2030-02-01T00:00:00Z".to_owned())
        );
        assert_eq!(read.key_kind(), "ECDSA on P-256");
        assert!(Certificate::read(&b"no certificate".to_vec().into()).is_none());
    }

    #[test]
    fn only_what_calls_itself_a_ca_may_issue() {
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        assert!(certificate(|params| params.is_ca = ca).is_issuer());
        assert!(!certificate(|_| {}).is_issuer());
        assert!(!certificate(|params| params.is_ca = IsCa::ExplicitNoCa).is_issuer());
        let signs_no_certificates = |params: &mut CertificateParams| {
            params.is_ca = ca;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        };
        assert!(!certificate(signs_no_certificates).is_issuer());
    }
}
