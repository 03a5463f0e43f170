//! Bundles in several versions, clusters that use them, and what a registry has by the words of
//! crane.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Output,
};

use rune_testkit::{
    sample::Sample,
    web::{Page, WebServer},
};
use serde_json::{Value, json};

use crate::{
    bundle::foreign_support::Foreign, bundle::project::Project, bundle::small_bundle::ends_with,
};

/// The database is the same in every version, the program another one.
const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: VERSION\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\n  \
    - { name: rune, reference: ghcr.io/lpasquali/rune:vMAJOR, license: Apache-2.0 }\npolicy: bundle-manifests/policy.yaml\n";

pub(crate) const PROGRAM: &str = "lpasquali/rune";
pub(crate) const INDEXES: &str = "bundles/shop";

/// Four versions of a bundle, each in a file of its own.
pub(crate) struct Shop {
    pub(crate) project: Project,
}

/// A cluster, as far as its records go: the answers of an API server.
pub(crate) struct RecordsOf {
    _server: WebServer,
    kubeconfig: PathBuf,
    address: String,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let project = Project::with_manifest("");
        project.put("library/postgres", "17-alpine", &sample("postgres"));
        let shop = Self { project };
        for major in 1..=4 {
            shop.build(major, "1.tar".replace('1', &major.to_string()).as_str());
        }
        shop
    }

    /// Builds a version; the same one twice is the same bundle.
    pub(crate) fn build(&self, major: u32, file: &str) {
        self.build_with(major, file, "");
    }

    /// The same with more in the manifest.
    pub(crate) fn build_with(&self, major: u32, file: &str, more: &str) {
        let manifest = MANIFEST
            .replace("VERSION", &format!("{major}.0.0"))
            .replace("MAJOR", &major.to_string());
        let manifest = format!("{manifest}{more}");
        fs::write(self.project.path("bundle-manifests/rune.yaml"), manifest).unwrap();
        let seed = format!("rune {major}");
        self.project
            .put(PROGRAM, &format!("v{major}"), &sample(&seed));
        self.project.lock();
        self.project.build(file);
    }

    /// Pushes versions in their order.
    pub(crate) fn push(&self, registry: &str, versions: impl IntoIterator<Item = u32>) {
        for version in versions {
            let file = format!("{version}.tar");
            let arguments = ["push", &file, registry, "--key", "release.pub", "--quiet"];
            ends_with(&self.project.run(&arguments), 0);
        }
    }

    /// What `prune` is to be run with.
    pub(crate) fn arguments<'a>(
        registry: &'a str,
        clusters: &'a [RecordsOf],
        options: &[&'a str],
    ) -> Vec<&'a str> {
        let mut arguments = vec![
            "prune",
            registry,
            "--key",
            "release.pub",
            "--json",
            "--quiet",
        ];
        for cluster in clusters {
            arguments.extend(["--kubeconfig", cluster.kubeconfig.to_str().unwrap()]);
        }
        if clusters.len() == 1 {
            arguments.push("--only-this-cluster");
        }
        arguments.extend(options);
        arguments
    }

    pub(crate) fn prune(&self, registry: &str, clusters: &[RecordsOf], options: &[&str]) -> Output {
        self.project
            .run(&Self::arguments(registry, clusters, options))
    }

    /// What it says when it ends well.
    pub(crate) fn pruned(&self, registry: &str, clusters: &[RecordsOf], options: &[&str]) -> Value {
        let output = self.prune(registry, clusters, options);
        ends_with(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The error that it says, when it ends with this code.
    pub(crate) fn refused(
        &self,
        registry: &str,
        clusters: &[RecordsOf],
        options: &[&str],
        code: i32,
    ) -> String {
        let output = self.prune(registry, clusters, options);
        ends_with(&output, code);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        format!(
            "{} {}",
            report["error"]["message"].as_str().unwrap(),
            report["error"]["help"].as_str().unwrap_or_default()
        )
    }

    /// The digest of a version, by sha256sum's reading of the tar's first file.
    fn digest(&self, version: u32) -> String {
        let file = self.project.path(format!("{version}.tar"));
        let tools = Foreign::new();
        let command = format!("tar -xOf '{}' bundle.json | sha256sum", file.display());
        let said = tools.run("sh", ["-c", command.as_str()]);
        format!("sha256:{}", said.split_whitespace().next().unwrap())
    }

    fn installed(&self, version: u32, revision: u64) -> Value {
        json!({"bundle": "shop", "version": format!("{version}.0.0"), "digest": self.digest(version),
            "charts": ["shop-1.0.0"], "profile": null, "schemaVersion": null, "receipt": null,
            "tool": "rune-bundle 0.1.0", "revision": revision})
    }

    /// A cluster where these were installed as one release, the last of them now.
    pub(crate) fn cluster(&self, name: &str, versions: &[u32]) -> RecordsOf {
        let mut history: Vec<Value> = versions
            .iter()
            .zip(1..)
            .map(|(version, revision)| self.installed(*version, revision))
            .collect();
        let current = history.pop();
        history.reverse();
        let maps = current.map(|current| {
            json!({"metadata": {"name": "rune-bundle.shop", "namespace": "shop",
                "labels": {"app.kubernetes.io/managed-by": "rune-bundle"}},
                "data": {"installed.json": current.to_string(),
                    "earlier.json": Value::from(history).to_string()}})
        });
        let server = WebServer::start();
        let put = |path: &str, value: &Value| {
            let json = ("content-type".to_owned(), "application/json".to_owned());
            let page = Page::of(value.to_string());
            server.put(
                path,
                Page {
                    headers: vec![json],
                    ..page
                },
            );
        };
        put(
            "/version",
            &json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "",
                "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
                "platform": "linux/amd64"}),
        );
        put(
            "/api/v1/configmaps",
            &json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {},
                "items": maps.into_iter().collect::<Vec<_>>()}),
        );
        put(
            "/api/v1/namespaces/kube-system",
            &json!({"kind": "Namespace", "apiVersion": "v1",
                "metadata": {"name": "kube-system", "uid": name}}),
        );
        let address = server.url("");
        let address = address.trim_end_matches('/').to_owned();
        let kubeconfig = self.project.path(format!("{name}.kubeconfig"));
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": address}}],
            "users": [{"name": "x", "user": {}}]});
        fs::write(&kubeconfig, config.to_string()).unwrap();
        RecordsOf {
            _server: server,
            kubeconfig,
            address,
        }
    }
}

