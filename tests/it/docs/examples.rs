//! Every example of the help is typed into a shell, in a project with a signed bundle and a
//! registry.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use rune_bundle::cli::GUIDE;
use rustix::process::{Pid, Signal, kill_process};

use super::sandbox::Sandbox;
use crate::bundle::small_bundle::ends_with;

/// Examples that need what a sandbox does not have, and the test that runs the same.
const RUN_ELSEWHERE: [(&str, &str); 16] = [
    (
        "rune-bundle receipts verify --receipts /var/lib/rune-bundle/receipts --key site.pub",
        "docs::console",
    ),
    (
        "rune-bundle scan rune-0.1.0.bundle.tar --key release.pub",
        "docs::console",
    ),
    (
        "rune-bundle scan rune-0.1.0.bundle.tar --key release.pub --fail-on high",
        "docs::console",
    ),
    (
        "rune-bundle load rune-0.1.0.bundle.tar --key release.pub",
        "registry::load_containerd",
    ),
    (
        "rune-bundle login registry.example:5000 --username alice",
        "registry::login",
    ),
    (
        "rune-bundle install rune-0.1.0.bundle.tar --key release.pub --namespace rune --dry-run",
        "cluster::install",
    ),
    (
        "rune-bundle install rune-0.1.0.bundle.tar --trust trust.yaml --registry registry.example:5000/rune --push",
        "cluster::install",
    ),
    (
        "rune-bundle install rune-0.1.0.bundle.tar --key release.pub --values site-values.yaml --backup-first",
        "cluster::backup",
    ),
    (
        "rune-bundle prune registry.example:5000/rune --keep 2 --key release.pub --only-this-cluster",
        "registry::prune_real",
    ),
    (
        "rune-bundle prune registry.example:5000/rune --keep 2 --trust trust.yaml --context east --context west --yes",
        "registry::prune_real",
    ),
    ("rune-bundle status --namespace rune", "cluster::day_after"),
    (
        "rune-bundle status --all-namespaces --no-database --json",
        "cluster::day_after",
    ),
    (
        "rune-bundle rollback rune --namespace rune --dry-run",
        "cluster::day_after",
    ),
    (
        "rune-bundle rollback rune --namespace rune",
        "cluster::day_after",
    ),
    (
        "rune-bundle support --namespace rune",
        "cluster::support_verb",
    ),
    (
        "rune-bundle support --all-namespaces --output diagnostics.tar",
        "cluster::support_verb",
    ),
];

const CHART: &str = "\
mkdir -p shop/templates
printf 'apiVersion: v2\\nname: shop\\nversion: 1.2.0\\n' > shop/Chart.yaml
printf 'image:\\n  repository: ghcr.io/acme/web\\n  tag: 1.2.0\\n' > shop/values.yaml
printf 'apiVersion: v1\\nkind: Pod\\nmetadata: { name: shop }\\nspec:\\n  containers:\\n    - name: web\\n      image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\\n' > shop/templates/pod.yaml
printf 'replicas: 2\\n' > values.yaml";

const SIGNATURE: &str = "\
rune-bundle cat rune-0.1.0.bundle.tar bundle.json --key release.pub > bundle.json
openssl ecparam -name prime256v1 -genkey -noout -out hsm.key
openssl pkey -in hsm.key -pubout -out hsm.pub
openssl dgst -sha256 -sign hsm.key -out bundle.json.sig bundle.json
printf 'apiVersion: rune-bundle/v1\\nkind: Trust\\nthreshold: 1\\nkeys:\\n  - { name: release, file: release.pub }\\n  - { name: hsm, file: hsm.pub }\\n' > trust.yaml";

/// What somebody has done before the examples of a verb.
fn before(verb: &str) -> &'static str {
    match verb {
        "init" => CHART,
        "build" | "doctor build" => "mv rune-0.1.0.bundle.tar rune-0.0.9.bundle.tar",
        "sign" => SIGNATURE,
        "login" => "printf password > password",
        _ => "true",
    }
}

/// What is undone after them.
fn after(verb: &str) -> &'static str {
    match verb {
        "doctor build" => "mv rune-0.0.9.bundle.tar rune-0.1.0.bundle.tar",
        _ => "true",
    }
}

/// Runs a server until it says where it listens, and asks it to end.
fn serve(sandbox: &Sandbox, line: &str) {
    let mut command = sandbox.command("sh");
    let mut server = command
        .args(["-c", &format!("exec {line}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    let pid = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = server.wait_with_output().unwrap();
    assert!(
        !said.is_empty() && matches!(ended.status.code(), Some(0 | 130)),
        "{line}: {said} {ended:?}"
    );
}

#[test]
fn every_example_of_the_help_works() {
    let sandbox = Sandbox::after_a_build().with_a_shop().with_a_distribution();
    let root = tempfile::tempdir().unwrap();
    for directory in [
        "tmp",
        "etc/bash_completion.d",
        "usr/local/share/man",
        "var/lib/rancher/k3s/agent/images",
    ] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    let registry = ends_with_text(&sandbox, "echo $REGISTRY");
    let receipts = ends_with_text(&sandbox, "echo $RUNE_BUNDLE_RECEIPTS");
    let shell = |line: &str| {
        let mut line = line.to_owned();
        for directory in ["/tmp/", "/etc/", "/usr/", "/var/lib/rancher"] {
            line = line.replace(
                &format!(" {directory}"),
                &format!(" {}{directory}", root.path().display()),
            );
        }
        line.replace("registry.example:5000", registry.trim())
            .replace("/var/lib/rune-bundle/receipts", receipts.trim())
    };
    let run = |line: &str| {
        let mut command = sandbox.command("sh");
        let output = command.args(["-ec", &shell(line)]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:#?}");
    };
    let mut elsewhere = Vec::new();
    for (verb, examples) in GUIDE.examples {
        run(before(verb));
        for example in *examples {
            match RUN_ELSEWHERE.iter().find(|(line, _)| line == example) {
                Some((line, _)) => elsewhere.push(*line),
                None if *verb == "serve" => serve(&sandbox, &shell(example)),
                None => run(example),
            }
        }
        run(after(verb));
    }
    assert_eq!(elsewhere.len(), RUN_ELSEWHERE.len(), "{elsewhere:?}");
}

/// What a line prints.
fn ends_with_text(sandbox: &Sandbox, line: &str) -> String {
    let output = sandbox.command("sh").args(["-c", line]).output().unwrap();
    ends_with(&output, 0);
    String::from_utf8(output.stdout).unwrap()
}
