//! How setting up and using HTTP fails.

use std::{fmt, net::IpAddr};

use camino::Utf8PathBuf;
use rustls::AlertDescription;

use super::{AddressClass, ProxyError};
use rune_core::{
    failure::Failure,
    fsx::PathError,
    tls::{CertificateProblem, PemProblem, handshake_problem},
};

#[derive(Debug, thiserror::Error, Failure)]
pub enum NetError {
    #[error("cannot use the file given with `{option}`")]
    #[failure(inner)]
    File { option: String, source: PathError },
    #[error("`{path}`, given with `{option}`, {problem}")]
    #[failure(Input: .problem.help())]
    Pem {
        option: String,
        path: Utf8PathBuf,
        problem: PemProblem,
    },
    #[error("the certificate `{certificate}` and the key `{key}` cannot be used together")]
    #[failure(Input: "check that `{key}` is the unencrypted private key of that certificate")]
    Identity {
        certificate: Utf8PathBuf,
        key: Utf8PathBuf,
        source: rustls::Error,
    },
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("cannot set up the HTTP client")]
    #[failure(Internal)]
    Client(#[source] reqwest::Error),
    #[error("cannot set up TLS")]
    #[failure(Internal)]
    Tls(#[source] rustls::Error),
}

impl NetError {
    pub(super) fn identity(
        [certificate, key]: &[(String, Utf8PathBuf); 2],
        source: rustls::Error,
    ) -> Self {
        Self::Identity {
            certificate: certificate.1.clone(),
            key: key.1.clone(),
            source,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{fault}{}{detail}", if .detail.is_empty() { "" } else { ": " })]
pub(crate) struct TransportError {
    pub(crate) fault: TransportFault,
    /// What the layers below say, without URLs.
    detail: String,
    certificate: Option<Box<CertificateProblem>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportFault {
    UnknownHost,
    Resolve,
    Connect,
    Certificate,
    /// TLS failed otherwise: the server speaks it, and there is no agreement.
    Tls,
    NotTls,
    /// The server wants a certificate of ours, or another one.
    ClientCertificate,
    /// The connection ended during the TLS handshake.
    Handshake,
    Timeout,
    Interrupted,
    /// The name resolves to an address that the request may not go to.
    Forbidden(AddressClass),
}

impl fmt::Display for TransportFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost => formatter.write_str("the host name does not exist"),
            Self::Resolve => formatter.write_str("the host name cannot be resolved"),
            Self::Connect => formatter.write_str("no connection"),
            Self::Certificate => formatter.write_str("its TLS certificate is not trusted"),
            Self::Tls | Self::NotTls => formatter.write_str("TLS failed"),
            Self::ClientCertificate => {
                formatter.write_str("it does not accept us without another client certificate")
            }
            Self::Handshake => formatter.write_str("the connection broke during the TLS handshake"),
            Self::Timeout => formatter.write_str("no answer in time"),
            Self::Interrupted => formatter.write_str("the connection broke"),
            Self::Forbidden(class) => write!(
                formatter,
                "its address is {class}, and from where we were sent there we may not go"
            ),
        }
    }
}

impl TransportFault {
    pub(crate) const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Resolve | Self::Connect | Self::Handshake | Self::Timeout | Self::Interrupted
        )
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{address} is not allowed")]
pub(super) struct ForbiddenAddress {
    pub(super) address: IpAddr,
}

impl TransportError {
    pub(crate) const fn of(fault: TransportFault) -> Self {
        Self {
            fault,
            detail: String::new(),
            certificate: None,
        }
    }

    pub(super) fn forbidden(address: IpAddr) -> Self {
        Self {
            detail: address.to_string(),
            ..Self::of(TransportFault::Forbidden(AddressClass::of(address)))
        }
    }

    pub(crate) fn certificate(&self) -> Option<&CertificateProblem> {
        self.certificate.as_deref()
    }

    /// Makes sense of what the HTTP library says: its chain of causes, without the URL, which may
    /// hold a signature.
    pub(super) fn from_reqwest(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let (is_timeout, is_connect) = (error.is_timeout(), error.is_connect());
        let mut fault = if is_timeout {
            TransportFault::Timeout
        } else if is_connect {
            TransportFault::Connect
        } else {
            TransportFault::Interrupted
        };
        let mut detail = String::new();
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            detail = cause.to_string();
            if let Some(forbidden) = cause.downcast_ref::<ForbiddenAddress>() {
                return Self::forbidden(forbidden.address);
            }
            if detail == "dns error" {
                fault = TransportFault::Resolve;
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                let certificate = CertificateProblem::of(tls).cloned().map(Box::new);
                return Self {
                    fault: Self::tls_fault(tls),
                    detail: handshake_problem(tls),
                    certificate,
                };
            }
            // What an `io::Error` wraps is not its source, but stands in its place.
            source = match cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
            {
                Some(inner) => Some(inner),
                None => cause.source(),
            };
        }
        // The standard library and the TLS adapter keep these two apart by their texts only.
        if fault == TransportFault::Resolve && names_nothing(&detail) {
            fault = TransportFault::UnknownHost;
        } else if fault == TransportFault::Connect && detail == "tls handshake eof" {
            fault = TransportFault::Handshake;
        }
        Self {
            detail,
            ..Self::of(fault)
        }
    }

    const fn tls_fault(error: &rustls::Error) -> TransportFault {
        match error {
            rustls::Error::InvalidCertificate(_) => TransportFault::Certificate,
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => TransportFault::ClientCertificate,
            rustls::Error::InvalidMessage(_) => TransportFault::NotTls,
            _ => TransportFault::Tls,
        }
    }
}

/// Whether the resolver says that a name does not exist, as opposed to that it could not find out:
/// the texts of glibc and musl.
fn names_nothing(detail: &str) -> bool {
    [
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "Name has no usable address",
    ]
    .iter()
    .any(|text| detail.contains(text))
}
