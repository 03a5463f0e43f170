//! Certificates that are unusual: where nothing is verified they do no harm, and where something
//! is, the reason is said.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rune_testkit::postgres::{Database, Setup};
use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use rune_testkit::certificates::{Authority, Changeable, openssl};
use rune_testkit::tool::{Ended, rune_db};

/// Modes that verify nothing.
const BLIND: [&str; 3] = ["connect_timeout=9", "sslmode=prefer", "sslmode=require"];

fn status(database: &Database<'_>, parameters: &str) -> Ended {
    rune_db(&["status"])
        .on(&format!("{}?{parameters}", database.url()))
        .run()
}

fn roots(directory: &Path, name: &str) -> String {
    format!("sslrootcert={}", directory.join(name).display())
}

/// Makes a CA `ca`, and for each kind a key and a certificate for 127.0.0.1.
fn make(directory: &Path) {
    std::fs::write(directory.join("host"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        directory,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -keyout ca.key -out ca.crt -subj /CN=ours",
    );
    for (name, key) in [
        ("v1", "EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521"),
        ("rsa1024", "RSA -pkeyopt rsa_keygen_bits:1024"),
        ("ed448", "ED448"),
        ("ed25519", "ED25519"),
        ("pss", "RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
    ] {
        openssl(
            directory,
            &format!("genpkey -algorithm {key} -out {name}.key"),
        );
        openssl(
            directory,
            &format!("req -new -key {name}.key -subj /CN=127.0.0.1 -out {name}.csr"),
        );
        let extensions = if name == "v1" { "" } else { " -extfile host" };
        openssl(
            directory,
            &format!(
                "x509 -req -in {name}.csr -days 9 -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt{extensions}"
            ),
        );
    }
    // What the manual of PostgreSQL has for a quick start: self-signed, and as OpenSSL makes it, of
    // a CA.
    openssl(
        directory,
        "req -new -x509 -days 9 -nodes -keyout self.key -out self.crt -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1",
    );
}

#[test]
fn unusual_certificates_are_not_checked_where_nothing_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    make(directory);
    let names = ["v1", "p521", "rsa1024", "ed448", "ed25519", "pss", "self"];
    let changeable = Changeable::start(directory, &names);
    let database = changeable.server().database();
    for name in names {
        changeable.show(name);
        for parameters in BLIND {
            status(&database, parameters).succeeds();
        }
        // The login proves that the server holds the key, wherever its signature can be verified.
        let bound = status(&database, "sslmode=require&channel_binding=require");
        let unverifiable = ["rsa1024", "ed448", "pss"].contains(&name);
        match name {
            _ if unverifiable => bound.fails(9, &["channel binding", "leave out"]),
            _ => drop(bound.succeeds()),
        }
        let doctor = rune_db(&["doctor"])
            .on(&format!("{}?sslmode=require", database.url()))
            .run()
            .succeeds();
        assert_eq!(
            doctor.contains("channel binding is not used"),
            unverifiable,
            "{name}: {doctor}"
        );
    }
}

#[test]
fn unusual_certificates_are_told_apart_where_they_are_verified() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    make(directory);
    let changeable = Changeable::start(directory, &["v1", "p521", "rsa1024", "ed448", "self"]);
    let database = changeable.server().database();
    let verify = |name: &str, mode: &str, file: &str| {
        changeable.show(name);
        status(
            &database,
            &format!("sslmode={mode}&{}", roots(directory, file)),
        )
    };
    verify("v1", "verify-ca", "ca.crt").fails(9, &["X.509 version 1", "subjectAltName"]);
    for mode in ["verify-ca", "verify-full"] {
        verify("p521", mode, "ca.crt").succeeds();
    }
    verify("rsa1024", "verify-ca", "ca.crt").fails(9, &["RSA of 1024 bits", "2048"]);
    verify("ed448", "verify-ca", "ca.crt")
        .fails(9, &["no common protocol, curve or signature", "P-521"]);
    verify("self", "verify-ca", "ca.crt").fails(
        9,
        &[
            "it is self-signed by `CN=127.0.0.1`",
            "sha256:",
            "certificate itself",
        ],
    );
    // Byte for byte in the file, each is trusted for itself.
    for mode in ["prefer", "require", "verify-ca", "verify-full"] {
        verify("self", mode, "self.crt").succeeds();
    }
    verify("v1", "verify-ca", "v1.crt").succeeds();
    verify("v1", "verify-full", "v1.crt").fails(
        9,
        &["no subject alternative name", "common name `127.0.0.1`"],
    );
    verify("rsa1024", "verify-ca", "rsa1024.crt").fails(9, &["RSA of 1024 bits"]);
}

