//! As whom we come: challenges, tokens, and where credentials do and do not go.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rune_bundle::registry::{AuthFile, Client, ClientConfig};
use rune_testkit::registry::{Auth, Fault, IDENTITY_TOKEN, Registry};

use crate::registry::support::{
    Files, blob, client, fetch, name, quick, reference, stocked, words,
};

const USER: &str = "alice";
const PASSWORD: &str = "wonderland";

fn token(anonymous_pull: bool, realm: Option<&str>) -> Auth {
    Auth::Token {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        anonymous_pull,
        realm: realm.map(str::to_owned),
    }
}

fn basic() -> Auth {
    Auth::Basic(USER.to_owned(), PASSWORD.to_owned())
}

fn with_login(files: &Files, host: &str, password: &str) -> ClientConfig {
    ClientConfig {
        auth_files: vec![files.login(host, USER, password)],
        ..quick()
    }
}

/// Which requests carried credentials.
fn authorizations(registry: &Registry) -> Vec<(String, bool)> {
    registry
        .requests()
        .into_iter()
        .map(|request| {
            (
                request.path.clone(),
                request.header("authorization").is_some(),
            )
        })
        .collect()
}

#[tokio::test]
async fn basic_credentials_are_shown_after_the_first_refusal_and_then_at_once() {
    let registry = stocked(Registry::start_with(basic()));
    let files = Files::new();
    let client = client(with_login(&files, &registry.host(), PASSWORD));
    for _ in 0..2 {
        client
            .resolve(&reference(&registry, "library/postgres:17-alpine"))
            .await
            .unwrap();
    }
    let shown: Vec<bool> = authorizations(&registry)
        .into_iter()
        .map(|(_, shown)| shown)
        .collect();
    assert_eq!(shown, [false, true, true]);
}

