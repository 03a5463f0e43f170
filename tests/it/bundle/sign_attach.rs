//! `attach`: signatures that cosign and openssl made go into a bundle, and hold for them and for
//! us.

use std::fs;

use base64ct::{Base64, Encoding as _};
use p256::ecdsa::Signature;
use rune_bundle::sign::Slot;
use serde_json::Value;

use crate::{
    bundle::foreign_support::Foreign,
    bundle::sign_support::Team,
    bundle::small_bundle::{ends_with, rune_bundle},
};

/// A team, and somebody with foreign tools who has taken `bundle.json` out.
struct Elsewhere {
    team: Team,
    tools: Foreign,
}

impl Elsewhere {
    fn new() -> Self {
        let here = Self {
            team: Team::new(),
            tools: Foreign::new(),
        };
        here.take_out("bundle.json", "bundle.json");
        here
    }

    fn take_out(&self, entry: &str, name: &str) {
        let content = self.tools.run(
            "tar",
            [
                "--occurrence=1",
                "-xOf",
                self.team.bundle.to_str().unwrap(),
                entry,
            ],
        );
        fs::write(self.tools.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.tools.path(name).to_str().unwrap().to_owned()
    }

    fn cosign(&self, arguments: &[&str]) {
        let mut command = self.tools.command("cosign", arguments.iter().copied());
        rune_testkit::process::succeeded(command.env("COSIGN_PASSWORD", "elsewhere"));
    }

    fn openssl(&self, arguments: &str) {
        self.tools.run("openssl", arguments.split(' '));
    }

    /// A P-256 key in `key.pem` and `key.pub`.
    fn p256_key(&self) {
        self.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
        self.openssl("pkey -in key.pem -pubout -out key.pub");
    }

    fn ed25519_key(&self) {
        self.openssl("genpkey -algorithm ED25519 -out key.pem");
        self.openssl("pkey -in key.pem -pubout -out key.pub");
    }

    /// Attaches a file by a public key; gives what was said.
    fn attach(&self, signature: &str, key: &str, code: i32) -> String {
        let before = self.team.bytes();
        let options = [
            "--signature",
            &self.path(signature),
            "--key",
            &self.path(key),
        ];
        let said = ends_with(&self.team.run("attach", &options), code);
        assert!(
            code == 0 || self.team.bytes() == before,
            "something was written"
        );
        said
    }

    /// The bundle is good by this key, and nothing but slot 1 was written.
    fn holds(&self, key: &str, before: &[u8]) {
        let verify = [
            "--key",
            &self.path(key),
            "--key",
            &self.team.file("first.pub"),
            "--threshold",
            "2",
        ];
        ends_with(&self.team.run("verify", &verify), 0);
        let (slot, after) = (self.team.slot(1), self.team.bytes());
        assert!(
            before[..slot] == after[..slot] && before[slot + 8192..] == after[slot + 8192..],
            "bytes outside of the slot changed"
        );
        assert!(matches!(
            Slot::parse(&after[slot..slot + 8192]),
            Ok(Slot::Signed(_))
        ));
    }

    /// cosign takes what stands in slot 1 now.
    fn holds_for_cosign(&self, key: &str) {
        self.take_out("signatures/1.sigstore.json", "slot.json");
        self.cosign(&[
            "verify-blob",
            "--key",
            key,
            "--bundle",
            "slot.json",
            "--insecure-ignore-tlog=true",
            "bundle.json",
        ]);
    }
}

#[test]
fn what_cosign_signs_is_attached_and_holds_for_cosign_again() {
    let here = Elsewhere::new();
    let before = here.team.bytes();
    here.cosign(&["generate-key-pair"]);
    here.cosign(&["signing-config", "create", "--out", "offline.json"]);
    here.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "made.json",
        "bundle.json",
    ]);
    let said = here.attach("made.json", "cosign.pub", 0);
    assert!(said.contains("into slot 1"), "{said}");
    here.holds("cosign.pub", &before);
    here.holds_for_cosign("cosign.pub");

    let said = here.attach("made.json", "cosign.pub", 0);
    assert!(said.contains("already, in slot 1"), "{said}");
    here.holds("cosign.pub", &before);
}

#[test]
fn what_openssl_signs_with_p256_is_attached_whatever_half_s_is_in() {
    let here = Elsewhere::new();
    let before = here.team.bytes();
    here.p256_key();
    here.openssl("dgst -sha256 -sign key.pem -out signature.der bundle.json");
    let der = fs::read(here.tools.path("signature.der")).unwrap();
    let one = Signature::from_der(&der).unwrap();
    let (r, s) = one.split_scalars();
    let other = Signature::from_scalars(r, -s).unwrap();
    for signature in [one, other] {
        fs::write(&here.team.bundle, &before).unwrap();
        fs::write(
            here.tools.path("signature.der"),
            signature.to_der().as_bytes(),
        )
        .unwrap();
        // Both hold for openssl, one of them for us; so the slot gets that one.
        here.openssl("dgst -sha256 -verify key.pub -signature signature.der bundle.json");
        here.attach("signature.der", "key.pub", 0);
        here.holds("key.pub", &before);
        here.holds_for_cosign("key.pub");
    }
}

