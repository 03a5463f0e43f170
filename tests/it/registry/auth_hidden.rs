//! Registries that refuse without asking who we are, and servers that a person named.

use rune_bundle::registry::{ClientConfig, ProxySettings};
use rune_core::secret::Secret;
use rune_testkit::registry::{Auth, Fault, Registry};

use crate::registry::support::{
    Files, blob, client, fetch, name, quick, reference, stocked, words,
};

fn basic() -> Auth {
    Auth::Basic("alice".to_owned(), "wonderland".to_owned())
}

fn token(realm: Option<&str>) -> Auth {
    let realm = realm.map(str::to_owned);
    Auth::Token {
        user: "alice".to_owned(),
        password: "wonderland".to_owned(),
        anonymous_pull: false,
        realm,
    }
}

/// Paths and whether they came with credentials.
fn asked(registry: &Registry) -> Vec<(String, bool)> {
    let asked = |request: rune_testkit::registry::Request| {
        let last = request
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        (last, request.header("authorization").is_some())
    };
    registry.requests().into_iter().map(asked).collect()
}

fn with_login(files: &Files, host: &str) -> ClientConfig {
    ClientConfig {
        auth_files: vec![files.login(host, "alice", "wonderland")],
        ..quick()
    }
}

#[tokio::test]
async fn a_registry_that_refuses_without_a_challenge_is_asked_for_one_at_its_root() {
    for status in [401, 403, 404] {
        for auth in [basic(), token(None)] {
            let registry = stocked(Registry::start_with(auth.clone()));
            registry.behave(|behaviour| behaviour.hides_with = Some(status));
            let files = Files::new();
            client(with_login(&files, &registry.host()))
                .resolve(&reference(&registry, "library/postgres:17-alpine"))
                .await
                .unwrap();
            let steps = |list: &[(&str, bool)]| {
                list.iter()
                    .map(|(path, shown)| ((*path).to_owned(), *shown))
                    .collect::<Vec<_>>()
            };
            let expected = match auth {
                Auth::Token { .. } => steps(&[
                    ("17-alpine", false),
                    ("", false),
                    ("token", true),
                    ("17-alpine", true),
                ]),
                _ => steps(&[("17-alpine", false), ("", false), ("17-alpine", true)]),
            };
            assert_eq!(asked(&registry), expected, "{status}");
        }
    }
}

#[tokio::test]
async fn without_credentials_for_this_very_host_the_root_is_not_asked() {
    for status in [401, 403, 404] {
        let registry = stocked(Registry::start_with(basic()));
        registry.behave(|behaviour| behaviour.hides_with = Some(status));
        let files = Files::new();
        for config in [
            quick(),
            with_login(&files, "other.example"),
            with_login(&files, &format!("{}/other", registry.host())),
        ] {
            registry.forget_requests();
            let error = client(config)
                .resolve(&reference(&registry, "library/postgres:17-alpine"))
                .await
                .unwrap_err();
            let said = words(error, &[(&registry.host(), "REGISTRY")]);
            assert!(
                said.contains(&format!("answered {status}"))
                    && (said.contains("rune-bundle login") || said.contains("credentials")),
                "{said}"
            );
            assert_eq!(asked(&registry), [("17-alpine".to_owned(), false)]);
        }
    }
}

#[tokio::test]
async fn credentials_are_never_shown_without_a_challenge() {
    let registry = stocked(Registry::start());
    registry.fault(Fault::on("GET", "/v2/library/*").always().status(403));
    let files = Files::new();
    let client = client(with_login(&files, &registry.host()));
    for _ in 0..2 {
        client
            .resolve(&reference(&registry, "library/postgres:17-alpine"))
            .await
            .unwrap_err();
    }
    // The root is asked once, and never again.
    let paths = ["17-alpine", "", "17-alpine"].map(|path| (path.to_owned(), false));
    assert_eq!(asked(&registry), paths);
}

#[tokio::test]
async fn the_target_of_a_redirect_is_neither_asked_for_a_challenge_nor_shown_anything() {
    for status in [401, 403, 404] {
        let (registry, storage) = (Registry::start(), Registry::start_with(basic()));
        let (_, descriptor) = blob(&registry, "a/b", 100);
        registry.fault(
            Fault::on("GET", "/v2/*/blobs/*")
                .always()
                .redirect(&format!("{}/v2/a/b/blobs/x", storage.url())),
        );
        storage.behave(|behaviour| behaviour.hides_with = Some(status));
        let files = Files::new();
        let logins = serde_json::json!({"auths": {registry.host(): {"auth": "YTpi"}, storage.host(): {"auth": "YTpi"}}});
        let path = files.write("config.json", logins.to_string());
        let config = ClientConfig {
            auth_files: vec![rune_bundle::registry::AuthFile::Named(path)],
            ..quick()
        };
        fetch(&client(config), &name(&registry, "a/b"), &descriptor, 0)
            .await
            .unwrap_err();
        assert_eq!(asked(&storage), [("x".to_owned(), false)]);
        assert!(
            asked(&registry)
                .iter()
                .all(|(path, shown)| !path.is_empty() && !shown)
        );
    }
}

#[tokio::test]
async fn either_field_of_a_token_answer_counts_and_an_empty_one_is_absent() {
    let granted = "testkit-token:repository:library/postgres:pull";
    for answer in [
        format!(r#"{{"token": "{granted}"}}"#),
        format!(r#"{{"access_token": "{granted}"}}"#),
        format!(r#"{{"token": "", "access_token": "{granted}"}}"#),
        format!(r#"{{"token": null, "access_token": "{granted}", "expires_in": null}}"#),
    ] {
        let registry = stocked(Registry::start_with(token(None)));
        registry.fault(Fault::on("GET", "/token").always().answer(200, &answer));
        client(quick())
            .resolve(&reference(&registry, "library/postgres:17-alpine"))
            .await
            .unwrap_or_else(|error| panic!("{answer}: {error}"));
    }
}

/// Behind a proxy a registry counts as public; here the proxy is a server that answers by itself.
#[tokio::test]
async fn a_token_server_at_the_very_address_that_a_person_named_is_no_boundary() {
    for (named, realm, is_fine) in [
        ("10.0.0.5:5000", "http://10.0.0.5:5000/token", true),
        ("[fd00::5]:5000", "http://[FD00:0::5]:5000/token", true),
        ("10.0.0.5", "http://10.0.0.5:80/token", true),
        ("10.0.0.5:5000", "http://10.0.0.5:5001/token", false),
        ("10.0.0.5:5000", "http://10.0.0.6:5000/token", false),
        ("10.0.0.5:5000", "https://10.0.0.5:5000/token", false),
    ] {
        let registry = stocked(Registry::start_with(token(Some(realm))));
        registry.fault(Fault::on("GET", "*/token").always().answer(
            200,
            r#"{"token": "testkit-token:repository:library/postgres:pull"}"#,
        ));
        let files = Files::new();
        let mut config = with_login(&files, named);
        config.plain_http = [named.to_owned()].into();
        config.proxy = ProxySettings {
            http: Some(Secret::new(registry.url())),
            ..ProxySettings::default()
        };
        let outcome = client(config)
            .resolve(
                &format!("{named}/library/postgres:17-alpine")
                    .parse()
                    .unwrap(),
            )
            .await;
        match outcome {
            Ok(_) => assert!(is_fine, "{realm}"),
            Err(error) => assert!(
                !is_fine && error.to_string().contains("its address is private"),
                "{realm}: {error}"
            ),
        }
    }
}
