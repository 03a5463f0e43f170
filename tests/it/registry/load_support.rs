//! What the tests of `load` and `mirror` share: a containerd, small bundles, an image that runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flate2::{Compression, write::GzEncoder};
use rune_testkit::{
    process::Process,
    sample::{Document, Image, Sample},
    sha256,
};
use serde_json::{Value, json};

use crate::{
    bundle::foreign_support::Foreign,
    bundle::project::{Project, repository},
    bundle::small_bundle::{ends_with, entries_of, rune_bundle},
};
use rune_testkit::process::succeeded;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A containerd with nothing in it, and its client.
pub(crate) struct Containerd {
    tools: Foreign,
    address: String,
    _process: Process,
}

impl Containerd {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that discards the layers of what is pulled as soon as they are unpacked.
    pub(crate) fn discarding() -> Self {
        Self::start_with(&["--discard-unpacked-layers"])
    }

    fn start_with(options: &[&str]) -> Self {
        let tools = Foreign::new();
        let directory = tools.path("c");
        let arguments = [&[directory.to_str().unwrap()], options].concat();
        let (process, announced) =
            Process::start_announced(repository().join("tools/containerd/start"), arguments);
        Self {
            address: announced["address"].as_str().unwrap().to_owned(),
            tools,
            _process: process,
        }
    }

    /// One whose disk has `bytes` bytes.
    pub(crate) fn with_a_disk_of(bytes: u64) -> Self {
        let tools = Foreign::new();
        let directory = tools.path("c");
        fs::create_dir(&directory).unwrap();
        let script = format!("mount -t tmpfs -o size={bytes} tmpfs \"$1\" && exec \"$0\" \"$1\"");
        let start = repository().join("tools/containerd/start");
        let arguments = [
            "--mount",
            "sh",
            "-c",
            &script,
            start.to_str().unwrap(),
            directory.to_str().unwrap(),
        ];
        let (process, announced) = Process::start_announced("unshare", arguments);
        // It has mounts of its own, which only its process shows.
        let address = format!(
            "/proc/{}/root{}",
            process.id(),
            announced["address"].as_str().unwrap()
        );
        Self {
            tools,
            address,
            _process: process,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs `ctr` in the namespace of the kubelet.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> String {
        let namespace = ["--address", &self.address, "--namespace", "k8s.io"];
        self.tools.run(
            "ctr",
            namespace.into_iter().chain(arguments.iter().copied()),
        )
    }

    /// Pulls an image as a kubelet does.
    pub(crate) fn pull_as_kubelet(&self, image: &str) {
        // PullImageRequest with an ImageSpec with a name, in the frame of gRPC.
        let field = |bytes: &[u8]| [&[0x0a, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let request = field(&field(image.as_bytes()));
        let length = u32::try_from(request.len()).unwrap().to_be_bytes();
        let body = self.tools.path("request");
        fs::write(&body, [&[0], &length[..], &request].concat()).unwrap();
        let (header, body) = ("content-type: application/grpc", body.to_str().unwrap());
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--include",
                "--http2-prior-knowledge",
            ])
            .args([
                "--unix-socket",
                &self.address,
                "--output",
                "-",
                "-H",
                header,
            ])
            .args(["-H", "te: trailers", "--data-binary", &format!("@{body}")])
            .arg("http://localhost/runtime.v1.ImageService/PullImage")
            .output();
        let said = ends_with(&output.unwrap(), 0);
        assert!(said.contains("grpc-status: 0"), "{said}");
    }

    /// Waits until everything is deleted that nothing refers to.
    pub(crate) fn collect_garbage(&self) {
        let lease = self.ctr(&["leases", "create"]);
        self.ctr(&["leases", "rm", "--sync", lease.trim()]);
    }

    /// A file below its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tools.path("c").join(name)
    }

    /// A content, as its own client gives it.
    pub(crate) fn read(&self, digest: &str) -> Vec<u8> {
        let get = [
            "--address",
            &self.address,
            "--namespace",
            "k8s.io",
            "content",
            "get",
            digest,
        ];
        let output = Command::new("ctr").args(get).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// The digests of everything in the content store.
    pub(crate) fn contents(&self) -> BTreeSet<String> {
        let list = self.ctr(&["content", "ls", "--quiet"]);
        list.lines().map(str::to_owned).collect()
    }

    /// Every name, with its digest.
    pub(crate) fn names(&self) -> BTreeMap<String, String> {
        let list = self.ctr(&["images", "ls"]);
        let row = |line: &str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            (columns[0].to_owned(), columns[2].to_owned())
        };
        list.lines().skip(1).map(row).collect()
    }

    /// Runs `rune-bundle load` into it.
    pub(crate) fn load(&self, arguments: &[&str]) -> Output {
        load(&[&["--address", &self.address], arguments].concat())
    }
}

/// Runs `rune-bundle load`, with `ctr` in PATH.
pub(crate) fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .arg("load")
        .args(arguments)
        .output()
        .unwrap()
}

