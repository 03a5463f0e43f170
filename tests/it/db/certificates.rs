//! Certificates for servers and clients of PostgreSQL, and servers that use them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rune_testkit::postgres::{Server, Setup};

/// Lets roles with a password in by TLS only, and the role `certified` by its certificate alone.
const HBA: &str = "local all postgres trust\nhostssl all certified samehost cert\nhostssl all all samehost scram-sha-256\n";

/// An authority that issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its certificate into a directory.
    pub(crate) fn file(&self, directory: &Path) -> PathBuf {
        let path = directory.join("ca.crt");
        std::fs::write(&path, self.pem()).unwrap();
        path
    }

    /// A certificate for a host, or with a name for a person.
    pub(crate) fn issue(&self, host: Option<&str>, name: &str, is_expired: bool) -> Issued {
        let mut params = CertificateParams::new(host.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A setup with a certificate of ours, which takes clients with a certificate of ours.
    pub(crate) fn setup(&self, host: &str, is_expired: bool) -> Setup {
        let Issued { certificate, key } = self.issue(Some(host), host, is_expired);
        let setup = Setup::new(17).setting("ssl=on").file("server.crt", certificate).file("server.key", key);
        setup.setting("ssl_ca_file=root.crt").file("root.crt", self.pem())
    }

    /// A server that takes TLS connections only.
    pub(crate) fn server(&self, host: &str, is_expired: bool) -> Server {
        self.setup(host, is_expired).file("pg_hba.conf", HBA).start()
    }
}
