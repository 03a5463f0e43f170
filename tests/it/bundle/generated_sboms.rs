//! SBOMs that the real syft generates during `lock`: where they go, that two runs give the same bytes,
//! and that nothing is left of a run that failed.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rune_bundle::oci::media_type;
use rune_testkit::{process::succeeded, registry::Fault, sha256};
use serde_json::{Value, json};

use crate::{
    bundle::{
        evidence_support::{POLICY, REPOSITORY, VERIFY},
        project::Project,
        small_bundle::ends_with,
    },
    charts::support::tool,
};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: shop, reference: 'docker.io/library/shop:1', license: MIT }\npolicy: policy.yaml\n";
const LOCK: &str = "bundle-manifests/rune.lock";

/// A project with an image of Alpine's form for two platforms, which its publisher has no SBOM of.
pub(crate) struct Shop {
    pub(crate) project: Project,
    /// The digests of the manifests.
    pub(crate) children: Vec<String>,
}

/// What `apk` notes about a package.
fn package(name: &str, license: &str) -> String {
    format!(
        "P:{name}\nV:1.2.3-r0\nA:x86_64\nS:10\nI:20\nT:a package\nU:https://example.org\nL:{license}\no:{name}\nm:Somebody <s@example.org>\n\n"
    )
}

/// The database of `apk`.
pub(crate) fn installed(packages: &[(&str, &str)]) -> String {
    packages
        .iter()
        .map(|(name, license)| package(name, license))
        .collect()
}

/// A layer with the files that say what an image has.
fn layer(packages: &[(&str, &str)]) -> (String, Vec<u8>) {
    let installed = installed(packages);
    let release =
        "ID=alpine\nNAME=\"Alpine Linux\"\nVERSION_ID=3.22.1\nPRETTY_NAME=\"Alpine Linux v3.22\"\n";
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("lib/apk/db/installed", installed.as_str()),
        ("etc/os-release", release),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&bytes).unwrap();
    (sha256(&bytes), packed.finish().unwrap())
}

impl Shop {
    pub(crate) fn new(packages: &[(&str, &str)]) -> Self {
        let project = Project::with_manifest(MANIFEST);
        project
            .registry
            .behave(|behaviour| behaviour.lists_referrers = true);
        let mut shop = Self {
            project,
            children: Vec::new(),
        };
        shop.policy("");
        shop.put(packages);
        shop
    }

    /// Stores the image under its tag.
    pub(crate) fn put(&mut self, packages: &[(&str, &str)]) {
        let registry = &self.project.registry;
        let (diff_id, layer) = layer(packages);
        let layer_digest = registry.put_blob(REPOSITORY, &layer);
        let platforms = ["amd64", "arm64"].map(|architecture| {
            let config = json!({
                "created": "2026-05-01T10:00:00Z", "architecture": architecture, "os": "linux",
                "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            })
            .to_string();
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": media_type::MANIFEST,
                "config": {
                    "mediaType": media_type::CONFIG,
                    "digest": registry.put_blob(REPOSITORY, config.as_bytes()),
                    "size": config.len(),
                },
                "layers": [{"mediaType": media_type::LAYER_GZIP, "digest": layer_digest, "size": layer.len()}],
            })
            .to_string();
            let digest =
                registry.put_manifest(REPOSITORY, None, media_type::MANIFEST, manifest.as_bytes());
            json!({
                "mediaType": media_type::MANIFEST, "digest": digest, "size": manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            })
        });
        self.children = platforms
            .iter()
            .map(|entry| entry["digest"].as_str().unwrap().to_owned())
            .collect();
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": platforms});
        registry.put_manifest(
            REPOSITORY,
            Some("1"),
            media_type::INDEX,
            index.to_string().as_bytes(),
        );
    }

    /// Adds rules to the policy.
    pub(crate) fn policy(&self, rules: &str) {
        fs::write(self.project.path("policy.yaml"), format!("{POLICY}{rules}")).unwrap();
    }

    fn lock(&self, options: &[&str]) -> Output {
        let lock = ["lock", "--registry-config", "registries.yaml"];
        self.project.run(&[&lock[..], options].concat())
    }

    /// Locks with the real syft.
    pub(crate) fn locked(&self) -> String {
        ends_with(&self.lock(&[&with_syft()]), 0)
    }

    fn lock_text(&self) -> String {
        fs::read_to_string(self.project.path(LOCK)).unwrap()
    }

