//! What a large build costs, as the kernel counts it: bytes written, bytes read, memory.

use std::{path::Path, process::Command};

use rune_bundle::oci::{Descriptor, media_type};
use rune_testkit::sized;
use serde_json::{Value, json};

use super::large_bundle;
use crate::{
    bundle::foreign_support::Distribution,
    bundle::project::Project,
    bundle::small_bundle::{Scratch, ends_with},
};

const LAYER_BYTES: usize = 128 << 20;

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nimages:\n  \
    - { name: large, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

/// Runs a command and says what the kernel counted: `/proc/<pid>/io` and the peak of its memory.
const COUNT: &str = "
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
counted = {key: int(value) for key, value in (line.split(': ') for line in open(f'/proc/{pid}/io').read().splitlines())}
_, status, usage = os.wait4(pid, 0)
print(json.dumps(counted | {'max_rss_bytes': usage.ru_maxrss * 1024}))
sys.exit(os.waitstatus_to_exitcode(status))
";

/// Layers of an image that is several times larger than the memory that anything here may take; in
/// full 2 GiB.
fn layers() -> u8 {
    sized(5, 16)
}

/// A project with one large image.
fn large_project() -> Project {
    let project = Project::with_manifest(MANIFEST);
    let put = |media_type: &str, bytes: Vec<u8>| {
        project.registry.put_blob("library/postgres", &bytes);
        Descriptor::of(media_type, &bytes)
    };
    let layers: Vec<Descriptor> = (0..layers())
        .map(|layer| {
            put(
                "application/vnd.oci.image.layer.v1.tar",
                vec![layer; LAYER_BYTES],
            )
        })
        .collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = put(media_type::CONFIG, serde_json::to_vec(&config).unwrap());
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": layers});
    let manifest = serde_json::to_vec(&manifest).unwrap();
    project.registry.put_manifest(
        "library/postgres",
        Some("17-alpine"),
        media_type::MANIFEST,
        &manifest,
    );
    project.lock();
    project
}

pub(super) fn counted(directory: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new("python3");
    command
        .args(["-c", COUNT, env!("CARGO_BIN_EXE_rune-bundle")])
        .args(arguments)
        .current_dir(directory);
    // Not in the state directory of whoever runs the tests.
    command.env(
        "RUNE_BUNDLE_RECEIPTS",
        directory.join("rune-bundle-receipts"),
    );
    let output = command.output().unwrap();
    let said = ends_with(&output, 0);
    serde_json::from_str(said.lines().next().unwrap())
        .unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn a_large_build_writes_each_byte_once_reads_none_back_and_stays_small() {
    let project = large_project();
    std::fs::create_dir(project.path("out")).unwrap();
    let counts = counted(&project.path("."), &project.build_arguments("out/x.tar"));
    let bundle = std::fs::metadata(project.path("out/x.tar")).unwrap().len();
    assert!(bundle > u64::from(layers()) * LAYER_BYTES as u64);
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert!(
        count("wchar") <= bundle / 100 * 101,
        "{} bytes written for a bundle of {bundle}",
        count("wchar")
    );
    assert!(
        count("wchar") >= bundle,
        "the kernel counted less than the bundle has: {counts}"
    );
    assert!(
        count("rchar") < bundle / 100,
        "{} bytes read",
        count("rchar")
    );
    assert!(
        count("read_bytes") < bundle / 100,
        "{} bytes read from the disk",
        count("read_bytes")
    );
    assert!(
        count("max_rss_bytes") < 100_000_000,
        "{} bytes of memory for build",
        count("max_rss_bytes")
    );
    assert_eq!(
        std::fs::read_dir(project.path("out")).unwrap().count(),
        1,
        "another file was left"
    );
}

#[test]
fn verifying_and_pushing_a_large_bundle_leaves_a_receipt_and_stays_small() {
    let scratch = Scratch::new();
    let (file, _) = large_bundle(&scratch);
    let (file, names) = (file.to_str().unwrap(), scratch.names());
    let registry = Distribution::start("plain");
    let directory = tempfile::tempdir().unwrap();
    let key = scratch.path("key.pub");
    let trusted = [file, "--key", key.to_str().unwrap()];
    for (arguments, memory) in [
        (&["verify"][..], 64_000_000),
        (&["push", registry.host()], 100_000_000),
    ] {
        let (verb, more) = arguments.split_first().unwrap();
        let counts = counted(
            directory.path(),
            &[&[*verb], &trusted[..1], more, &trusted[1..]].concat(),
        );
        let count = |name: &str| counts[name].as_u64().unwrap();
        assert!(
            count("write_bytes") < 1 << 20,
            "{} bytes written to the disk by {verb}: {counts}",
            count("write_bytes")
        );
        assert!(
            count("max_rss_bytes") < memory,
            "{} bytes of memory for {verb}",
            count("max_rss_bytes")
        );
    }
    assert_eq!(scratch.names(), names);
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["rune-bundle-receipts"]);
}

/// A client of containerd that takes everything, and has afterwards what it was given.
fn swallowing_client(project: &Project) -> String {
    let digest = crate::bundle::small_bundle::index_of(&project.path("x.tar")).images[0]
        .target
        .digest;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*' import '*) cat >/dev/null; : >\"$0.imported\";;\n*' check '*) [ -e \"$0.imported\" ] || exit 0\n\
         for argument; do case $argument in name==*) echo \"${{argument#name==}} type {digest} complete (1/1) true\";; esac; done;;\nesac\n"
    );
    let path = project.path("client");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn loading_a_large_bundle_writes_nothing_or_each_byte_once_and_stays_small() {
    let project = large_project();
    project.build("x.tar");
    let client = swallowing_client(&project);
    let socket = project.path("socket").to_str().unwrap().to_owned();
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::create_dir(project.path("images")).unwrap();
    let bundle = std::fs::metadata(project.path("x.tar")).unwrap().len();
    let trusted = [
        "load",
        "x.tar",
        "--key",
        "release.pub",
        "--platform",
        "linux/amd64",
    ];
    for (destination, is_written) in [
        (&["--images-dir", "images"][..], true),
        (&["--address", &socket, "--ctr", &client], false),
    ] {
        let counts = counted(&project.path("."), &[&trusted[..], destination].concat());
        let count = |name: &str| counts[name].as_u64().unwrap();
        // What a client writes counts too; the one here writes it to nowhere.
        let written = if is_written {
            count("wchar")
        } else {
            count("write_bytes")
        };
        let allowed = if is_written {
            bundle / 100 * 101
        } else {
            1 << 20
        };
        assert!(
            written <= allowed,
            "{written} bytes written for a bundle of {bundle}: {counts}"
        );
        assert!(
            count("max_rss_bytes") < 64_000_000,
            "{} bytes of memory",
            count("max_rss_bytes")
        );
    }
    assert_eq!(
        std::fs::read_dir(project.path("images")).unwrap().count(),
        1,
        "another file was left"
    );
}
