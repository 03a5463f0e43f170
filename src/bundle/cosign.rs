//! Putting a signature into an existing bundle.
//!
//! A signature takes one blank slot, and nothing else of the file changes. Its bytes are written
//! with one call and are durable before anybody is told. When the machine stops in between, each
//! byte of the slot is either still a space or already one of the signature. Such a slot never
//! passes for a signature, nor for a blank one unless nothing was written: verifiers refuse the
//! file. Whoever runs the same command again has the same signature, finds that the slot is a part
//! of it, and completes it.

use std::io::BufReader;

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    AuthenticatedHead, BundleFile, BundleIndex, BundleSource, HeadError, IndexError, PartsError,
    SlotState, Trust, TrustError, UnverifiedHead, VerifyError, VolumeError,
    archive::At,
    parts::{Places, find_parts},
    verify,
    volume::{RECORD_END, find_set, open_set, unite},
};
use crate::sign::{SLOTS, Slot, SlotSignature};
use rune_core::{
    digest::Digest,
    failure::Failure,
    fsx::{EditableFile, PathError},
    progress::Progress,
};

/// A bundle, in one file or in volumes, that somebody is about to sign; only its head was read, and
/// nothing in it is trusted.
#[derive(Debug)]
pub(crate) struct FileToSign {
    files: Vec<HeadFile>,
    bundle: BundleFile,
    head: UnverifiedHead,
}

#[derive(Debug)]
struct HeadFile {
    file: EditableFile,
    path: Utf8PathBuf,
    offset: u64,
}

/// A bundle file that was checked to its last byte against its own index, on the word of whoever
/// signs it now.
#[derive(Debug)]
pub(crate) struct CheckedFile {
    files: Vec<HeadFile>,
    head: AuthenticatedHead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    New(usize),
    /// It was there in part, from a run that was cut off.
    Completed(usize),
    Present(usize),
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum CosignError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Contents(#[from] VerifyError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("signature slot {0} holds neither a signature in the accepted form nor only spaces")]
    #[failure(Signature: "if somebody else's `sign` or `attach` was cut off, let them run it again \
        with the same key or signature; else copy the file again from its source")]
    OtherPart(usize),
    #[error("all {SLOTS} signature slots are taken")]
    #[failure(Conflict: "build the bundle again, which gives the same bundle.json, and `attach` \
        the signatures that are still wanted")]
    Full,
    #[error("the bundle was changed while it was being checked")]
    #[failure(Conflict: "see what else writes to this file, and run the same command again")]
    Changed,
    #[error(transparent)]
    Files(#[from] PartsError),
    #[error("`{0}` is the first of several parts, which `split` made of the bundle")]
    #[failure(Usage: {
        let stem = .0.with_extension("");
        format!("join the parts with `cat {stem}.* > {stem}`, sign `{stem}`, and split it again")
    })]
    Parts(Utf8PathBuf),
}

impl From<VolumeError> for CosignError {
    fn from(error: VolumeError) -> Self {
        Self::Files(error.into())
    }
}

impl FileToSign {
    /// Opens a bundle, or all volumes of a set, for writing and reads the head. Volumes are looked
    /// for beside the one that is named and in `more`.
    pub(crate) fn open(path: &Utf8Path, more: &[Utf8PathBuf]) -> Result<Self, CosignError> {
        let file = EditableFile::open(path)?;
        let places = Places::new(path, more);
        if let Some(volumes) = find_set(&places, true)? {
            let bundle = open_set(volumes)?;
            let paths = bundle.volumes().map(|volumes| volumes.files.clone());
            let files = paths
                .unwrap_or_default()
                .into_iter()
                .map(HeadFile::of_volume);
            return Ok(Self {
                files: files.collect::<Result<_, _>>()?,
                head: bundle.read_head()?,
                bundle,
            });
        }
        if find_parts(&places)?.is_some() {
            return Err(CosignError::Parts(path.to_owned()));
        }
        if let Some(part) = places.stranger(&[]) {
            return Err(VolumeError::NoVolume(part).into());
        }
        let bundle = BundleFile::whole(file.reader()?, path.to_owned());
        Ok(Self {
            head: bundle.read_head()?,
            bundle,
            files: vec![HeadFile {
                file,
                path: path.to_owned(),
                offset: 0,
            }],
        })
    }