#[test]
fn what_openssl_signs_with_ed25519_is_attached_as_bytes_and_as_base64() {
    let here = Elsewhere::new();
    let before = here.team.bytes();
    here.ed25519_key();
    here.openssl("pkeyutl -sign -inkey key.pem -rawin -in bundle.json -out signature");
    let bytes = fs::read(here.tools.path("signature")).unwrap();
    fs::write(
        here.tools.path("signature.txt"),
        Base64::encode_string(&bytes) + "\n",
    )
    .unwrap();
    for name in ["signature", "signature.txt"] {
        fs::write(&here.team.bundle, &before).unwrap();
        here.attach(name, "key.pub", 0);
        here.holds("key.pub", &before);
    }
    here.holds_for_cosign("key.pub");
}

#[test]
fn a_bare_signature_of_pkcs11_is_attached() {
    let here = Elsewhere::new();
    let before = here.team.bytes();
    here.p256_key();
    // The device gets the digest only, and gives r and s.
    here.openssl("dgst -sha256 -binary -out digest bundle.json");
    here.openssl("pkeyutl -sign -inkey key.pem -in digest -out signature.der");
    let signature =
        Signature::from_der(&fs::read(here.tools.path("signature.der")).unwrap()).unwrap();
    fs::write(here.tools.path("signature"), signature.to_bytes()).unwrap();
    here.attach("signature", "key.pub", 0);
    here.holds("key.pub", &before);
}

#[test]
fn a_signature_over_another_file_or_by_another_key_is_refused() {
    let here = Elsewhere::new();
    here.cosign(&["generate-key-pair"]);
    here.cosign(&["signing-config", "create", "--out", "offline.json"]);
    fs::write(here.tools.path("other.json"), "{}").unwrap();
    here.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "made.json",
        "other.json",
    ]);
    let said = here.attach("made.json", "cosign.pub", 7);
    assert!(
        said.contains("for other content") && said.contains("--occurrence=1"),
        "{said}"
    );
    here.p256_key();
    here.openssl("dgst -sha256 -sign key.pem -out other.der other.json");
    assert!(
        here.attach("other.der", "key.pub", 7)
            .contains("the signature is bad")
    );
    here.openssl("dgst -sha256 -sign key.pem -out right.der bundle.json");
    here.attach("right.der", "cosign.pub", 7);
    here.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "right.json",
        "bundle.json",
    ]);
    assert!(
        here.attach("right.json", "key.pub", 7)
            .contains("was made by the key")
    );
    for (content, words) in [
        ("", "it is empty"),
        ("rubbish", "neither DER nor"),
        ("{}", "not a Sigstore bundle"),
    ] {
        fs::write(here.tools.path("rubbish"), content).unwrap();
        let said = here.attach("rubbish", "key.pub", 3);
        assert!(said.contains(words), "{said}");
    }
    ends_with(
        &here
            .team
            .run("attach", &["--signature", &here.path("right.der")]),
        2,
    );
    ends_with(
        &here.team.run(
            "attach",
            &[
                "--signature",
                &here.path("nothing"),
                "--key",
                &here.path("key.pub"),
            ],
        ),
        4,
    );
}

#[test]
fn a_trust_file_has_the_key_of_the_signature() {
    let here = Elsewhere::new();
    here.p256_key();
    here.openssl("dgst -sha256 -sign key.pem -out signature.der bundle.json");
    let pem = fs::read_to_string(here.tools.path("key.pub")).unwrap();
    fs::write(here.team.scratch.path("hsm.pub"), pem).unwrap();
    let trust = here.team.file("trust.yaml");
    let attach = |keys: &str, rest: &str, code: i32| {
        let text = format!(
            "apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\nkeys: [{keys}]\n{rest}"
        );
        fs::write(&trust, text).unwrap();
        let options = [
            "--signature",
            &here.path("signature.der"),
            "--trust",
            &trust,
            "--json",
        ];
        let output = here.team.run("attach", &options);
        ends_with(&output, code);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (first, hsm) = (
        "{ name: first, file: first.pub }",
        "{ name: hsm, file: hsm.pub }",
    );
    let report = attach(first, "", 7);
    assert!(
        report["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no key of the trust file"),
        "{report}"
    );
    attach(
        &format!("{first}, {hsm}"),
        "revoked: [{ name: hsm, reason: x }]\n",
        7,
    );
    let report = attach(&format!("{first}, {hsm}"), "", 0);
    assert_eq!(
        (&report["signatures"][1]["name"], &report["threshold"]),
        (&"hsm".into(), &1.into())
    );
    ends_with(
        &rune_bundle([
            "verify",
            here.team.bundle.to_str().unwrap(),
            "--trust",
            &trust,
        ]),
        0,
    );
}

#[test]
fn a_damaged_bundle_gets_no_signature() {
    let here = Elsewhere::new();
    here.ed25519_key();
    here.openssl("pkeyutl -sign -inkey key.pem -rawin -in bundle.json -out signature");
    let mut bytes = here.team.bytes();
    let last = bytes.len() - 2000;
    bytes[last] ^= 1;
    fs::write(&here.team.bundle, &bytes).unwrap();
    here.attach("signature", "key.pub", 6);
}

#[test]
fn a_part_of_a_signature_is_completed_by_the_same_file() {
    let here = Elsewhere::new();
    let before = here.team.bytes();
    here.p256_key();
    here.openssl("dgst -sha256 -sign key.pem -out signature.der bundle.json");
    here.attach("signature.der", "key.pub", 0);
    let (whole, slot) = (here.team.bytes(), here.team.slot(1));
    let mut torn = before.clone();
    torn[slot..slot + 100].copy_from_slice(&whole[slot..slot + 100]);
    fs::write(&here.team.bundle, &torn).unwrap();
    let said = here.attach("signature.der", "key.pub", 0);
    assert!(said.contains("completed the signature"), "{said}");
    assert!(here.team.bytes() == whole);
}
