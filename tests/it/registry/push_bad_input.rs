//! What must not happen: damaged content in a registry, credentials at other hosts, hosts that
//! nobody named.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
};

use rune_testkit::registry::{Auth, Fault, Registry};

use crate::{
    bundle::small_bundle::{ends_with, entries_of},
    registry::push_support::{Shipped, registry_config, writes},
    registry::support::Files,
};

const UPLOADS: &str = "/v2/*/blobs/uploads/*";

#[test]
fn without_a_key_or_a_digest_nothing_is_pushed() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let said = ends_with(
        &shipped.project.run(&["push", "x.tar", &registry.host()]),
        7,
    );
    assert!(
        said.contains("no key and no bundle digest was given"),
        "{said}"
    );
    assert!(registry.requests().is_empty());
}

#[test]
fn an_invalid_destination_is_a_mistake_on_the_command_line() {
    let shipped = Shipped::twins();
    for (destination, expected) in [
        ("http://registry.lan", "is a URL"),
        ("registry", "does not begin with a registry host"),
        (
            "registry.lan:5000/Team",
            "is not a registry with a path below it",
        ),
        (
            "registry.lan:5000/team:1",
            "is not a registry with a path below it",
        ),
    ] {
        let said = ends_with(&shipped.run(destination, &[]), 2);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn bundle_and_registry_in_each_others_place_are_said_to_be() {
    let shipped = Shipped::twins();
    for verb in [&["push"][..], &["mirror", "k3s"]] {
        let arguments = [verb, &["127.0.0.1:5000/x", "x.tar", "--key", "release.pub"]].concat();
        let said = ends_with(&shipped.project.run(&arguments), 2);
        assert!(
            said.contains("`x.tar` is a file, and the registry is the argument behind the bundle"),
            "{said}"
        );
    }
}

#[test]
fn advice_about_a_registry_that_cannot_be_reached_names_no_proxy_and_no_mirror() {
    let shipped = Shipped::twins();
    let host = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let push = ["push", "x.tar", &host, "--key", "release.pub", "--dry-run"];
    let said = ends_with(&shipped.project.run(&push), 10);
    assert!(
        said.contains(&format!(
            "check that `{host}` can be reached from here; no proxy is used"
        )) && !said.contains("HTTPS_PROXY")
            && !said.contains("--registry-config"),
        "{said}"
    );
}

#[test]
fn two_repositories_that_would_become_one_are_refused() {
    let manifest = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nplatforms: all\nimages:\n  \
        - { name: one, reference: docker.io/library/a-b:1, license: PostgreSQL }\n  \
        - { name: two, reference: docker.io/library/a/b:1, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";
    let project = crate::bundle::project::Project::with_manifest(manifest);
    for repository in ["library/a-b", "library/a/b"] {
        project.put(repository, "1", &rune_testkit::sample::Sample::default());
    }
    let policy = project.path("bundle-manifests/policy.yaml");
    let allowing = fs::read_to_string(&policy)
        .unwrap()
        .replace("- docker.io/library/*\n", "- docker.io/library/**\n");
    fs::write(&policy, allowing).unwrap();
    project.lock();
    project.build("x.tar");
    let registry = Registry::start();
    let push = ["push", "x.tar", &registry.host(), "--key", "release.pub"];
    let said = ends_with(&project.run(&[&push[..], &["--flatten"]].concat()), 3);
    assert!(
        said.contains("`library/a-b` and `library/a/b` would both be"),
        "{said}"
    );
    assert!(registry.requests().is_empty());
    ends_with(&project.run(&push), 0);
}

#[test]
fn a_damaged_blob_is_named_and_never_finished_at_the_registry() {
    let shipped = Shipped::twins();
    let largest = shipped
        .index()
        .entries
        .iter()
        .max_by_key(|entry| entry.size)
        .unwrap()
        .clone();
    let entry = entries_of(&shipped.bundle)
        .into_iter()
        .find(|entry| entry.name == largest.path.as_str())
        .unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&shipped.bundle)
        .unwrap();
    file.write_all_at(b"damaged", entry.content + entry.size / 2)
        .unwrap();
    let digest = largest.sha256.to_string();
    for chunk_bytes in [None, Some(16 << 10)] {
        let registry = Registry::start();
        let said = shipped
            .push_with(&registry, |options| {
                options.settings.chunk_bytes = chunk_bytes;
            })
            .unwrap_err();
        assert!(
            said.contains(&format!(
                "entry `{}`: expected {digest}, found sha256:",
                largest.path
            )) && said.ends_with("exit: 6"),
            "{said}"
        );
        assert!(said.contains("do not use this file"), "{said}");
        for repository in ["library/postgres", "lpasquali/rune"] {
            assert_eq!(registry.blob(repository, &digest), None);
            assert!(registry.tags(repository).is_empty());
        }
        assert!(
            writes(&registry)
                .iter()
                .all(|request| !request.path.contains("/manifests/"))
        );
    }
}

#[test]
fn an_upload_that_goes_on_at_another_host_takes_no_credentials_along_and_needs_permission() {
    let shipped = Shipped::twins();
    let auth = Auth::Basic("alice".to_owned(), "wonderland".to_owned());
    let files = Files::new();
    let begin = || {
        let (registry, storage) = (Registry::start_with(auth.clone()), Registry::start());
        // Another name of this machine, and so another host.
        let place = format!(
            "http://localhost:{}{}",
            storage.address().port(),
            storage.begin_upload("x")
        );
        registry.fault(Fault::on("POST", UPLOADS).header("location", &place));
        (registry, storage)
    };
    let (registry, storage) = begin();
    let login = |registry: &Registry| {
        registry_config(|config| {
            config.auth_files = vec![files.login(&registry.host(), "alice", "wonderland")];
        })
    };
    let said = shipped
        .push_with(&registry, |options| {
            (options.settings.jobs, options.registry) = (1, login(&registry));
        })
        .unwrap_err();
    assert!(
        said.contains("sends us to `http://localhost:")
            && said.contains("--allow-host localhost:")
            && said.ends_with("exit: 9"),
        "{said}"
    );
    assert!(storage.requests().is_empty());

    let (registry, storage) = begin();
    let mut config = login(&registry);
    config.allowed_hosts = Some(["localhost".to_owned()].into());
    let outcome = shipped.push_with(&registry, |options| {
        (options.settings.jobs, options.registry) = (1, config);
    });
    let sent = storage.requests();
    assert!(
        sent.iter()
            .any(|request| request.method == "PUT" && request.body_bytes() > 0),
        "{outcome:?}"
    );
    assert!(
        sent.iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert!(
        registry
            .requests()
            .iter()
            .any(|request| request.header("authorization").is_some())
    );
}

#[test]
fn a_token_server_on_a_host_that_was_not_named_is_not_asked() {
    let shipped = Shipped::twins();
    let tokens = Registry::start_with(token(None));
    let realm = format!("http://localhost:{}/token", tokens.address().port());
    let registry = Registry::start_with(token(Some(realm)));
    let files = Files::new();
    let mut config = registry_config(|config| {
        config.auth_files = vec![files.login(&registry.host(), "alice", "wonderland")];
    });
    let said = shipped
        .push_with(&registry, |options| options.registry = config.clone())
        .unwrap_err();
    assert!(
        said.contains("wants a token from `http://localhost:")
            && said.contains("a host that was not named"),
        "{said}"
    );
    assert!(
        said.contains("--allow-host localhost:") && said.ends_with("exit: 9"),
        "{said}"
    );
    assert!(tokens.requests().is_empty());
    config.allowed_hosts = Some([format!("localhost:{}", tokens.address().port())].into());
    shipped
        .push_with(&registry, |options| options.registry = config)
        .unwrap();
    assert!(
        tokens
            .requests()
            .iter()
            .all(|request| request.path == "/token")
    );
}

fn token(realm: Option<String>) -> Auth {
    Auth::Token {
        user: "alice".to_owned(),
        password: "wonderland".to_owned(),
        anonymous_pull: false,
        realm,
    }
}

#[test]
fn tokens_are_for_pulling_and_pushing_and_for_the_repository_that_is_mounted_from() {
    let shipped = Shipped::twins();
    let registry = Registry::start_with(token(None));
    let files = Files::new();
    let config = registry_config(|config| {
        config.auth_files = vec![files.login(&registry.host(), "alice", "wonderland")];
    });
    let report = shipped
        .push_with(&registry, |options| options.registry = config)
        .unwrap();
    assert!(report["blobs"]["mounted"].as_u64().unwrap() > 0);
    let asked: Vec<_> = registry
        .requests_to("/token")
        .into_iter()
        .map(|request| request.query)
        .collect();
    assert!(
        asked
            .iter()
            .any(|query| query.contains("scope=repository%3Alibrary%2Fpostgres%3Apull%2Cpush")),
        "{asked:?}"
    );
    assert!(
        asked
            .iter()
            .any(|query| query.matches("scope=").count() == 2 && query.contains("%3Apull&")),
        "{asked:?}"
    );
}

#[test]
fn wrong_credentials_are_said_to_be_wrong() {
    let shipped = Shipped::twins();
    let registry = Registry::start_with(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    let said = shipped.push(&registry).unwrap_err();
    assert!(
        said.contains("asks for credentials, and there are none")
            && said.contains("rune-bundle login REGISTRY"),
        "{said}"
    );
    let files = Files::new();
    let config = registry_config(|config| {
        config.auth_files = vec![files.login(&registry.host(), "alice", "hunter2")];
    });
    let said = shipped
        .push_with(&registry, |options| options.registry = config)
        .unwrap_err();
    assert!(
        said.contains("refused the credentials of `alice`")
            && !said.contains("hunter2")
            && said.ends_with("exit: 9"),
        "{said}"
    );
    assert!(writes(&registry).is_empty());
}

#[test]
fn a_certificate_of_an_unknown_ca_is_not_accepted() {
    let shipped = Shipped::twins();
    let registry = Registry::start_tls(Auth::None);
    let said = shipped.push(&registry).unwrap_err();
    assert!(
        said.contains("its TLS certificate is not trusted")
            && said.contains("--ca-file")
            && said.ends_with("exit: 10"),
        "{said}"
    );
    let files = Files::new();
    let ca = files.write("ca.pem", registry.ca_pem());
    shipped
        .push_with(&registry, |options| options.registry.ca_files = vec![ca])
        .unwrap();
}

#[test]
fn a_registry_that_wants_to_see_a_certificate_sees_it() {
    let shipped = Shipped::twins();
    let registry = Registry::start_mutual_tls(Auth::None);
    let files = Files::new();
    let (certificate, key) = registry.client_pem();
    let identity = (
        files.write("client.pem", certificate),
        files.write("client.key", key),
    );
    let ca = files.write("ca.pem", registry.ca_pem());
    let said = shipped
        .push_with(&registry, |options| {
            options.registry.ca_files = vec![ca.clone()];
        })
        .unwrap_err();
    assert!(
        said.contains("--client-cert") && said.ends_with("exit: 9"),
        "{said}"
    );
    let config = registry_config(|config| {
        (config.ca_files, config.client_identity) = (vec![ca], Some(identity));
    });
    shipped
        .push_with(&registry, |options| options.registry = config)
        .unwrap();
}

#[test]
fn neither_proxies_of_the_environment_nor_mirrors_are_used() {
    let shipped = Shipped::twins();
    let (registry, other) = (Registry::start(), Registry::start());
    let mirrors = format!("mirrors:\n  \"*\":\n    endpoint: [\"{}\"]\n", other.url());
    fs::write(shipped.project.path("mirrors.yaml"), mirrors).unwrap();
    let arguments = [
        "push",
        "x.tar",
        &registry.host(),
        "--key",
        "release.pub",
        "--registry-config",
        "mirrors.yaml",
    ];
    let mut push = shipped.project.command(&arguments);
    push.envs([
        ("HTTP_PROXY", other.url()),
        ("http_proxy", other.url()),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ]);
    ends_with(&push.output().unwrap(), 0);
    assert!(other.requests().is_empty());
    assert!(registry.manifest("library/postgres", "17-alpine").is_some());
}

#[test]
fn a_credential_helper_is_not_run() {
    let shipped = Shipped::twins();
    let registry = Registry::start_with(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    let program = shipped.project.path("docker-credential-spy");
    fs::write(
        &program,
        format!(
            "#!/bin/sh\ntouch {}\n",
            shipped.project.path("was-run").display()
        ),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(
        shipped.project.path("config.json"),
        "{\"credsStore\": \"spy\"}",
    )
    .unwrap();
    let arguments = [
        "push",
        "x.tar",
        &registry.host(),
        "--key",
        "release.pub",
        "--authfile",
        "config.json",
    ];
    let mut push = shipped.project.command(&arguments);
    push.env("PATH", shipped.project.path("."));
    let said = ends_with(&push.output().unwrap(), 9);
    assert!(said.contains("there are none for"), "{said}");
    assert!(!shipped.project.path("was-run").exists());
}
