//! What is wrong with the content of a bundle, and in which of several files.

use std::fmt::Write as _;

use super::{BundleFile, PartsError, VolumeError, length::LengthError};
use crate::archive::{CheckError, EntryName, Layout, Placed};
use rune_core::{
    command::CommandError,
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
};

const MAX_LISTED: usize = 10;

#[derive(Debug, thiserror::Error)]
#[error("{}", text(.0))]
pub struct ContentError(Vec<Located>);

#[derive(Debug)]
pub(super) struct Located {
    problem: Problem,
    files: Vec<String>,
}

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
    #[error("entry `{0}`: the file changed while it was read")]
    Changed(EntryName),
    #[error("entry `{}`: {}", .0.path, .0.source)]
    Write(PathError),
    #[error("entry `{path}`: {}", .cause.messages().join(": "))]
    Fetch {
        path: EntryName,
        cause: Box<CommandError>,
    },
    /// It was not to be had where the rest of the bundle is.
    #[error("entry `{0}` is not there")]
    NotHere(EntryName),
    #[error(transparent)]
    Length(#[from] LengthError),
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
    } else if all(|problem| matches!(problem, Problem::Fetch { .. } | Problem::NotHere(_))) {
        "the registry does not give all of the bundle"
    } else if all(|problem| matches!(problem, Problem::Changed(_))) {
        "the file of the bundle is not the one that was verified any more"
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
    /// Problems in the order in which people should read them.
    pub(super) const fn new(problems: Vec<Located>) -> Self {
        Self(problems)
    }

    /// What is wrong with an entry, and in which of several files.
    pub(super) fn of_entry(problem: Problem, file: &BundleFile, placed: &Placed) -> Self {
        Self(vec![Located::of_entry(problem, file, placed)])
    }

    pub(super) fn of_end(error: CheckError, file: &BundleFile, layout: &Layout) -> Self {
        Self(vec![Located::of_end(error, file, layout)])
    }

    pub(super) fn fetching(path: &EntryName, cause: CommandError) -> Self {
        let (path, cause) = (path.clone(), Box::new(cause));
        Self::of_whole(Problem::Fetch { path, cause })
    }

    pub(super) fn not_here(path: &EntryName) -> Self {
        Self::of_whole(Problem::NotHere(path.clone()))
    }

    pub(super) fn of_whole(problem: impl Into<Problem>) -> Self {
        Self(vec![Located::of_stream(problem.into())])
    }
}

impl Located {
    pub(super) const fn of_stream(problem: Problem) -> Self {
        Self {
            problem,
            files: Vec::new(),
        }
    }

    pub(super) fn of_end(error: CheckError, file: &BundleFile, layout: &Layout) -> Self {
        Self {
            problem: error.into(),
            files: file.files_unlike(layout.trailer_offset(), Layout::TRAILER),
        }
    }

    pub(super) fn of_entry(problem: Problem, file: &BundleFile, placed: &Placed) -> Self {
        let content_end = placed.content().end;
        let with = |mut files: Vec<String>, more: Vec<String>| {
            let new = more.into_iter().filter(|file| !files.contains(file));
            let new: Vec<String> = new.collect();
            files.extend(new);
            files
        };
        let files = match &problem {
            Problem::Write(_)
            | Problem::Fetch { .. }
            | Problem::NotHere(_)
            | Problem::Changed(_)
            | Problem::Length(_)
            | Problem::Parts(_) => Vec::new(),
            Problem::Digest { .. } => file.files_to_blame(placed),
            // The content was not read, or not compared: it may be wrong as well.
            Problem::Frame(CheckError::Header(_)) => with(
                file.files_unlike(placed.header_offset(), &placed.header()),
                file.volumes_to_blame(placed),
            ),
            Problem::Frame(CheckError::Padding(_)) => with(
                file.files_unlike(content_end, placed.padding()),
                file.volumes_to_blame(placed),
            ),
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
            Some(Problem::Fetch { cause, .. }) => cause.kind(),
            Some(Problem::NotHere(_)) => FailureKind::NotFound,
            Some(Problem::Frame(CheckError::Read(_))) => FailureKind::Input,
            _ => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        match self.decisive() {
            Some(Problem::Write(error)) => error.help(),
            Some(Problem::Length(error)) => Some(error.help()),
            Some(Problem::Parts(error)) => error.help(),
            Some(Problem::Fetch { cause, .. }) => cause.help().map(str::to_owned),
            Some(Problem::NotHere(_)) => {
                Some("publish the bundle again: `rune-bundle publish BUNDLE REGISTRY`".to_owned())
            }
            Some(Problem::Frame(CheckError::Read(_))) => {
                Some("the medium may be damaged; copy the file again from its source".to_owned())
            }
            Some(Problem::Changed(_)) => {
                Some("run it again when nobody writes to the file: it is hashed then".to_owned())
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
    /// The problem that a person should see: content that is wrong before a machine that cannot
    /// read or write it.
    fn decisive(&self) -> Option<&Problem> {
        let is_of_machine = |problem: &&Problem| {
            matches!(
                problem,
                Problem::Write(_) | Problem::Fetch { .. } | Problem::Frame(CheckError::Read(_))
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

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{CheckError, ContentError, Located, PathError, Problem};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        fsx::Action,
    };

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
