//! A directory of receipts.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FORMAT, ReceiptError, Statement, WithoutReceipt, error::Name};
use crate::{
    canonical_json,
    sign::{ForeignSignature, PrivateKey, Signer, SlotSignature},
};
use rune_core::{
    digest::Digest,
    fsx::{self, DirectoryLock, LineLog},
};

/// Far above what a receipt of a large bundle needs.
const MAX_RECEIPT_BYTES: u64 = 8 << 20;

const MAX_SIGNATURE_BYTES: u64 = 64 << 10;

/// What was done without a receipt since the last one, a line of JSON each.
const WITHOUT_RECEIPT: &str = "without-receipt";

#[derive(Debug, Clone)]
pub struct Chain {
    directory: Utf8PathBuf,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub(crate) number: u64,
    pub(crate) digest: Digest,
    pub(crate) path: Utf8PathBuf,
    pub(crate) content: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Appended {
    pub number: u64,
    pub digest: Digest,
    pub path: Utf8PathBuf,
    /// The file with its signature, if it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Utf8PathBuf>,
}

impl Appended {
    /// Where its signature is, as what follows its name; empty without one.
    pub(crate) fn signed(&self) -> String {
        let signature = self.signature.as_ref();
        signature.map_or_else(String::new, |path| format!(", signed in `{path}`"))
    }
}

impl fmt::Display for Appended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            path,
            digest,
            ..
        } = self;
        write!(
            formatter,
            "{number} in `{path}` ({digest}){}",
            self.signed()
        )
    }
}

/// A chain in another directory that ended when this one began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Earlier {
    pub(crate) directory: Utf8PathBuf,
    pub(crate) number: u64,
    pub(crate) digest: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    format: u64,
    number: u64,
    previous: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier: Option<Earlier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_receipt: Vec<WithoutReceipt>,
    #[serde(flatten)]
    statement: &'a Statement,
}

#[derive(Deserialize)]
struct Link {
    number: u64,
    previous: Option<Digest>,
}

