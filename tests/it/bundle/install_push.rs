//! `install --push` to a registry that refuses a part of the bundle: nothing is rolled out.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use rune_testkit::registry::{Fault, Registry};
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::ends_with,
    charts::support::tool,
    registry::{push_refused::picky, push_support::Shipped},
};

/// Answers as an API server does in which everything is allowed and nothing is installed, and
/// remembers what it was asked to change.
struct ApiStandIn {
    address: String,
    writes: Arc<Mutex<Vec<String>>>,
}

impl ApiStandIn {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, writes) = (
            listener.local_addr().unwrap().to_string(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let kept = Arc::clone(&writes);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || while answer(&stream, &kept).is_some() {});
            }
        });
        Self { address, writes }
    }

    fn writes(&self) -> Vec<String> {
        self.writes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Answers one request; nothing when the connection has ended.
fn answer(stream: &TcpStream, writes: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader
        .read_line(&mut first)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (method, target) = first.split_once(' ')?;
    let path = target.split([' ', '?']).next()?;
    let (status, content_type, object) = object(path);
    if method != "GET" && !path.ends_with("/selfsubjectaccessreviews") {
        writes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{method} {path}"));
    }
    let text = object.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    let mut stream = stream;
    stream.write_all(format!("{head}{text}").as_bytes()).ok()
}

fn object(path: &str) -> (&'static str, &'static str, Value) {
    let json_type = "application/json";
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let name = path.rsplit('/').next().unwrap_or_default();
    match path {
        "/version" => (
            "200 OK",
            json_type,
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
        ),
        "/api" | "/apis" => {
            let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []});
            ("200 OK", aggregated, list)
        }
        _ if path.ends_with("/selfsubjectaccessreviews") => {
            let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {},
                "status": {"allowed": true}});
            ("201 Created", json_type, review)
        }
        _ if path.ends_with("/secrets") => (
            "200 OK",
            json_type,
            json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}),
        ),
        _ if path.ends_with(&format!("/namespaces/{name}")) => {
            let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "uid": "u"}, "spec": {},
                "status": {"phase": "Active"}});
            ("200 OK", json_type, namespace)
        }
        _ => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
                "message": format!("{name} not found"), "code": 404});
            ("404 Not Found", json_type, status)
        }
    }
}

/// Installs a bundle from a registry, and gives what was said.
fn install(
    shipped: &Shipped,
    api: &ApiStandIn,
    registry: &Registry,
    helm: &str,
    code: i32,
) -> String {
    install_with(shipped, api, registry, helm, &[], code)
}

fn install_with(
    shipped: &Shipped,
    api: &ApiStandIn,
    registry: &Registry,
    helm: &str,
    options: &[&str],
    code: i32,
) -> String {
    let options = [options, &["--push"]].concat();
    install_of("x.tar", shipped, api, registry, helm, &options, code)
}

/// Installs this bundle, from a file or a registry.
fn install_of(
    bundle: &str,
    shipped: &Shipped,
    api: &ApiStandIn,
    registry: &Registry,
    helm: &str,
    options: &[&str],
    code: i32,
) -> String {
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: 'http://{}'}}}}]\nusers: [{{name: a, user: {{}}}}]\n",
        api.address
    );
    fs::write(shipped.project.path("kubeconfig"), kubeconfig).unwrap();
    let (helm, host) = (tool(helm), registry.host());
    let arguments = [
        "install",
        bundle,
        "--key",
        "release.pub",
        "--namespace",
        "x",
        "--kubeconfig",
        "kubeconfig",
        "--registry",
    ];
    let more = [
        host.as_str(),
        "--chart",
        "rune",
        "--profile",
        "lab",
        "--helm",
        helm.to_str().unwrap(),
    ];
    ends_with(
        &shipped
            .project
            .run(&[&arguments[..], &more, options].concat()),
        code,
    )
}

#[test]
fn nothing_is_rolled_out_when_the_registry_refused_an_artifact_of_the_bundle() {
    let shipped = Shipped::example();
    for helm in ["helm3", "helm4"] {
        for (status, code) in [
            (400, "MANIFEST_INVALID"),
            (405, "UNSUPPORTED"),
            (415, "UNKNOWN"),
        ] {
            let (api, registry) = (ApiStandIn::start(), picky(status, code));
            let said = install(&shipped, &api, &registry, helm, 10);
            assert!(
                said.contains("the registry took the images and charts, and refused: ")
                    && said.contains("--no-index-artifact"),
                "{said}"
            );
            // The images arrived, and the cluster was asked for nothing.
            assert_eq!(registry.tags("library/postgres"), ["17-alpine"]);
            assert_eq!(api.writes(), Vec::<String>::new());
        }
    }
}

