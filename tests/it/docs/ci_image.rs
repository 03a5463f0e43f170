//! The image of `docs/operations/ci.md`, built by the program from the manifest in this project: its programs run under runc, as docker and the runner of
//! GitLab would have them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use rune_testkit::{process::succeeded, sample::Sample};
use serde_json::{Value, json};

use super::{
    ci::{Checkout, Forge, GITLAB_REPORT, MANIFEST, PAGE},
    cluster::commands,
};
use crate::{
    bundle::{foreign_containers::runc, foreign_support::Foreign, small_bundle::ends_with},
    charts::support::{in_tools_env, tool},
    cluster::support::stripped,
};

/// The image out of the registry that it was pushed to, unpacked for runc as `image`.
struct CiImage {
    tools: Foreign,
}

impl CiImage {
    /// Builds and pushes the image in the project of a checkout.
    fn new(checkout: &Checkout) -> Self {
        let sandbox = &checkout.sandbox;
        fs::write(sandbox.path("dist/rune-bundle"), stripped("rune-bundle")).unwrap();
        fs::create_dir(sandbox.path("linux-amd64")).unwrap();
        fs::copy(tool("helm4"), sandbox.path("linux-amd64/helm")).unwrap();
        let target = format!("{}/ci", sandbox.registry());
        let manifest = "bundle-manifests/ci-image.yaml";
        let bundle = "ci-image-0.1.0.bundle.tar";
        fs::copy(checkout.path("release.pub"), sandbox.path("release.pub")).unwrap();
        for arguments in [
            &["lock", manifest][..],
            &["build", manifest, "--key", "release.key"],
            &["push", bundle, &target, "--key", "release.pub"],
        ] {
            let output = sandbox.command("rune-bundle").args(arguments).output();
            ends_with(&output.unwrap(), 0);
        }
        let tools = Foreign::new();
        let source = format!("docker://{target}/lpasquali/rune-bundle:0.1.0");
        let copy = [
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &source,
            "oci:layout:image",
        ];
        tools.run("skopeo", copy);
        tools.run("umoci", ["unpack", "--image", "layout:image", "image"]);
        Self { tools }
    }

    fn configuration(&self) -> Value {
        serde_json::from_slice(&fs::read(self.tools.path("image/config.json")).unwrap()).unwrap()
    }

    /// Runs a container, with more than the image says.
    fn run(&self, change: impl FnOnce(&mut Value)) -> Output {
        let original = self.configuration();
        let mut config = original.clone();
        config["process"]["terminal"] = json!(false);
        // The registry is on this machine.
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "network");
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        change(&mut config);
        let path = self.tools.path("image/config.json");
        fs::write(&path, config.to_string()).unwrap();
        let output = runc(&self.tools, "image").output().unwrap();
        fs::write(path, original.to_string()).unwrap();
        output
    }
}

fn extend(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    list.as_array_mut().unwrap().extend(more);
}

/// Adds a file or directory of this machine, as `docker run --volume` does.
fn mount(config: &mut Value, source: &Path, destination: &str) {
    let mount = json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]});
    extend(&mut config["mounts"], [mount]);
}

/// Lets the container find the registries of the test, which the page does not show.
fn introduce_registries(config: &mut Value, checkout: &Checkout) {
    mount(
        config,
        &checkout.sandbox.equipment("registries.yaml"),
        "/registries.yaml",
    );
    extend(
        &mut config["process"]["env"],
        [json!("RUNE_BUNDLE_REGISTRY_CONFIG=/registries.yaml")],
    );
}

/// What a shell gives to `docker` of a command of the page.
fn arguments_of_docker(checkout: &Checkout, command: &str) -> Vec<String> {
    let docker = checkout.sandbox.equipment("bin/docker");
    let said = checkout.sandbox.equipment("docker-arguments");
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}\n", said.display());
    fs::write(&docker, script).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let image = [("RUNE_BUNDLE_IMAGE", "the-image")];
    ends_with(&checkout.run(command, &image), 0);
    let said = fs::read_to_string(said).unwrap();
    said.lines().map(str::to_owned).collect()
}

