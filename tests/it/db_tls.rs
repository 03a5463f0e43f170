//! TLS to PostgreSQL: each mode proves what it says it proves.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rune_testkit::postgres::{Database, Server, Setup};

use crate::db_support::{Ended, rune_db};

const HBA: &str = "local all postgres trust\nhostssl all all samehost scram-sha-256\n";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server that takes TLS connections only, with a certificate of ours.
    fn server(&self, host: &str, is_expired: bool) -> Server {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let setup = Setup::new(17).setting("ssl=on").file("server.crt", certificate.pem()).file("server.key", key.serialize_pem());
        setup.file("pg_hba.conf", HBA).start()
    }

    fn file(&self, directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("ca.crt");
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

fn status(database: &Database<'_>, parameters: &str) -> Ended {
    rune_db(&["status"]).on(&format!("{}?{parameters}", database.url())).run()
}

#[test]
fn each_mode_proves_what_it_says() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(&directory).display());
    status(&database, "sslmode=disable").fails(9, &["no encryption"]);
    for parameters in ["sslmode=prefer", "sslmode=require", "connect_timeout=9"] {
        status(&database, parameters).succeeds();
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).succeeds();
    }
    status(&database, "sslmode=verify-full").fails(2, &["no root certificates", "sslrootcert="]);
    status(&database, "sslmode=verify-full&sslrootcert=system").fails(9, &["UnknownIssuer", "sslrootcert"]);
    let by_environment = rune_db(&["status"]).on(&database.url()).env("PGSSLMODE", "verify-full");
    by_environment.env("PGSSLROOTCERT", directory.path().join("ca.crt").to_str().unwrap()).run().succeeds();
}

#[test]
fn a_certificate_of_another_authority_is_refused_wherever_authorities_are_named() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = Authority::new("theirs").server("127.0.0.1", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(&directory).display());
    for mode in ["require", "verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).fails(9, &["invalid peer certificate", "name the authority"]);
    }
}

#[test]
fn a_certificate_for_another_host_is_enough_for_verify_ca_only() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("db.example", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(&directory).display());
    status(&database, &format!("sslmode=verify-ca&{ca}")).succeeds();
    status(&database, &format!("sslmode=verify-full&{ca}")).fails(9, &["db.example", "use the host name"]);
}

#[test]
fn an_expired_certificate_is_refused_wherever_certificates_are_looked_at() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", true);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(&directory).display());
    status(&database, "sslmode=require").succeeds();
    for mode in ["verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).fails(9, &["expired", "renew"]);
    }
}

#[test]
fn a_server_without_tls_is_refused_when_tls_is_required() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(17);
    let database = server.database();
    status(&database, "sslmode=require").fails(9, &["does not support TLS", "ssl = on"]);
    status(&database, "sslmode=prefer").succeeds();
    let missing = format!("sslmode=verify-ca&sslrootcert={}/none.crt", directory.path().display());
    status(&database, &missing).fails(4, &["none.crt"]);
    std::fs::write(directory.path().join("empty.crt"), "no certificate").unwrap();
    let empty = format!("sslmode=verify-ca&sslrootcert={}/empty.crt", directory.path().display());
    status(&database, &empty).fails(3, &["holds no certificate"]);
}