/// The report of a command that must end with this code.
pub(crate) fn report(output: &Output, code: i32) -> Value {
    ends_with(output, code);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The example manifest with sample images, locked and built with these platforms.
pub(crate) fn built(platforms: &str) -> Project {
    let project = with_samples(platforms);
    project.build("bundle.tar");
    project
}

/// The same as `old.tar`, and as `new.tar` with another layer in one of its images; and `delta.tar`
/// between them.
pub(crate) fn built_twice(platforms: &str) -> Project {
    let project = with_samples(platforms);
    project.build("old.tar");
    let layer_bytes = [Sample::default().layer_bytes, vec![70_000]].concat();
    put_sample(&project, POSTGRES, layer_bytes);
    project.lock();
    project.build("new.tar");
    let delta = ["delta", "--base", "old.tar", "new.tar", "-o", "delta.tar"];
    succeeded(&mut project.command(&[&delta[..], &["--key", "release.pub"]].concat()));
    project
}

const POSTGRES: (&str, &str) = ("library/postgres", "17-alpine");

fn put_sample(project: &Project, (repository, tag): (&str, &str), layer_bytes: Vec<usize>) {
    // What a machine for amd64 could run besides.
    let mut platforms = Sample::default().platforms;
    platforms.push(("linux", "386", None));
    let sample = Sample {
        seed: repository.to_owned(),
        platforms,
        layer_bytes,
        ..Sample::default()
    };
    project.put(repository, tag, &sample);
}

fn with_samples(platforms: &str) -> Project {
    let manifest = fs::read_to_string(repository().join("bundle-manifests/rune.yaml")).unwrap();
    let project = Project::with_manifest(&manifest.replacen(
        "platforms: all",
        &format!("platforms: {platforms}"),
        1,
    ));
    for image in [POSTGRES, ("lpasquali/rune", "v0.0.0a6")] {
        put_sample(&project, image, Sample::default().layer_bytes);
    }
    project.lock();
    project
}

/// The path of a file of a project, and of its key.
pub(crate) fn with_key(project: &Project, bundle: &str) -> [String; 3] {
    let path = |name: &str| project.path(name).to_str().unwrap().to_owned();
    [path(bundle), "--key".to_owned(), path("release.pub")]
}

/// A content of a bundle, as the `tar` crate finds it.
pub(crate) fn content(bundle: &Path, digest: &str) -> Vec<u8> {
    let hex = digest.trim_start_matches("sha256:");
    let entries = entries_of(bundle);
    let entry = entries.iter().find(|entry| entry.name.ends_with(hex));
    let entry = entry.unwrap();
    let bytes = fs::read(bundle).unwrap();
    let range = usize::try_from(entry.content).unwrap()..;
    bytes[range][..usize::try_from(entry.size).unwrap()].to_vec()
}

/// Writes a copy of a bundle with one bit flipped in the middle of an entry.
pub(crate) fn damaged(bundle: &Path, entry: &str) -> PathBuf {
    let copy = bundle.with_file_name("damaged.tar");
    fs::copy(bundle, &copy).unwrap();
    let entry = entries_of(bundle)
        .into_iter()
        .find(|found| found.name == entry)
        .unwrap();
    let (file, at) = (
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&copy)
            .unwrap(),
        entry.content + entry.size / 2,
    );
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    copy
}

