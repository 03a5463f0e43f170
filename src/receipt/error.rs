//! Why receipts cannot be read or written.

use camino::Utf8PathBuf;

use crate::canonical_json::CanonicalJsonError;
use rune_core::{digest::Digest, failure::Failure, fsx::PathError};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Content: "compare with a copy of the directory; to go on without these receipts, keep \
    them and name another directory with --receipts")]
pub enum ReceiptError {
    #[error(transparent)]
    Path(#[from] PathError),
    /// A receipt has no canonical form; does not happen.
    #[error("the receipt cannot be written as JSON")]
    #[failure(inner)]
    Form(#[from] CanonicalJsonError),
    #[error("receipt {number} is missing, and `{after}` exists")]
    Removed { number: u64, after: String },
    #[error("there are two receipts with the number {number}: `{first}` and `{second}`")]
    Twice {
        number: u64,
        first: Utf8PathBuf,
        second: Utf8PathBuf,
    },
    #[error("receipt {number} was changed: `{path}` has the digest {actual}")]
    Changed {
        number: u64,
        path: Utf8PathBuf,
        actual: Digest,
    },
    #[error("receipt {number} was replaced: receipt {} follows {expected}, and `{path}` is \
             {actual}", .number.saturating_add(1))]
    Replaced {
        number: u64,
        path: Utf8PathBuf,
        /// The digest that its successor names.
        expected: Digest,
        actual: Digest,
    },
    #[error("`{path}` is not a valid receipt {number}: {reason}")]
    NoReceipt {
        number: u64,
        path: Utf8PathBuf,
        reason: String,
    },
    #[error(
        "receipt {number} is not finished: `{path}` is empty, and what belongs into it is in \
         `{path}.partial`"
    )]
    #[failure(help: "the program that wrote it was killed; the next verb that writes a receipt to this \
        directory completes it")]
    Unfinished { number: u64, path: Utf8PathBuf },
    #[error("receipt {number} is not signed: there is no `{path}`")]
    #[failure(Signature: "a receipt is signed when it is written, or later by `cosign sign-blob --bundle`")]
    NotSigned { number: u64, path: Utf8PathBuf },
    #[error("receipt {number} is not signed by a key that was given: see `{path}`")]
    #[failure(Signature: "give the public key of whoever wrote it; if nobody should have, keep the \
        directory as evidence")]
    OtherSignature { number: u64, path: Utf8PathBuf },
    #[error("no receipt has the digest {expected}: {}",
        .last.map_or_else(|| "there are no receipts".to_owned(),
        |last| format!("the chain ends with receipt {last}")))]
    Cut { expected: Digest, last: Option<u64> },
    #[error(
        "the digest {expected} is that of receipt {number}, and the chain ends with receipt {last}"
    )]
    #[failure(help: "receipts were added since that digest was noted; when that is as it should \
        be, note the new one")]
    Continued {
        expected: Digest,
        number: u64,
        last: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) digest: Digest,
}

impl Name {
    pub(super) fn display_name(&self) -> String {
        format!("{:06}-{}.json", self.number, self.digest.hex())
    }

    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (number, hex) = file_name.strip_suffix(".json")?.split_once('-')?;
        let name = Self {
            number: number.parse().ok()?,
            digest: Digest::from_hex(hex).ok()?,
        };
        (name.number > 0 && name.display_name() == file_name).then_some(name)
    }
}
