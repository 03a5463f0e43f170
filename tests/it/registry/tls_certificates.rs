//! Which certificates of registries are trusted, and what is said about the others.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rune_testkit::registry::Registry;

use crate::registry::support::{Files, client, quick, reference, stocked, words};
use rune_testkit::certificates::openssl;

/// A stocked registry with a certificate, and the outcome of asking it while files with
/// certificates are given.
async fn ask(registry: &Registry, ca_files: &[&str]) -> Result<(), String> {
    let files = Files::new();
    let mut config = quick();
    config.ca_files = ca_files
        .iter()
        .enumerate()
        .map(|(number, pem)| files.write(&format!("{number}.pem"), pem))
        .collect();
    let resolved = client(config)
        .resolve(&reference(registry, "library/postgres:17-alpine"))
        .await;
    resolved
        .map(drop)
        .map_err(|error| words(error, &[(&registry.host(), "REGISTRY")]))
}

fn with(certificate: &str, key: &KeyPair) -> Registry {
    stocked(Registry::start_tls_as(certificate, &key.serialize_pem()))
}

fn params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "registry");
    change(&mut params);
    params
}

fn expect(outcome: Result<(), String>, parts: &[&str]) {
    let said = outcome.unwrap_err();
    assert!(
        parts.iter().all(|part| said.contains(part)) && said.ends_with("exit: 10"),
        "{said}"
    );
}

#[tokio::test]
async fn a_self_signed_certificate_in_the_file_is_trusted_whatever_its_basic_constraints() {
    for is_ca in [
        IsCa::NoCa,
        IsCa::ExplicitNoCa,
        IsCa::Ca(BasicConstraints::Unconstrained),
    ] {
        let key = KeyPair::generate().unwrap();
        let certificate = params(|params| params.is_ca = is_ca)
            .self_signed(&key)
            .unwrap()
            .pem();
        let registry = with(&certificate, &key);
        ask(&registry, &[&certificate]).await.unwrap();
        let parts = [
            "it is self-signed by",
            "CN=registry",
            "fingerprint sha256:",
            "the certificate itself to the file of --ca-file",
        ];
        expect(ask(&registry, &[]).await, &parts);
    }
}

#[tokio::test]
async fn the_certificate_of_a_server_in_the_file_is_no_issuer_of_others() {
    let leaf = CertifiedIssuer::self_signed(
        params(|params| params.is_ca = IsCa::ExplicitNoCa),
        KeyPair::generate().unwrap(),
    )
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let forged = params(|params| params.distinguished_name.push(DnType::CommonName, "other"))
        .signed_by(&key, &leaf)
        .unwrap();
    expect(
        ask(&with(&forged.pem(), &key), &[&leaf.pem()]).await,
        &["whose certificate in the CA file is not a CA certificate"],
    );
}

#[tokio::test]
async fn each_reason_not_to_trust_a_certificate_has_its_own_words() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "the site");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let ca = authority.pem();
    for (made, given, parts) in [
        (
            params(|_| {}),
            "",
            &[
                "`CN=registry`",
                "issued by",
                "the site",
                "sha256:",
                "add the certificate of",
            ][..],
        ),
        (
            params(|params| {
                params.subject_alt_names =
                    vec![rcgen::SanType::DnsName("db.example".try_into().unwrap())];
            }),
            &ca,
            &[
                "it is for `db.example`, not for `127.0.0.1`",
                "connect by a name",
            ],
        ),
        (
            params(|params| {
                params.not_before = rcgen::date_time_ymd(2020, 1, 1);
                params.not_after = rcgen::date_time_ymd(2021, 1, 1);
            }),
            &ca,
            &[
                "expired: valid until 2021-01-01T00:00:00Z, and this machine's clock says 2",
                "renew",
            ],
        ),
        (
            params(|params| {
                params.not_before = rcgen::date_time_ymd(2090, 1, 1);
                params.not_after = rcgen::date_time_ymd(2091, 1, 1);
            }),
            &ca,
            &["not valid yet: valid from 2090-01-01T00:00:00Z"],
        ),
        (
            params(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            &ca,
            &["a CA certificate, used as a server certificate", "CA:FALSE"],
        ),
        (
            params(|params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            }),
            &ca,
            &["not for servers", "serverAuth"],
        ),
    ] {
        let key = KeyPair::generate().unwrap();
        let registry = with(&made.signed_by(&key, &authority).unwrap().pem(), &key);
        let given: Vec<&str> = Some(given)
            .into_iter()
            .filter(|given| !given.is_empty())
            .collect();
        expect(ask(&registry, &given).await, parts);
        assert_eq!(registry.requests().len(), 0);
    }
}