    /// The files beside the lock, by name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let directory = self.project.path(format!("{LOCK}.d/sha256"));
        let Ok(entries) = fs::read_dir(directory) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    /// An SBOM of a child by its publisher.
    fn publish_sbom(&self, child: &str) {
        let registry = &self.project.registry;
        registry.put_blob(REPOSITORY, b"{}");
        let layer = json!({"mediaType": "application/vnd.cyclonedx+json", "digest": sha256(b"{}"), "size": 2});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "artifactType": "application/vnd.cyclonedx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2},
            "layers": [layer],
            "subject": {"mediaType": media_type::MANIFEST, "digest": child, "size": 1},
        });
        let bytes = manifest.to_string();
        registry.put_manifest(REPOSITORY, None, media_type::MANIFEST, bytes.as_bytes());
    }

    /// A program in the place of syft that says its version as syft does, and else runs a script.
    fn program(&self, script: &str) -> PathBuf {
        let path = self.project.path("syft-stand-in");
        let version =
            "[ \"$1\" = version ] && exec echo '{\"application\":\"syft\",\"version\":\"9.9.9\"}'";
        fs::write(&path, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn with_syft() -> String {
    option(&tool("syft"))
}

fn option(program: &Path) -> String {
    format!("--syft={}", program.display())
}

fn json_of(output: &Output) -> Value {
    ends_with(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_comes_without_an_sbom_gets_one_that_lies_beside_the_lock_and_travels() {
    let shop = Shop::new(&[("zlib", "Zlib"), ("busybox", "GPL-2.0-only")]);
    shop.publish_sbom(&shop.children[1]);
    shop.policy("sboms: [{ match: '**' }]\n");
    let said = shop.locked();
    assert!(
        said.contains("SBOM of linux/amd64 by syft 1.") && !said.contains("SBOM of linux/arm64"),
        "{said}"
    );
    let files = shop.files();
    let [(name, bytes)] = files.as_slice() else {
        panic!("{files:?}")
    };
    assert_eq!(sha256(bytes), format!("sha256:{name}"));
    let lock = shop.lock_text();
    for part in [
        "formatVersion: 5\n",
        &shop.children[0],
        name,
        "format: cyclonedx\n",
    ] {
        assert!(lock.contains(part), "{part}: {lock}");
    }
    let sbom: Value = serde_json::from_slice(bytes).unwrap();
    let component = &sbom["metadata"]["component"];
    assert_eq!(component["name"], "docker.io/library/shop");
    assert_eq!(component["version"], json!(shop.children[0]));
    assert_eq!(sbom["metadata"]["timestamp"], "2026-05-01T10:00:00Z");
    let components = sbom["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(has("zlib") && has("busybox"), "{sbom:#}");

    let project = &shop.project;
    project.build("shop.tar");
    let entry = format!("sboms/sha256-{name}.cdx.json");
    let mut tar = Command::new("tar");
    tar.args(["-xOf"]).arg(project.path("shop.tar")).arg(&entry);
    assert_eq!(succeeded(&mut tar).into_bytes(), *bytes);
    project.build("again.tar");
    let read = |name: &str| fs::read(project.path(name)).unwrap();
    assert_eq!(read("shop.tar"), read("again.tar"));
    let inspect = ["inspect", "shop.tar", "--key", "release.pub", "--json"];
    let report = json_of(&project.run(&inspect));
    let platform = |name: &str| {
        let platforms = report["sboms"].as_array().unwrap();
        let found = platforms.iter().find(|found| found["platform"] == name);
        found.unwrap()["sboms"].clone()
    };
    assert_eq!(platform("linux/amd64")[0]["source"], "generated");
    assert!(
        platform("linux/amd64")[0]["tool"]
            .as_str()
            .unwrap()
            .starts_with("syft 1.")
    );
    assert_eq!(platform("linux/arm64")[0]["source"], "referrer");
    ends_with(&project.run(&VERIFY), 0);
    let page = project.report_page();
    assert!(page.contains("CycloneDX, generated by syft 1."), "{page}");
    let evidence = [
        "evidence",
        "shop.tar",
        "--key",
        "release.pub",
        "--output",
        "evidence",
    ];
    ends_with(&project.run(&evidence), 0);
    assert_eq!(
        read(&format!("evidence/sboms/shop/sha256-{name}.json")),
        *bytes
    );
}

#[test]
fn diff_and_the_page_know_the_packages_from_generated_sboms() {
    let mut shop = Shop::new(&[("zlib", "Zlib"), ("musl", "MIT")]);
    shop.locked();
    shop.project.build("old.tar");
    shop.put(&[("zlib", "Zlib"), ("busybox", "GPL-2.0-only")]);
    shop.locked();
    shop.project.build("shop.tar");
    let said = shop
        .project
        .run(&["diff", "old.tar", "shop.tar", "--key", "release.pub"]);
    let said = String::from_utf8(said.stdout).unwrap();
    for name in ["busybox", "musl"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!said.contains("zlib"), "{said}");
    let page = shop.project.report_page();
    assert!(
        !page.contains("Which packages are inside is not known"),
        "{page}"
    );
}

#[test]
fn locking_elsewhere_and_again_gives_the_same_bytes() {
    let packages = [("zlib", "Zlib"), ("musl", "MIT")];
    let [one, other] = [Shop::new(&packages), Shop::new(&packages)];
    one.locked();
    other.locked();
    assert_eq!(one.files().len(), 2);
    assert_eq!(one.files(), other.files());
    assert_eq!(one.lock_text(), other.lock_text());
    let address = one.project.registry.host();
    for (_, bytes) in one.files() {
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            !text.contains("127.0.0.1") && !text.contains(&address),
            "{text}"
        );
    }
    // The layers are not fetched again for what is there.
    one.project.registry.forget_requests();
    let said = one.locked();
    assert!(said.contains("is up to date"), "{said}");
    assert!(one.project.registry.requests_to("/blobs/").is_empty());
}

#[test]
fn a_lock_without_syft_keeps_what_there_is_and_another_image_loses_it() {
    let mut shop = Shop::new(&[("zlib", "Zlib")]);
    shop.locked();
    let (lock, files) = (shop.lock_text(), shop.files());
    ends_with(&shop.lock(&[]), 0);
    assert_eq!((shop.lock_text(), shop.files()), (lock, files));
    // New referrers come in the night: that is a note, and the SBOM of the lock stays meant.
    shop.publish_sbom(&shop.children[0]);
    let said = ends_with(&shop.lock(&["--check"]), 0);
    assert!(said.contains("note "), "{said}");
    let said = shop.locked();
    assert!(!said.contains("  SBOM of linux/amd64"), "{said}");
    assert_eq!(shop.files().len(), 1);
    shop.put(&[("zlib", "Zlib"), ("musl", "MIT")]);
    ends_with(&shop.lock(&[]), 0);
    assert!(shop.lock_text().contains("formatVersion: 1\n"));
    assert_eq!(shop.files(), []);
}

#[test]
fn a_file_that_is_gone_or_changed_is_named_with_what_to_do_and_generated_again() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    shop.locked();
    let files = shop.files();
    let path = shop.project.path(format!("{LOCK}.d/sha256/{}", files[0].0));
    let build = shop.project.build_arguments("shop.tar");
    let refuses = |code: i32| {
        for output in [
            shop.project.run(&build),
            shop.lock(&["--check"]),
            shop.lock(&[]),
        ] {
            let said = ends_with(&output, code);
            assert!(
                said.contains(&files[0].0) && said.contains("run `rune-bundle lock --syft`"),
                "{said}"
            );
        }
    };
    let mut changed = files[0].1.clone();
    *changed.last_mut().unwrap() = b' ';
    fs::write(&path, changed).unwrap();
    refuses(5);
    fs::remove_file(&path).unwrap();
    refuses(4);
    let lock = shop.lock_text();
    shop.locked();
    assert_eq!((shop.files(), shop.lock_text()), (files, lock));
}

#[test]
fn a_syft_that_fails_or_prints_something_else_leaves_everything_as_it_was() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    let about_another = r#"echo '{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"name":"x","version":"1"}}}'"#;
    for (script, word) in [
        ("echo broken >&2; exit 3", "broken"),
        ("echo rubbish", "it is not JSON"),
        ("echo '{}'", "it is not a CycloneDX 1.6 document"),
        (about_another, "it is about something else than the image"),
    ] {
        let program = option(&shop.program(script));
        let said = ends_with(&shop.lock(&[&program]), 3);
        assert!(said.contains(word) && said.contains("help: "), "{said}");
        assert!(!shop.project.path(LOCK).exists() && shop.files().is_empty());
    }
    shop.locked();
    let before = (shop.lock_text(), shop.files());
    let program = option(&shop.program("exit 1"));
    ends_with(&shop.lock(&[&program]), 3);
    assert_eq!((shop.lock_text(), shop.files()), before);
}

#[test]
fn what_the_registry_does_not_give_is_the_error_and_not_that_of_syft() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    let layer = shop.children[0].clone();
    ends_with(&shop.lock(&[]), 0);
    let registry = &shop.project.registry;
    let (_, manifest) = registry.manifest(REPOSITORY, &layer).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let blob = manifest["layers"][0]["digest"].as_str().unwrap();
    let lock = shop.lock_text();
    registry.fault(Fault::on("GET", &format!("*{blob}")).always().status(403));
    let said = ends_with(&shop.lock(&[&with_syft()]), 9);
    assert!(
        said.contains(blob) && !said.contains("syft cannot"),
        "{said}"
    );
    assert_eq!((shop.lock_text(), shop.files()), (lock, Vec::new()));
}

#[test]
fn syft_is_run_only_when_it_is_asked_for_and_a_policy_refuses_without() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    shop.policy("sboms: [{ match: '**' }]\n");
    let said = ends_with(&shop.lock(&[]), 8);
    assert!(said.contains("generate the SBOMs with --syft"), "{said}");
    let mut nowhere =
        shop.project
            .command(&["lock", "--registry-config", "registries.yaml", "--syft"]);
    let said = ends_with(&nowhere.env("PATH", "/nonexistent").output().unwrap(), 4);
    assert!(
        said.contains("`syft` was not found in PATH") && said.contains("--syft=FILE"),
        "{said}"
    );
    let said = ends_with(&shop.lock(&["--syft=/bin/true"]), 4);
    assert!(said.contains("is not syft"), "{said}");
    ends_with(&shop.lock(&["--syft", "--check"]), 2);
    assert!(!shop.project.path(LOCK).exists());
    // Without a name it is that of PATH.
    let syft = tool("syft");
    let directory = syft.parent().unwrap();
    let mut in_path =
        shop.project
            .command(&["lock", "--registry-config", "registries.yaml", "--syft"]);
    ends_with(&in_path.env("PATH", directory).output().unwrap(), 0);
    assert_eq!(shop.files().len(), 2);
}

/// Counts who connects.
fn proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    thread::spawn(move || {
        for _ in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

#[test]
fn syft_gets_no_credentials_and_asks_loopback_alone() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    let (port, count) = proxy();
    let seen = shop.project.path("environment");
    // What would leave the machine goes to a proxy that counts; Go asks none about loopback.
    let run = |check: &str| {
        let script = format!(
            "env > {}\nexport HTTP_PROXY=http://127.0.0.1:{port} HTTPS_PROXY=http://127.0.0.1:{port} {check}\nexec {} \"$@\"",
            seen.display(),
            tool("syft").display(),
        );
        let program = option(&shop.program(&script));
        let mut lock =
            shop.project
                .command(&["lock", "--registry-config", "registries.yaml", &program]);
        lock.env("RUNE_TEST_SECRET", "topsecret")
            .env("HTTPS_PROXY", "http://proxy.example:1");
        ends_with(&lock.output().unwrap(), 0);
    };
    run("");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let environment = fs::read_to_string(&seen).unwrap();
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    for name in &names {
        let is_known = name.starts_with("SYFT_")
            || name.to_ascii_uppercase().ends_with("_PROXY")
            || [
                "HOME", "TMPDIR", "PATH", "LC_ALL", "PWD", "_", "SHLVL", "OLDPWD",
            ]
            .contains(name);
        assert!(is_known, "{environment}");
    }
    for word in ["topsecret", "proxy.example"] {
        assert!(!environment.contains(word), "{environment}");
    }
    let home = shop.project.path("");
    assert!(
        !environment.contains(&format!("HOME={}", home.display())),
        "{environment}"
    );
    assert!(environment.contains("SYFT_CHECK_FOR_APP_UPDATE=false\n"));
    // The proxy would have seen it: with the check for updates syft goes out.
    fs::remove_dir_all(shop.project.path(format!("{LOCK}.d"))).unwrap();
    run("SYFT_CHECK_FOR_APP_UPDATE=true");
    assert!(count.load(Ordering::SeqCst) > 0);
}

#[test]
fn others_on_the_machine_get_nothing_of_the_image_that_syft_gets() {
    let shop = Shop::new(&[("zlib", "Zlib")]);
    let answers = shop.project.path("answers");
    let script = format!(
        "for last; do :; done\nimage=${{last#registry:}}\nhost=${{image%%/*}}\ndigest=${{image#*@}}\n\
         curl --noproxy '*' -s -o /dev/null -w '%{{http_code}}\\n' http://$host/v2/image/manifests/$digest >> {answers}\n\
         curl --noproxy '*' -s -o /dev/null -w '%{{http_code}}\\n' -u syft:guess http://$host/v2/ >> {answers}\n\
         curl --noproxy '*' -s -o /dev/null -w '%{{http_code}}\\n' -u syft:$SYFT_REGISTRY_AUTH_PASSWORD http://$host/v2/image/manifests/$digest >> {answers}\n\
         curl --noproxy '*' -s -o /dev/null -w '%{{http_code}}\\n' -u syft:$SYFT_REGISTRY_AUTH_PASSWORD http://$host/v2/image/manifests/sha256:{zeros} >> {answers}\n\
         exit 1",
        answers = answers.display(),
        zeros = "0".repeat(64),
    );
    let program = option(&shop.program(&script));
    ends_with(&shop.lock(&[&program]), 3);
    assert_eq!(fs::read_to_string(answers).unwrap(), "401\n401\n200\n404\n");
}
