//! TLS to PostgreSQL: each mode proves what it says it proves.

use rune_testkit::postgres::{Database, Server};

use rune_testkit::certificates::{Authority, Issued};
use rune_testkit::tool::{Ended, rune_db};

fn status(database: &Database<'_>, parameters: &str) -> Ended {
    rune_db(&["status"])
        .on(&format!("{}?{parameters}", database.url()))
        .run()
}

#[test]
fn each_mode_proves_what_it_says() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(directory.path()).display());
    status(&database, "sslmode=disable").fails(9, &["no encryption"]);
    for parameters in ["sslmode=prefer", "sslmode=require", "connect_timeout=9"] {
        status(&database, parameters).succeeds();
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).succeeds();
    }
    status(&database, "sslmode=verify-full").fails(2, &["no root certificates", "sslrootcert="]);
    status(&database, "sslmode=verify-full&sslrootcert=system")
        .fails(9, &["not a trusted CA", "CA file"]);
    let by_environment = rune_db(&["status"])
        .on(&database.url())
        .env("PGSSLMODE", "verify-full");
    by_environment
        .env(
            "PGSSLROOTCERT",
            directory.path().join("ca.crt").to_str().unwrap(),
        )
        .run()
        .succeeds();
}

#[test]
fn root_certificates_without_a_mode_are_verified_with_and_plain_text_is_not_a_way_out() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let ours = format!("sslrootcert={}", authority.file(directory.path()).display());
    let theirs = directory.path().join("theirs.crt");
    std::fs::write(&theirs, Authority::new("theirs").pem()).unwrap();
    let theirs = format!("sslrootcert={}", theirs.display());
    let server = authority.server("db.example", false);
    let database = server.database();
    status(&database, &ours).succeeds();
    for parameters in [
        theirs.clone(),
        format!("sslmode=prefer&{theirs}"),
        "sslrootcert=system".to_owned(),
    ] {
        status(&database, &parameters).fails(9, &["issued by `CN=ours`", "not a trusted CA"]);
    }
    status(&database, "sslrootcert=/nonexistent/ca.crt")
        .fails(4, &["`sslrootcert`", "/nonexistent/ca.crt"]);
    for mode in ["disable", "prefer", "require", "verify-ca"] {
        status(&database, &format!("sslrootcert=system&sslmode={mode}"))
            .fails(2, &["needs `sslmode=verify-full`", mode]);
    }
    rune_db(&["status"])
        .on(&database.url())
        .env("PGSSLROOTCERT", "/nonexistent/ca.crt")
        .run()
        .fails(4, &["ca.crt"]);
    let plain = Server::shared(17);
    let database = plain.database();
    status(&database, &ours).fails(9, &["does not support TLS"]);
    status(&database, &format!("sslmode=prefer&{ours}")).succeeds();
    status(&database, "channel_binding=require").fails(9, &["channel binding", "use TLS"]);
}

#[test]
fn a_certificate_of_another_ca_is_refused_wherever_cas_are_named() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = Authority::new("theirs").server("127.0.0.1", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(directory.path()).display());
    for mode in ["require", "verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).fails(
            9,
            &[
                "the server's certificate is not accepted",
                "issued by `CN=theirs`",
            ],
        );
    }
}

#[test]
fn a_certificate_for_another_host_is_enough_for_verify_ca_only() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("db.example", false);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(directory.path()).display());
    status(&database, &format!("sslmode=verify-ca&{ca}")).succeeds();
    status(&database, &format!("sslmode=verify-full&{ca}")).fails(
        9,
        &[
            "it is for `db.example`, not for `127.0.0.1`",
            "connect by a name",
        ],
    );
}

#[test]
fn an_expired_certificate_is_refused_wherever_certificates_are_checked() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", true);
    let database = server.database();
    let ca = format!("sslrootcert={}", authority.file(directory.path()).display());
    status(&database, "sslmode=require").succeeds();
    for mode in ["verify-ca", "verify-full"] {
        status(&database, &format!("sslmode={mode}&{ca}")).fails(
            9,
            &[
                "expired: valid until 2021-01-01T00:00:00Z, and this machine's clock says 2",
                "renew",
            ],
        );
    }
}