#[tokio::test]
async fn what_openssl_writes_about_trust_is_obeyed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    openssl(
        directory,
        "req -new -x509 -days 9 -nodes -keyout a.key -out a.crt -subj /CN=a -addext subjectAltName=IP:127.0.0.1 -newkey rsa:2048",
    );
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let registry = stocked(Registry::start_tls_as(&read("a.crt"), &read("a.key")));
    for (options, is_trusted) in [
        ("-addtrust serverAuth", true),
        ("-addtrust anyExtendedKeyUsage", true),
        ("-addtrust emailProtection", false),
        ("-addreject serverAuth", false),
        ("-addreject emailProtection", true),
    ] {
        openssl(
            directory,
            &format!("x509 -in a.crt -out t.crt -trustout -setalias a {options}"),
        );
        let given = read("t.crt");
        assert!(given.contains("TRUSTED CERTIFICATE"));
        match ask(&registry, &[&given]).await {
            Ok(()) => assert!(is_trusted, "{options}"),
            Err(said) => assert!(
                !is_trusted && said.contains("rejects the certificate of `CN=a` for servers"),
                "{options}: {said}"
            ),
        }
        // What is rejected once is not trusted because it is there a second time.
        assert_eq!(
            ask(&registry, &[&given, &read("a.crt")]).await.is_ok(),
            is_trusted,
            "{options}"
        );
    }
}

/// OpenSSL's own server, which takes kinds of keys that others do not.
struct OpenSslServer {
    child: Child,
    host: String,
}

impl OpenSslServer {
    fn start(directory: &Path, options: &str) -> Self {
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-www", "-accept", "127.0.0.1:0"])
            .args(options.split(' '))
            .current_dir(directory);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let accepted = lines
            .find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned))
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            host: accepted.trim().to_owned(),
        }
    }
}

impl Drop for OpenSslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_handshake_that_fails_on_loopback_is_tls_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (name, key) in [
        ("p521", "ec -pkeyopt ec_paramgen_curve:P-521"),
        ("k1", "ec -pkeyopt ec_paramgen_curve:secp256k1"),
    ] {
        openssl(
            directory,
            &format!(
                "req -x509 -newkey {key} -nodes -keyout {name}.key -out {name}.crt -days 9 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
            ),
        );
    }
    for (options, expected) in [
        // TLS succeeds, and what answers is no registry.
        (
            "-cert p521.crt -key p521.key",
            "something else than a manifest",
        ),
        (
            "-cert k1.crt -key k1.key",
            "TLS failed: the server refused the handshake",
        ),
        (
            "-cert p521.crt -key p521.key -tls1_1 -cipher ALL:@SECLEVEL=0",
            "TLS failed",
        ),
    ] {
        let server = OpenSslServer::start(directory, options);
        let mut config = quick();
        config.ca_files = ["p521.crt", "k1.crt"]
            .map(|name| camino::Utf8PathBuf::try_from(directory.join(name)).unwrap())
            .into();
        let image = format!("{}/library/postgres:17", server.host)
            .parse()
            .unwrap();
        let said = words(
            client(config).resolve(&image).await.unwrap_err(),
            &[(&server.host, "REGISTRY")],
        );
        assert!(
            said.contains("`https://REGISTRY`")
                && said.contains(expected)
                && !said.contains("--plain-http"),
            "{options}: {said}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_that_says_nothing_to_a_handshake_is_asked_by_plain_http() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let read = stream.read(&mut request).unwrap();
            // A record of a handshake begins with 22.
            if request.first() != Some(&22) && read > 0 {
                let _ = stream.write_all(
                    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        }
    });
    let said = words(
        client(quick())
            .resolve(&format!("{host}/a/b:1").parse().unwrap())
            .await
            .unwrap_err(),
        &[(&host, "REGISTRY")],
    );
    assert!(said.contains("`http://REGISTRY` answered 404"), "{said}");
}