/// A project whose one image is a program that waits, for amd64; the other platform of its index
/// does not run.
pub(crate) fn waiting(reference: &str, platforms: &str) -> (Project, String) {
    let manifest = format!(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: waiting\nversion: 1.0.0\nplatforms: {platforms}\nimages:\n  \
         - {{ name: waiting, reference: '{reference}', license: Apache-2.0 }}\npolicy: bundle-manifests/policy.yaml\n"
    );
    let project = Project::with_manifest(&manifest);
    let (host, name) = reference.split_once('/').unwrap();
    let (repository, tag) = name.split_once(':').unwrap();
    allow(&project, host);
    fs::write(
        project.path("registries.yaml"),
        json!({"mirrors": {host: {"endpoint": [project.registry.url()]}}}).to_string(),
    )
    .unwrap();
    let image = waiting_image(reference);
    project.registry.put_image(repository, tag, &image);
    project.lock();
    project.build("bundle.tar");
    (project, image.index.digest())
}

/// Lets the policy of a project accept images of a host.
fn allow(project: &Project, host: &str) {
    let path = project.path("bundle-manifests/policy.yaml");
    let policy = fs::read_to_string(&path).unwrap();
    let allowed = "    - docker.io/library/*\n";
    assert!(policy.contains(allowed), "{policy}");
    fs::write(
        path,
        policy.replacen(allowed, &format!("{allowed}    - {host}/**\n"), 1),
    )
    .unwrap();
}

/// The program is the one that holds the sandboxes of pods.
fn waiting_image(seed: &str) -> Image {
    let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    );
    let program = fs::read(tools.join("kubernetes/bin/pause")).unwrap();
    let mut image = Image {
        index: document(INDEX, &json!({})),
        manifests: Vec::new(),
        blobs: Vec::new(),
    };
    let mut entries = Vec::new();
    for (architecture, program) in [
        ("amd64", program.as_slice()),
        ("386", b"no program"),
        ("arm64", b"none either"),
    ] {
        let (tar, layer) = layer(program);
        let config = json!({
            "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha256(&tar)]},
            "config": {"User": "65532:65532", "Entrypoint": ["/wait"], "Labels": {"seed": seed}},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let part = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, &config), "layers": [part(LAYER, &layer)],
        });
        let manifest = document(MANIFEST, &manifest);
        let mut entry = part(MANIFEST, &manifest.bytes);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
        image.manifests.push(manifest);
        image.blobs.extend([config, layer]);
    }
    image.index = document(
        INDEX,
        &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}),
    );
    image
}

fn document(media_type: &'static str, value: &Value) -> Document {
    Document {
        media_type,
        bytes: serde_json::to_vec(value).unwrap(),
    }
}

/// A layer with one program: its tar, and that compressed.
fn layer(program: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, "wait", program).unwrap();
    let tar = builder.into_inner().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    (tar, encoder.finish().unwrap())
}

/// Runs `rune-bundle` where a directory is on a disk of so many bytes.
pub(crate) fn on_a_disk_of(bytes: u64, directory: &Path, arguments: &[&str]) -> Output {
    let script = format!("mount -t tmpfs -o size={bytes} tmpfs \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &script])
        .arg(directory)
        .arg(env!("CARGO_BIN_EXE_rune-bundle"));
    command.args(arguments).output().unwrap()
}

/// Unpacks the bundle of a project into `unpacked`.
pub(crate) fn unpack(project: &Project) -> PathBuf {
    succeeded(&mut project.command(&["unpack", "bundle.tar", "unpacked", "--key", "release.pub"]));
    project.path("unpacked")
}

/// Runs `rune-bundle mirror` on the bundle of a project.
pub(crate) fn mirror(project: &Project, format: &str, arguments: &[&str]) -> Output {
    let [bundle, key, file] = with_key(project, "bundle.tar");
    rune_bundle(
        ["mirror", format, &bundle, &key, &file]
            .into_iter()
            .chain(arguments.iter().copied()),
    )
}
