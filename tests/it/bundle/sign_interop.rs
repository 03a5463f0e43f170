//! Signatures and keys go both ways between this project and stock cosign and openssl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use rune_bundle::sign::{Algorithm, PrivateKey, PublicKey, SignError, Slot, SlotSignature};
use rune_core::secret::Secret;
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse";
const MESSAGE: &str = r#"{"format":1,"name":"sample"}"#;

/// A directory with a `bundle.json` in it, and what is done there.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("bundle.json", MESSAGE);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let mut command = Command::new(program.as_ref());
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("COSIGN_PASSWORD", PASSPHRASE);
        command.output().unwrap_or_else(|error| {
            panic!("cannot start `{}`: {error}", program.as_ref().display())
        })
    }

    /// Runs a program that must succeed.
    fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) {
        let output = self.command(program, arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn cosign(&self, arguments: &[&str]) {
        self.run(cosign(), arguments);
    }

    fn cosign_verifies(&self, slot: &str, message: &str) -> bool {
        let arguments = [
            "verify-blob",
            "--key",
            "cosign.pub",
            "--bundle",
            slot,
            "--insecure-ignore-tlog=true",
            message,
        ];
        let output = self.command(cosign(), &arguments);
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    /// A key made by openssl, loaded by us, its public half written by us to `cosign.pub`.
    fn openssl_key(&self, algorithm: &[&str]) -> PrivateKey {
        self.run(
            "openssl",
            &[&["genpkey", "-out", "key.pem", "-algorithm"], algorithm].concat(),
        );
        let key = load(&self.read("key.pem"));
        self.write("cosign.pub", key.public_key().to_pem());
        key
    }
}

fn load(pem: &[u8]) -> PrivateKey {
    PrivateKey::load(pem, || Ok::<_, SignError>(Secret::new(PASSPHRASE))).unwrap()
}

fn cosign() -> PathBuf {
    let tools = std::env::var_os("RUNE_TOOLS").map(|tools| PathBuf::from(tools).join("bin/cosign"));
    tools
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("cosign"))
}

#[test]
fn cosign_and_openssl_accept_a_padded_slot_signed_with_a_key_of_keygen() {
    let place = Workplace::new();
    place.run(env!("CARGO_BIN_EXE_rune-bundle"), &["keygen"]);
    let signature = SlotSignature::sign(&load(&place.read("cosign.key")), MESSAGE.as_bytes());
    place.write("slot.json", Slot::Signed(signature.clone()).to_bytes());
    place.write("signature.der", signature.signature());
    place.write("other.json", "{}");

    assert!(place.cosign_verifies("slot.json", "bundle.json"));
    assert!(!place.cosign_verifies("slot.json", "other.json"));
    place.run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-verify",
            "cosign.pub",
            "-signature",
            "signature.der",
            "bundle.json",
        ],
    );
}

#[test]
fn cosign_signs_with_a_key_of_keygen() {
    let place = Workplace::new();
    place.run(env!("CARGO_BIN_EXE_rune-bundle"), &["keygen"]);
    place.cosign(&["signing-config", "create", "--out", "offline.json"]);
    place.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "made.json",
        "bundle.json",
    ]);
    assert!(place.cosign_verifies("made.json", "bundle.json"));
}

#[test]
fn a_key_made_by_cosign_signs_and_names_itself_as_cosign_does() {
    let place = Workplace::new();
    place.cosign(&["generate-key-pair"]);
    let key = load(&place.read("cosign.key"));
    let published =
        PublicKey::from_pem(&String::from_utf8(place.read("cosign.pub")).unwrap()).unwrap();
    assert_eq!(*key.public_key(), published);
    place.write(
        "slot.json",
        Slot::Signed(SlotSignature::sign(&key, MESSAGE.as_bytes())).to_bytes(),
    );
    assert!(place.cosign_verifies("slot.json", "bundle.json"));

    place.cosign(&["signing-config", "create", "--out", "offline.json"]);
    place.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "made.json",
        "bundle.json",
    ]);
    let made: serde_json::Value = serde_json::from_slice(&place.read("made.json")).unwrap();
    assert_eq!(
        made["verificationMaterial"]["publicKey"]["hint"],
        published.key_id()
    );
}

#[test]
fn openssl_accepts_what_its_own_p256_keys_sign_here() {
    let place = Workplace::new();
    let key = place.openssl_key(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    place.write("signature.der", key.sign(MESSAGE.as_bytes()));
    place.run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-verify",
            "cosign.pub",
            "-signature",
            "signature.der",
            "bundle.json",
        ],
    );
    place.write(
        "slot.json",
        Slot::Signed(SlotSignature::sign(&key, MESSAGE.as_bytes())).to_bytes(),
    );
    assert!(place.cosign_verifies("slot.json", "bundle.json"));
}

#[test]
fn openssl_and_cosign_accept_what_an_ed25519_key_signs_here() {
    let place = Workplace::new();
    let key = place.openssl_key(&["ED25519"]);
    assert_eq!(key.public_key().algorithm(), Algorithm::Ed25519);
    place.write("signature.raw", key.sign(MESSAGE.as_bytes()));
    place.run(
        "openssl",
        &[
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            "cosign.pub",
            "-sigfile",
            "signature.raw",
            "-in",
            "bundle.json",
        ],
    );
    place.write(
        "slot.json",
        Slot::Signed(SlotSignature::sign(&key, MESSAGE.as_bytes())).to_bytes(),
    );
    assert!(place.cosign_verifies("slot.json", "bundle.json"));
}

#[test]
fn cosign_reads_an_ed25519_key_encrypted_here_and_signs_the_message_itself_with_it() {
    let place = Workplace::new();
    let key = place.openssl_key(&["ED25519"]);
    place.write(
        "cosign.key",
        key.to_encrypted_pem(&Secret::new(PASSPHRASE)).unwrap(),
    );
    place.cosign(&["signing-config", "create", "--out", "offline.json"]);
    place.cosign(&[
        "sign-blob",
        "--key",
        "cosign.key",
        "--signing-config",
        "offline.json",
        "--bundle",
        "made.json",
        "bundle.json",
    ]);
    let made: serde_json::Value = serde_json::from_slice(&place.read("made.json")).unwrap();
    let signature =
        Base64::decode_vec(made["messageSignature"]["signature"].as_str().unwrap()).unwrap();
    assert_eq!(signature, key.sign(MESSAGE.as_bytes()));
}