impl RecordsOf {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

fn sample(seed: &str) -> Sample {
    Sample {
        layer_bytes: vec![4000, 300],
        seed: seed.to_owned(),
        ..Sample::default()
    }
}

/// What crane finds in a registry.
pub(crate) struct Crane(Foreign);

impl Crane {
    pub(crate) fn new() -> Self {
        Self(Foreign::new())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.0.run("crane", [&["--insecure"], arguments].concat())
    }

    /// Everything that has a tag: `repository:tag` and the digest.
    pub(crate) fn listing(&self, registry: &str) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        for repository in self.run(&["catalog", registry]).lines() {
            let place = format!("{registry}/{repository}");
            let output = self
                .0
                .command("crane", ["--insecure", "ls", place.as_str()])
                .output()
                .unwrap();
            // Where nothing is left, some say that the repository is unknown.
            for tag in String::from_utf8(output.stdout).unwrap().lines() {
                let digest = self.run(&["digest", &format!("{place}:{tag}")]);
                listing.insert(format!("{repository}:{tag}"), digest.trim().to_owned());
            }
        }
        listing
    }

    /// Whether it gets a manifest by its digest.
    pub(crate) fn has(&self, registry: &str, repository: &str, digest: &str) -> bool {
        let place = format!("{registry}/{repository}@{digest}");
        let mut command = self
            .0
            .command("crane", ["--insecure", "manifest", place.as_str()]);
        command.output().unwrap().status.success()
    }

    /// The manifests of an image: the index and everything that it names.
    pub(crate) fn manifests(&self, registry: &str, reference: &str) -> BTreeSet<String> {
        let place = format!("{registry}/{reference}");
        let index: Value = serde_json::from_str(&self.run(&["manifest", &place])).unwrap();
        let named = index["manifests"].as_array().unwrap().iter();
        named
            .map(|entry| entry["digest"].as_str().unwrap().to_owned())
            .chain([self.run(&["digest", &place]).trim().to_owned()])
            .collect()
    }

    pub(crate) fn tools(&self) -> &Foreign {
        &self.0
    }
}

/// Name and fate of each bundle of a report.
pub(crate) fn fates(report: &Value) -> Vec<(String, bool)> {
    let bundles = report["bundles"].as_array().unwrap().iter();
    bundles
        .map(|bundle| {
            (
                bundle["version"].as_str().unwrap().to_owned(),
                !bundle["kept"].as_array().unwrap().is_empty(),
            )
        })
        .collect()
}
