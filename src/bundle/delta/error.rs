//! Why a delta was not created or applied.

use camino::Utf8PathBuf;

use super::{BaseRecord, Missing};
use crate::{
    archive::{EntryName, EntryNameError, LayoutError},
    bundle::{ContentError, HeadError, IndexError, MaterialiseError, OpenError, PartsError},
    canonical_json::CanonicalJsonError,
    containerd::ContainerdError,
    registry::RegistryError,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
    text::{shown, size},
};

const MAX_LISTED: usize = 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeltaError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Parts(#[from] PartsError),
    #[error("`{0}` is not a delta")]
    NotADelta(Utf8PathBuf),
    #[error("`{0}` is not the directory of an unpacked bundle: it has no SHA256SUMS")]
    NotUnpacked(Utf8PathBuf),
    #[error("`{0}` is not a list of digests and entries")]
    Sums(Utf8PathBuf),
    #[error("`{0}` is not the bundle index that `push` writes")]
    NotPushed(String),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    #[error("`{path}` is not a have-list")]
    List {
        path: Utf8PathBuf,
        #[source]
        source: CanonicalJsonError,
    },
    #[error("the delta or have-list has format {0}, this program reads format 1")]
    Format(u64),
    #[error("the record of the delta is damaged")]
    Record(#[source] CanonicalJsonError),
    #[error("the delta is of the bundle {0}, but has the head of another one")]
    OtherBundle(Digest),
    #[error("the delta lists `{0}`, which is not an entry of the bundle, or not in its order")]
    Entry(EntryName),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the entries cannot form an archive")]
    Layout(#[from] LayoutError),
    /// A name of the fixed part is malformed; does not happen.
    #[error("the fixed part of the archive is malformed")]
    Name(#[from] EntryNameError),
    #[error("cannot use `{path}` as a base")]
    Base {
        path: Utf8PathBuf,
        #[source]
        source: HeadError,
    },
    #[error("{}", missing_text(.missing, .looked_in))]
    Missing {
        missing: Vec<Missing>,
        looked_in: Vec<String>,
        /// What the delta was created for.
        bases: Vec<BaseRecord>,
    },
    #[error("{}", missing_text(.missing, std::slice::from_ref(.destination)))]
    NotAtDestination {
        missing: Vec<Missing>,
        destination: String,
    },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Write(#[from] MaterialiseError),
}

fn missing_text(missing: &[Missing], looked_in: &[String]) -> String {
    let places: Vec<String> = looked_in.iter().map(|name| format!("`{name}`")).collect();
    let looked_in = if places.is_empty() {
        "the delta, and no base was named".to_owned()
    } else {
        format!("the delta or {}", places.join(", "))
    };
    let (count, list) = (missing_count(missing), missing_list(missing));
    format!("{count} not found in {looked_in}:{list}")
}

pub(in crate::bundle) fn missing_lines(missing: &[Missing]) -> String {
    format!("{}:{}", missing_count(missing), missing_list(missing))
}

fn missing_count(missing: &[Missing]) -> String {
    let count = if missing.len() == 1 {
        "1 entry of the bundle".to_owned()
    } else {
        format!("{} entries of the bundle", missing.len())
    };
    let bytes = missing.iter().map(|entry| entry.size).sum();
    format!("{count} ({})", size(bytes))
}

fn missing_list(missing: &[Missing]) -> String {
    let mut text = String::new();
    for entry in missing.iter().take(MAX_LISTED) {
        text.push_str(&format!("\n  {} ({} bytes)", entry.path, entry.size));
    }
    if let Some(more) = missing
        .len()
        .checked_sub(MAX_LISTED)
        .filter(|more| *more > 0)
    {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

fn names(bases: &[BaseRecord]) -> String {
    let names = bases.iter().map(|base| shown(&base.to_string()));
    names.collect::<Vec<_>>().join(" and ")
}

impl Failure for DeltaError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Path(error) => error.kind(),
            Self::Parts(error) => error.kind(),
            Self::NotADelta(_)
            | Self::NotUnpacked(_)
            | Self::Sums(_)
            | Self::List { .. }
            | Self::Format(_)
            | Self::Layout(_)
            | Self::Name(_) => FailureKind::Input,
            Self::Record(_) | Self::OtherBundle(_) | Self::Entry(_) => FailureKind::Content,
            Self::Head(error) | Self::Base { source: error, .. } => error.kind(),
            Self::Index(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Containerd(error) => error.kind(),
            Self::NotPushed(_) | Self::Missing { .. } | Self::NotAtDestination { .. } => {
                FailureKind::NotFound
            }
            Self::Open(error) => error.kind(),
            Self::Write(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.help(),
            Self::Parts(error) => error.help(),
            Self::NotADelta(_) => Some(
                "name the file that `rune-bundle delta` created; a bundle is used as it is"
                    .to_owned(),
            ),
            Self::NotUnpacked(_) => {
                Some("name a directory that `rune-bundle unpack` created, or a bundle".to_owned())
            }
            Self::NotPushed(_) => Some(
                "write oci://HOST[:PORT][/PREFIX]/bundles/NAME:VERSION, as `rune-bundle push` \
                 printed it"
                    .to_owned(),
            ),
            Self::Registry(error) => error.help(),
            Self::Containerd(error) => error.help(),
            Self::Sums(_) => Some("unpack the bundle again".to_owned()),
            Self::List { .. } => Some("create it again with `rune-bundle have`".to_owned()),
            Self::Format(_) => Some(
                "use the version of rune-bundle that created the delta, or a newer one".to_owned(),
            ),
            Self::Record(_) | Self::OtherBundle(_) | Self::Entry(_) => {
                Some("copy the delta again from its source".to_owned())
            }
            Self::Head(error) | Self::Base { source: error, .. } => error.help(),
            Self::Index(error) => error.help(),
            Self::Content(error) => error.help(),
            Self::Layout(_) | Self::Name(_) => None,
            Self::Missing { bases, .. } if bases.is_empty() => {
                Some("pass --from with what has them".to_owned())
            }
            Self::Missing { bases, .. } => Some(format!(
                "the delta was created for {}: pass it with --from, or create a delta for what \
                 you have",
                names(bases)
            )),
            Self::NotAtDestination { .. } => Some(
                "create the bundle with `rune-bundle apply DELTA --from BASE --output FILE`, and \
                 use that"
                    .to_owned(),
            ),
            Self::Open(error) => error.help(),
            Self::Write(error) => error.help(),
        }
    }
}
