//! Mirrors in the format of k3s and RKE2.

use rune_bundle::registry::{Client, ClientConfig};
use rune_testkit::{
    registry::{Auth, Fault, Registry},
    sample::Sample,
};

use crate::registry::support::{Files, blob, client, fetch, quick, repository, stocked, words};

fn configured(files: &Files, yaml: &str) -> ClientConfig {
    ClientConfig {
        registries_file: Some(files.write("registries.yaml", yaml)),
        ..quick()
    }
}

#[tokio::test]
async fn docker_io_is_fetched_from_its_mirror_which_is_told_what_it_stands_in_for() {
    let mirror = stocked(Registry::start());
    let files = Files::new();
    let config = configured(
        &files,
        &format!("mirrors: {{docker.io: {{endpoint: ['{}']}}}}", mirror.url()),
    );
    let index = client(config)
        .resolve(&"docker.io/library/postgres:17-alpine".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(index.bytes(), Sample::default().build().index.bytes);
    assert_eq!(mirror.requests()[0].query, "ns=docker.io");
}

#[tokio::test]
async fn mirrors_are_tried_in_their_order_with_their_names_and_then_the_registry_itself() {
    let (first, second, own) = (Registry::start(), Registry::start(), Registry::start());
    let (content, descriptor) = blob(&own, "team/app", 1000);
    let files = Files::new();
    let yaml = format!(
        "mirrors:\n  '{}':\n    endpoint: ['{}', '{}/api/v2']\n    rewrite:\n      '^team/(.*)': 'proxy/$1-copy'\n",
        own.host(),
        first.url(),
        second.url()
    );
    first.fault(Fault::on("GET", "*").always().status(503));
    let client = client(configured(&files, &yaml));
    let name = repository(&format!("{}/team/app:1", own.host()));
    assert_eq!(
        fetch(&client, &name, &descriptor, 0).await.unwrap(),
        content
    );
    assert_eq!(first.requests().len(), 4);
    assert_eq!(
        first.requests()[0].path,
        format!("/v2/proxy/app-copy/blobs/{}", descriptor.digest)
    );
    assert_eq!(
        second.requests()[0].path,
        format!("/api/v2/proxy/app-copy/blobs/{}", descriptor.digest)
    );
    assert_eq!(
        own.requests()[0].path,
        format!("/v2/team/app/blobs/{}", descriptor.digest)
    );
    assert_eq!(own.requests()[0].query, "");
}

#[tokio::test]
async fn a_mirror_that_breaks_midway_is_replaced_without_a_gap() {
    let (mirror, own) = (Registry::start(), Registry::start());
    let (content, descriptor) = blob(&own, "a/b", 200_000);
    blob(&mirror, "a/b", 200_000);
    mirror.fault(Fault::on("GET", "*").cut_at(50_000));
    mirror.fault(Fault::on("GET", "*").always().status(500));
    let files = Files::new();
    let client = client(configured(
        &files,
        &format!(
            "mirrors: {{'{}': {{endpoint: ['{}']}}}}",
            own.host(),
            mirror.url()
        ),
    ));
    let name = repository(&format!("{}/a/b:1", own.host()));
    assert_eq!(
        fetch(&client, &name, &descriptor, 0).await.unwrap(),
        content
    );
    assert!(own.requests()[0].header("range").is_some());
}

#[tokio::test]
async fn when_nobody_has_it_everybody_who_was_asked_is_named() {
    let (mirror, own) = (
        Registry::start_with(Auth::Basic("a".into(), "b".into())),
        Registry::start(),
    );
    let files = Files::new();
    let client = client(configured(
        &files,
        &format!("mirrors: {{'*': {{endpoint: ['{}']}}}}", mirror.url()),
    ));
    let error = client
        .resolve(&format!("{}/a/b:1", own.host()).parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        words(error, &[(&own.host(), "OWN"), (&mirror.host(), "MIRROR")]),
        "cannot fetch the manifest of `OWN/a/b:1`: the mirror `http://MIRROR` asks for credentials, and there are none for `MIRROR`; \
         `http://OWN` answered 404 Not Found (manifest unknown)\n\
         help: run `rune-bundle login MIRROR -u USER`, or pass a file that has them with --authfile\n\
         exit: 9"
    );
}

/// A port of loopback at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_mirror_that_lacks_it_and_a_registry_that_cannot_be_reached_are_both_said() {
    let (mirror, own, files) = (Registry::start(), nobody(), Files::new());
    let yaml = format!(
        "mirrors:\n  '{own}': {{endpoint: ['{}'], rewrite: {{'^c/(.*)': 'proxy/$1'}}}}\n",
        mirror.url()
    );
    let client = client(configured(&files, &yaml));
    let names = [(own.as_str(), "OWN"), (&mirror.host(), "MIRROR")];
    let unreachable = "`https://OWN` failed: no connection: Connection refused after 4 attempts\n\
         help: copy it to the mirror `MIRROR`, or check that `OWN` can be reached from here; \
         proxies are set with HTTPS_PROXY\nexit: 10";
    let by_tag = client
        .resolve(&format!("{own}/a/b:1").parse().unwrap())
        .await
        .unwrap_err();
    let absent = "the mirror `http://MIRROR` answered 404 Not Found (manifest unknown)";
    assert_eq!(
        words(by_tag, &names),
        format!("cannot fetch the manifest of `OWN/a/b:1`: {absent}; {unreachable}")
    );
    // By digest nobody says that it is gone: the registry itself was not asked.
    let digest = rune_core::digest::Digest::of(b"x");
    let by_digest = client
        .manifest(&repository(&format!("{own}/a/b:1")), digest, None)
        .await
        .unwrap_err();
    assert!(!by_digest.is_missing_digest());
    let said = words(by_digest, &names);
    assert!(
        said.contains(absent) && said.ends_with(unreachable),
        "{said}"
    );
    // A blob, under the name that the mirror has for it.
    let (_, descriptor) = blob(&Registry::start(), "c/d", 10);
    let failed = fetch(
        &client,
        &repository(&format!("{own}/c/d:1")),
        &descriptor,
        0,
    )
    .await
    .unwrap_err();
    let said = words(failed, &names);
    let absent =
        "the mirror `http://MIRROR`, asked for `proxy/d`, answered 404 Not Found (blob unknown)";
    assert!(
        said.contains(absent) && said.ends_with(unreachable),
        "{said}"
    );
}

