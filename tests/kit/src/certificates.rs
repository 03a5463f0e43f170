//! Certificates for servers and clients of PostgreSQL, and servers that use them.

use std::path::{Path, PathBuf};

use crate::postgres::{Server, Setup};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Lets roles with a password in by TLS only, and the role `certified` by its certificate alone.
const HBA: &str = "local all postgres trust\nhostssl all certified samehost cert\nhostssl all all samehost scram-sha-256\n";

/// An authority that issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM form.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its certificate into a directory.
    pub fn file(&self, directory: &Path) -> PathBuf {
        let path = directory.join("ca.crt");
        std::fs::write(&path, self.pem()).unwrap();
        path
    }

    /// A certificate for a host, or with a name for a person.
    pub fn issue(&self, host: Option<&str>, name: &str, is_expired: bool) -> Issued {
        let mut params = CertificateParams::new(
            host.iter()
                .map(|host| (*host).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A setup with a certificate of ours, which takes clients with a certificate of ours.
    pub fn setup(&self, host: &str, is_expired: bool) -> Setup {
        let Issued { certificate, key } = self.issue(Some(host), host, is_expired);
        let setup = Setup::new(17)
            .setting("ssl=on")
            .file("server.crt", certificate)
            .file("server.key", key);
        setup
            .setting("ssl_ca_file=root.crt")
            .file("root.crt", self.pem())
    }

    /// A server that takes TLS connections only.
    pub fn server(&self, host: &str, is_expired: bool) -> Server {
        self.setup(host, is_expired)
            .file("pg_hba.conf", HBA)
            .start()
    }
}

/// Runs `openssl` in a directory.
pub fn openssl(directory: &Path, arguments: &str) {
    let output = std::process::Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A server that shows one certificate after the other.
pub struct Changeable(Server);

impl Changeable {
    /// A server with the certificates `NAME.crt` and keys `NAME.key` of a directory.
    pub fn start(directory: &Path, names: &[&str]) -> Self {
        let first = names.first().unwrap();
        let setup = Setup::new(17).setting("ssl=on").file("pg_hba.conf", HBA);
        let setup = names
            .iter()
            .flat_map(|name| [format!("{name}.crt"), format!("{name}.key")])
            .fold(setup, |setup, file| {
                let content = std::fs::read(directory.join(&file)).unwrap();
                setup.file(file, content)
            });
        let chosen = format!("ssl_cert_file = '{first}.crt'\nssl_key_file = '{first}.key'\n");
        Self(setup.file("postgresql.auto.conf", chosen).start())
    }

    pub fn server(&self) -> &Server {
        &self.0
    }

    /// Shows this one from now on.
    pub fn show(&self, name: &str) {
        self.0.query(
            "postgres",
            &format!("ALTER SYSTEM SET ssl_cert_file = '{name}.crt'"),
        );
        self.0.query(
            "postgres",
            &format!("ALTER SYSTEM SET ssl_key_file = '{name}.key'"),
        );
        self.0.query("postgres", "SELECT pg_reload_conf()");
        self.0
            .wait_for("postgres", "SHOW ssl_key_file", &format!("{name}.key"));
    }
}