#[test]
fn a_ca_certificate_used_by_a_server_is_named_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
    params.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
    let key = KeyPair::generate().unwrap();
    let server = params.signed_by(&key, &root).unwrap();
    let setup = Setup::new(17)
        .setting("ssl=on")
        .file("server.crt", server.pem())
        .file("server.key", key.serialize_pem());
    let started = setup.start();
    let database = started.database();
    std::fs::write(directory.path().join("ca.crt"), root.pem()).unwrap();
    std::fs::write(directory.path().join("own.crt"), server.pem()).unwrap();
    status(&database, &roots(directory.path(), "ca.crt")).fails(
        9,
        &["a CA certificate, used as a server certificate", "CA:FALSE"],
    );
    status(
        &database,
        &format!("sslmode=verify-full&{}", roots(directory.path(), "own.crt")),
    )
    .succeeds();
}

#[test]
fn the_certificate_of_a_server_in_the_file_speaks_for_no_other_server() {
    let directory = tempfile::tempdir().unwrap();
    // A server's own certificate, without a word about CAs and with one; its key signs for another
    // host.
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let mut params = CertificateParams::new(vec!["leaf.example".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "leaf");
        let leaf = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let forged = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &leaf)
            .unwrap();
        let setup = Setup::new(17)
            .setting("ssl=on")
            .file("server.crt", forged.pem())
            .file("server.key", key.serialize_pem());
        let server = setup.start();
        std::fs::write(directory.path().join("leaf.crt"), leaf.pem()).unwrap();
        for mode in ["verify-ca", "verify-full"] {
            let ended = status(
                &server.database(),
                &format!("sslmode={mode}&{}", roots(directory.path(), "leaf.crt")),
            );
            ended.fails(
                9,
                &["whose certificate in the CA file is not a CA certificate"],
            );
        }
    }
}

#[test]
fn a_certificate_in_the_file_still_has_its_host_and_its_days() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    for (host, is_expired) in [("db.example", false), ("127.0.0.1", true)] {
        let setup = authority.setup(host, is_expired);
        let (server, own) = (setup.clone().start(), directory.path().join("own.crt"));
        std::fs::write(&own, setup.content("server.crt")).unwrap();
        let own = format!("sslrootcert={}", own.display());
        let (any, full) = (
            status(&server.database(), &own),
            status(&server.database(), &format!("sslmode=verify-full&{own}")),
        );
        if is_expired {
            any.fails(
                9,
                &[
                    "expired: valid until 2021-01-01T00:00:00Z",
                    "this machine's clock says 2",
                ],
            );
        } else {
            any.succeeds();
            full.fails(9, &["it is for `db.example`, not for `127.0.0.1`"]);
        }
    }
}

/// Shows a certificate without holding its key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Answers one client as a server of PostgreSQL with TLS does, and shows another's certificate.
fn pose(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'_>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> u16 {
    let key = rustls::crypto::ring::sign::any_supported_type(key).unwrap();
    let builder =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth();
    let config = Arc::new(builder.with_cert_resolver(Arc::new(Impostor(Arc::new(
        CertifiedKey::new(vec![certificate], key),
    )))));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"S").unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        let _ = connection.complete_io(&mut stream);
    });
    port
}

#[test]
fn a_server_that_shows_the_certificate_of_another_is_refused_in_every_mode() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let shown = CertificateDer::from_pem_slice(
        authority
            .issue(Some("127.0.0.1"), "db", false)
            .certificate
            .as_bytes(),
    )
    .unwrap();
    let other =
        PrivateKeyDer::from_pem_slice(KeyPair::generate().unwrap().serialize_pem().as_bytes())
            .unwrap();
    let verified = format!(
        "sslmode=verify-full&sslrootcert={}",
        authority.file(directory.path()).display()
    );
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        for parameters in ["sslmode=prefer", "sslmode=require", &verified] {
            let port = pose(shown.clone(), &other, versions);
            let ended = rune_db(&["status"])
                .on(&format!(
                    "postgresql://rune:x@127.0.0.1:{port}/rune?{parameters}"
                ))
                .run();
            ended.fails(9, &["does not hold the private key"]);
        }
    }
}
