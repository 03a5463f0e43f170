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
    io::{self, Read, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{
    AuthenticatedHead, BundleFile, BundleIndex, EntryRecord, PartsError, VolumeError,
    index::blob_path,
    length::{Counted, LengthError},
};
use crate::archive::{CheckError, EntryName, EntryReader, Layout, Placed, check_end};
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
    /// A file, or several one after another; read in parallel and by position.
    File(BundleFile),
    /// A stream; read once from beginning to end.
    Stream(Box<dyn Read>),
}

/// Where the content of one entry goes.
pub(super) type Sink<'a> = Box<dyn Write + 'a>;

/// The content does not match the authenticated index, or could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}", text(.0))]
pub struct ContentError(Vec<Located>);

/// A problem, and the files that it is in when the bundle lies in several.
#[derive(Debug)]
struct Located {
    problem: Problem,
    files: Vec<String>,
}

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
    #[error("entry `{path}`: what this volume has of it is {actual}, not {expected}")]
    Piece {
        path: EntryName,
        expected: Digest,
        actual: Digest,
    },
    #[error("entry `{}`: {}", .0.path, .0.source)]
    Write(PathError),
    #[error(transparent)]
    Length(#[from] LengthError),
    /// The files together do not have the length that was signed.
    #[error(transparent)]
    Parts(#[from] PartsError),
}

impl From<VolumeError> for Problem {
    fn from(error: VolumeError) -> Self {
        Self::Parts(error.into())
    }
}

/// Of a machine that cannot read or write nobody is told that the bundle is wrong.
fn what_is_wrong(problems: &[Located]) -> &'static str {
    let all =
        |is_such: fn(&Problem) -> bool| problems.iter().all(|located| is_such(&located.problem));
    if all(|problem| matches!(problem, Problem::Write(_))) {
        "the content cannot be written"
    } else if all(|problem| matches!(problem, Problem::Frame(CheckError::Read(_)))) {
        "the file of the bundle cannot be read to its end"
    } else {
        "the content does not match the signed index"
    }
}