#[tokio::test]
async fn credentials_and_authorities_of_a_mirror_are_its_own() {
    let mirror = stocked(Registry::start_tls(Auth::Basic(
        "alice".into(),
        "wonderland".into(),
    )));
    let files = Files::new();
    let ca = files.write("ca.pem", mirror.ca_pem());
    let yaml = format!(
        "mirrors:\n  docker.io:\n    endpoint: ['{}']\nconfigs:\n  '{}':\n    auth: {{username: alice, password: wonderland}}\n    tls: {{ca_file: '{ca}'}}\n",
        mirror.url(),
        mirror.host(),
    );
    let client = client(configured(&files, &yaml));
    client
        .resolve(&"docker.io/library/postgres:17-alpine".parse().unwrap())
        .await
        .unwrap();
    assert!(!format!("{client:?}").contains("wonderland"));
}

#[test]
fn what_cannot_be_honoured_is_refused_before_anything_is_asked() {
    let files = Files::new();
    for (yaml, expected) in [
        (
            "configs: {r: {tls: {insecure_skip_verify: true}}}",
            "`insecure_skip_verify` of `r` is not supported",
        ),
        (
            "mirrors: {r: {endpoint: ['http://mirror.example']}}",
            "the mirror `http://mirror.example/v2` is neither on loopback nor named by --plain-http",
        ),
        (
            "configs: {r: {tls: {ca_file: /nowhere/ca.pem}}}",
            "cannot use the file given with `configs.r.tls.ca_file`",
        ),
        ("mirrors: [docker.io]", "registries.yaml:1:"),
    ] {
        let error = Client::new(configured(&files, yaml)).unwrap_err();
        let words = words(error, &[]);
        assert!(words.contains(expected), "{words}");
        assert!(
            words.ends_with("exit: 3") || words.ends_with("exit: 4"),
            "{words}"
        );
    }
}

/// Answers one client after the other as a SOCKS 5 proxy without passwords does, and leads each to
/// `target`; gives its address, and tells the host that was asked for.
fn socks_proxy(
    target: std::net::SocketAddr,
) -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut read = |bytes: usize| {
                let mut buffer = vec![0; bytes];
                client.read_exact(&mut buffer).map(|()| buffer)
            };
            let Ok(greeting) = read(2) else { continue };
            read(greeting[1].into()).unwrap();
            client.write_all(&[5, 0]).unwrap();
            let mut read = |bytes: usize| {
                let mut buffer = vec![0; bytes];
                client.read_exact(&mut buffer).unwrap();
                buffer
            };
            // Version, command, reserved, and 3 for a name with its length before it.
            assert_eq!(read(4), [5, 1, 0, 3]);
            let length = read(1)[0];
            let name = String::from_utf8(read(length.into())).unwrap();
            read(2);
            let _ = tell.send(name);
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            let server = std::net::TcpStream::connect(target).unwrap();
            let (mut up, mut down) = (
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            );
            std::thread::spawn(move || std::io::copy(&mut up.0, &mut up.1));
            std::thread::spawn(move || std::io::copy(&mut down.0, &mut down.1));
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_socks_proxy_is_used_and_resolves_names_itself() {
    let registry = stocked(Registry::start());
    let (proxy, asked) = socks_proxy(registry.address());
    let mut config = quick();
    config.plain_http = ["registry.example".to_owned()].into();
    config.proxy.http = Some(rune_core::secret::Secret::new(format!("socks5h://{proxy}")));
    client(config)
        .resolve(
            &"registry.example/library/postgres:17-alpine"
                .parse()
                .unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(asked.recv().unwrap(), "registry.example");
}
