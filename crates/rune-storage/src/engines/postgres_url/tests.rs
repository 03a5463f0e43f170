use std::time::Duration;

use super::{
    ClientCertificate, Keepalive, Liveness, PostgresDefaults, PostgresHost, PostgresUrl,
    RootCertificates, SessionKind, SslMode,
};
use crate::{DatabaseUrl, Places};

fn parse(text: &str) -> Result<PostgresUrl, crate::UrlError> {
    let places = Places {
        working_directory: None,
        home: None,
    };
    DatabaseUrl::parse(text, &places).map(|url| match url {
        DatabaseUrl::Postgres(url) => *url,
        DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
    })
}

#[test]
fn every_spelling_with_one_meaning_gets_the_canonical_one() {
    for (given, expected) in [
        (
            "postgresql://rune:hunter2@db:5433/rune?sslmode=require",
            "postgresql://rune@db:5433/rune",
        ),
        ("postgres://rune@db/rune", "postgresql://rune@db:5432/rune"),
        (
            "POSTGRESQL+psycopg://rune@db",
            "postgresql://rune@db:5432/rune",
        ),
        ("postgresql://rune@[::1]:5/x", "postgresql://rune@[::1]:5/x"),
        ("postgresql://rune@a:1,b:2/x", "postgresql://rune@a:1,b:2/x"),
        (
            "postgresql:///x?host=/run/postgresql&user=rune",
            "postgresql://rune@/x?host=/run/postgresql&port=5432",
        ),
        (
            "postgresql://rune@%2Frun%2Fpg:5433/x",
            "postgresql://rune@/x?host=/run/pg&port=5433",
        ),
        (
            "postgresql://rune@/x?host=/run/a%20b%26c%02",
            "postgresql://rune@/x?host=/run/a%20b%26c%02&port=5432",
        ),
        (
            "postgresql://r%40une@db/my%20db",
            "postgresql://r%40une@db:5432/my%20db",
        ),
    ] {
        assert_eq!(parse(given).unwrap().to_string(), expected, "{given}");
        assert_eq!(parse(expected).unwrap().to_string(), expected);
    }
}

#[test]
fn the_password_is_percent_decoded_and_never_shown() {
    let url = parse("postgresql://rune:p%40ss%2Fw%23rd:%25@db/rune").unwrap();
    assert_eq!(url.password.as_ref().unwrap().expose(), "p@ss/w#rd:%");
    assert!(!format!("{url} {url:?}").contains("p@ss"), "{url:?}");
    assert_eq!(
        parse("postgresql://db/rune?user=rune&password=hunter2")
            .unwrap()
            .password
            .unwrap()
            .expose(),
        "hunter2"
    );
}

#[test]
fn a_password_with_unescaped_characters_is_refused_without_repeating_it() {
    for text in [
        "postgresql://rune:hunter@2@db/rune",
        "postgresql://rune:hunter/2@db/rune",
        "postgresql://rune:1234/hunter@db/rune",
        "postgresql://rune:1234/hunter/db/rune",
        "postgresql://rune:hunter?2@db/rune",
        "postgresql://rune:1?hunter=2@db/rune",
        "postgresql://rune:1?hunter2",
        "postgresql://rune:hunter#2@db/rune",
        "postgresql://rune:hunter 2@db/rune",
        "postgresql://rune:hunter%2@db/rune",
        "postgresql://rune:hunter%zz@db/rune",
        "postgresql://rune:hunter%+2@db/rune",
        "postgresql://rune@db:hunter/rune",
        "postgresql://rune@hunter!/rune",
        "postgresql://rune@db/rune?HUNTER2=x",
        "postgresql://rune@db/rune?sslmode=hunter2",
        "postgresql://rune@db/rune?connect_timeout=hunter2",
    ] {
        let error = parse(text).unwrap_err();
        assert!(
            !format!("{error} {error:?}")
                .to_lowercase()
                .contains("hunter"),
            "{text}: {error}"
        );
    }
}

