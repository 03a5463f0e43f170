//! `trust.yaml`: named keys, a threshold, revoked keys.

use std::{fs, process::Output};

use rune_bundle::sign::PrivateKey;
use serde_json::Value;

use crate::{
    bundle::sign_support::Team,
    bundle::small_bundle::{ends_with, rune_bundle},
};

const HEAD: &str = "apiVersion: rune-bundle/v1\nkind: Trust\n";

/// Three people, with a trust file that has all of them.
struct Site {
    team: Team,
    second: PrivateKey,
}

impl Site {
    fn new() -> Self {
        let team = Team::new();
        let second = team.join("second");
        team.join("third");
        Self { team, second }
    }

    /// Writes a trust file of the three.
    fn trust(&self, threshold: usize, revoked: &str) -> String {
        let keys: String = ["first", "second", "third"]
            .map(|name| format!("  - {{ name: {name}, file: {name}.pub }}\n"))
            .concat();
        self.file(&format!(
            "{HEAD}threshold: {threshold}\nkeys:\n{keys}{revoked}"
        ))
    }

    fn file(&self, text: &str) -> String {
        fs::write(self.team.scratch.path("trust.yaml"), text).unwrap();
        self.team.file("trust.yaml")
    }

    fn verify(&self, trust: &str) -> Output {
        self.team.run("verify", &["--trust", trust])
    }

    /// What is said about a trust file with mistakes.
    fn mistakes(&self, text: &str) -> String {
        let path = self.file(text);
        ends_with(&self.verify(&path), 3)
            .replace(&path, "trust.yaml")
            .replace(&self.team.file(""), "[site]/")
    }
}

#[test]
fn a_key_that_is_given_twice_is_one_key() {
    let team = Team::new();
    fs::copy(
        team.scratch.path("first.pub"),
        team.scratch.path("copy.pub"),
    )
    .unwrap();
    ends_with(&team.verify(&["first", "copy"], 1), 0);
    let said = ends_with(&team.verify(&["first", "copy"], 2), 2);
    assert!(said.contains("the number of distinct keys, 1"), "{said}");
}

#[test]
fn as_many_named_signers_as_the_threshold_says_must_have_signed() {
    let site = Site::new();
    for (count, name) in ["first", "second", "third"].into_iter().enumerate() {
        ends_with(&site.team.sign(name, &[]), 0);
        for threshold in 1..=3 {
            let said = ends_with(
                &site.verify(&site.trust(threshold, "")),
                if threshold <= count + 1 { 0 } else { 7 },
            );
            assert!(said.contains(&format!("{name} (")), "{said}");
            assert!(
                threshold <= count + 1
                    || said.contains(&format!(
                        "signed by {} of the given keys, {threshold} are needed",
                        count + 1
                    )),
                "{said}"
            );
        }
    }
}

#[test]
fn who_signed_is_said_by_name_in_every_verb_and_in_json() {
    let site = Site::new();
    ends_with(&site.team.sign("second", &[]), 0);
    let trust = site.trust(2, "");
    let (id, fingerprint) = (
        site.second.public_key().key_id(),
        site.second.public_key().fingerprint(),
    );
    let shown = fingerprint.grouped();
    assert!(
        shown.len() == 78 && shown.split(' ').count() == 8,
        "{shown}"
    );
    let said = ends_with(&site.verify(&trust), 0);
    assert!(
        said.contains(&format!("signed by      second ({shown})")),
        "{said}"
    );
    let said = ends_with(&site.team.run("inspect", &["--trust", &trust]), 0);
    assert!(
        said.contains(&format!("good, by second ({shown})")) && !said.contains("UNVERIFIED"),
        "{said}"
    );
    ends_with(
        &site
            .team
            .run("unpack", &["--trust", &trust, &site.team.file("unpacked")]),
        0,
    );
    let report: Value = serde_json::from_slice(
        &site
            .team
            .run("verify", &["--trust", &trust, "--json"])
            .stdout,
    )
    .unwrap();
    assert_eq!(
        report["signatures"][1],
        serde_json::json!({ "state": "verified", "key": id, "fingerprint": fingerprint, "name": "second" })
    );
}

