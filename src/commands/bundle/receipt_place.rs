//! Where receipts of `push`, `install`, `rollback` and `scan` go, and what is said about it.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use super::keys::{Passphrase, load_private_key};
use crate::{
    receipt::{Act, Appended, BundleId, Chain, Earlier, Statement, VerifiedBundle, WithoutReceipt},
    sign::PrivateKey,
};
use rune_core::{
    command::{CommandError, counted},
    failure::{Failure, FailureKind},
    fsx,
};

/// Where earlier versions of this program kept receipts: in the working directory.
pub(crate) const RECEIPTS_BEFORE: &str = "rune-bundle-receipts";

#[derive(Debug, Clone)]
pub struct ReceiptPlace {
    pub(crate) directory: Option<Utf8PathBuf>,
    /// The moment, as RFC 3339.
    pub(crate) now: String,
    pub(crate) is_wanted: bool,
    /// The key of the site, if the receipt is to be signed.
    pub(crate) key: Option<ReceiptKey>,
    /// Receipts of earlier versions, when nobody named the directory: they are not left without a
    /// word.
    pub(crate) before: Option<Utf8PathBuf>,
}

/// A key that was opened before something is done that needs a receipt.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptKey(Arc<PrivateKey>);

impl ReceiptKey {
    pub(crate) fn load(
        path: &Utf8Path,
        passphrase: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
    ) -> Result<Self, CommandError> {
        Ok(Self(Arc::new(load_private_key(path, passphrase)?)))
    }
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("no directory for receipts is known: HOME is not set")]
#[failure(Usage: HELP.to_owned())]
struct NoPlace;

const HELP: &str =
    "nothing was done; give --receipts DIR on a disk that can be written, or --no-receipt";

#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'a> {
    /// `push`, `install`, `rollback` or `scan`.
    pub(super) kind: &'a str,
    pub(super) destination: &'a str,
}

impl ReceiptPlace {
    /// Makes sure that a receipt can be written, or that it is known that there is none, before
    /// something is done. Gives what people have to know about it.
    pub(super) fn begin(
        &self,
        bundle: BundleId,
        deed: Deed<'_>,
    ) -> Result<Vec<String>, CommandError> {
        if !self.is_wanted {
            return Ok(vec![self.leave_out(bundle, deed)]);
        }
        self.prepare()?;
        Ok(self.about_before().into_iter().collect())
    }

    pub(super) fn prepare(&self) -> Result<(), CommandError> {
        if !self.is_wanted {
            return Ok(());
        }
        let chain = self.chain().ok_or(NoPlace)?;
        chain.prepare().map_err(|error| {
            let error = CommandError::from(error);
            let is_about_content = error.kind() == FailureKind::Content;
            let error = error.context(format!(
                "no receipt can be written to `{}`",
                chain.directory()
            ));
            if is_about_content {
                error
            } else {
                error.with_help(HELP)
            }
        })
    }

    pub(super) fn append(
        &self,
        bundle: VerifiedBundle,
        act: Act,
    ) -> Result<Option<Appended>, CommandError> {
        let Some(chain) = self.chain().filter(|_| self.is_wanted) else {
            return Ok(None);
        };
        let statement = Statement {
            time: self.now.clone(),
            tool: tool(),
            bundle,
            act,
        };
        let key = self.key.as_ref().map(|ReceiptKey(key)| key.as_ref());
        Ok(Some(chain.append(&statement, key, || self.earlier())?))
    }

    fn chain(&self) -> Option<Chain> {
        self.directory.as_ref().map(Chain::at)
    }

    fn leave_out(&self, bundle: BundleId, Deed { kind, destination }: Deed<'_>) -> String {
        let run = WithoutReceipt {
            time: self.now.clone(),
            tool: tool(),
            kind: kind.to_owned(),
            name: bundle.name,
            version: bundle.version,
            digest: bundle.digest,
            destination: destination.to_owned(),
        };
        match self
            .chain()
            .map(|chain| chain.leave_out(&run).map(|()| chain))
        {
            Some(Ok(chain)) => format!(
                "note: no receipt of this; the next one in `{}` will say so",
                chain.directory()
            ),
            Some(Err(error)) => {
                let error = CommandError::from(error).messages().join(": ");
                format!("note: no receipt of this, and the next one will not say so: {error}")
            }
            None => {
                format!("note: no receipt of this, and the next one will not say so: {NoPlace}")
            }
        }
    }

    fn earlier(&self) -> Option<Earlier> {
        let directory = self.before.as_ref()?;
        let last = Chain::at(directory).verify(None).ok()?.pop()?;
        Some(Earlier {
            directory: directory.clone(),
            number: last.number,
            digest: last.digest,
        })
    }

    fn about_before(&self) -> Option<String> {
        let (before, now) = (self.before.as_ref()?, self.directory.as_ref()?);
        if !fsx::is_dir(before) || is_same(before, now) {
            return None;
        }
        let existing = match Chain::at(before).verify(None) {
            Ok(chain) if chain.is_empty() => return None,
            Ok(chain) => counted(chain.len(), "receipt"),
            Err(_) => "receipts that are not as they were written".to_owned(),
        };
        Some(format!(
            "note: `{before}` has {existing} of earlier runs, and receipts go to `{now}` now; \
             --receipts {RECEIPTS_BEFORE} goes on there"
        ))
    }
}

fn is_same(one: &Utf8Path, other: &Utf8Path) -> bool {
    fsx::identity(one)
        .ok()
        .zip(fsx::identity(other).ok())
        .is_some_and(|(one, other)| one == other)
}

pub(super) fn tool() -> String {
    format!("rune-bundle {}", env!("CARGO_PKG_VERSION"))
}
