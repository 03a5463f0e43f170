//! The reading engine: every content of a bundle, read once, checked against the authenticated
//! index.
//!
//! A file is read by several threads, an entry each, largest first; a stream in its own order. What
//! a caller wants with the contents (nothing, or files on a disk) it says with a sink per entry.
//! Documents, the small JSON contents that say how blobs hang together, are kept as they pass by,
//! so that what is interpreted later are the very bytes that were verified.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::File,
    io::{self, IoSliceMut, Read, Write},
    os::unix::fs::FileExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rustix::io::{ReadWriteFlags, preadv2};

use super::{
    AuthenticatedHead, BundleIndex, EntryRecord,
    index::blob_path,
    length::{Counted, LengthError},
};
use crate::archive::{CheckError, EntryName, EntryReader, Placed, check_end};
use rune_core::{
    digest::{Digest, Sha256},
    failure::{Failure, FailureKind},
    fsx::{Action, PathError},
    progress::Progress,
};

/// The largest document that is kept, in bytes.
pub(super) const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// All documents of a bundle together may not be larger, in bytes.
const MAX_DOCUMENTS_BYTES: u64 = 32 << 20;

/// How many problems an error message lists.
const MAX_LISTED: usize = 10;

/// The documents of a bundle: name of the entry, verified content.
pub type Documents = BTreeMap<EntryName, Vec<u8>>;

/// Where the bytes of a bundle come from.
pub enum BundleSource {
    /// A file; read in parallel and by position.
    File(File),
    /// A stream; read once from beginning to end.
    Stream(Box<dyn Read>),
}

/// Where the content of one entry goes.
pub(super) type Sink<'a> = Box<dyn Write + 'a>;

/// The content does not match the authenticated index, or could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}", text(.0))]
pub struct ContentError(Vec<Problem>);

/// One thing that does not match.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Frame(#[from] CheckError),
    #[error("entry `{path}`: expected {expected}, found {actual}")]
    Digest {
        path: EntryName,
        expected: Digest,
        actual: Digest,
    },
    #[error("entry `{}`: {}", .0.path, .0.source)]
    Write(PathError),
    #[error(transparent)]
    Length(#[from] LengthError),
}

/// Of a machine that cannot read or write nobody is told that the bundle is wrong.
fn what_is_wrong(problems: &[Problem]) -> &'static str {
    let all = |is_such: fn(&Problem) -> bool| problems.iter().all(is_such);
    if all(|problem| matches!(problem, Problem::Write(_))) {
        "the content cannot be written"
    } else if all(|problem| matches!(problem, Problem::Frame(CheckError::Read(_)))) {
        "the file of the bundle cannot be read to its end"
    } else {
        "the content does not match the signed index"
    }
}

fn text(problems: &[Problem]) -> String {
    if let [problem @ Problem::Length(_)] = problems {
        return problem.to_string();
    }
    let mut text = format!("{}:", what_is_wrong(problems));
    for problem in problems.iter().take(MAX_LISTED) {
        let _ = write!(text, "\n  {problem}");
    }
    if let Some(more) = problems
        .len()
        .checked_sub(MAX_LISTED)
        .filter(|more| *more > 0)
    {
        let _ = write!(text, "\n  and {more} more");
    }
    text
}

impl From<Problem> for ContentError {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Failure for ContentError {
    fn kind(&self) -> FailureKind {
        match self.decisive() {
            Some(Problem::Write(error)) => error.kind(),
            Some(Problem::Frame(CheckError::Read(_))) => FailureKind::Input,
            _ => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self.decisive() {
            Some(Problem::Write(error)) => error.help(),
            Some(Problem::Length(error)) => Some(error.help()),
            Some(Problem::Frame(CheckError::Read(_))) => {
                Some("the medium may be damaged; copy the file again from its source".to_owned())
            }
            _ => Some("do not use this file; copy it again from its source".to_owned()),
        }
    }
}

impl ContentError {
    /// The problem that a person should look at: content that is wrong before a machine that cannot
    /// read or write it.
    fn decisive(&self) -> Option<&Problem> {
        let is_of_machine = |problem: &&Problem| {
            matches!(
                problem,
                Problem::Write(_) | Problem::Frame(CheckError::Read(_))
            )
        };
        self.0
            .iter()
            .find(|problem| !is_of_machine(problem))
            .or_else(|| self.0.first())
    }
}

/// Reads from a position in a file, without moving a shared one.
pub(super) struct At<'a> {
    file: &'a File,
    offset: u64,
    may_wait: bool,
}

impl<'a> At<'a> {
    pub(super) const fn new(file: &'a File, offset: u64) -> Self {
        Self {
            file,
            offset,
            may_wait: true,
        }
    }