#[test]
fn a_revoked_key_does_not_count_and_is_reported() {
    let site = Site::new();
    let (id, fingerprint) = (
        site.second.public_key().key_id(),
        site.second.public_key().fingerprint(),
    );
    ends_with(&site.team.sign("second", &[]), 0);
    for who in [
        "name: second".to_owned(),
        format!("id: {id}"),
        format!("id: {fingerprint}"),
        format!("id: {}", fingerprint.grouped()),
    ] {
        let revoked = format!("revoked:\n  - {{ {who}, reason: the laptop   was stolen }}\n");
        let said = ends_with(&site.verify(&site.trust(1, &revoked)), 0);
        let shown = fingerprint.grouped();
        assert!(
            said.contains(&format!(
                "also signed by second ({shown}) (revoked, does not count: the laptop was stolen)"
            )),
            "{said}"
        );
        let said = ends_with(&site.verify(&site.trust(2, &revoked)), 7);
        assert!(
            said.contains("signed by 1 of the given keys, 2 are needed")
                && said.contains("revoked keys, which do not count: second"),
            "{said}"
        );
        let report: Value = serde_json::from_slice(
            &site
                .team
                .run("inspect", &["--trust", &site.trust(1, &revoked), "--json"])
                .stdout,
        )
        .unwrap();
        let state = serde_json::json!({ "state": "revoked", "key": id, "fingerprint": fingerprint, "name": "second", "reason": "the laptop was stolen" });
        assert_eq!(report["signatures"][1], state);
    }
}

#[test]
fn a_bundle_that_only_revoked_keys_signed_is_refused() {
    let site = Site::new();
    let text = site.trust(1, "revoked: [{ name: first, reason: left }]\n");
    for verb in ["verify", "inspect", "unpack"] {
        let said = ends_with(&site.team.run(verb, &["--trust", &text]), 7);
        assert!(
            said.contains("signed by revoked keys only: first ("),
            "{said}"
        );
        assert!(said.contains("a key that still counts"), "{said}");
    }
    assert!(!site.team.scratch.path("small-1.2.3").exists());
}

#[test]
fn a_key_that_is_revoked_by_its_id_need_not_be_listed() {
    let site = Site::new();
    let gone = site.team.join("gone").public_key().clone();
    ends_with(&site.team.sign("gone", &[]), 0);
    let said = ends_with(
        &site.verify(&site.trust(
            1,
            &format!("revoked: [{{ id: {}, reason: lost }}]\n", gone.key_id()),
        )),
        0,
    );
    assert!(
        said.contains(&format!(
            "also signed by {} (revoked, does not count: lost)",
            gone.fingerprint().grouped()
        )),
        "{said}"
    );
}

#[test]
fn keys_stand_in_the_file_or_beside_it() {
    let site = Site::new();
    let pem = fs::read_to_string(site.team.scratch.path("first.pub"))
        .unwrap()
        .replace('\n', "\n      ");
    let trust = site.file(&format!(
        "{HEAD}threshold: 1\nkeys:\n  - name: first\n    pem: |\n      {pem}\n"
    ));
    ends_with(&site.verify(&trust), 0);
    fs::create_dir(site.team.scratch.path("keys")).unwrap();
    fs::rename(
        site.team.scratch.path("first.pub"),
        site.team.scratch.path("keys/first.pub"),
    )
    .unwrap();
    let trust = site.file(&format!(
        "{HEAD}threshold: 1\nkeys: [{{ name: first, file: keys/first.pub }}]\n"
    ));
    ends_with(&site.verify(&trust), 0);
}

#[test]
fn keys_and_a_trust_file_exclude_each_other_and_a_digest_narrows_it() {
    let site = Site::new();
    let (trust, key) = (site.trust(1, ""), site.team.file("first.pub"));
    ends_with(
        &site.team.run("verify", &["--trust", &trust, "--key", &key]),
        2,
    );
    ends_with(
        &site
            .team
            .run("verify", &["--trust", &trust, "--threshold", "1"]),
        2,
    );
    let other = format!("sha256:{}", "0".repeat(64));
    ends_with(
        &site
            .team
            .run("verify", &["--trust", &trust, "--bundle-digest", &other]),
        7,
    );
    ends_with(
        &rune_bundle([
            "verify",
            &site.team.file("small.bundle.tar"),
            "--trust",
            &site.team.file("no.yaml"),
        ]),
        4,
    );
}

