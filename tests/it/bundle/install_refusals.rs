//! What `install` refuses before it asks a cluster, and how it says that there is none.

use std::{fs, net::TcpListener};

use crate::{
    bundle::small_bundle::{Scratch, ends_with, rune_bundle, signed},
    charts::support::tool,
};

/// A kubeconfig for an API server at an address.
fn kubeconfig(scratch: &Scratch, address: &str) -> String {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: '{address}'}}}}]\nusers: [{{name: a, user: {{token: not-a-real-token}}}}]\n"
    );
    fs::write(scratch.path("kubeconfig"), text).unwrap();
    scratch.path("kubeconfig").to_str().unwrap().to_owned()
}

/// Runs `install` on a small signed bundle with further options.
fn install(scratch: &Scratch, options: &[&str], code: i32) -> String {
    let bundle = signed(scratch);
    let receipts = scratch.path("receipts");
    let given = [
        "install",
        bundle.to_str().unwrap(),
        "--receipts",
        receipts.to_str().unwrap(),
        "--namespace",
        "x",
    ];
    ends_with(&rune_bundle([&given, options].concat()), code)
}

#[test]
fn a_bundle_without_a_trusted_signature_is_not_installed_and_leaves_nothing() {
    let scratch = Scratch::new();
    let helm = tool("helm4");
    let helm = ["--helm", helm.to_str().unwrap(), "--kubeconfig", "/nowhere"];
    install(&scratch, &helm, 7);
    let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    fs::write(scratch.path("other.pub"), other).unwrap();
    fs::remove_file(scratch.path("small.bundle.tar")).unwrap();
    install(
        &scratch,
        &[
            &helm[..],
            &["--key", scratch.path("other.pub").to_str().unwrap()],
        ]
        .concat(),
        7,
    );
    assert!(!scratch.path("receipts").exists());
}

#[test]
fn a_bundle_that_was_damaged_is_not_installed() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let mut bytes = fs::read(&bundle).unwrap();
    let place = bytes
        .windows(16)
        .position(|window| window == b"carried as it is")
        .unwrap();
    bytes[place] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    let (helm, key) = (tool("helm4"), scratch.path("key.pub"));
    let arguments = [
        "install",
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--helm",
        helm.to_str().unwrap(),
    ];
    let said = ends_with(
        &rune_bundle([&arguments[..], &["--kubeconfig", "/nowhere"]].concat()),
        6,
    );
    assert!(said.contains("extra.txt"), "{said}");
}

#[test]
fn without_helm_or_a_cluster_it_says_what_is_missing() {
    let scratch = Scratch::new();
    let key = scratch.path("key.pub");
    let key = ["--key", key.to_str().unwrap()];
    let helm = tool("helm4");
    let helm = ["--helm", helm.to_str().unwrap()];
    let again = || fs::remove_file(scratch.path("small.bundle.tar")).unwrap();
    let said = install(
        &scratch,
        &[&key[..], &["--helm", "/nowhere/helm"]].concat(),
        4,
    );
    assert!(
        said.contains("/nowhere/helm")
            && said.contains("--helm")
            && !said.contains("--no-chart-check"),
        "{said}"
    );
    again();
    let said = install(
        &scratch,
        &[&key[..], &helm, &["--kubeconfig", "/nowhere/kubeconfig"]].concat(),
        4,
    );
    assert!(said.contains("/nowhere/kubeconfig"), "{said}");
    again();
    // A port of ours on which nobody listens any more.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let kubeconfig = kubeconfig(&scratch, &format!("https://{address}"));
    let said = install(
        &scratch,
        &[&key[..], &helm, &["--kubeconfig", &kubeconfig]].concat(),
        10,
    );
    assert!(
        said.contains(&address.to_string()) && said.contains("refused"),
        "{said}"
    );
    assert!(!said.contains("not-a-real-token"), "{said}");
}