    /// Reads what the system has in memory; an error where that ends, or where the file system
    /// cannot tell.
    pub(super) const fn cached(file: &'a File, offset: u64) -> Self {
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
            preadv2(
                self.file,
                &mut [IoSliceMut::new(buffer)],
                self.offset,
                ReadWriteFlags::NOWAIT,
            )?
        };
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

impl BundleSource {
    /// Reads the head.
    ///
    /// # Errors
    /// When the source does not begin as a bundle does.
    pub fn read_head(&mut self) -> Result<super::UnverifiedHead, super::HeadError> {
        match self {
            Self::File(file) => {
                super::UnverifiedHead::read(&mut io::BufReader::new(At::new(file, 0)))
            }
            Self::Stream(stream) => super::UnverifiedHead::read(stream),
        }
    }
}

/// Reads the contents of a bundle, checks each against the index and hands it to the sink that
/// `open` gives. With `only`, entries with other names are not read from a file, and from a stream
/// for nothing but to come past them.
///
/// # Errors
/// When anything at all does not match, or a sink fails. All problems of a file are reported
/// together.
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
    Err(ContentError(
        problems.into_iter().map(|(_, problem)| problem).collect(),
    ))
}

/// The entries that are documents: the two OCI indexes, every manifest that the index names, and what
/// may be a signature of an image, as long as their sizes stay within the limits. What is left out here is missed by the closure
/// check, which fails.
pub(super) fn documents_of(index: &BundleIndex) -> BTreeSet<EntryName> {
    let targets = index.images.iter().flat_map(|image| {
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
    let digests = targets.chain(index.charts.iter().map(|chart| chart.artifact.digest));
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
    problems: Mutex<Vec<(usize, Problem)>>,
}

impl Pass<'_, '_> {
    fn read_file(&self, file: &File, threads: usize) {
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
                            self.report(*position, problem);
                        }
                    }
                });
            }
        });
        let mut rest = At::new(file, self.head.layout().trailer_offset());
        if let Err(error) = check_end(&mut rest) {
            self.report(usize::MAX, error.into());
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
                Err(problem @ Problem::Digest { .. }) => self.report(position, problem),
                // After any other problem it is unknown where in the stream the next entry begins.
                Err(problem) => return self.report(position, stream.explain(problem, layout)),
            }
        }
        if let Err(error) = check_end(&mut stream) {
            self.report(usize::MAX, stream.explain(error.into(), layout));
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

    fn report(&self, position: usize, problem: Problem) {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((position, problem));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{Action, CheckError, ContentError, PathError, Problem};
    use rune_core::failure::{Failure as _, FailureKind};

    #[test]
    fn a_machine_that_cannot_read_or_write_makes_no_bundle_wrong() {
        let failed = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let written = |errno| {
            Problem::Write(PathError {
                action: Action::Write,
                path: "files/x".into(),
                source: failed(errno),
            })
        };
        let full = ContentError(vec![written(Errno::NOSPC)]);
        let said = full.to_string();
        assert!(
            said.starts_with("the content cannot be written:\n  entry `files/x`: No space left"),
            "{said}"
        );
        assert_eq!(
            (full.kind(), full.help().is_some()),
            (FailureKind::Space, true)
        );
        assert_eq!(
            ContentError(vec![written(Errno::ROFS)]).kind(),
            FailureKind::Access
        );
        let broken = || Problem::Frame(CheckError::Read(failed(Errno::IO)));
        let unread = ContentError(vec![broken(), broken()]);
        assert!(unread.to_string().starts_with(
            "the file of the bundle cannot be read to its end:\n  cannot read the archive: "
        ));
        assert_eq!(unread.kind(), FailureKind::Input);
        // Wrong content is never told as anything else.
        let wrong = ContentError(vec![
            broken(),
            written(Errno::NOSPC),
            Problem::Frame(CheckError::Trailer),
        ]);
        assert!(
            wrong
                .to_string()
                .starts_with("the content does not match the signed index:")
        );
        assert_eq!(wrong.kind(), FailureKind::Content);
    }
}
