//! People who sign a small bundle, each with a key of their own that needs no passphrase.

use std::{fs, path::PathBuf, process::Output};

use base64ct::{Base64, Encoding as _};
use rune_bundle::sign::{PrivateKey, SignError};

use crate::bundle::small_bundle::{Scratch, entries_of, rune_bundle, signed};

/// The PKCS#8 form of an Ed25519 key, up to the 32 bytes of the key itself (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// A directory with `small.bundle.tar`, which `first` has signed, and everybody's keys.
pub(crate) struct Team {
    pub(crate) scratch: Scratch,
    pub(crate) bundle: PathBuf,
}

impl Team {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let bundle = signed(&scratch);
        let team = Self { scratch, bundle };
        fs::rename(team.scratch.path("key.pub"), team.scratch.path("first.pub")).unwrap();
        fs::write(
            team.scratch.path("first.key"),
            crate::bundle::small_bundle::KEY,
        )
        .unwrap();
        team
    }

    /// Makes the key of somebody: `<name>.key` and `<name>.pub`, the same in every run.
    pub(crate) fn join(&self, name: &str) -> PrivateKey {
        let mut seed = [0x5a; 32];
        seed[..name.len()].copy_from_slice(name.as_bytes());
        let der = [&ED25519_PKCS8[..], &seed].concat();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            Base64::encode_string(&der)
        );
        let key =
            PrivateKey::load::<SignError>(pem.as_bytes(), || panic!("the key is not encrypted"))
                .unwrap();
        fs::write(self.scratch.path(&format!("{name}.key")), pem).unwrap();
        fs::write(
            self.scratch.path(&format!("{name}.pub")),
            key.public_key().to_pem(),
        )
        .unwrap();
        key
    }

    /// The path of a file as an argument.
    pub(crate) fn file(&self, name: &str) -> String {
        self.scratch.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a verb on the bundle.
    pub(crate) fn run(&self, verb: &str, options: &[&str]) -> Output {
        rune_bundle([verb, self.bundle.to_str().unwrap()].iter().chain(options))
    }

    /// Lets somebody sign.
    pub(crate) fn sign(&self, name: &str, options: &[&str]) -> Output {
        let key = self.file(&format!("{name}.key"));
        self.run("sign", &[&["--key", &key], options].concat())
    }

    /// Verifies with the keys of some people.
    pub(crate) fn verify(&self, names: &[&str], threshold: usize) -> Output {
        let mut options = vec!["--threshold".to_owned(), threshold.to_string()];
        options.extend(
            names
                .iter()
                .flat_map(|name| ["--key".to_owned(), self.file(&format!("{name}.pub"))]),
        );
        self.run(
            "verify",
            &options.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.bundle).unwrap()
    }

    /// Where the content of a signature slot begins in the file.
    pub(crate) fn slot(&self, slot: usize) -> usize {
        let entry = &entries_of(&self.bundle)[slot + 1];
        assert_eq!(
            (entry.name.as_str(), entry.size),
            (format!("signatures/{slot}.sigstore.json").as_str(), 8192)
        );
        usize::try_from(entry.content).unwrap()
    }
}
