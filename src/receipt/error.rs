//! Why receipts cannot be read or written.

use camino::Utf8PathBuf;

use crate::canonical_json::CanonicalJsonError;
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
};

#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    #[error(transparent)]
    Path(#[from] PathError),
    /// A receipt has no canonical form; does not happen.
    #[error("the receipt cannot be written as JSON")]
    Form(#[from] CanonicalJsonError),
    #[error("receipt {number} is missing, and `{after}` exists")]
    Removed {
        /// The first number that is missing.
        number: u64,
        after: String,
    },
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
    Unfinished { number: u64, path: Utf8PathBuf },
    #[error("no receipt has the digest {expected}: {}", .last.map_or_else(|| "there are no receipts".to_owned(), |last| format!("the chain ends with receipt {last}")))]
    Cut {
        /// The digest that the last receipt should have.
        expected: Digest,
        /// The number of the last receipt.
        last: Option<u64>,
    },
    #[error(
        "the digest {expected} is that of receipt {number}, and the chain ends with receipt {last}"
    )]
    Continued {
        /// The digest that the last receipt should have.
        expected: Digest,
        number: u64,
        /// The number of the last receipt.
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

    /// Reads a file name; nothing when it is not the name of a receipt.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (number, hex) = file_name.strip_suffix(".json")?.split_once('-')?;
        let name = Self {
            number: number.parse().ok()?,
            digest: Digest::from_hex(hex).ok()?,
        };
        (name.number > 0 && name.display_name() == file_name).then_some(name)
    }
}

impl Failure for ReceiptError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Path(error) => error.kind(),
            Self::Form(error) => error.kind(),
            Self::Removed { .. }
            | Self::Twice { .. }
            | Self::Changed { .. }
            | Self::Replaced { .. }
            | Self::NoReceipt { .. }
            | Self::Unfinished { .. }
            | Self::Cut { .. }
            | Self::Continued { .. } => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.help(),
            Self::Form(_) => None,
            Self::Unfinished { .. } => Some(
                "the program that wrote it was killed; the next verb that writes a receipt to this \
                 directory completes it"
                    .to_owned(),
            ),
            Self::Continued { .. } => Some(
                "receipts were added since that digest was noted; when that is as it should be, \
                 note the new one"
                    .to_owned(),
            ),
            _ => Some(
                "compare with a copy of the directory; to go on without these receipts, keep them \
                 and name another directory with --receipts"
                    .to_owned(),
            ),
        }
    }
}
