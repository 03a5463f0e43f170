//! A bundle with one vulnerable package, and the scanners that know it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_bundle::oci::media_type;
use rune_testkit::{
    process::succeeded,
    sample::{Image, Sample},
    sha256,
};
use serde_json::{Value, json};

use crate::{
    bundle::{project::Project, small_bundle::ends_with},
    charts::support::tool,
};

pub(crate) const SCANNERS: [&str; 2] = ["grype", "trivy"];
/// The one vulnerability in the database, and the one package that it is in.
pub(crate) const VULNERABILITY: &str = "CVE-2026-0001";
pub(crate) const BUILT: &str = "2026-11-28T06:00:00Z";
const INSTALLED: &str = "P:demo\nV:1.2.3-r0\nA:noarch\nL:MIT\nT:Demo\no:demo\n\n\
                         P:other\nV:1.2.3-r0\nA:noarch\nL:MIT\nT:Other\no:other\n\n";
const RELEASE: &str = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.1\n";
const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: shop, reference: 'HOST/library/shop:1', license: MIT }\nartifacts:\n  \
    - { name: model, reference: 'HOST/acme/model:1', license: MIT }\npolicy: policy.yaml\n";
const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['**'] }\n";

/// A project with an image of two platforms that has a vulnerable package and another one, and an
/// artifact; and databases that know of the one.
pub(crate) struct Lab {
    pub(crate) project: Project,
    pub(crate) image: Image,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let sample = Sample {
            platforms: vec![("linux", "amd64", None), ("linux", "arm64", Some("v8"))],
            layer_bytes: vec![3000],
            files: alpine(),
            attestations: false,
            ..Sample::default()
        };
        Self::with_image(&sample.build())
    }

    pub(crate) fn with_image(image: &Image) -> Self {
        let project = Project::with_manifest(MANIFEST);
        let host = project.registry.host();
        let write = |name: &str, text: &str| fs::write(project.path(name), text).unwrap();
        write(
            "bundle-manifests/rune.yaml",
            &MANIFEST.replace("HOST", &host),
        );
        write("policy.yaml", POLICY);
        project.registry.put_image("library/shop", "1", image);
        let model = [
            ("application/vnd.oci.empty.v1+json", "{}"),
            ("text/plain", "model"),
        ];
        let [config, layer] = model.map(|(media_type, content)| {
            project.registry.put_blob("acme/model", content.as_bytes());
            json!({"mediaType": media_type, "digest": sha256(content.as_bytes()), "size": content.len()})
        });
        let model = json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST, "artifactType": "application/vnd.acme.model",
            "config": config, "layers": [layer],
        });
        let model = model.to_string();
        let registry = &project.registry;
        registry.put_manifest(
            "acme/model",
            Some("1"),
            media_type::MANIFEST,
            model.as_bytes(),
        );
        write_database(&project.path("database"));
        for name in ["tmp", "home"] {
            fs::create_dir(project.path(name)).unwrap();
        }
        Self {
            project,
            image: image.clone(),
        }
    }

    /// Builds `shop.tar`.
    pub(crate) fn build(&self) {
        self.project.lock();
        self.project.build("shop.tar");
    }

    /// Builds it with advisories of one kind each.
    pub(crate) fn build_with(&self, advisories: &[(&str, &Value)]) {
        let manifest = self.project.path("bundle-manifests/rune.yaml");
        let mut text = fs::read_to_string(&manifest).unwrap();
        text.push_str("advisories:\n");
        for (number, (kind, document)) in advisories.iter().enumerate() {
            let name = format!("{number}-{kind}.json");
            text.push_str(&format!("  - {{ source: {name}, kind: {kind} }}\n"));
            fs::write(self.project.path(&name), document.to_string()).unwrap();
        }
        fs::write(&manifest, text).unwrap();
        self.build();
    }

    /// `scan`, with the databases of the lab.
    pub(crate) fn command(&self, scanner: &Path, options: &[&str]) -> Command {
        let scanner = scanner.to_str().unwrap();
        let scan = [
            "scan",
            "shop.tar",
            "--key",
            "release.pub",
            "--scanner",
            scanner,
        ];
        let mut command = self.project.command(&[&scan[..], options].concat());
        command
            .env("GRYPE_DB_CACHE_DIR", self.project.path("database"))
            .env("TRIVY_CACHE_DIR", self.project.path("database"))
            .env("TMPDIR", self.project.path("tmp"))
            .env("HOME", self.project.path("home"));
        command
    }

    pub(crate) fn scan(&self, scanner: &str, options: &[&str]) -> Output {
        self.command(&tool(scanner), options).output().unwrap()
    }

    /// The JSON report of a scan that ends with 0.
    pub(crate) fn report(&self, scanner: &str) -> Value {
        let output = self.scan(scanner, &["--json"]);
        ends_with(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A scanner that calls itself grype, has a database, and does what the script says when it is
    /// to scan. For what the real ones cannot be made to do.
    pub(crate) fn faulty(&self, script: &str) -> PathBuf {
        let path = self.project.path("faulty");
        let status = json!({"built": BUILT, "valid": true});
        let text = format!(
            "#!/bin/sh\ncase $1 in\nversion) printf 'Application: grype\\nVersion: 9.9.9\\n' ;;\n\
             db) echo '{status}' ;;\n*) {script} ;;\nesac\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The names of the receipts.
    pub(crate) fn receipts(&self) -> Vec<String> {
        let directory = self.project.path("rune-bundle-receipts");
        let names = fs::read_dir(directory).into_iter().flatten();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| {
                name.strip_suffix(".json")
                    .is_some_and(|stem| !stem.ends_with(".sigstore"))
            })
            .collect();
        names.sort();
        names
    }

    /// Every file that a scan could change, with its content, as sha256sum sees it.
    pub(crate) fn files(&self) -> String {
        let mut find = Command::new("sh");
        let script = "find database home tmp -type f -exec sha256sum {} + | sort; find database home tmp -type d | sort";
        succeeded(find.args(["-c", script]).current_dir(self.project.path("")))
    }
}

/// The files by which scanners know which packages there are.
pub(crate) fn alpine() -> Vec<(&'static str, String)> {
    vec![
        ("etc/alpine-release", "3.22.1\n".to_owned()),
        ("etc/os-release", RELEASE.to_owned()),
        ("lib/apk/db/installed", INSTALLED.to_owned()),
    ]
}

/// A database for each scanner, by its own module.
pub(crate) fn write_database(directory: &Path) {
    let mut command = Command::new(tool("vulnerability-db"));
    command.arg(directory);
    command.args([VULNERABILITY, "high", "3.22", "demo", "1.2.4-r0", BUILT]);
    succeeded(&mut command);
}

/// An `OpenVEX` document that says that a product is not affected.
pub(crate) fn openvex(product: &str) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://acme.example/vex/1",
        "author": "Acme",
        "timestamp": "2026-11-29T00:00:00Z",
        "version": 1,
        "statements": [{
            "vulnerability": {"name": VULNERABILITY},
            "products": [{"@id": product}],
            "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
        }],
    })
}

/// A CSAF document that says that a product is not affected.
pub(crate) fn csaf(product: &str) -> Value {
    let day = "2026-11-01T00:00:00Z";
    json!({
        "document": {
            "category": "csaf_vex", "csaf_version": "2.0", "title": "Shop",
            "publisher": {"category": "vendor", "name": "Acme", "namespace": "https://acme.example"},
            "tracking": {
                "id": "ACME-1", "status": "final", "version": "1",
                "initial_release_date": day, "current_release_date": day,
                "revision_history": [{"number": "1", "date": day, "summary": "first"}],
            },
        },
        "product_tree": {"full_product_names": [{
            "product_id": "P1", "name": "product", "product_identification_helper": {"purl": product},
        }]},
        "vulnerabilities": [{
            "cve": VULNERABILITY, "product_status": {"known_not_affected": ["P1"]},
            "flags": [{"label": "component_not_present", "product_ids": ["P1"]}],
        }],
    })
}

/// What is said of each image, by platform.
pub(crate) fn by_platform<'r>(report: &'r Value, what: &str) -> Vec<(&'r str, &'r Value)> {
    let images = report["images"].as_array().unwrap().iter();
    images
        .map(|image| (image["platform"].as_str().unwrap(), &image[what]))
        .collect()
}