#[test]
fn what_is_missing_unknown_or_said_twice_is_refused() {
    for (text, message) in [
        ("postgresql://db/rune", "names no user"),
        ("postgresql://rune@/rune", "names no host"),
        ("postgresql://rune@db:0/rune", "port"),
        ("postgresql://rune@db/rune?sslpassword=x", "`sslpassword`"),
        (
            "postgresql://rune@db/rune?gssencmode=disable",
            "`gssencmode`",
        ),
        ("postgresql://rune@db/rune?sslmode=allow", "verify-full"),
        (
            "postgresql://rune@db/rune?sslmode=require&sslmode=disable",
            "twice",
        ),
        ("postgresql://rune@db/rune?host=other", "before and after"),
        ("postgresql://rune@db/rune?user=other", "before and after"),
        ("postgresql://rune@db/rune?sslmode=", "`sslmode`"),
        (
            "postgresql://rune@db/rune?target_session_attrs=fast",
            "prefer-standby",
        ),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_value_that_libpq_does_not_take_is_refused() {
    let error = parse("postgresql://rune@a/b?options=-csearch_path=rune").unwrap_err();
    assert!(error.to_string().contains("`%3D`"), "{error}");
    assert_eq!(
        parse("postgresql://rune@a/b?options=-csearch_path%3Drune")
            .unwrap()
            .options
            .as_deref(),
        Some("-csearch_path=rune")
    );
}

#[test]
fn parameters_become_settings() {
    let url = parse(
        "postgresql://rune@a,b:6000/rune?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=7&application_name=x%20y\
         &options=-c%20search_path%3Drune&target_session_attrs=read-write",
    )
    .unwrap();
    assert_eq!(
        url.hosts,
        [
            PostgresHost::Tcp("a".into(), 5432),
            PostgresHost::Tcp("b".into(), 6000)
        ]
    );
    assert_eq!(url.ssl_mode(), SslMode::VerifyFull);
    assert_eq!(
        url.ssl_root_certificate,
        Some(RootCertificates::File("/ca.pem".into()))
    );
    assert_eq!(url.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(url.options.as_deref(), Some("-c search_path=rune"));
    assert_eq!(url.application_name.as_deref(), Some("x y"));
    assert_eq!(url.session, SessionKind::Writing);
    assert_eq!(
        parse("postgresql://rune@a/b?connect_timeout=0")
            .unwrap()
            .connect_timeout,
        None
    );
}

#[test]
fn root_certificates_without_a_mode_are_verified_with() {
    let mode = |parameters: &str| {
        parse(&format!("postgresql://rune@a/b?{parameters}")).map(|url| url.ssl_mode())
    };
    assert_eq!(mode("application_name=x"), Ok(SslMode::Prefer));
    assert_eq!(mode("sslrootcert=/ca.pem"), Ok(SslMode::VerifyCa));
    assert_eq!(mode("sslrootcert=system"), Ok(SslMode::VerifyFull));
    assert_eq!(
        mode("sslrootcert=system&sslmode=verify-full"),
        Ok(SslMode::VerifyFull)
    );
    for weak in ["disable", "prefer", "require", "verify-ca"] {
        let error = mode(&format!("sslrootcert=system&sslmode={weak}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("verify-full") && error.contains(weak),
            "{error}"
        );
    }
    let system = PostgresDefaults {
        ssl_root_certificate: Some("system".into()),
        ..PostgresDefaults::default()
    };
    let mut weak = parse("postgresql://rune@a/b?sslmode=require").unwrap();
    assert!(
        weak.set_defaults(&system)
            .unwrap_err()
            .to_string()
            .contains("PGSSLROOTCERT")
    );
    let mut open = parse("postgresql://rune@a/b").unwrap();
    open.set_defaults(&system).unwrap();
    assert_eq!(open.ssl_mode(), SslMode::VerifyFull);
}

#[test]
fn a_list_of_ports_has_one_for_each_host_or_one_for_all() {
    let hosts = |url: &str| {
        parse(url).map(|url| {
            url.hosts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(
        hosts("postgresql://rune@a,b/x?port=1,2").unwrap(),
        "a:1 b:2"
    );
    assert_eq!(
        hosts("postgresql://rune@/x?host=a,b&port=1,").unwrap(),
        "a:1 b:5432"
    );
    assert_eq!(hosts("postgresql://rune@a,b/x?port=7").unwrap(), "a:7 b:7");
    for (url, message) in [
        ("postgresql://rune@a,b,c/x?port=1,2", "number of ports"),
        ("postgresql://rune@a,b/x?port=1,0", "port"),
        ("postgresql://rune@a:1,b/x?port=1,2", "before and after"),
    ] {
        assert!(
            hosts(url).unwrap_err().to_string().contains(message),
            "{url}"
        );
    }
}

#[test]
fn a_dead_path_is_noticed_as_the_parameters_say() {
    let liveness = |parameters: &str| {
        parse(&format!("postgresql://rune@a/b?{parameters}"))
            .unwrap()
            .liveness
    };
    assert_eq!(liveness("application_name=x"), Liveness::default());
    let all = liveness(
        "keepalives=1&keepalives_idle=3&keepalives_interval=2&keepalives_count=4&tcp_user_timeout=1500",
    );
    let seconds = |number| Some(Duration::from_secs(number));
    assert_eq!(
        all.keepalive,
        Some(Keepalive {
            idle: seconds(3),
            interval: seconds(2),
            count: Some(4)
        })
    );
    assert_eq!(all.unacknowledged, Some(Duration::from_millis(1500)));
    let none = liveness("keepalives=0&tcp_user_timeout=0");
    assert_eq!(
        none,
        Liveness {
            keepalive: None,
            unacknowledged: None
        }
    );
    assert_eq!(liveness("keepalives_idle=0").keepalive.unwrap().idle, None);
    for bad in [
        "keepalives=2",
        "keepalives_idle=-1",
        "keepalives_count=128",
        "tcp_user_timeout=1s",
        "channel_binding=maybe",
    ] {
        let error = parse(&format!("postgresql://rune@a/b?{bad}"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(bad.split('=').next().unwrap()), "{error}");
    }
}

#[test]
fn every_kind_of_session_has_one_meaning() {
    let session = |attributes: &str| {
        parse(&format!(
            "postgresql://rune@a/b?target_session_attrs={attributes}"
        ))
        .unwrap()
        .session
    };
    for (attributes, expected) in [
        ("any", SessionKind::Any),
        ("read-write", SessionKind::Writing),
        ("primary", SessionKind::Writing),
        ("read-only", SessionKind::Reading),
        ("standby", SessionKind::Reading),
        ("prefer-standby", SessionKind::RatherReading),
    ] {
        assert_eq!(session(attributes), expected, "{attributes}");
    }
    assert_eq!(
        parse("postgresql://rune@a/b").unwrap().session,
        SessionKind::Any
    );
}

#[test]
fn the_environment_fills_in_only_what_the_url_leaves_open() {
    let defaults = PostgresDefaults {
        ssl_mode: Some("require".into()),
        ssl_root_certificate: Some("/roots.crt".into()),
        ssl_certificate: Some("/client.crt".into()),
        ssl_key: Some("/client.key".into()),
    };
    let files = |certificate: &str, key: &str| ClientCertificate {
        certificate: Some(certificate.into()),
        key: Some(key.into()),
    };
    let mut open = parse("postgresql://rune@a/b").unwrap();
    open.set_defaults(&defaults).unwrap();
    assert_eq!(
        (open.ssl_mode(), open.ssl_root_certificate),
        (
            SslMode::Require,
            Some(RootCertificates::File("/roots.crt".into()))
        )
    );
    assert_eq!(open.client_certificate, files("/client.crt", "/client.key"));
    let mut said = parse("postgresql://rune@a/b?sslmode=disable&sslrootcert=x&sslcert=y").unwrap();
    said.set_defaults(&defaults).unwrap();
    assert_eq!(
        (said.ssl_mode(), said.ssl_root_certificate),
        (SslMode::Disable, Some(RootCertificates::File("x".into())))
    );
    assert_eq!(said.client_certificate, files("y", "/client.key"));
    let bad = PostgresDefaults {
        ssl_mode: Some("hunter2".into()),
        ..PostgresDefaults::default()
    };
    let error = parse("postgresql://rune@a/b")
        .unwrap()
        .set_defaults(&bad)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("PGSSLMODE") && !error.contains("hunter2"),
        "{error}"
    );
}
