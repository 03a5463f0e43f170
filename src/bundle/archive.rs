//! The reading engine: every content of a bundle, read once, checked against the authenticated
//! index.
//!
//! A file is read by several threads, an entry each, largest first; a stream in its own order. What
//! a caller wants with the data (nothing, or files on a disk) it says with a sink per entry.
//! Documents, the small JSON blobs that refer to others, are kept as they pass by, so that what is
//! interpreted later are the very bytes that were verified.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{
    AuthenticatedHead, BundleFile, BundleIndex, EntryRecord,
    content_error::{ContentError, Located, Problem},
    index::blob_path,
    length::Counted,
};
use crate::archive::{EntryName, EntryReader, Placed, check_end};
use rune_core::{
    digest::Sha256,
    fsx::{Action, PathError},
    progress::Progress,
};

pub(super) const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// All documents of a bundle together, in bytes.
const MAX_DOCUMENTS_BYTES: u64 = 32 << 20;

/// The documents of a bundle: name of the entry, verified content.
pub(crate) type Documents = BTreeMap<EntryName, Vec<u8>>;

/// Where the bytes of a bundle come from.
pub enum BundleSource {
    /// A file, or several one after another; read in parallel and by position.
    File(BundleFile),
    /// A stream; read once from beginning to end.
    Stream(Box<dyn Read>),
}

pub(super) type Sink<'a> = Box<dyn Write + 'a>;

/// Reads from a position in the bundle, without moving a shared one.
pub(super) struct At<'a> {
    file: &'a BundleFile,
    offset: u64,
    may_wait: bool,
}

impl<'a> At<'a> {
    pub(super) const fn new(file: &'a BundleFile, offset: u64) -> Self {
        Self {
            file,
            offset,
            may_wait: true,
        }
    }

    /// Reads what the system has in memory; an error where that ends, or where the file system
    /// cannot tell.
    pub(super) const fn cached(file: &'a BundleFile, offset: u64) -> Self {
        Self {
            file,
            offset,
            may_wait: false,
        }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.may_wait {
            self.file.read_at(buffer, self.offset)?
        } else {
            self.file.read_cached_at(buffer, self.offset)?
        };
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

impl BundleSource {
    /// The volumes that it is read from, if it is.
    pub(crate) fn volumes(&self) -> Option<&super::Volumes> {
        match self {
            Self::File(file) => file.volumes(),
            Self::Stream(_) => None,
        }
    }

    pub fn read_head(&mut self) -> Result<super::UnverifiedHead, super::HeadError> {
        match self {
            Self::File(file) => file.read_head(),
            Self::Stream(stream) => super::UnverifiedHead::read(stream),
        }
    }
}

/// Reads the entries of a bundle, checks each against the bundle index and hands it to the sink
/// that `open` gives. With `only`, other entries are not read from a file, and from a stream only
/// to come past them. All problems of a file are reported together.
pub(super) fn read_contents<'a>(
    source: BundleSource,
    head: &AuthenticatedHead,
    threads: usize,
    progress: &dyn Progress,
    only: Option<&BTreeSet<EntryName>>,
    open: &(dyn Fn(&EntryRecord) -> io::Result<Sink<'a>> + Sync),
) -> Result<Documents, ContentError> {
    source.check_length(head.layout())?;
    let is_wanted = |entry: &&EntryRecord| only.is_none_or(|only| only.contains(&entry.path));
    let is_file = matches!(source, BundleSource::File(_));
    let total = head
        .index()
        .entries
        .iter()
        .filter(|entry| !is_file || is_wanted(entry))
        .map(|entry| entry.size)
        .sum();
    progress.begin("checking", total);
    let pass = Pass {
        head,
        documents: documents_of(head.index()),
        progress,
        only,
        open,
        kept: Mutex::default(),
        problems: Mutex::default(),
    };
    match source {
        BundleSource::File(file) => pass.read_file(&file, threads),
        BundleSource::Stream(mut stream) => pass.read_stream(&mut stream),
    }
    progress.end();
    let mut problems = pass
        .problems
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if problems.is_empty() {
        return Ok(pass
            .kept
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner));
    }
    problems.sort_by_key(|(position, _)| *position);
    let problems = problems.into_iter().map(|(_, problem)| problem).collect();
    Err(ContentError::new(problems))
}

pub(super) fn document_entries(index: &BundleIndex) -> impl Iterator<Item = &EntryRecord> {
    let wanted = documents_of(index);
    let entries = index.entries.iter();
    entries.filter(move |entry| wanted.contains(&entry.path))
}

/// The entries that are documents: the two OCI indexes, every manifest that the bundle index names,
/// and what may be a signature of an image, as long as their sizes stay within the limits. What is
/// left out here is missed by the closure check, which fails.
pub(super) fn documents_of(index: &BundleIndex) -> BTreeSet<EntryName> {
    let targets = index.images_and_artifacts().flat_map(|image| {
        let targets = [Some(&image.target), image.reduced_index.as_ref()]
            .into_iter()
            .flatten()
            .map(|target| target.digest);
        let referrers = image.carried_referrers().flat_map(|referrer| {
            std::iter::once(referrer.target.digest).chain(referrer.statements.iter().copied())
        });
        targets
            .chain(image.manifests.iter().map(|manifest| manifest.digest))
            .chain(referrers)
    });
    let signatures = index
        .image_signatures()
        .flat_map(|record| [record.target.digest, record.statement]);
    let digests = targets
        .chain(index.charts.iter().map(|chart| chart.artifact.digest))
        .chain(signatures);
    let mut names: BTreeSet<String> = digests.map(blob_path).collect();
    names.extend(["index.json".to_owned(), "artifacts/index.json".to_owned()]);
    let mut left = MAX_DOCUMENTS_BYTES;
    let mut is_kept = |entry: &&EntryRecord| {
        let is_document =
            entry.size <= MAX_DOCUMENT_BYTES.min(left) && names.contains(entry.path.as_str());
        left = left.saturating_sub(if is_document { entry.size } else { 0 });
        is_document
    };
    index
        .entries
        .iter()
        .filter(|entry| is_kept(entry))
        .map(|entry| entry.path.clone())
        .collect()
}

struct Pass<'a, 'b> {
    head: &'b AuthenticatedHead,
    documents: BTreeSet<EntryName>,
    progress: &'b dyn Progress,
    only: Option<&'b BTreeSet<EntryName>>,
    open: &'b (dyn Fn(&EntryRecord) -> io::Result<Sink<'a>> + Sync),
    kept: Mutex<Documents>,
    problems: Mutex<Vec<(usize, Located)>>,
}