/// Does with runc what `docker run` is asked for.
fn docker_run(config: &mut Value, arguments: &[String]) {
    let mut arguments = arguments.iter();
    assert_eq!(arguments.next().unwrap(), "run");
    loop {
        let option = arguments.next().unwrap();
        if option == "--rm" {
            continue;
        }
        if !option.starts_with("--") {
            assert_eq!(option, "the-image");
            break;
        }
        let value = arguments.next().unwrap();
        match option.as_str() {
            "--user" => {
                let (user, group) = value.split_once(':').unwrap();
                let [user, group] = [user, group].map(|id| id.parse::<u32>().unwrap());
                config["process"]["user"] = json!({"uid": user, "gid": group});
            }
            "--volume" => {
                let (source, destination) = value.rsplit_once(':').unwrap();
                mount(config, Path::new(source), destination);
            }
            "--workdir" => config["process"]["cwd"] = json!(value),
            "--env" if value == "RUNE_BUNDLE_ANNOTATE" => {
                extend(
                    &mut config["process"]["env"],
                    [json!("RUNE_BUNDLE_ANNOTATE=github")],
                );
            }
            "--env" => extend(&mut config["process"]["env"], [json!(value)]),
            _ => panic!("docker run {option}"),
        }
    }
    extend(
        &mut config["process"]["args"],
        arguments.map(|argument| json!(argument)),
    );
}

#[test]
fn the_image_runs_the_check_of_the_page_with_its_own_helm_where_docker_is() {
    let checkout = Checkout::new(Forge::Github);
    let image = CiImage::new(&checkout);
    let root = image.tools.path("image/rootfs");
    let listing = ["-type", "f", "-printf", "%m %P\n"];
    let listing = succeeded(Command::new("find").arg(&root).args(listing));
    let mut files: Vec<&str> = listing.lines().collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "644 etc/ssl/certs/ca-certificates.crt",
            "755 usr/local/bin/helm",
            "755 usr/local/bin/rune-bundle"
        ]
    );

    let version = image.run(|config| extend(&mut config["process"]["args"], [json!("--version")]));
    assert!(ends_with(&version, 0).starts_with("rune-bundle "));

    let command = commands(PAGE, "docker run ");
    let arguments = arguments_of_docker(&checkout, &command);
    let check = || {
        image.run(|config| {
            docker_run(config, &arguments);
            introduce_registries(config, &checkout);
        })
    };
    let said = ends_with(&check(), 0);
    assert!(said.contains("is up to date"), "{said}");

    let moved = Sample {
        seed: "moved".to_owned(),
        ..Sample::default()
    };
    checkout.sandbox.put("library/redis", "7.2", &moved);
    let said = ends_with(&check(), 5);
    assert!(
        said.contains(&format!("::error file={MANIFEST},line=")),
        "{said}"
    );
}

/// The static busybox of the image of PostgreSQL that the tests have.
fn shell() -> Vec<u8> {
    let tools = Foreign::new();
    let image = in_tools_env("echo $RUNE_TOOLS/images/postgres-17-alpine");
    let source = format!("oci:{}", image.trim());
    let copy = [
        "copy",
        "--quiet",
        "--override-arch",
        "amd64",
        &source,
        "oci:layout:image",
    ];
    tools.run("skopeo", copy);
    tools.run("umoci", ["unpack", "--image", "layout:image", "image"]);
    fs::read(tools.path("image/rootfs/usr/bin/busybox")).unwrap()
}

#[test]
fn with_a_shell_in_it_the_image_runs_the_job_of_the_page_as_gitlab_does() {
    let checkout = Checkout::new(Forge::Gitlab);
    let sandbox = &checkout.sandbox;
    fs::write(sandbox.path("sh"), shell()).unwrap();
    let replace = |file: &str, from: &str, to: &str| {
        let path = sandbox.path(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let manifest = "bundle-manifests/ci-image.yaml";
    replace(manifest, "linux-amd64/helm]", "linux-amd64/helm, sh]");
    replace(
        manifest,
        "license: Apache-2.0",
        "license: Apache-2.0 AND GPL-2.0-only",
    );
    let policy = "bundle-manifests/policy.yaml";
    let waiver = "waivers:\n  - { rule: licenses, match: ghcr.io/lpasquali/rune-bundle, reason: a shell for CI, until: 0.2.0 }\n# waivers:\n";
    replace(policy, "# waivers:\n", waiver);
    let image = CiImage::new(&checkout);

    let moved = Sample {
        seed: "moved".to_owned(),
        ..Sample::default()
    };
    sandbox.put("library/redis", "7.2", &moved);
    let script = Forge::Gitlab.drift();
    let output = image.run(|config| {
        let process = &mut config["process"];
        // `entrypoint: [""]`, and root, as the runner has it.
        process["args"] = json!(["sh", "-c", script]);
        process["user"] = json!({"uid": 0, "gid": 0});
        process["cwd"] = json!("/builds");
        let variables = [
            format!("MANIFEST={MANIFEST}"),
            "RUNE_BUNDLE_ANNOTATE=gitlab".to_owned(),
        ];
        extend(&mut process["env"], variables.map(|text| json!(text)));
        mount(config, &checkout.path("."), "/builds");
        introduce_registries(config, &checkout);
    });
    ends_with(&output, 5);
    let report = fs::read_to_string(checkout.path(GITLAB_REPORT)).unwrap();
    assert!(report.contains(MANIFEST), "{report}");
}
