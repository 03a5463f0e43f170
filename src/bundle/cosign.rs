//! Putting a signature into a bundle that is there already.
//!
//! A signature takes one blank slot, and nothing else of the file changes. Its bytes are written
//! with one call and are durable before anybody is told. When the machine stops in between, each
//! byte of the slot is either still a space or already one of the signature. Such a slot never
//! passes for a signature, nor for a blank one unless nothing was written: verifiers refuse the
//! file. Whoever runs the same command again has the same signature, finds that the slot is a part
//! of it, and completes it.

use camino::Utf8Path;

use super::{
    AuthenticatedHead, BundleIndex, BundleSource, HeadError, IndexError, SlotState, Trust,
    TrustError, UnverifiedHead, VerifyError, verify,
};
use crate::sign::{SLOTS, Slot, SlotSignature};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::{EditableFile, PathError},
    progress::Progress,
};

/// A bundle file that somebody is about to sign; only its head was read, and nothing in it is
/// trusted.
#[derive(Debug)]
pub struct FileToSign {
    file: EditableFile,
    head: UnverifiedHead,
}

/// A bundle file that was checked to its last byte against its own index, on the word of whoever
/// signs it now.
#[derive(Debug)]
pub struct CheckedFile {
    file: EditableFile,
    head: AuthenticatedHead,
}

/// What became of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It took a blank slot.
    New(usize),
    /// It was there in part, from a run that was cut off.
    Completed(usize),
    /// The key had signed before.
    Present(usize),
}

/// Why a bundle was not signed.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The file cannot be opened, locked or written.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file does not begin as a bundle does.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The index is none that this program understands.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The contents are not what the index says.
    #[error(transparent)]
    Contents(#[from] VerifyError),
    /// Another signature is bad, or the bundle is another one than expected.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A slot holds a part of another signature, or rubbish.
    #[error("signature slot {0} holds neither a signature in the accepted form nor only spaces")]
    OtherPart(usize),
    #[error("all {SLOTS} signature slots are taken")]
    Full,
    #[error("the bundle was changed while it was being checked")]
    Changed,
}

impl Failure for CosignError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Path(error) => error.kind(),
            Self::Head(error) => error.kind(),
            Self::Index(error) => error.kind(),
            Self::Contents(error) => error.kind(),
            Self::Trust(error) => error.kind(),
            Self::OtherPart(_) => FailureKind::Signature,
            Self::Full | Self::Changed => FailureKind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.help(),
            Self::Head(error) => error.help(),
            Self::Index(error) => error.help(),
            Self::Contents(error) => error.help(),
            Self::Trust(error) => error.help(),
            Self::OtherPart(_) => Some(
                "if somebody else's `sign` or `attach` was cut off, let them run it again with the same key or signature; else copy the file again from its source"
                    .to_owned(),
            ),
            Self::Full => Some(
                "build the bundle again, which gives the same bundle.json, and `attach` the signatures that are still wanted".to_owned(),
            ),
            Self::Changed => Some("see what else writes to this file, and run the same command again".to_owned()),
        }
    }
}

impl FileToSign {
    /// Opens a bundle for writing and reads its head.
    ///
    /// # Errors
    /// When it may not be written, or is no bundle.
    pub fn open(path: &Utf8Path) -> Result<Self, CosignError> {
        let file = EditableFile::open(path)?;
        let head = BundleSource::File(file.reader()?).read_head()?;
        Ok(Self { file, head })
    }

    /// The exact bytes that signatures are made over: the index as it stands in the file.
    pub fn message(&self) -> &[u8] {
        self.head.index_bytes()
    }

    pub fn digest(&self) -> Digest {
        self.head.digest()
    }

    /// Checks the whole bundle against its index.
    ///
    /// # Errors
    /// When the index is not understood, or any byte differs from what it says.
    pub fn check(
        self,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<CheckedFile, CosignError> {
        let head = self.head.vouched_for_by_signer()?;
        verify(
            BundleSource::File(self.file.reader()?),
            &head,
            threads,
            progress,
        )?;
        Ok(CheckedFile {
            file: self.file,
            head,
        })
    }
}

impl CheckedFile {
    pub const fn index(&self) -> &BundleIndex {
        self.head.index()
    }

    pub const fn digest(&self) -> Digest {
        self.head.digest()
    }

    /// Puts a signature into a slot, unless its key has signed before. `trust` has the key, and
    /// judges the signatures that are there. Waits for other processes that do the same. Nothing is
    /// written when `is_dry_run`. Also gives what the slots hold afterwards, or would.
    ///
    /// # Errors
    /// When no slot is blank, a slot is damaged, a key that `trust` has made a bad signature, or
    /// the disk refuses.
    pub fn add(
        &self,
        trust: &Trust,
        signature: &SlotSignature,
        is_dry_run: bool,
    ) -> Result<(Placement, Vec<SlotState>), CosignError> {
        self.file.lock()?;
        let (placement, states) = self.place(trust, signature)?;
        if is_dry_run {
            return Ok((placement, states));
        }
        if let Placement::New(slot) | Placement::Completed(slot) = placement {
            // What follows in the slot are spaces already.
            self.file
                .write_at(&signature.to_canonical_json(), self.head.slot_offset(slot))?;
        }
        // Also when it was there: the run that wrote it may have been cut off before this.
        self.file.sync()?;
        Ok((placement, states))
    }

    /// Where the signature belongs. All slots are looked at, so that no signature is put beside a
    /// damaged one.
    fn place(
        &self,
        trust: &Trust,
        signature: &SlotSignature,
    ) -> Result<(Placement, Vec<SlotState>), CosignError> {
        let whole = Slot::Signed(signature.clone()).to_bytes();
        let own = trust.examine_slot(self.head.index_bytes(), 0, &whole)?;
        let (mut blank, mut part, mut present) = (None, None, None);
        let mut states = Vec::new();
        for (slot, bytes) in self.head_now()?.slots().iter().enumerate() {
            let state = match trust.examine_slot(self.head.index_bytes(), slot, bytes) {
                Err(TrustError::Malformed(_)) if is_part(bytes, &whole) => {
                    part = part.or(Some(slot));
                    own.clone()
                }
                Err(TrustError::Malformed(_)) => return Err(CosignError::OtherPart(slot)),
                state => state?,
            };
            match &state {
                SlotState::Blank => blank = blank.or(Some(slot)),
                state if *state == own => present = present.or(Some(slot)),
                _ => {}
            }
            states.push(state);
        }
        let placement = match (part, present, blank) {
            (Some(slot), ..) => Placement::Completed(slot),
            (None, Some(slot), _) => Placement::Present(slot),
            (None, None, Some(slot)) => Placement::New(slot),
            (None, None, None) => return Err(CosignError::Full),
        };
        if let Placement::New(slot) = placement
            && let Some(state) = states.get_mut(slot)
        {
            *state = own;
        }
        Ok((placement, states))
    }

    /// The head as it stands in the file now; others may have signed since.
    fn head_now(&self) -> Result<UnverifiedHead, CosignError> {
        let head = BundleSource::File(self.file.reader()?).read_head()?;
        if head.index_bytes() == self.head.index_bytes() {
            Ok(head)
        } else {
            Err(CosignError::Changed)
        }
    }
}

/// Whether a slot is what a write of `whole` that was cut off leaves.
fn is_part(slot: &[u8], whole: &[u8]) -> bool {
    slot.len() == whole.len()
        && slot
            .iter()
            .zip(whole)
            .all(|(found, expected)| found == expected || *found == b' ')
}
