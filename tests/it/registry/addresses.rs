//! Nobody sends us where they could not go themselves.

use rune_bundle::registry::{ClientConfig, ProxySettings};
use rune_core::secret::Secret;
use rune_testkit::registry::{Auth, Fault, Registry};

use crate::registry::support::{
    Files, blob, client, fetch, name, quick, reference, stocked, words,
};

fn token_at(realm: &str) -> Auth {
    Auth::Token {
        user: "alice".to_owned(),
        password: "wonderland".to_owned(),
        anonymous_pull: true,
        realm: Some(realm.to_owned()),
    }
}

#[tokio::test]
async fn a_token_server_on_a_link_local_address_gets_nothing() {
    for realm in [
        "http://169.254.169.254/token",
        "https://169.254.169.254/token",
        "http://[::ffff:169.254.169.254]/token",
        "http://10.0.0.1/",
    ] {
        let registry = stocked(Registry::start_with(token_at(realm)));
        let files = Files::new();
        let config = ClientConfig {
            auth_files: vec![files.login(&registry.host(), "alice", "wonderland")],
            ..quick()
        };
        let error = client(config)
            .resolve(&reference(&registry, "library/postgres:17-alpine"))
            .await
            .unwrap_err();
        let words = words(error, &[(&registry.host(), "REGISTRY")]);
        assert!(
            words.contains("`http://REGISTRY` wants a token from `http")
                && words.contains("we may not go"),
            "{words}"
        );
        assert!(
            words.contains("may be misconfigured or hostile") && words.ends_with("exit: 9"),
            "{words}"
        );
        assert_eq!(registry.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_to_a_link_local_address_is_not_followed() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 10);
    registry.fault(
        Fault::on("GET", "/v2/*/blobs/*").redirect("http://169.254.169.254/latest/meta-data"),
    );
    let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    let words = words(error, &[(&registry.host(), "REGISTRY")]);
    assert!(words.contains("`http://REGISTRY` redirected to `http://169.254.169.254`, which failed: its address is link-local"), "{words}");
    assert!(words.ends_with("exit: 9"), "{words}");
}

/// A registry behind a proxy counts as public; here the proxy is a server that answers by itself.
#[tokio::test]
async fn a_registry_on_the_internet_may_not_send_us_to_this_machine() {
    let inside = Registry::start();
    for target in [
        inside.url().to_owned(),
        inside.url().replace("127.0.0.1", "localhost"),
        inside.url().replace("127.0.0.1", "0.0.0.0"),
    ] {
        let outside = stocked(Registry::start_with(token_at(&format!("{target}/token"))));
        let mut config = quick();
        config.plain_http = ["registry.example".to_owned()].into();
        config.proxy = ProxySettings {
            http: Some(Secret::new(outside.url().replace("//", "//alice:hunter2@"))),
            ..ProxySettings::default()
        };
        let client = client(config);
        assert!(!format!("{client:?}").contains("hunter2"));
        let image = "registry.example/library/postgres:17-alpine"
            .parse()
            .unwrap();
        let text = words(client.resolve(&image).await.unwrap_err(), &[]);
        assert!(
            text.contains("`http://registry.example` wants a token from")
                && text.contains("its address is loopback"),
            "{text}"
        );
        assert!(text.ends_with("exit: 9"), "{text}");

        let (_, descriptor) = blob(&outside, "a/b", 10);
        outside.fault(
            Fault::on("GET", "*/v2/*/blobs/*").redirect(&format!("{target}/v2/a/b/blobs/x")),
        );
        let text = words(
            fetch(&client, &(&image).into(), &descriptor, 0)
                .await
                .unwrap_err(),
            &[],
        );
        assert!(
            text.contains("its address is loopback") && text.ends_with("exit: 9"),
            "{text}"
        );
    }
    assert_eq!(inside.requests().len(), 0);
}

#[tokio::test]
async fn redirects_end() {
    let registry = Registry::start();
    let (_, descriptor) = blob(&registry, "a/b", 10);
    registry.fault(
        Fault::on("GET", "/v2/*/blobs/*")
            .always()
            .redirect("/v2/a/b/blobs/again"),
    );
    let error = fetch(&client(quick()), &name(&registry, "a/b"), &descriptor, 0)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("which redirects again and again"),
        "{error}"
    );
    assert_eq!(registry.requests().len(), 6);
}
