//! Whether the certificate that a TLS server shows is accepted, for every protocol that this
//! project speaks.
//!
//! A certificate is accepted when a CA certificate that was given issued it, or when it is itself,
//! byte for byte, among the certificates that were given. It reads PEM, but knows no files, no
//! options and no protocol: callers load files and decide what a refusal means to them. The
//! invariant: a server that does not hold the private key of the certificate it shows is never
//! taken for one that does.

mod certificate;
mod handshake;
mod pem;
mod problem;
mod provider;
mod signature;
mod trust;
mod verifier;

pub use certificate::{Certificate, Day};
pub use handshake::handshake_problem;
pub use pem::{GivenCertificate, PemItem, PemProblem, certificates, private_key};
pub use problem::CertificateProblem;
pub use provider::provider;
pub use signature::{Proof, verify_handshake};
pub use trust::TrustedCertificates;
pub use verifier::{NameCheck, TrustVerifier};
