//! `trust.yaml`: whose signatures count, and how many of them it takes.
//!
//! The file of whoever receives bundles. Keys have names, so that reports can say who signed. A key
//! that is no longer to be believed is revoked by its name or its id; there are no dates, because
//! the clock of a machine without a network proves nothing. All mistakes of the file are found in
//! one reading.

use std::fmt;

use camino::Utf8Path;

use super::{PublicKey, SLOTS, fingerprint_of_key_id};
use rune_core::{
    digest::Digest,
    fsx::PathError,
    yaml::{self, Diagnostics, Findings, Mapping, Node, Problem, suggestion},
};

const API_VERSION: &str = "rune-bundle/v1";
const KIND: &str = "Trust";
const MAX_NAME_BYTES: usize = 64;

#[derive(Debug, Clone)]
pub struct TrustFile {
    pub(crate) signers: Vec<Signer>,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) threshold: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// What reports call it: the name in the trust file, or the file that the key was read from.
    pub name: String,
    pub key: PublicKey,
}

/// The name, and the fingerprint that people compare.
impl fmt::Display for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({})",
            self.name,
            self.key.fingerprint().grouped()
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) key: Digest,
    pub(crate) name: Option<String>,
    pub(crate) reason: String,
}

#[derive(Debug, thiserror::Error)]
enum TrustProblem<'a> {
    #[error("{0} is empty")]
    Empty(&'a str),
    #[error("`{0}` is not a valid name of a signer")]
    Name(&'a str),
    #[error("the name `{name}` is given twice, first in line {first}")]
    DuplicateName { name: &'a str, first: usize },
    #[error("the key of `{name}` is the one of `{other}` in line {first}")]
    DuplicateKey {
        name: &'a str,
        other: &'a str,
        first: usize,
    },
    #[error("{0} needs exactly one of `{1}` and `{2}`")]
    ExactlyOne(&'a str, &'a str, &'a str),
    #[error("the key file cannot be used: {0}")]
    KeyFile(String),
    #[error("the key cannot be used: {0}")]
    Key(String),
    #[error("`{0}` is not a key id")]
    KeyId(&'a str),
    #[error("unknown signer `{found}`")]
    UnknownSigner { found: &'a str, known: Vec<String> },
    #[error("this key is revoked twice, first in line {first}")]
    RevokedTwice { first: usize },
    #[error("`{0}` is not a number of signers")]
    Threshold(&'a str),
    #[error("a threshold of {threshold} cannot be met by {usable} keys that are not revoked")]
    Unreachable { threshold: usize, usable: usize },
}

impl Problem for TrustProblem<'_> {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty(_) => return None,
            Self::Name(_) => {
                format!(
                    "write up to {MAX_NAME_BYTES} letters, digits and `.`, `_`, `-`, `@`, `+`, \
                     with a letter or digit first"
                )
            }
            Self::DuplicateName { .. } => "give each key a name of its own".to_owned(),
            Self::DuplicateKey { .. } => {
                "remove one of them; under two names one signature would count twice".to_owned()
            }
            Self::ExactlyOne(_, first, second) => {
                format!("write `{first}` or `{second}`, and not both")
            }
            Self::KeyFile(_) => "paths are relative to the directory of this file".to_owned(),
            Self::Key(_) => {
                "give a P-256 or Ed25519 public key as PEM, such as the `.pub` file of \
                 `rune-bundle keygen` or cosign"
                    .to_owned()
            }
            Self::KeyId(_) => {
                "write the fingerprint (sha256:…) that `fingerprint`, `verify` and `inspect` show"
                    .to_owned()
            }
            Self::UnknownSigner { found, known } => suggestion(found, known),
            Self::RevokedTwice { .. } => "remove one of them".to_owned(),
            Self::Threshold(_) => {
                format!("write a number from 1 to {SLOTS}; a bundle has {SLOTS} signature slots")
            }
            Self::Unreachable { .. } => "add keys, or lower the threshold".to_owned(),
        })
    }
}

impl TrustFile {
    /// Reads the text of a trust file. `path` only says where mistakes are; `read_key` reads a key
    /// file that the text names.
    pub fn read(
        path: &Utf8Path,
        text: &str,
        read_key: &dyn Fn(&str) -> Result<String, PathError>,
    ) -> Result<Self, Diagnostics> {
        let mut findings = Findings::new(path);
        let mut reader = Reader {
            findings: &mut findings,
            read_key,
            signers: Vec::new(),
            is_complete: false,
            revocations: Vec::new(),
        };
        let threshold = match yaml::parse(path, text) {
            Ok(root) => reader.file(&root),
            Err(error) => {
                reader.findings.add_syntax(&error);
                None
            }
        };
        let signers = reader
            .signers
            .into_iter()
            .map(|(_, signer)| signer)
            .collect();
        let revocations = reader
            .revocations
            .into_iter()
            .map(|(_, revocation)| revocation)
            .collect();
        Diagnostics::check([findings])?;
        let threshold = threshold.ok_or_else(|| Diagnostics::unexplained(path))?;
        Ok(Self {
            signers,
            revocations,
            threshold,
        })
    }
}

struct Reader<'f> {
    findings: &'f mut Findings,
    read_key: &'f dyn Fn(&str) -> Result<String, PathError>,
    signers: Vec<(usize, Signer)>,
    /// Whether every key that the file names could be read: a mistake in one is not a reason to
    /// complain about what refers to it.
    is_complete: bool,
    revocations: Vec<(usize, Revocation)>,
}

impl Reader<'_> {
    fn file(&mut self, root: &Node) -> Option<usize> {
        let map = Mapping::open(
            root,
            "a trust file",
            &["apiVersion", "kind", "threshold", "keys", "revoked"],
            self.findings,
        )?;
        map.fixed("apiVersion", API_VERSION, self.findings);
        map.fixed("kind", KIND, self.findings);
        if let Some(node) = map.required("keys", self.findings) {
            let items = yaml::items(node, "`keys`", self.findings);
            if items.is_empty() {
                self.findings
                    .add(node.place, &TrustProblem::Empty("`keys`"));
            }
            for item in items {
                self.signer(item);
            }
            self.is_complete = !items.is_empty() && self.signers.len() == items.len();
        }
        if let Some(node) = map.optional("revoked") {
            for item in yaml::items(node, "`revoked`", self.findings) {
                self.revocation(item);
            }
        }
        let node = map.required("threshold", self.findings)?;
        self.threshold(node)
    }

    fn threshold(&mut self, node: &Node) -> Option<usize> {
        let found = yaml::text(node, "`threshold`", self.findings)?;
        let Some(threshold) = found
            .parse()
            .ok()
            .filter(|threshold| (1..=SLOTS).contains(threshold))
        else {
            self.findings
                .add(node.place, &TrustProblem::Threshold(found));
            return None;
        };
        let is_revoked = |signer: &Signer| {
            self.revocations
                .iter()
                .any(|(_, revoked)| revoked.key == signer.key.fingerprint())
        };
        let usable = self
            .signers
            .iter()
            .filter(|(_, signer)| !is_revoked(signer))
            .count();
        if self.is_complete && threshold > usable {
            self.findings
                .add(node.place, &TrustProblem::Unreachable { threshold, usable });
        }
        Some(threshold)
    }

    fn signer(&mut self, node: &Node) {
        let Some(map) = Mapping::open(node, "a key", &["name", "file", "pem"], self.findings)
        else {
            return;
        };
        let name = map
            .required("name", self.findings)
            .and_then(|node| self.name(node));
        let key = self.key(&map);
        let (Some(name), Some(key)) = (name, key) else {
            return;
        };
        if let Some((first, other)) = self.signers.iter().find(|(_, signer)| signer.key == key) {
            self.findings.add(
                node.place,
                &TrustProblem::DuplicateKey {
                    name: &name,
                    other: &other.name,
                    first: *first,
                },
            );
            return;
        }
        self.signers.push((node.place.line, Signer { name, key }));
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let name = yaml::text(node, "`name`", self.findings)?;
        let is_name = name.len() <= MAX_NAME_BYTES
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-@+".contains(c));
        if !is_name {
            self.findings.add(node.place, &TrustProblem::Name(name));
            return None;
        }
        if let Some((first, _)) = self.signers.iter().find(|(_, signer)| signer.name == name) {
            self.findings.add(
                node.place,
                &TrustProblem::DuplicateName {
                    name,
                    first: *first,
                },
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn key(&mut self, map: &Mapping<'_>) -> Option<PublicKey> {
        let (place, pem) = match (map.optional("file"), map.optional("pem")) {
            (Some(node), None) => {
                let file = self.word(node, "`file`")?;
                match (self.read_key)(file) {
                    Ok(pem) => (node.place, pem),
                    Err(error) => {
                        self.findings.add(
                            node.place,
                            &TrustProblem::KeyFile(format!("{error}: {}", error.source)),
                        );
                        return None;
                    }
                }
            }
            (None, Some(node)) => (node.place, self.word(node, "`pem`")?.to_owned()),
            _ => {
                self.findings.add(
                    map.place(),
                    &TrustProblem::ExactlyOne("a key", "file", "pem"),
                );
                return None;
            }
        };
        let key = PublicKey::from_pem(&pem);
        if let Err(error) = &key {
            self.findings
                .add(place, &TrustProblem::Key(error.to_string()));
        }
        key.ok()
    }

    fn revocation(&mut self, node: &Node) {
        let Some(map) = Mapping::open(
            node,
            "a revoked key",
            &["name", "id", "reason"],
            self.findings,
        ) else {
            return;
        };
        let reason = map
            .required("reason", self.findings)
            .and_then(|node| self.word(node, "`reason`"));
        let key = match (map.optional("name"), map.optional("id")) {
            (Some(node), None) => self.known(node),
            (None, Some(node)) => self.id(node),
            _ => {
                self.findings.add(
                    map.place(),
                    &TrustProblem::ExactlyOne("a revoked key", "name", "id"),
                );
                None
            }
        };
        let (Some(reason), Some(key)) = (reason, key) else {
            return;
        };
        if let Some((first, _)) = self
            .revocations
            .iter()
            .find(|(_, revoked)| revoked.key == key)
        {
            self.findings
                .add(node.place, &TrustProblem::RevokedTwice { first: *first });
            return;
        }
        let name = self
            .signers
            .iter()
            .find(|(_, signer)| signer.key.fingerprint() == key)
            .map(|(_, signer)| signer.name.clone());
        // One line, however it is written.
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        self.revocations
            .push((node.place.line, Revocation { key, name, reason }));
    }

    fn known(&mut self, node: &Node) -> Option<Digest> {
        let found = self.word(node, "`name`")?;
        let key = self
            .signers
            .iter()
            .find(|(_, signer)| signer.name == found)
            .map(|(_, signer)| signer.key.fingerprint());
        if key.is_none() && self.is_complete {
            let known = self
                .signers
                .iter()
                .map(|(_, signer)| signer.name.clone())
                .collect();
            self.findings
                .add(node.place, &TrustProblem::UnknownSigner { found, known });
        }
        key
    }

    fn id(&mut self, node: &Node) -> Option<Digest> {
        let found = self.word(node, "`id`")?;
        // As people read it, too: in groups.
        let compact: String = found.split_whitespace().collect();
        let key = compact
            .parse()
            .ok()
            .or_else(|| fingerprint_of_key_id(found));
        if key.is_none() {
            self.findings.add(node.place, &TrustProblem::KeyId(found));
        }
        key
    }

    fn word<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = yaml::text(node, what, self.findings)?.trim();
        if text.is_empty() {
            self.findings.add(node.place, &TrustProblem::Empty(what));
            return None;
        }
        Some(text)
    }
}