#[test]
fn a_server_without_tls_is_refused_when_tls_is_required() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::shared(17);
    let database = server.database();
    status(&database, "sslmode=require").fails(9, &["does not support TLS", "ssl = on"]);
    status(&database, "sslmode=prefer").succeeds();
    let missing = format!(
        "sslmode=verify-ca&sslrootcert={}/none.crt",
        directory.path().display()
    );
    status(&database, &missing).fails(4, &["none.crt"]);
    std::fs::write(directory.path().join("empty.crt"), "no certificate").unwrap();
    let empty = format!(
        "sslmode=verify-ca&sslrootcert={}/empty.crt",
        directory.path().display()
    );
    status(&database, &empty).fails(3, &["holds no certificate"]);
}

/// Writes a certificate and its key where only their owner can read the key, and gives the
/// parameters that name them.
fn client_files(directory: &tempfile::TempDir, name: &str, issued: &Issued) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = |kind: &str| directory.path().join(format!("{name}.{kind}"));
    std::fs::write(path("crt"), &issued.certificate).unwrap();
    std::fs::write(path("key"), &issued.key).unwrap();
    std::fs::set_permissions(path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "sslcert={}&sslkey={}",
        path("crt").display(),
        path("key").display()
    )
}

#[test]
fn a_client_certificate_lets_its_role_in_without_a_password() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", false);
    server.query("postgres", "CREATE ROLE certified LOGIN");
    server.query("postgres", "CREATE DATABASE certified OWNER certified");
    let ca = format!(
        "sslmode=verify-full&sslrootcert={}",
        authority.file(directory.path()).display()
    );
    let files = client_files(
        &directory,
        "certified",
        &authority.issue(None, "certified", false),
    );
    let url = |more: &str| {
        format!(
            "postgresql://certified@127.0.0.1:{}/certified?{ca}{more}",
            server.port()
        )
    };
    rune_db(&["migrate"])
        .on(&url(&format!("&{files}")))
        .run()
        .succeeds();
    let paths: Vec<_> = files
        .split('&')
        .map(|pair| pair.split_once('=').unwrap().1)
        .collect();
    let by_environment = rune_db(&["status"])
        .on(&url(""))
        .env("PGSSLCERT", paths[0])
        .env("PGSSLKEY", paths[1]);
    by_environment.run().succeeds();
    rune_db(&["status"])
        .on(&url(""))
        .run()
        .fails(9, &["valid client certificate"]);
    let other = client_files(&directory, "other", &authority.issue(None, "other", false));
    rune_db(&["status"])
        .on(&url(&format!("&{other}")))
        .run()
        .fails(9, &["certificate authentication failed"]);
    for (name, issued) in [
        (
            "foreign",
            Authority::new("theirs").issue(None, "certified", false),
        ),
        ("expired", authority.issue(None, "certified", true)),
    ] {
        let files = client_files(&directory, name, &issued);
        rune_db(&["status"])
            .on(&url(&format!("&{files}")))
            .run()
            .fails(9, &["refuses this side", "sslcert"]);
    }
}

#[test]
fn a_client_certificate_without_its_own_closed_key_is_refused_before_anybody_is_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let files = client_files(&directory, "one", &authority.issue(None, "one", false));
    client_files(&directory, "two", &authority.issue(None, "two", false));
    let status = |parameters: &str| {
        rune_db(&["status"])
            .on(&format!("postgresql://one@127.0.0.1:1/one?{parameters}"))
            .run()
    };
    status(files.split('&').next().unwrap()).fails(2, &["`sslcert` is named, but not `sslkey`"]);
    status(files.split('&').next_back().unwrap())
        .fails(2, &["`sslkey` is named, but not `sslcert`"]);
    status(&files.replace("one.key", "two.key")).fails(3, &["cannot be used with the certificate"]);
    status(&files.replace("one.key", "none.key")).fails(4, &["`sslkey`", "none.key"]);
    std::fs::write(
        directory.path().join("two.key"),
        &authority.issue(None, "two", false).certificate,
    )
    .unwrap();
    status(&files.replace("one.key", "two.key")).fails(3, &["holds no private key"]);
    std::fs::set_permissions(
        directory.path().join("one.key"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    status(&files).fails(9, &["one.key", "can be read by others", "chmod 600"]);
}