#[test]
fn a_signer_is_told_whether_the_signature_counts_and_how_many_are_missing() {
    let site = Site::new();
    site.team.join("stranger");
    let trust = site.trust(3, "");
    let said = ends_with(&site.team.sign("second", &["--trust", &trust]), 0);
    assert!(
        said.contains("the signature of second (")
            && said.contains("threshold      2 signed, 3 needed"),
        "{said}"
    );
    let before = site.team.bytes();
    let said = ends_with(&site.team.sign("stranger", &["--trust", &trust]), 7);
    assert!(
        said.contains("the trust file does not have the key"),
        "{said}"
    );
    let trust = site.trust(2, "revoked: [{ name: third, reason: left }]\n");
    let said = ends_with(&site.team.sign("third", &["--trust", &trust]), 7);
    assert!(
        said.contains("the key third (") && said.contains("is revoked: left"),
        "{said}"
    );
    assert_eq!(site.team.bytes(), before);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let site = Site::new();
    fs::write(site.team.scratch.path("rubbish.pub"), "rubbish").unwrap();
    let text = "apiVersion: rune-bundle/v2\nkind: Policy\nthreshold: 0\nkeyz: []\nkeys:\n\
        \x20 - { name: first, file: first.pub }\n\
        \x20 - { name: first, file: second.pub }\n\
        \x20 - { name: also-first, file: first.pub }\n\
        \x20 - { name: 'two words', file: second.pub }\n\
        \x20 - { name: missing, file: no.pub }\n\
        \x20 - { name: rubbish, file: rubbish.pub }\n\
        \x20 - { name: both, file: third.pub, pem: x }\n\
        \x20 - { name: neither }\n\
        revoked:\n\
        \x20 - { name: first }\n\
        \x20 - { id: abc, reason: '' }\n";
    insta::assert_snapshot!(site.mistakes(text));
}

#[test]
fn a_threshold_that_nobody_can_meet_is_a_mistake() {
    let site = Site::new();
    let keys =
        "keys:\n  - { name: first, file: first.pub }\n  - { name: second, file: second.pub }\n";
    for (rest, words) in [
        (
            "threshold: 3\n",
            "a threshold of 3 cannot be met by 2 keys that are not revoked",
        ),
        (
            "threshold: 2\nrevoked: [{ name: second, reason: x }]\n",
            "a threshold of 2 cannot be met by 1 keys",
        ),
        ("threshold: 9\n", "`9` is not a number of signers"),
        ("threshold: two\n", "`two` is not a number of signers"),
        (
            "threshold: 1\nrevoked: [{ name: secnd, reason: x }]\n",
            "did you mean `second`?",
        ),
        (
            "threshold: 1\nrevoked: [{ name: second, reason: x }, { name: second, reason: y }]\n",
            "revoked twice, first in line",
        ),
    ] {
        let said = site.mistakes(&format!("{HEAD}{keys}{rest}"));
        assert!(said.contains(words), "{said}");
    }
    for (text, words) in [
        (format!("{HEAD}threshold: 1\nkeys: []\n"), "`keys` is empty"),
        (HEAD.to_owned(), "lacks the key `threshold`"),
        (String::new(), "expected a mapping"),
        ("a: [".to_owned(), "trust.yaml:"),
    ] {
        let said = site.mistakes(&text);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_page_about_a_bundle_names_its_signers_and_a_comparison_takes_a_trust_file() {
    let site = Site::new();
    ends_with(&site.team.sign("second", &[]), 0);
    let trust = site.trust(
        1,
        "revoked: [{ name: second, reason: the laptop was stolen }]\n",
    );
    let page = site.team.file("page.html");
    ends_with(
        &site
            .team
            .run("report", &["--trust", &trust, "--output", &page]),
        0,
    );
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("signed by first <code"), "{html}");
    assert!(
        html.contains("revoked, does not count: the laptop was stolen")
            && html.contains("Signatures by revoked keys do not count: 1.")
    );
    let bundle = site.team.file("small.bundle.tar");
    let said = ends_with(
        &rune_bundle(["diff", &bundle, &bundle, "--trust", &trust]),
        0,
    );
    assert!(!said.contains("UNVERIFIED"), "{said}");
    let trust = site.trust(
        1,
        "revoked: [{ name: first, reason: x }, { name: second, reason: y }]\n",
    );
    ends_with(
        &rune_bundle(["diff", &bundle, &bundle, "--trust", &trust]),
        7,
    );
    ends_with(
        &rune_bundle([
            "diff",
            &bundle,
            &bundle,
            "--trust",
            &trust,
            "--threshold",
            "1",
        ]),
        2,
    );
}