impl Chain {
    pub fn at(directory: impl Into<Utf8PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    pub(crate) fn directory(&self) -> &Utf8Path {
        &self.directory
    }

    /// Makes sure that a receipt can be added: before something is done that needs one.
    pub fn prepare(&self) -> Result<(), ReceiptError> {
        fsx::create_dir_all(&self.directory)?;
        fsx::check_writable(&self.directory)?;
        let _lock = DirectoryLock::wait(&self.directory)?;
        self.complete()?;
        self.verify(None).map(drop)
    }

    /// Notes that something is about to be done without a receipt. The next receipt says so.
    pub(crate) fn leave_out(&self, run: &WithoutReceipt) -> Result<(), ReceiptError> {
        fsx::create_dir_all(&self.directory)?;
        let _lock = DirectoryLock::wait(&self.directory)?;
        let (mut log, _) = LineLog::open(&self.directory.join(WITHOUT_RECEIPT))?;
        let line = canonical_json::to_bytes(run)?;
        Ok(log.append(&[String::from_utf8_lossy(&line).into_owned()])?)
    }

    /// What was done without a receipt since the last one. A line that is not valid is left out:
    /// whoever can write it can remove it too.
    fn without_receipt(&self) -> Result<Vec<WithoutReceipt>, ReceiptError> {
        let path = self.directory.join(WITHOUT_RECEIPT);
        if !fsx::exists(&path) {
            return Ok(Vec::new());
        }
        let (_, lines) = LineLog::open(&path)?;
        Ok(lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Adds a receipt: whole and durable, or not at all. Several programs may add to the same
    /// chain. The first receipt of a chain names the `earlier` one, if there is one, and every
    /// receipt what was done without one before it. With a key there is a signature beside it, which
    /// is written first: a signature without a receipt is of a run that was killed, and no receipt
    /// lacks the one that it was to have. Fails when the chain is not as it was written, or a file
    /// cannot be written.
    pub fn append(
        &self,
        statement: &Statement,
        key: Option<&PrivateKey>,
        earlier: impl FnOnce() -> Option<Earlier>,
    ) -> Result<Appended, ReceiptError> {
        fsx::create_dir_all(&self.directory)?;
        let _lock = DirectoryLock::wait(&self.directory)?;
        self.complete()?;
        let previous = self.verify(None)?.pop();
        let number = previous
            .as_ref()
            .map_or(0, |last| last.number)
            .saturating_add(1);
        let earlier = if previous.is_none() { earlier() } else { None };
        let without_receipt = self.without_receipt()?;
        let is_noted = !without_receipt.is_empty();
        let written = Written {
            format: FORMAT,
            number,
            previous: previous.map(|last| last.digest),
            earlier,
            without_receipt,
            statement,
        };
        let bytes = canonical_json::to_bytes(&written)?;
        let name = Name {
            number,
            digest: Digest::of(&bytes),
        };
        let path = self.directory.join(name.display_name());
        let signature = key.map(|key| {
            let beside = signature_path(&path);
            let signature = SlotSignature::sign(key, &bytes).to_canonical_json();
            fsx::write_new(&beside, &signature, 0o644).map(|()| beside)
        });
        let signature = signature.transpose()?;
        fsx::write_new(&path, &bytes, 0o644)?;
        if is_noted {
            fsx::remove_file(&self.directory.join(WITHOUT_RECEIPT))?;
        }
        Ok(Appended {
            number,
            digest: name.digest,
            path,
            signature,
        })
    }

    /// Gives a receipt its name whose writer was killed when it had only reserved that: the content
    /// was durable before.
    fn complete(&self) -> Result<(), ReceiptError> {
        for name in self.names()? {
            let path = self.directory.join(name.display_name());
            if fsx::is_placeholder(&path)
                && Digest::of(&fsx::read(&fsx::partial_path(&path), MAX_RECEIPT_BYTES)?)
                    == name.digest
            {
                fsx::complete(&path)?;
            }
        }
        Ok(())
    }

    /// Reads the chain from its beginning and checks every link. `head` is the digest that the last
    /// receipt must have: without it nobody can tell that the end was cut off. Files with other
    /// names than receipts have are not read.
    pub fn verify(&self, head: Option<Digest>) -> Result<Vec<Stored>, ReceiptError> {
        let mut chain: Vec<Stored> = Vec::new();
        for name in self.names()? {
            let path = self.directory.join(name.display_name());
            let last = chain.last();
            let expected = last.map_or(0, |last| last.number).saturating_add(1);
            if let Some(last) = last.filter(|last| last.number == name.number) {
                return Err(ReceiptError::Twice {
                    number: name.number,
                    first: last.path.clone(),
                    second: path,
                });
            }
            if name.number != expected {
                return Err(ReceiptError::Removed {
                    number: expected,
                    after: name.display_name(),
                });
            }
            let receipt = read(&name, path)?;
            let Link { number, previous } = link(&receipt)?;
            if number != receipt.number {
                let reason = format!("it says that it is receipt {number}");
                return Err(ReceiptError::NoReceipt {
                    number: receipt.number,
                    path: receipt.path,
                    reason,
                });
            }
            match (last, previous) {
                (None, None) => {}
                (Some(last), Some(previous)) if last.digest == previous => {}
                (Some(last), Some(expected)) => {
                    let (path, actual) = (last.path.clone(), last.digest);
                    return Err(ReceiptError::Replaced {
                        number: last.number,
                        path,
                        expected,
                        actual,
                    });
                }
                (Some(_), None) | (None, Some(_)) => {
                    let reason =
                        "it does not say which receipt it follows, or says it although it is the \
                         first"
                            .to_owned();
                    return Err(ReceiptError::NoReceipt {
                        number,
                        path: receipt.path,
                        reason,
                    });
                }
            }
            chain.push(receipt);
        }
        let last = chain.last().map(|last| last.number);
        match (head, last) {
            (Some(expected), _) if chain.last().is_none_or(|last| last.digest != expected) => {
                let found = chain
                    .iter()
                    .find(|receipt| receipt.digest == expected)
                    .map(|receipt| receipt.number);
                Err(match found.zip(last) {
                    Some((number, last)) => ReceiptError::Continued {
                        expected,
                        number,
                        last,
                    },
                    None => ReceiptError::Cut { expected, last },
                })
            }
            _ => Ok(chain),
        }
    }

    fn names(&self) -> Result<Vec<Name>, ReceiptError> {
        if !fsx::exists(&self.directory) {
            return Ok(Vec::new());
        }
        let mut names: Vec<Name> = fsx::list_files(&self.directory)?
            .iter()
            .filter_map(|path| Name::parse(path.as_str()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }
}

impl Stored {
    pub(crate) fn verify_signature(&self, signers: &[Signer]) -> Result<(), ReceiptError> {
        let path = signature_path(&self.path);
        if !fsx::exists(&path) {
            return Err(ReceiptError::NotSigned {
                number: self.number,
                path,
            });
        }
        let bytes = fsx::read(&path, MAX_SIGNATURE_BYTES)?;
        // A receipt that was read is in canonical form.
        let receipt = canonical_json::to_bytes(&self.content)?;
        let is_by = |signer: &Signer| {
            ForeignSignature::parse(&bytes)
                .and_then(|signature| signature.check(&signer.key, &receipt))
                .is_ok()
        };
        if signers.iter().any(is_by) {
            Ok(())
        } else {
            Err(ReceiptError::OtherSignature {
                number: self.number,
                path,
            })
        }
    }
}

fn signature_path(receipt: &Utf8Path) -> Utf8PathBuf {
    format!("{receipt}.sigstore.json").into()
}

fn read(&Name { number, digest }: &Name, path: Utf8PathBuf) -> Result<Stored, ReceiptError> {
    if fsx::is_placeholder(&path) {
        return Err(ReceiptError::Unfinished { number, path });
    }
    let bytes = fsx::read(&path, MAX_RECEIPT_BYTES)?;
    let actual = Digest::of(&bytes);
    if actual != digest {
        return Err(ReceiptError::Changed {
            number,
            path,
            actual,
        });
    }
    match canonical_json::from_bytes(&bytes) {
        Ok(content) => Ok(Stored {
            number,
            digest,
            path,
            content,
        }),
        Err(error) => Err(ReceiptError::NoReceipt {
            number,
            path,
            reason: error.to_string(),
        }),
    }
}

fn link(receipt: &Stored) -> Result<Link, ReceiptError> {
    Link::deserialize(&receipt.content).map_err(|error| ReceiptError::NoReceipt {
        number: receipt.number,
        path: receipt.path.clone(),
        reason: error.to_string(),
    })
}
