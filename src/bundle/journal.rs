//! What of a partial bundle is durable, so that a build that was killed continues instead of
//! starting over.
//!
//! The journal lies beside the partial file and says which plan it belongs to. An entry is recorded
//! after the data were synced, never before, so whatever the journal claims is on the disk. One
//! thread syncs and records while downloads go on: everything that finished meanwhile shares the
//! next sync.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::volume::Output;
use rune_core::{
    digest::Digest,
    fsx::{self, LineLog, PathError},
};

const MAGIC: &str = "rune-bundle journal 1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progressed {
    /// All of it, with the right digest.
    Done,
    /// At least so many bytes from its beginning; their digest is not known.
    Bytes(u64),
}

#[derive(Debug)]
pub(super) struct Journal {
    log: LineLog,
}

#[derive(Debug)]
pub(super) struct Recorder {
    sender: Sender<(usize, Progressed)>,
    thread: JoinHandle<Result<Journal, PathError>>,
}

pub(super) fn path_of(destination: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{destination}.journal"))
}

impl Journal {
    /// What an earlier run of the same plan recorded, by position of the entry; a journal of
    /// another plan is emptied. After a reboot nothing counts as done without being hashed again.
    pub(super) fn open(
        destination: &Utf8Path,
        plan: Digest,
        is_usable: bool,
    ) -> Result<(Self, BTreeMap<usize, Progressed>), PathError> {
        let (mut log, lines) = LineLog::open(&path_of(destination))?;
        let mut state = recorded(&lines, plan);
        if !is_usable || state.is_empty() {
            state.clear();
            log.clear()?;
            log.append(&[first_line(plan), boot()])?;
        }
        Ok((Self { log }, state))
    }

    /// What the journal of a destination records for a plan; nothing when it belongs to another
    /// one.
    pub(super) fn read(
        destination: &Utf8Path,
        plan: Digest,
    ) -> Result<BTreeMap<usize, Progressed>, PathError> {
        LineLog::open(&path_of(destination)).map(|(_, lines)| recorded(&lines, plan))
    }

    /// Whether the journal of a destination is about something else than this plan.
    pub(super) fn is_of_other(destination: &Utf8Path, plan: Digest) -> Result<bool, PathError> {
        let path = path_of(destination);
        if !fsx::exists(&path) {
            return Ok(false);
        }
        let (_, lines) = LineLog::open(&path)?;
        Ok(lines
            .first()
            .is_some_and(|first| *first != first_line(plan)))
    }

    pub(super) fn record(mut self, output: Output) -> Recorder {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                let batch = drain(first, &receiver);
                output.sync()?;
                self.log.append(&batch)?;
            }
            Ok(self)
        });
        Recorder { sender, thread }
    }

    /// Records what is durable already.
    pub(super) fn note(&mut self, position: usize) -> Result<(), PathError> {
        self.log.append(&[format((position, Progressed::Done))])
    }

    pub(super) fn keep(
        &mut self,
        plan: Digest,
        positions: impl Iterator<Item = usize>,
    ) -> Result<(), PathError> {
        self.log.clear()?;
        let kept = positions.map(|position| format((position, Progressed::Done)));
        let lines: Vec<String> = [first_line(plan), boot()].into_iter().chain(kept).collect();
        self.log.append(&lines)
    }

    pub(super) fn remove(self) -> Result<(), PathError> {
        self.log.remove()
    }
}

fn first_line(plan: Digest) -> String {
    format!("{MAGIC} {plan}")
}

fn boot() -> String {
    fsx::boot_id().unwrap_or_default()
}

fn recorded(lines: &[String], plan: Digest) -> BTreeMap<usize, Progressed> {
    let mut lines = lines.iter();
    if lines.next() != Some(&first_line(plan)) {
        return BTreeMap::new();
    }
    let is_same_boot = lines.next() == Some(&boot());
    let trusted = |progressed| match progressed {
        Progressed::Done if !is_same_boot => Progressed::Bytes(u64::MAX),
        other => other,
    };
    lines
        .filter_map(|line| parse(line))
        .map(|(position, progressed)| (position, trusted(progressed)))
        .collect()
}

fn drain(first: (usize, Progressed), receiver: &Receiver<(usize, Progressed)>) -> Vec<String> {
    std::iter::once(first)
        .chain(receiver.try_iter())
        .map(format)
        .collect()
}

fn format((position, progressed): (usize, Progressed)) -> String {
    match progressed {
        Progressed::Done => format!("done {position}"),
        Progressed::Bytes(bytes) => format!("bytes {position} {bytes}"),
    }
}

fn parse(line: &str) -> Option<(usize, Progressed)> {
    let mut fields = line.split(' ');
    let (kind, position) = (fields.next()?, fields.next()?.parse().ok()?);
    match (kind, fields.next()) {
        ("done", None) => Some((position, Progressed::Done)),
        ("bytes", Some(bytes)) => Some((position, Progressed::Bytes(bytes.parse().ok()?))),
        _ => None,
    }
}

impl Recorder {
    /// A handle through which a download says what it has written.
    pub(super) fn sender(&self) -> Sender<(usize, Progressed)> {
        self.sender.clone()
    }

    /// Waits until everything said so far is durable and recorded.
    pub(super) fn finish(self) -> Result<Journal, PathError> {
        drop(self.sender);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::Utf8PathBuf;

    use super::{Journal, Progressed};
    use crate::bundle::volume::Output;
    use rune_core::digest::Digest;

    #[test]
    fn remembers_what_was_recorded_for_the_same_plan_only() {
        let dir = tempfile::tempdir().unwrap();
        let destination = Utf8PathBuf::from_path_buf(dir.path().join("x.tar")).unwrap();
        let plan = Digest::of(b"plan");
        let (journal, state) = Journal::open(&destination, plan, true).unwrap();
        assert!(state.is_empty());
        let output = Output::open(&destination.as_path().into(), 0).unwrap();
        let recorder = journal.record(output);
        recorder.sender().send((3, Progressed::Bytes(5))).unwrap();
        recorder.sender().send((4, Progressed::Done)).unwrap();
        drop(recorder.finish().unwrap());

        let (_, state) = Journal::open(&destination, plan, true).unwrap();
        assert_eq!(
            state,
            BTreeMap::from([(3, Progressed::Bytes(5)), (4, Progressed::Done)])
        );
        let (_, state) = Journal::open(&destination, Digest::of(b"other"), true).unwrap();
        assert!(state.is_empty());
        let (_, state) = Journal::open(&destination, plan, true).unwrap();
        assert!(state.is_empty(), "the journal of the first plan is gone");
    }
}