#[test]
fn the_way_out_that_is_named_exists_in_this_verb_and_goes_on_to_the_rollout() {
    let shipped = Shipped::example();
    let (api, registry) = (ApiStandIn::start(), picky(400, "MANIFEST_INVALID"));
    let said = install(&shipped, &api, &registry, "helm4", 10);
    let help =
        "help: add --no-index-artifact to install without the bundle index and its signatures";
    assert!(said.contains(help), "{said}");
    registry.forget_requests();
    // Everything but the rollout is passed: this stand-in knows no kind of object.
    let said = install_with(
        &shipped,
        &api,
        &registry,
        "helm4",
        &["--no-index-artifact"],
        3,
    );
    assert!(said.contains("helm cannot render the chart"), "{said}");
    assert!(registry.requests_to("/v2/bundles/*").is_empty());
    assert_eq!(registry.tags("library/postgres"), ["17-alpine"]);
    // Without a push there is nothing to leave out.
    let said = ends_with(
        &shipped
            .project
            .run(&["install", "x.tar", "--no-index-artifact"]),
        2,
    );
    assert!(said.contains("--push"), "{said}");
}

#[test]
fn nothing_is_rolled_out_without_the_signature_alone() {
    let shipped = Shipped::example();
    let (api, registry) = (ApiStandIn::start(), Registry::start());
    // The index arrives; the manifest after it is that of the signature.
    registry.fault(
        Fault::on("PUT", "/v2/bundles/*/manifests/sha256:*")
            .answer(201, "")
            .after_acting(),
    );
    registry.fault(
        Fault::on("PUT", "/v2/bundles/*/manifests/sha256:*")
            .answer(400, r#"{"errors": [{"code": "MANIFEST_INVALID"}]}"#),
    );
    let said = install(&shipped, &api, &registry, "helm4", 10);
    assert!(
        said.contains("refused: ") && said.contains("/bundles/rune"),
        "{said}"
    );
    assert_eq!(api.writes(), Vec::<String>::new());
    // What was refused for another reason than the kind of the artifact ends it just so.
    let registry = Registry::start();
    registry.fault(
        Fault::on("PUT", "/v2/bundles/*/manifests/*")
            .always()
            .answer(403, r#"{"errors": [{"code": "DENIED"}]}"#),
    );
    install(&shipped, &api, &registry, "helm4", 9);
    assert_eq!(api.writes(), Vec::<String>::new());
    // A registry that takes everything is not what stops it: this stand-in knows no kind of object.
    let said = install(&shipped, &api, &Registry::start(), "helm4", 3);
    assert!(said.contains("helm cannot render the chart"), "{said}");
}

/// The bundle is published and not here; everything but the rollout is passed.
#[test]
fn a_published_bundle_is_installed_from_its_reference_without_its_layers() {
    let shipped = Shipped::example();
    let (api, registry) = (ApiStandIn::start(), Registry::start());
    let host = registry.host();
    let publish = [
        "publish",
        "x.tar",
        &host,
        "--key",
        "release.pub",
        "--no-receipt",
    ];
    ends_with(&shipped.project.run(&publish), 0);
    registry.forget_requests();
    let reference = format!("oci://{host}/bundles/rune:0.1.0");
    let said = install_of(&reference, &shipped, &api, &registry, "helm4", &[], 3);
    assert!(said.contains("helm cannot render the chart"), "{said}");
    let layers = registry.requests_to("/v2/library/postgres/blobs/*");
    assert!(
        layers.iter().all(|request| request.method == "HEAD"),
        "{layers:?}"
    );
    // There is nothing here that could be pushed.
    let said = install_of(
        &reference,
        &shipped,
        &api,
        &registry,
        "helm4",
        &["--push"],
        2,
    );
    assert!(said.contains("rune-bundle fetch"), "{said}");
    let unknown = format!("oci://{host}/bundles/rune:9.9.9");
    install_of(&unknown, &shipped, &api, &registry, "helm4", &[], 4);
    assert_eq!(api.writes(), Vec::<String>::new());
}

#[test]
fn a_delta_is_installed_where_the_registry_has_the_rest_and_what_it_lacks_is_named() {
    let shipped = Shipped::example();
    let (api, registry) = (ApiStandIn::start(), Registry::start());
    let host = registry.host();
    let run = |arguments: &[&str]| {
        let trusted = [arguments, &["--key", "release.pub"]].concat();
        ends_with(&shipped.project.run(&trusted), 0)
    };
    run(&["delta", "--base", "x.tar", "x.tar", "-o", "d.tar"]);
    run(&["push", "x.tar", &host, "--no-receipt"]);
    let install = |code| {
        install_of(
            "d.tar",
            &shipped,
            &api,
            &registry,
            "helm4",
            &["--push"],
            code,
        )
    };
    // `push` gives the registry no values.
    let said = install(4);
    assert!(
        said.contains("values/") && said.contains("rune-bundle apply DELTA --from BASE"),
        "{said}"
    );
    run(&["publish", "x.tar", &host, "--no-receipt"]);
    let said = install(3);
    assert!(
        said.contains("is a delta, and all ") && said.contains("helm cannot render the chart"),
        "{said}"
    );
    assert_eq!(api.writes(), Vec::<String>::new());
}
