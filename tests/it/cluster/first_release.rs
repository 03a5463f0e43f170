//! From somebody's chart to a running release, with the commands of one page and nothing else: the
//! release engineer has an empty directory beside the chart, the administrator an empty home, a
//! disk that cannot be written, and a registry with a password and a CA of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64ct::{Base64, Encoding as _};
use rune_testkit::{
    cluster::{Cluster, ImageLayout},
    process::Process,
};
use serde_json::{Value, json};

use crate::{
    bundle::{
        project::repository,
        small_bundle::{Scratch, ends_with},
    },
    charts::support::tool,
    docs::cluster::{commands, yaml},
};

const PAGE: &str = "docs/tutorial/first-release.md";

/// What the page calls the registry of the site.
const REGISTRY: &str = "registry.example:5000";

/// As long as a line may be that a person copies from paper.
const LONGEST: usize = 100;

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: shop }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: web, image: "{{ .Values.web.repository }}:{{ .Values.web.tag }}", command: [sleep, "3600"] }
    - { name: cache, image: "{{ .Values.cache }}", command: [sleep, "3600"] }
"#;

/// The registry of the site, in the network of the node.
struct SiteRegistry {
    announced: Value,
    _process: Process,
}

impl SiteRegistry {
    fn start(cluster: &Cluster, directory: &Path) -> Self {
        let starter = repository().join("tools/registry/start");
        let mut command = cluster.command(starter);
        command.args(["tls-basic", directory.to_str().unwrap(), "distribution3"]);
        let mut process = Process::start(command.stdout(Stdio::piped()));
        Self {
            announced: serde_json::from_str(&process.first_line()).unwrap(),
            _process: process,
        }
    }

    fn text(&self, key: &str) -> &str {
        self.announced[key].as_str().unwrap()
    }

    /// Does to the node's containerd what k3s makes of its `registries.yaml`.
    fn configure_node(&self, cluster: &Cluster, registries: &str) -> PathBuf {
        let told: Value = serde_yaml::from_str(registries).unwrap();
        let told = &told["configs"][REGISTRY];
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let login = [&told["auth"]["username"], &told["auth"]["password"]].map(word);
        assert!(told["tls"]["ca_file"].is_string());
        let host = self.text("host");
        let directory = cluster.hosts_directory().join(host);
        fs::create_dir_all(&directory).unwrap();
        let ca = directory.join("ca.pem");
        fs::copy(self.text("ca"), &ca).unwrap();
        let ca = ca.to_str().unwrap();
        let url = format!("https://{host}");
        let header = format!(
            "Basic {}",
            Base64::encode_string(login.join(":").as_bytes())
        );
        let hosts = format!(
            "server = {url:?}\n[host.{url:?}]\nca = {ca:?}\n[host.{url:?}.header]\nauthorization = {header:?}\n"
        );
        fs::write(directory.join("hosts.toml"), hosts).unwrap();
        directory
    }
}

/// The lines of a block; each is one program call that a person can copy.
fn lines(start: &str, at_most: usize) -> Vec<String> {
    let text = commands(PAGE, start);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(lines.len() <= at_most, "{text}");
    for line in &lines {
        assert!(line.len() <= LONGEST, "{line}");
        assert!(
            line.starts_with("rune-bundle ") && !line.contains(['&', '|', ';', '$', '`']),
            "{line}"
        );
    }
    lines
}

/// Types a line into a shell.
fn types(command: &mut Command, line: &str) -> String {
    ends_with(&command.args(["sh", "-c", line]).output().unwrap(), 0)
}

#[test]
fn the_page_leads_from_a_chart_to_a_running_release() {
    walk("helm4", "shop");
}

#[test]
fn the_page_leads_to_a_running_release_with_helm_3() {
    walk("helm3", "shop-with-helm3");
}