    pub(crate) fn message(&self) -> &[u8] {
        self.head.index_bytes()
    }

    pub(crate) fn digest(&self) -> Digest {
        self.head.digest()
    }

    pub(crate) fn check(
        self,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<CheckedFile, CosignError> {
        let head = self.head.vouched_for_by_signer()?;
        verify(BundleSource::File(self.bundle), &head, threads, progress)?;
        Ok(CheckedFile {
            files: self.files,
            head,
        })
    }
}

impl CheckedFile {
    pub(crate) const fn index(&self) -> &BundleIndex {
        self.head.index()
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.head.digest()
    }

    /// Puts a signature into a slot, unless its key has signed before. `trust` has the key, and
    /// checks the signatures that it has. Waits for other processes that do the same. Nothing is
    /// written when `is_dry_run`. Also gives what the slots hold afterwards, or would.
    pub(crate) fn add(
        &self,
        trust: &Trust,
        signature: &SlotSignature,
        is_dry_run: bool,
    ) -> Result<(Placement, Vec<SlotState>), CosignError> {
        for file in &self.files {
            file.file.lock()?;
        }
        let now = self.head_now()?;
        let (placement, states) = self.place(trust, signature, &now)?;
        if is_dry_run {
            return Ok((placement, states));
        }
        let whole = Slot::Signed(signature.clone()).to_bytes();
        let (slot, bytes) = match placement {
            Placement::New(slot) | Placement::Completed(slot) => (slot, Some(&whole)),
            // In other volumes of the set it may not be yet.
            Placement::Present(slot) => (slot, now.slots().get(slot)),
        };
        let bytes = bytes.map(Vec::as_slice).unwrap_or_default();
        for file in &self.files {
            if file.head()?.slots().get(slot).map(Vec::as_slice) != Some(bytes) {
                // What follows in the slot are spaces already.
                let offset = self.head.slot_offset(slot).saturating_add(file.offset);
                file.file.write_at(bytes.trim_ascii_end(), offset)?;
            }
            // Also when it was there: the run that wrote it may have been cut off before this.
            file.file.sync()?;
        }
        Ok((placement, states))
    }

    /// Where the signature belongs. All slots are read, so that no signature is put beside a
    /// damaged one.
    fn place(
        &self,
        trust: &Trust,
        signature: &SlotSignature,
        now: &UnverifiedHead,
    ) -> Result<(Placement, Vec<SlotState>), CosignError> {
        let whole = Slot::Signed(signature.clone()).to_bytes();
        let own = trust.examine_slot(self.head.index_bytes(), 0, &whole)?;
        let (mut blank, mut part, mut present) = (None, None, None);
        let mut states = Vec::new();
        for (slot, bytes) in now.slots().iter().enumerate() {
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

    /// The head as it stands in the files now; others may have signed since.
    fn head_now(&self) -> Result<UnverifiedHead, CosignError> {
        let heads: Vec<UnverifiedHead> = self
            .files
            .iter()
            .map(HeadFile::head)
            .collect::<Result<_, _>>()?;
        if heads
            .iter()
            .any(|head| head.index_bytes() != self.head.index_bytes())
        {
            return Err(CosignError::Changed);
        }
        let paths = self.files.iter().map(|file| file.path.as_path());
        Ok(unite(paths.zip(&heads))?)
    }
}

impl HeadFile {
    fn of_volume(path: Utf8PathBuf) -> Result<Self, PathError> {
        Ok(Self {
            file: EditableFile::open(&path)?,
            path,
            offset: RECORD_END,
        })
    }

    fn head(&self) -> Result<UnverifiedHead, CosignError> {
        let file = BundleFile::whole(self.file.reader()?, self.path.clone());
        let mut source = BufReader::new(At::new(&file, self.offset));
        Ok(UnverifiedHead::read(&mut source)?)
    }
}

/// Whether a slot is what a write of `whole` that was cut off leaves.
pub(super) fn is_part(slot: &[u8], whole: &[u8]) -> bool {
    slot.len() == whole.len()
        && slot
            .iter()
            .zip(whole)
            .all(|(found, expected)| found == expected || *found == b' ')
}