impl Pass<'_, '_> {
    fn read_file(&self, file: &BundleFile, threads: usize) {
        let mut entries: Vec<_> = self
            .head
            .entries()
            .enumerate()
            .filter(|(_, (record, _))| self.is_wanted(record))
            .collect();
        entries.sort_by_key(|(_, (record, _))| std::cmp::Reverse(record.size));
        let next = AtomicUsize::new(0);
        let is_stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    let mut reader = EntryReader::default();
                    while let Some((position, (record, placed))) =
                        entries.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if is_stopped.load(Ordering::Relaxed) {
                            break;
                        }
                        let mut source = At::new(file, placed.header_offset());
                        if let Err(problem) =
                            self.read_entry(&mut reader, &mut source, record, placed)
                        {
                            is_stopped
                                .store(matches!(problem, Problem::Write(_)), Ordering::Relaxed);
                            self.report(*position, Located::of_entry(problem, file, placed));
                        }
                    }
                });
            }
        });
        if !file.has_end() {
            return;
        }
        let mut rest = At::new(file, self.head.layout().trailer_offset());
        if let Err(error) = check_end(&mut rest) {
            let located = Located::of_end(error, file, self.head.layout());
            self.report(usize::MAX, located);
        }
    }

    fn read_stream(&self, stream: &mut impl Read) {
        let mut reader = EntryReader::default();
        let layout = self.head.layout();
        let mut entries = self.head.entries().enumerate().peekable();
        let begin = entries.peek().map_or_else(
            || layout.trailer_offset(),
            |(_, (_, placed))| placed.header_offset(),
        );
        let mut stream = Counted::from(stream, begin);
        for (position, (record, placed)) in entries {
            match self.read_entry(&mut reader, &mut stream, record, placed) {
                Ok(()) => {}
                Err(problem @ Problem::Digest { .. }) => {
                    self.report(position, Located::of_stream(problem));
                }
                // After any other problem it is unknown where in the stream the next entry begins.
                Err(problem) => {
                    let problem = stream.explain(problem, layout);
                    return self.report(position, Located::of_stream(problem));
                }
            }
        }
        if let Err(error) = check_end(&mut stream) {
            self.report_whole(stream.explain(error.into(), layout));
        }
    }

    fn read_entry(
        &self,
        reader: &mut EntryReader,
        source: &mut impl Read,
        record: &EntryRecord,
        placed: &Placed,
    ) -> Result<(), Problem> {
        let unwritable = |source| {
            Problem::Write(PathError {
                action: Action::Write,
                path: record.path.as_str().into(),
                source,
            })
        };
        let mut sink = if self.is_wanted(record) {
            (self.open)(record).map_err(unwritable)?
        } else {
            Box::new(io::sink())
        };
        let mut kept = self.documents.contains(&record.path).then(Vec::new);
        let mut hasher = Sha256::new();
        reader.read(source, placed, |piece| {
            hasher.update(piece);
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(piece);
            }
            self.progress.advance(piece.len() as u64);
            sink.write_all(piece).map_err(unwritable)
        })?;
        sink.flush().map_err(unwritable)?;
        let actual = hasher.finish();
        if actual != record.sha256 {
            return Err(Problem::Digest {
                path: record.path.clone(),
                expected: record.sha256,
                actual,
            });
        }
        if let Some(kept) = kept {
            self.kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(record.path.clone(), kept);
        }
        Ok(())
    }

    fn is_wanted(&self, record: &EntryRecord) -> bool {
        self.only.is_none_or(|only| only.contains(&record.path))
    }

    fn report_whole(&self, problem: impl Into<Problem>) {
        self.report(usize::MAX, Located::of_stream(problem.into()));
    }

    fn report(&self, position: usize, problem: Located) {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((position, problem));
    }
}