/// Types the commands of the page with this Helm on both sides, into a namespace of the site.
fn walk(helm: &str, namespace: &str) {
    let Some(cluster) = Cluster::up() else { return };
    let place = Scratch::new();
    let path = |name: &str| place.path(name);
    for directory in ["engineer/shop/templates", "disk", "etc", "home"] {
        fs::create_dir_all(path(directory)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_rune-bundle"));
    let search = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );

    // The release engineer: the registries of the internet are the one of the cluster.
    for (file, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.2.0\n"),
        (
            "values.yaml",
            "web: { repository: ghcr.io/acme/web, tag: '1.2.0' }\ncache: redis:7.2\n",
        ),
        ("templates/pod.yaml", POD),
    ] {
        fs::write(path("engineer/shop").join(file), text).unwrap();
    }
    for name in ["acme/web:1.2.0", "library/redis:7.2"] {
        cluster.push(&ImageLayout::postgres(), name);
    }
    let mirror = json!({"endpoint": [format!("http://{}", cluster.registry())]});
    let internet = json!({"mirrors": {"docker.io": mirror, "ghcr.io": mirror}});
    fs::write(path("internet.yaml"), internet.to_string()).unwrap();
    for line in lines("rune-bundle init", 4) {
        let mut command = cluster.command("env");
        command
            .current_dir(path("engineer"))
            .env("PATH", &search)
            .env("RUNE_BUNDLE_HELM", tool(helm))
            .env("RUNE_BUNDLE_REGISTRY_CONFIG", path("internet.yaml"))
            .env("COSIGN_PASSWORD", "a passphrase");
        types(&mut command, &line);
    }
    for (from, to) in [
        (
            "shop-bundle-1.2.0.bundle.tar",
            "disk/shop-bundle-1.2.0.bundle.tar",
        ),
        ("release.pub", "etc/release.pub"),
    ] {
        fs::copy(path("engineer").join(from), path(to)).unwrap();
    }

    // The administrator.
    let registry = SiteRegistry::start(&cluster, &path("registry"));
    let host = registry.text("host");
    let here = |text: &str| {
        text.replace(REGISTRY, host)
            .replace("/media/usb", path("disk").to_str().unwrap())
            .replace("namespace: shop", &format!("namespace: {namespace}"))
    };
    for (file, words) in [("site.yaml", "kind: Site"), ("trust.yaml", "kind: Trust")] {
        fs::write(path("etc").join(file), here(&yaml(PAGE, &[words]))).unwrap();
    }
    fs::copy(registry.text("ca"), path("etc/registry-ca.pem")).unwrap();
    fs::write(path("password"), registry.text("password")).unwrap();
    let configured = registry.configure_node(&cluster, &yaml(PAGE, &["configs:"]));
    // What an earlier run on the same cluster left when it failed.
    cluster.kubectl(&["delete", "namespace", namespace, "--ignore-not-found"]);
    let mut said = String::new();
    for line in lines("rune-bundle verify", 5) {
        // The disk is mounted for reading.
        let disk = path("disk");
        let disk = disk.to_str().unwrap();
        let mut command = cluster.command("unshare");
        let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
        command
            .args(["--mount", "sh", "-c", mount, disk])
            .current_dir(place.path(""))
            .env("PATH", &search)
            .env("HOME", path("home"))
            .env("RUNE_BUNDLE_HELM", tool(helm))
            .env("RUNE_BUNDLE_SITE", path("etc/site.yaml"))
            .env("RUNE_BUNDLE_RECEIPTS", path("receipts"));
        said = types(&mut command, &here(&line));
    }
    let namespace = cluster.adopt_namespace(namespace);
    assert!(said.contains("shop-bundle 1.2.0"), "{said}");

    let pod = namespace.get("pod/shop");
    let images: Vec<&str> = pod["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["image"].as_str().unwrap())
        .collect();
    for (image, repository) in images.iter().zip(["acme/web", "library/redis"]) {
        let place = format!("{host}/shop/{repository}@sha256:");
        assert!(image.starts_with(&place), "{image}");
    }
    assert_eq!(images.len(), 2);
    let ready = pod["status"]["containerStatuses"].as_array().unwrap();
    assert!(
        ready.iter().all(|container| container["ready"] == true),
        "{pod}"
    );
    fs::remove_dir_all(configured).unwrap();
}
