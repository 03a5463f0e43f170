//! A name of a registry that leads to another address while we talk to it.

use std::{
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rune_bundle::registry::ClientConfig;
use rune_testkit::registry::{Auth, Fault, Registry};

use crate::registry::support::{client, quick, stocked, words};

const PUBLIC: &str = "203.0.113.5";
const PRIVATE: &str = "10.0.0.5";
/// The file that stands for `/etc/hosts` in the network of its own.
const HOSTS: &str = "RUNE_TEST_HOSTS";

/// Runs a test of this binary again in a network and with an `/etc/hosts` of its own, where the two
/// addresses are of this machine.
fn run_in_a_network_of_its_own(test: &str) {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    fs::write(&hosts, "").unwrap();
    let script = format!(
        "ip link set lo up && ip address add {PUBLIC}/32 dev lo && ip address add {PRIVATE}/32 dev lo && mount --bind \"${HOSTS}\" /etc/hosts \
         && exec \"$0\" --exact {test} --include-ignored"
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--net", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(HOSTS, &hosts);
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Lets the name lead to an address. The file is mounted and stays the same one.
fn let_lead(hosts: &Path, address: &str) {
    fs::write(hosts, format!("{address} registry.example\n")).unwrap();
}

/// Passes connections to an address on to a registry, and counts them; `before` happens with each
/// before anything is passed on.
fn pass_on(
    address: &str,
    registry: &Registry,
    before: impl Fn() + Send + 'static,
) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((address, 80)).unwrap();
    let (target, connections) = (registry.address(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    // Ends with the process.
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, Ordering::SeqCst);
            before();
            let server = TcpStream::connect(target).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ] {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    connections
}

#[test]
fn a_public_name_that_became_private_stays_refused_on_plain_http() {
    run_in_a_network_of_its_own("registry::name_changes::moves");
    run_in_a_network_of_its_own("registry::name_changes::stays");
}

/// The registry, with its token server under the same name.
fn registry() -> Registry {
    let realm = Some("http://registry.example/token".to_owned());
    let auth = Auth::Token {
        user: "alice".to_owned(),
        password: "wonderland".to_owned(),
        anonymous_pull: true,
        realm,
    };
    let registry = stocked(Registry::start_with(auth));
    registry.fault(Fault::on("GET", "/token").always().answer(
        200,
        r#"{"token": "testkit-token:repository:library/postgres:pull"}"#,
    ));
    registry
}

async fn resolve() -> Result<(), String> {
    let config = ClientConfig {
        plain_http: ["registry.example".to_owned()].into(),
        ..quick()
    };
    let image = "registry.example/library/postgres:17-alpine"
        .parse()
        .unwrap();
    client(config)
        .resolve(&image)
        .await
        .map(|_| ())
        .map_err(|error| words(error, &[]))
}

#[tokio::test]
async fn moves() {
    // Runs as part of the test above, in a network of its own.
    let Some(hosts) = std::env::var_os(HOSTS).map(PathBuf::from) else {
        return;
    };
    let registry = registry();
    let_lead(&hosts, PUBLIC);
    let inside = pass_on(PRIVATE, &registry, || {});
    // As soon as somebody has connected, the name leads to the inside.
    let outside = pass_on(PUBLIC, &registry, move || let_lead(&hosts, PRIVATE));
    let said = resolve().await.unwrap_err();
    assert!(
        said.contains("`http://registry.example` wants a token from `http://registry.example`"),
        "{said}"
    );
    assert!(
        said.contains("its address is private") && said.ends_with("exit: 9"),
        "{said}"
    );
    assert_eq!(
        (
            outside.load(Ordering::SeqCst),
            inside.load(Ordering::SeqCst)
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn stays() {
    let Some(hosts) = std::env::var_os(HOSTS).map(PathBuf::from) else {
        return;
    };
    let registry = registry();
    for address in [PUBLIC, PRIVATE] {
        let_lead(&hosts, address);
        let connections = pass_on(address, &registry, || {});
        resolve()
            .await
            .unwrap_or_else(|said| panic!("{address}: {said}"));
        assert!(connections.load(Ordering::SeqCst) > 0, "{address}");
    }
}
