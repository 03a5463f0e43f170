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
    failure::Failure,
    fsx::PathError,
    text::{shown, size},
};

const MAX_LISTED: usize = 10;

const COPY_AGAIN: &str = "copy the delta again from its source";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub(crate) enum DeltaError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Parts(#[from] PartsError),
    #[error("`{0}` is not a delta")]
    #[failure(help: "name the file that `rune-bundle delta` created; a bundle is used as it is")]
    NotADelta(Utf8PathBuf),
    #[error("`{0}` is not the directory of an unpacked bundle: it has no SHA256SUMS")]
    #[failure(help: "name a directory that `rune-bundle unpack` created, or a bundle")]
    NotUnpacked(Utf8PathBuf),
    #[error("`{0}` is not a list of digests and entries")]
    #[failure(help: "unpack the bundle again")]
    Sums(Utf8PathBuf),
    #[error("`{0}` is not the bundle index that `push` writes")]
    #[failure(NotFound: "write oci://HOST[:PORT][/PREFIX]/bundles/NAME:VERSION, as `rune-bundle \
        push` printed it")]
    NotPushed(String),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    #[error("`{path}` is not a have-list")]
    #[failure(help: "create it again with `rune-bundle have`")]
    List {
        path: Utf8PathBuf,
        #[source]
        source: CanonicalJsonError,
    },
    #[error("the delta or have-list has format {0}, this program reads format 1")]
    #[failure(help: "use the version of rune-bundle that created the delta, or a newer one")]
    Format(u64),
    #[error("the record of the delta is damaged")]
    #[failure(Content: COPY_AGAIN)]
    Record(#[source] CanonicalJsonError),
    #[error("the delta is of the bundle {0}, but has the head of another one")]
    #[failure(Content: COPY_AGAIN)]
    OtherBundle(Digest),
    #[error("the delta lists `{0}`, which is not an entry of the bundle, or not in its order")]
    #[failure(Content: COPY_AGAIN)]
    Entry(EntryName),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the entries cannot form an archive")]
    Layout(#[from] LayoutError),
    #[error("the fixed part of the archive is malformed")]
    Name(#[from] EntryNameError),
    #[error("cannot use `{path}` as a base")]
    #[failure(inner)]
    Base {
        path: Utf8PathBuf,
        #[source]
        source: HeadError,
    },
    #[error("{}", missing_text(.missing, .looked_in))]
    #[failure(NotFound: if .bases.is_empty() {
        "pass --from with what has them".to_owned()
    } else {
        let bases = names(.bases);
        format!("the delta was created for {bases}: pass it with --from, or create a delta for \
            what you have")
    })]
    Missing {
        missing: Vec<Missing>,
        looked_in: Vec<String>,
        bases: Vec<BaseRecord>,
    },
    #[error("{}", missing_text(.missing, std::slice::from_ref(.destination)))]
    #[failure(NotFound: "create the bundle with `rune-bundle apply DELTA --from BASE --output \
        FILE`, and use that")]
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
