//! Why a certificate is not accepted, in words.

use super::Day;
use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Access)]
pub enum CertificateProblem {
    #[error("it is malformed, or uses an extension that is not supported: {0}")]
    #[failure(help: self.advice("the CA file"))]
    Malformed(String),
    #[error("{}, and is not trusted itself (fingerprint {fingerprint})",
        issued(.subject, .issuer, .missing))]
    #[failure(help: self.advice("the CA file"))]
    UnknownIssuer {
        subject: String,
        issuer: String,
        /// The last issuer that leads from it towards a CA.
        missing: String,
        fingerprint: String,
    },
    #[error("the CA file rejects the certificate of `{subject}` for servers")]
    #[failure(help: self.advice("the CA file"))]
    Rejected { subject: String },
    #[error(
        "it was issued by `{issuer}`, whose certificate in the CA file is not a CA certificate"
    )]
    #[failure(help: self.advice("the CA file"))]
    NotAnIssuer { issuer: String },
    #[error("it is for {}, not for `{wanted}`", listed(.names, .common_name.as_deref()))]
    #[failure(help: self.advice("the CA file"))]
    WrongName {
        wanted: String,
        names: Vec<String>,
        /// The common name of its subject, which is not checked.
        common_name: Option<String>,
    },
    #[error("{what} expired: valid until {end}, and this machine's clock says {now}")]
    #[failure(help: self.advice("the CA file"))]
    Expired { what: String, end: Day, now: Day },
    #[error("{what} is not valid yet: valid from {start}, and this machine's clock says {now}")]
    #[failure(help: self.advice("the CA file"))]
    NotYetValid { what: String, start: Day, now: Day },
    #[error("its key is not supported: {0}")]
    #[failure(help: self.advice("the CA file"))]
    UnsupportedKey(String),
    #[error(
        "it, or a certificate between it and the CA, is signed with an algorithm or key that is \
         not supported"
    )]
    #[failure(help: self.advice("the CA file"))]
    UnsupportedSignature,
    #[error("it is an X.509 version 1 certificate, which cannot be verified")]
    #[failure(help: self.advice("the CA file"))]
    Version1,
    #[error("it is a CA certificate, used as a server certificate")]
    #[failure(help: self.advice("the CA file"))]
    CaAsServer,
    #[error("it is not for servers: its extended key usage lacks `serverAuth`")]
    #[failure(help: self.advice("the CA file"))]
    WrongPurpose,
    #[error("its signature, or that of a certificate between it and the CA, is invalid")]
    #[failure(help: self.advice("the CA file"))]
    BadSignature,
    #[error("the server does not hold the private key of the certificate that it presents")]
    #[failure(help: self.advice("the CA file"))]
    NotItsOwn,
}

fn issued(subject: &str, issuer: &str, missing: &str) -> String {
    if subject == issuer {
        format!("it is self-signed by `{subject}`")
    } else if issuer == missing {
        format!(
            "the certificate of `{subject}` was issued by `{issuer}`, which is not a trusted CA"
        )
    } else {
        format!(
            "the certificate of `{subject}` was issued by `{issuer}`, and that by `{missing}`, \
             which is not a trusted CA"
        )
    }
}

fn listed(names: &[String], common_name: Option<&str>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match (names.as_slice(), common_name) {
        ([], Some(name)) => format!(
            "no host: it has no subject alternative name, and its common name `{name}` does not \
             count"
        ),
        ([], None) => "no host: it has no subject alternative name".to_owned(),
        (names, _) => names.join(", "),
    }
}

impl CertificateProblem {
    /// What to do next, where the file with CA certificates is called `ca_file`.
    pub fn advice(&self, ca_file: &str) -> String {
        let reissue = format!("or add the server's own certificate to {ca_file}");
        match self {
            Self::UnknownIssuer {
                subject, issuer, ..
            } if subject == issuer => {
                format!("compare the fingerprint, and add the certificate itself to {ca_file}")
            }
            Self::UnknownIssuer { missing, .. } => {
                format!(
                    "add the certificate of `{missing}` to {ca_file}, or, with its fingerprint \
                     compared, the certificate itself"
                )
            }
            Self::Rejected { .. } => {
                format!(
                    "take the rejection out of {ca_file} (`openssl x509 -clrreject -clrtrust`), \
                     or use another certificate"
                )
            }
            Self::NotAnIssuer { .. } => {
                format!(
                    "add the certificate of the CA that issued it, which says `CA:TRUE`, to \
                     {ca_file}"
                )
            }
            Self::WrongName { names, .. } if names.is_empty() => {
                "issue a certificate with the host in `subjectAltName`".to_owned()
            }
            Self::WrongName { .. } => {
                "connect by a name of the certificate, or issue one for this host".to_owned()
            }
            Self::Expired { .. } => "renew it, or set the clock that is wrong".to_owned(),
            Self::NotYetValid { .. } => "set the clock that is wrong, or issue it again".to_owned(),
            Self::UnsupportedKey(_) | Self::UnsupportedSignature => {
                "issue certificates with keys on P-256, P-384, P-521, Ed25519 or RSA of 2048 to \
                 8192 bits, signed with SHA-2"
                    .to_owned()
            }
            Self::Version1 => {
                format!(
                    "issue one with `subjectAltName` (`openssl x509 -req -extfile FILE`), {reissue}"
                )
            }
            Self::CaAsServer => format!("issue a server certificate with `CA:FALSE`, {reissue}"),
            Self::WrongPurpose => {
                format!("issue one with `extendedKeyUsage = serverAuth`, {reissue}")
            }
            Self::Malformed(_) | Self::BadSignature => {
                "check it with `openssl verify -CAfile CA CERTIFICATE`, and issue it again"
                    .to_owned()
            }
            Self::NotItsOwn => {
                "check who answers at this address: another server may show a copied certificate"
                    .to_owned()
            }
        }
    }
}