fn text(problems: &[Located]) -> String {
    if let [
        Located {
            problem: problem @ Problem::Length(_),
            ..
        },
    ] = problems
    {
        return problem.to_string();
    }
    let mut text = format!("{}:", what_is_wrong(problems));
    for Located { problem, files } in problems.iter().take(MAX_LISTED) {
        let _ = write!(text, "\n  {problem}");
        if !files.is_empty() {
            let _ = write!(text, ", in {}", files.join(" or "));
        }
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

impl ContentError {
    /// What is wrong with an entry, and in which of several files.
    pub(super) fn of_entry(problem: Problem, file: &BundleFile, placed: &Placed) -> Self {
        Self(vec![Located::of_entry(problem, file, placed)])
    }

    /// What is wrong with the end of the bundle.
    pub(super) fn of_end(error: CheckError, file: &BundleFile, layout: &Layout) -> Self {
        Self(vec![Located::of_end(error, file, layout)])
    }

    /// What is wrong with all of the bundle.
    pub(super) fn of_whole(problem: impl Into<Problem>) -> Self {
        Self(vec![Located::of_stream(problem.into())])
    }
}

impl Located {
    const fn of_stream(problem: Problem) -> Self {
        Self {
            problem,
            files: Vec::new(),
        }
    }

    fn of_end(error: CheckError, file: &BundleFile, layout: &Layout) -> Self {
        let length = layout.total_bytes().saturating_sub(layout.trailer_offset());
        let end = vec![0; usize::try_from(length).unwrap_or(0)];
        Self {
            problem: error.into(),
            files: file.files_unlike(layout.trailer_offset(), &end),
        }
    }

    fn of_entry(problem: Problem, file: &BundleFile, placed: &Placed) -> Self {
        let content_end = placed.content_offset().saturating_add(placed.size());
        let with = |mut files: Vec<String>, more: Vec<String>| {
            let new = more.into_iter().filter(|file| !files.contains(file));
            let new: Vec<String> = new.collect();
            files.extend(new);
            files
        };
        let files = match &problem {
            Problem::Write(_) | Problem::Length(_) | Problem::Parts(_) => Vec::new(),
            Problem::Digest { .. } => file.files_to_blame(placed),
            // The content was not read, or not compared: it may be wrong as well.
            Problem::Frame(CheckError::Header(_)) => with(
                file.files_unlike(placed.header_offset(), &placed.header()),
                file.volumes_to_blame(placed),
            ),
            Problem::Frame(CheckError::Padding(_)) => {
                let padding = vec![0; usize::try_from(placed.padding_bytes()).unwrap_or(0)];
                with(
                    file.files_unlike(content_end, &padding),
                    file.volumes_to_blame(placed),
                )
            }
            Problem::Piece { .. } | Problem::Frame(_) => {
                file.files_of(&(placed.header_offset()..placed.end_offset()))
            }
        };
        Self { problem, files }
    }
}

impl Failure for ContentError {
    fn kind(&self) -> FailureKind {
        match self.decisive() {
            Some(Problem::Write(error)) => error.kind(),
            Some(Problem::Parts(error)) => error.kind(),
            Some(Problem::Frame(CheckError::Read(_))) => FailureKind::Input,
            _ => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self.decisive() {
            Some(Problem::Write(error)) => error.help(),
            Some(Problem::Length(error)) => Some(error.help()),
            Some(Problem::Parts(error)) => error.help(),
            Some(Problem::Frame(CheckError::Read(_))) => {
                Some("the medium may be damaged; copy the file again from its source".to_owned())
            }
            _ => Some(match self.files().as_slice() {
                [] => "do not use this file; copy it again from its source".to_owned(),
                files => format!(
                    "copy {} again from its source; the other files need not be copied",
                    files.join(" and ")
                ),
            }),
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
        let mut problems = self.0.iter().map(|located| &located.problem);
        problems
            .clone()
            .find(|problem| !is_of_machine(problem))
            .or_else(|| problems.next())
    }

    /// The files that are not as they were, of several.
    fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = Vec::new();
        for file in self.0.iter().flat_map(|located| &located.files) {
            if !files.contains(&file.as_str()) {
                files.push(file);
            }
        }
        files
    }
}

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
    pub fn volumes(&self) -> Option<&super::Volumes> {
        match self {
            Self::File(file) => file.volumes(),
            Self::Stream(_) => None,
        }
    }

    /// Reads the head.
    ///
    /// # Errors
    /// When the source does not begin as a bundle does.
    pub fn read_head(&mut self) -> Result<super::UnverifiedHead, super::HeadError> {
        match self {
            Self::File(file) => file.read_head(),
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

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{Action, CheckError, ContentError, Located, PathError, Problem};
    use rune_core::failure::{Failure as _, FailureKind};

    #[test]
    fn a_machine_that_cannot_read_or_write_makes_no_bundle_wrong() {
        let error = |problems: Vec<Problem>| {
            ContentError(problems.into_iter().map(Located::of_stream).collect())
        };
        let failed = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let written = |errno| {
            Problem::Write(PathError {
                action: Action::Write,
                path: "files/x".into(),
                source: failed(errno),
            })
        };
        let full = error(vec![written(Errno::NOSPC)]);
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
            error(vec![written(Errno::ROFS)]).kind(),
            FailureKind::Access
        );
        let broken = || Problem::Frame(CheckError::Read(failed(Errno::IO)));
        let unread = error(vec![broken(), broken()]);
        assert!(unread.to_string().starts_with(
            "the file of the bundle cannot be read to its end:\n  cannot read the archive: "
        ));
        assert_eq!(unread.kind(), FailureKind::Input);
        // Wrong content is never told as anything else.
        let wrong = error(vec![
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