#[tokio::test]
async fn without_credentials_a_person_is_told_where_to_put_them() {
    let registry = stocked(Registry::start_with(basic()));
    let error = client(quick())
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap_err();
    assert_eq!(
        words(error, &[(&registry.host(), "REGISTRY")]),
        "cannot fetch the manifest of `REGISTRY/library/postgres:17-alpine`: `http://REGISTRY` asks for credentials, and there are none for `REGISTRY`\n\
         help: run `rune-bundle login REGISTRY -u USER`, or pass a file that has them with --authfile\n\
         exit: 9"
    );
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_and_never_shown() {
    for auth in [basic(), token(true, None)] {
        let registry = stocked(Registry::start_with(auth));
        let files = Files::new();
        let client = client(with_login(&files, &registry.host(), "hunter2"));
        let error = client
            .resolve(&reference(&registry, "library/postgres:17-alpine"))
            .await
            .unwrap_err();
        assert!(!format!("{error:?} {client:?}").contains("hunter2"));
        let words = words(error, &[(&registry.host(), "REGISTRY")]);
        assert!(
            words.contains("the credentials of `alice`") && words.ends_with("exit: 9"),
            "{words}"
        );
        assert!(!words.contains("hunter2"), "{words}");
        assert_eq!(registry.requests().len(), 2);
    }
}

#[tokio::test]
async fn one_token_serves_all_requests_to_a_repository() {
    let registry = stocked(Registry::start_with(token(true, None)));
    let (content, descriptor) = blob(&registry, "library/postgres", 1000);
    let client = client(quick());
    client
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap();
    let fetches = (0..4).map(|_| {
        let (client, name, descriptor) = (
            client.clone(),
            name(&registry, "library/postgres"),
            descriptor.clone(),
        );
        tokio::spawn(async move { fetch(&client, &name, &descriptor, 0).await })
    });
    for fetched in fetches.collect::<Vec<_>>() {
        assert_eq!(fetched.await.unwrap().unwrap(), content);
    }
    let asked = registry.requests_to("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].query,
        "service=testkit&scope=repository%3Alibrary%2Fpostgres%3Apull"
    );
    assert_eq!(asked[0].header("authorization"), None);
}

#[tokio::test]
async fn requests_that_are_refused_together_ask_for_one_token() {
    let registry = Registry::start_with(token(true, None));
    let (content, descriptor) = blob(&registry, "a/b", 1000);
    let client = client(quick());
    let fetches = (0..4).map(|_| {
        let (client, name, descriptor) =
            (client.clone(), name(&registry, "a/b"), descriptor.clone());
        tokio::spawn(async move { fetch(&client, &name, &descriptor, 0).await })
    });
    for fetched in fetches.collect::<Vec<_>>() {
        assert_eq!(fetched.await.unwrap().unwrap(), content);
    }
    assert_eq!(registry.requests_to("/token").len(), 1);
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced_once() {
    let registry = stocked(Registry::start_with(token(false, None)));
    let files = Files::new();
    let client = client(with_login(&files, &registry.host(), PASSWORD));
    let image = reference(&registry, "library/postgres:17-alpine");
    client.resolve(&image).await.unwrap();
    let challenge = format!(
        "Bearer realm=\"{}/token\",service=\"testkit\"",
        registry.url()
    );
    let expired = || {
        Fault::on("GET", "/v2/*")
            .status(401)
            .header("www-authenticate", &challenge)
    };
    registry.fault(expired());
    client.resolve(&image).await.unwrap();
    assert_eq!(registry.requests_to("/token").len(), 2);

    registry.forget_requests();
    registry.fault(expired().times(2));
    let error = client.resolve(&image).await.unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains("`http://REGISTRY` refused the credentials of `alice`")
            && words.ends_with("exit: 9"),
        "{words}"
    );
    assert_eq!(registry.requests_to("/token").len(), 1);
}

#[tokio::test]
async fn the_user_goes_to_the_token_server_and_the_token_to_the_registry() {
    let registry = stocked(Registry::start_with(token(false, None)));
    let files = Files::new();
    let client = client(with_login(&files, &registry.host(), PASSWORD));
    client
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap();
    for request in registry.requests() {
        let shown = request.header("authorization").unwrap_or_default();
        let expected = if request.path == "/token" {
            "Basic"
        } else {
            "Bearer"
        };
        assert!(
            shown.is_empty() || shown.starts_with(expected),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn an_identity_token_is_exchanged_and_a_registry_token_used_as_it_is() {
    let registry = stocked(Registry::start_with(token(false, None)));
    let files = Files::new();
    let image = reference(&registry, "library/postgres:17-alpine");
    for (key, secret) in [
        ("identitytoken", IDENTITY_TOKEN),
        (
            "registrytoken",
            "testkit-token:repository:library/postgres:pull",
        ),
    ] {
        let path = files.write(
            "config.json",
            serde_json::json!({"auths": {registry.host(): {key: secret}}}).to_string(),
        );
        let config = ClientConfig {
            auth_files: vec![AuthFile::Named(path)],
            ..quick()
        };
        client(config).resolve(&image).await.unwrap();
    }
    let asked = registry.requests_to("/token");
    assert_eq!(
        asked
            .iter()
            .map(|request| request.method.as_str())
            .collect::<Vec<_>>(),
        ["POST"]
    );
}

#[tokio::test]
async fn a_token_server_that_recovers_is_asked_again_and_a_broken_one_is_named() {
    let registry = stocked(Registry::start_with(token(true, None)));
    registry.fault(Fault::on("GET", "/token").times(2).status(500));
    let image = reference(&registry, "library/postgres:17-alpine");
    client(quick()).resolve(&image).await.unwrap();
    registry.fault(
        Fault::on("GET", "/token")
            .always()
            .answer(200, "{\"token\": \"\"}"),
    );
    let error = client(quick()).resolve(&image).await.unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains("wants a token from `http://REGISTRY`, whose answer holds no usable token"),
        "{words}"
    );
    assert!(words.ends_with("exit: 10"), "{words}");
}

#[tokio::test]
async fn a_token_server_may_have_moved_to_another_place_of_the_same_server() {
    let (registry, elsewhere) = (
        stocked(Registry::start_with(token(false, None))),
        Registry::start(),
    );
    let image = reference(&registry, "library/postgres:17-alpine");
    let files = Files::new();
    let config = with_login(&files, &registry.host(), PASSWORD);
    let query = "service=testkit&scope=repository:library/postgres:pull";
    registry.fault(Fault::on("GET", "/token").redirect(&format!("/token?{query}")));
    client(config.clone()).resolve(&image).await.unwrap();
    // Not for ever, and nowhere else: the password stays here.
    for location in [
        format!("/token?{query}"),
        format!("{}/token?{query}", elsewhere.url()),
    ] {
        registry.fault(Fault::on("GET", "/token").always().redirect(&location));
        let error = client(config.clone()).resolve(&image).await.unwrap_err();
        let words = words(error, &[(&registry.host(), "REGISTRY")]);
        let problem = "wants a token from `http://REGISTRY`, which redirects to where nothing of ours is shown";
        assert!(
            words.contains(problem) && words.ends_with("exit: 9"),
            "{words}"
        );
        registry.end_faults();
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credentials() {
    for auth in [basic(), token(false, None)] {
        let (registry, storage) = (Registry::start_with(auth), Registry::start());
        let (content, descriptor) = blob(&registry, "a/b", 1000);
        blob(&storage, "x/y", 1000);
        let location = format!(
            "{}/v2/x/y/blobs/{}?signature=abc",
            storage.url(),
            descriptor.digest
        );
        let files = Files::new();
        let client = client(with_login(&files, &registry.host(), PASSWORD));
        // The first request makes the client log in.
        fetch(&client, &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap();
        registry.fault(Fault::on("GET", "/v2/*/blobs/*").redirect(&location));
        assert_eq!(
            fetch(&client, &name(&registry, "a/b"), &descriptor, 0)
                .await
                .unwrap(),
            content
        );
        assert!(
            registry
                .requests()
                .last()
                .unwrap()
                .header("authorization")
                .is_some()
        );
        let requests = storage.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].header("authorization"), None);
    }
}

#[tokio::test]
async fn a_storage_that_fails_is_named_without_its_signature() {
    let (registry, storage) = (Registry::start(), Registry::start());
    let (_, descriptor) = blob(&registry, "a/b", 1000);
    let location = format!(
        "{}/v2/x/y/blobs/{}?signature=abc",
        storage.url(),
        descriptor.digest
    );
    registry.fault(Fault::on("GET", "/v2/*/blobs/*").redirect(&location));
    let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    let words = words(
        error,
        &[(&registry.host(), "REGISTRY"), (&storage.host(), "STORAGE")],
    );
    assert!(
        words.contains(
            "`http://REGISTRY` redirected to `http://STORAGE`, which answered 404 Not Found"
        ),
        "{words}"
    );
    assert!(!words.contains("signature"), "{words}");
}

#[tokio::test]
async fn credentials_are_not_sent_without_tls_by_a_registry_that_speaks_it() {
    let (elsewhere, files) = (Registry::start_with(token(true, None)), Files::new());
    let realm = format!("{}/token", elsewhere.url());
    let registry = stocked(Registry::start_tls(token(false, Some(&realm))));
    let mut config = with_login(&files, &registry.host(), PASSWORD);
    config.ca_files = vec![files.write("ca.pem", registry.ca_pem())];
    let client = client(config);
    let error = client
        .resolve(&reference(&registry, "library/postgres:17-alpine"))
        .await
        .unwrap_err();
    let text = words(
        error,
        &[
            (&registry.host(), "REGISTRY"),
            (&elsewhere.host(), "ELSEWHERE"),
        ],
    );
    let expected = "`https://REGISTRY` wants a token from `http://ELSEWHERE`, and credentials are sent over https only";
    assert!(
        text.contains(expected) && text.ends_with("exit: 9"),
        "{text}"
    );

    let (_, descriptor) = blob(&registry, "a/b", 10);
    registry.fault(
        Fault::on("GET", "/v2/a/b/blobs/*")
            .redirect(&format!("{}/v2/a/b/blobs/x", elsewhere.url())),
    );
    let error = fetch(&client, &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    let text = words(
        error,
        &[
            (&registry.host(), "REGISTRY"),
            (&elsewhere.host(), "ELSEWHERE"),
        ],
    );
    assert!(
        text.contains("redirects to `http://ELSEWHERE`, which is not encrypted")
            && text.ends_with("exit: 9"),
        "{text}"
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

/// The files of a client that `registry` accepts.
fn identity(files: &Files, registry: &Registry) -> (camino::Utf8PathBuf, camino::Utf8PathBuf) {
    let (certificate, key) = registry.client_pem();
    (
        files.write("client.pem", certificate),
        files.write("client.key", key),
    )
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_registry_that_wants_one() {
    let registry = stocked(Registry::start_mutual_tls(Auth::None));
    let files = Files::new();
    let image = reference(&registry, "library/postgres:17-alpine");
    let mut config = ClientConfig {
        ca_files: vec![files.write("ca.pem", registry.ca_pem())],
        ..quick()
    };
    let error = client(config.clone()).resolve(&image).await.unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains(
            "`https://REGISTRY` failed: it does not accept us without another client certificate"
        ),
        "{words}"
    );
    assert!(
        words.contains("with --client-cert and --client-key") && words.ends_with("exit: 9"),
        "{words}"
    );
    config.client_identity = Some(identity(&files, &registry));
    client(config).resolve(&image).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_where_a_registry_redirects_to() {
    let (registry, storage) = (
        Registry::start_tls(Auth::None),
        Registry::start_mutual_tls(Auth::None),
    );
    let (_, descriptor) = blob(&registry, "a/b", 10);
    registry.fault(
        Fault::on("GET", "/v2/*/blobs/*").redirect(&format!("{}/v2/a/b/blobs/x", storage.url())),
    );
    let files = Files::new();
    let ca_files = vec![
        files.write("ca.pem", registry.ca_pem()),
        files.write("other-ca.pem", storage.ca_pem()),
    ];
    let config = ClientConfig {
        ca_files,
        client_identity: Some(identity(&files, &storage)),
        ..quick()
    };
    let error = fetch(&client(config), &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("which failed: it does not accept us without another client certificate"),
        "{error}"
    );
    assert_eq!(storage.requests().len(), 0);
}

#[test]
fn a_certificate_and_the_key_of_another_are_refused_before_anything_is_asked() {
    let (one, two) = (
        Registry::start_mutual_tls(Auth::None),
        Registry::start_mutual_tls(Auth::None),
    );
    let files = Files::new();
    let paths = (
        files.write("client.pem", one.client_pem().0),
        files.write("client.key", two.client_pem().1),
    );
    let error = Client::new(ClientConfig {
        client_identity: Some(paths),
        ..quick()
    })
    .unwrap_err();
    let words = words(error, &[(files.directory().as_str(), "DIR")]);
    assert!(
        words.starts_with(
            "the certificate `DIR/client.pem` and the key `DIR/client.key` cannot be used together"
        ),
        "{words}"
    );
    assert!(words.ends_with("exit: 3"), "{words}");
}

#[tokio::test]
async fn credential_helpers_are_run_only_when_that_is_allowed_and_their_failure_is_explained() {
    let registry = stocked(Registry::start_with(basic()));
    let files = Files::new();
    // The name of a helper that is not installed.
    let path = files.write("config.json", r#"{"credsStore": "rune-no-such-helper"}"#);
    let image = reference(&registry, "library/postgres:17-alpine");
    let mut config = ClientConfig {
        auth_files: vec![AuthFile::Named(path)],
        ..quick()
    };
    let error = client(config.clone()).resolve(&image).await.unwrap_err();
    assert!(error.to_string().contains("there are none for"), "{error}");
    config.run_credential_helpers = true;
    let error = client(config).resolve(&image).await.unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(
        words.contains("cannot run the credential helper `docker-credential-rune-no-such-helper`"),
        "{words}"
    );
    assert!(words.ends_with("exit: 9"), "{words}");
}

/// Runs a test of this binary again with a directory in front of `PATH`, because a process cannot
/// change its own.
fn run_with_path(test: &str, directory: &camino::Utf8Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored"])
        .env("PATH", format!("{directory}:{path}"))
        .env("RUNE_TEST_HELPER", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn a_credential_helper_is_asked_in_the_protocol_of_docker() {
    let files = Files::new();
    let program = files.write(
        "docker-credential-rune-test",
        format!("#!/bin/sh\n[ \"$1\" = get ] || exit 2\nread -r server\necho \"{{\\\"ServerURL\\\": \\\"$server\\\", \\\"Username\\\": \\\"{USER}\\\", \\\"Secret\\\": \\\"{PASSWORD}\\\"}}\"\n"),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let nothing = files.write(
        "docker-credential-rune-empty",
        "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n",
    );
    fs::set_permissions(&nothing, fs::Permissions::from_mode(0o755)).unwrap();
    run_with_path("registry::auth::helpers_in_path", files.directory());
}

#[tokio::test]
async fn helpers_in_path() {
    if std::env::var_os("RUNE_TEST_HELPER").is_none() {
        return; // Runs as part of the test above, with helpers in `PATH`.
    }
    let registry = stocked(Registry::start_with(basic()));
    let files = Files::new();
    let image = reference(&registry, "library/postgres:17-alpine");
    let config = |text: String| ClientConfig {
        auth_files: vec![AuthFile::Named(files.write("config.json", text))],
        run_credential_helpers: true,
        ..quick()
    };
    let by_host = serde_json::json!({"credHelpers": {registry.host(): "rune-test"}, "credsStore": "rune-empty"});
    client(config(by_host.to_string()))
        .resolve(&image)
        .await
        .unwrap();
    let error = client(config(r#"{"credsStore": "rune-empty"}"#.to_owned()))
        .resolve(&image)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("there are none for"), "{error}");
}
