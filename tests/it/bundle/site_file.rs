//! The site file and the environment: what counts, in which order, and from whom it is taken at
//! all.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use crate::bundle::{
    sign_support::Team,
    small_bundle::{ends_with, rune_bundle},
};

const HEAD: &str = "apiVersion: rune-bundle/v1\nkind: Site\n";

/// A bundle signed by `first`, and trust files of `first` and of `second`.
struct Place {
    team: Team,
}

impl Place {
    fn new() -> Self {
        let place = Self { team: Team::new() };
        place.team.join("second");
        for name in ["first", "second"] {
            place.write(
                &format!("{name}.yaml"),
                &format!("apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\nkeys: [{{ name: {name}, file: {name}.pub }}]\n"),
            );
        }
        place.site("trust: first.yaml\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.team.scratch.path(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn site(&self, text: &str) {
        self.write("site.yaml", &format!("{HEAD}{text}"));
    }

    fn command(&self, verb: &str, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args([verb, "small.bundle.tar"])
            .args(options)
            .current_dir(self.path(""))
            .env_clear();
        command.env("HOME", self.path("home"));
        command
    }

    fn verify(&self, options: &[&str]) -> Output {
        self.command("verify", options).output().unwrap()
    }
}

#[test]
fn option_then_environment_then_site_file_say_whom_to_trust_and_each_is_named() {
    let place = Place::new();
    let says = |output: &Output, source: &str| {
        let said = ends_with(output, 0);
        assert!(
            said.contains(&format!("trust          {source}\n")),
            "{said}"
        );
    };
    ends_with(&place.verify(&[]), 7);
    let file = |name: &str| place.team.file(name);
    says(
        &place.verify(&["--site", "site.yaml"]),
        "`first.yaml` (site file `site.yaml`)",
    );
    let by_variable = |variables: &[(&str, &str)], options: &[&str]| {
        place
            .command("verify", options)
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    let site = file("site.yaml");
    says(
        &by_variable(&[("RUNE_BUNDLE_SITE", &site)], &[]),
        &format!("`{}` (site file `{site}`)", file("first.yaml")),
    );
    says(
        &by_variable(&[("RUNE_BUNDLE_TRUST", "first.yaml")], &[]),
        "`first.yaml` (RUNE_BUNDLE_TRUST)",
    );
    // An empty variable is none.
    says(
        &by_variable(
            &[("RUNE_BUNDLE_TRUST", ""), ("RUNE_BUNDLE_SITE", &site)],
            &[],
        ),
        &format!("`{}` (site file `{site}`)", file("first.yaml")),
    );
    // What counts less is not even a fallback.
    let said = ends_with(
        &by_variable(
            &[
                ("RUNE_BUNDLE_TRUST", "second.yaml"),
                ("RUNE_BUNDLE_SITE", &site),
            ],
            &[],
        ),
        7,
    );
    assert!(
        said.contains(
            "refusing `small.bundle.tar`, which was checked with `second.yaml` (RUNE_BUNDLE_TRUST)"
        ),
        "{said}"
    );
    let both = [
        ("RUNE_BUNDLE_TRUST", "second.yaml"),
        ("RUNE_BUNDLE_SITE", site.as_str()),
    ];
    says(
        &by_variable(&both, &["--trust", "first.yaml"]),
        "`first.yaml` (--trust)",
    );
    says(
        &by_variable(&both, &["--key", "first.pub"]),
        "`first.pub` (--key)",
    );
}

#[test]
fn options_replace_all_trust_from_elsewhere_and_never_add_to_it() {
    let place = Place::new();
    let digest: Value = serde_json::from_slice(
        &place
            .command("inspect", &["--json"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let (digest, wrong) = (
        digest["digest"].as_str().unwrap().to_owned(),
        format!("sha256:{}", "0".repeat(64)),
    );
    for (options, code) in [
        (&["--key", "second.pub"][..], 7),
        (&["--trust", "second.yaml"], 7),
        (&["--bundle-digest", &wrong], 7),
        // With a digest alone no signature is needed, not that of the site either.
        (&["--bundle-digest", &digest], 0),
    ] {
        for verb in ["verify", "inspect", "cat"] {
            let more: &[&str] = if verb == "cat" { &["INSTALL.md"] } else { &[] };
            let mut command =
                place.command(verb, &[more, options, &["--site", "site.yaml"]].concat());
            ends_with(
                &command
                    .env("RUNE_BUNDLE_TRUST", "first.yaml")
                    .output()
                    .unwrap(),
                code,
            );
        }
    }
    place.site("trust: second.yaml\n");
    let said = ends_with(
        &place.verify(&["--site", "site.yaml", "--bundle-digest", &digest]),
        0,
    );
    assert!(
        said.contains("(--bundle-digest)") && !said.contains("second.yaml"),
        "{said}"
    );
}

#[test]
fn every_verb_that_checks_a_bundle_takes_the_trust_of_the_site_and_says_so() {
    let place = Place::new();
    place.site("trust: first.yaml\nregistry: 127.0.0.1:1/x\n");
    fs::create_dir(place.path("images")).unwrap();
    for (verb, options, code) in [
        ("verify", &[][..], 0),
        ("inspect", &[], 0),
        ("cat", &["INSTALL.md"], 0),
        ("unpack", &["unpacked"], 0),
        ("diff", &["small.bundle.tar"], 0),
        ("report", &["--output", "page.html"], 0),
        (
            "load",
            &["--images-dir", "images", "--platform", "linux/amd64"],
            0,
        ),
    ] {
        let said = ends_with(
            &place
                .command(verb, &[options, &["--site", "site.yaml"]].concat())
                .output()
                .unwrap(),
            code,
        );
        assert!(
            said.contains("`first.yaml` (site file `site.yaml`)") && !said.contains("UNVERIFIED"),
            "{verb}: {said}"
        );
    }
    let mirror = Command::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .args(["mirror", "k3s", "small.bundle.tar", "--site", "site.yaml"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let said = ends_with(&mirror, 0);
    assert!(
        said.contains("trust: `first.yaml` (site file `site.yaml`)")
            && said.contains("127.0.0.1:1"),
        "{said}"
    );
    let doctor = Command::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .args([
            "doctor",
            "receive",
            "small.bundle.tar",
            "--site",
            "site.yaml",
        ])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        said.contains("trust: `first.yaml` (site file `site.yaml`)"),
        "{said}"
    );
}

#[test]
fn a_site_file_that_others_may_write_is_refused_and_so_is_all_that_it_leads_to() {
    let place = Place::new();
    let site = ["--site", "site.yaml"];
    let refused = |word: &str| {
        let said = ends_with(&place.verify(&site), 9);
        assert!(
            said.contains("cannot trust `") && said.contains(word),
            "{said}"
        );
        assert!(said.contains("help: let it belong to root"), "{said}");
    };
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["site.yaml", "first.yaml", "first.pub"] {
        for open in [0o666, 0o664, 0o646] {
            mode(name, open);
            refused("others may write it");
        }
        mode(name, 0o644);
        ends_with(&place.verify(&site), 0);
    }
    // A directory in which somebody may put another file.
    fs::create_dir(place.path("open")).unwrap();
    fs::rename(place.path("first.pub"), place.path("open/first.pub")).unwrap();
    place.write(
        "first.yaml",
        &fs::read_to_string(place.path("first.yaml"))
            .unwrap()
            .replace("first.pub", "open/first.pub"),
    );
    ends_with(&place.verify(&site), 0);
    mode("open", 0o777);
    refused("open` \n".trim_end());
    mode("open", 0o1777);
    ends_with(&place.verify(&site), 0);
    // Somebody else's files, when the test may make some.
    for name in ["site.yaml", "first.yaml", "open/first.pub"] {
        if chown(place.path(name), Some(65534), None).is_ok() {
            refused("it belongs to the user 65534");
            chown(place.path(name), Some(0), None).unwrap();
        }
    }
    // The same files are good enough for somebody who names them.
    mode("first.yaml", 0o666);
    ends_with(&place.verify(&["--trust", "first.yaml"]), 0);
    ends_with(
        &place
            .command("verify", &[])
            .env("RUNE_BUNDLE_TRUST", "first.yaml")
            .output()
            .unwrap(),
        0,
    );
}

#[test]
fn nobody_but_the_caller_and_the_system_brings_a_site_file() {
    let place = Place::new();
    fs::create_dir_all(place.path("bundle-manifests")).unwrap();
    fs::create_dir_all(place.path("home/.config/rune-bundle")).unwrap();
    for name in [
        "bundle-manifests/site.yaml",
        "home/.config/rune-bundle/site.yaml",
        ".rune-bundle.yaml",
        "rune-bundle.yaml",
    ] {
        fs::copy(place.path("site.yaml"), place.path(name)).unwrap();
    }
    ends_with(&place.verify(&[]), 7);
    let said = ends_with(&place.verify(&["--site", "nowhere.yaml"]), 4);
    assert!(
        said.contains("cannot use the site file `nowhere.yaml`"),
        "{said}"
    );
    ends_with(
        &place
            .command("verify", &[])
            .env("RUNE_BUNDLE_SITE", "nowhere.yaml")
            .output()
            .unwrap(),
        4,
    );
    // In a mount namespace of its own: the one of this machine is not for tests.
    fs::create_dir(place.path("etc")).unwrap();
    let inside = place
        .path("")
        .to_str()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let script = format!(
        "mkdir -p /etc/rune-bundle && mount -t tmpfs none /etc/rune-bundle && cp {inside}/*.yaml {inside}/*.pub /etc/rune-bundle && exec {} verify {inside}/small.bundle.tar",
        env!("CARGO_BIN_EXE_rune-bundle"),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = ends_with(&output, 0);
    assert!(
        said.contains("`/etc/rune-bundle/first.yaml` (site file `/etc/rune-bundle/site.yaml`)"),
        "{said}"
    );
}

#[test]
fn every_mistake_of_a_site_file_has_a_place_and_no_password_is_repeated() {
    let place = Place::new();
    for (text, parts) in [
        (
            "trsut: x\n",
            &["unknown key `trsut`", "did you mean `trust`?"][..],
        ),
        ("password: hunter2\n", &["unknown key `password`"]),
        (
            "registry: alice:hunter2@registry.lan\n",
            &["a site file holds no credentials", "rune-bundle login"],
        ),
        (
            "trust: ''\nregistry: [x]\n",
            &[
                "`trust` is empty",
                "expected a string for `registry`, found a list",
            ],
        ),
    ] {
        place.site(text);
        let said = ends_with(&place.verify(&["--site", "site.yaml"]), 3);
        for part in parts {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(
            said.contains("site.yaml:") && !said.contains("hunter2"),
            "{said}"
        );
    }
    place.write("site.yaml", "apiVersion: rune-bundle/v1\nkind: Trust\n");
    assert!(ends_with(&place.verify(&["--site", "site.yaml"]), 3).contains("write `Site`"));
}

#[test]
fn registry_ca_namespace_and_receipts_of_the_site_are_taken_when_nothing_else_is_said() {
    let place = Place::new();
    let registry = rune_testkit::registry::Registry::start_tls(rune_testkit::registry::Auth::None);
    place.write("ca.pem", registry.ca_pem());
    place.site(&format!(
        "trust: first.yaml\nregistry: {}/site\ncaFile: ca.pem\nreceipts: receipts\n",
        registry.host()
    ));
    let said = ends_with(
        &place
            .command("push", &["--site", "site.yaml"])
            .output()
            .unwrap(),
        0,
    );
    assert!(
        said.contains(&format!("pushed small 1.2.3 to {}/site", registry.host())),
        "{said}"
    );
    assert_eq!(
        fs::read_dir(place.path("receipts"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
            .count(),
        1
    );
    // The environment goes before the site file, the command line before both.
    let host = registry.host();
    let mut command = place.command("push", &["--site", "site.yaml"]);
    let said = ends_with(
        &command
            .env("RUNE_BUNDLE_REGISTRY", format!("{host}/env"))
            .output()
            .unwrap(),
        0,
    );
    assert!(said.contains("/env"), "{said}");
    let mut command = place.command("push", &[&format!("{host}/option"), "--site", "site.yaml"]);
    let said = ends_with(
        &command
            .env("RUNE_BUNDLE_REGISTRY", format!("{host}/env"))
            .output()
            .unwrap(),
        0,
    );
    assert!(said.contains(&format!("{host}/option")), "{said}");
    let mut command = place.command("push", &["--site", "site.yaml"]);
    let said = ends_with(
        &command
            .env("RUNE_BUNDLE_CA_FILE", "nowhere.pem")
            .output()
            .unwrap(),
        4,
    );
    assert!(said.contains("nowhere.pem"), "{said}");
    let said = ends_with(
        &rune_bundle([
            "push",
            &place.team.file("small.bundle.tar"),
            "--key",
            &place.team.file("first.pub"),
        ]),
        2,
    );
    assert!(
        said.contains("no registry was given") && said.contains("RUNE_BUNDLE_REGISTRY"),
        "{said}"
    );
}
