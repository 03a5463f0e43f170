//! What is fuzzed. Each target reads bytes that others may choose, and holds what was read to what
//! must be true of it.
//!
//! The integration tests run the targets once over the corpus.

use std::fmt::Debug;

use camino::Utf8Path;
use rune_bundle::{
    archive::{CheckError, Entry, EntryName, EntryReader, Layout, Mode},
    bundle::{BundleIndex, UnverifiedHead},
    canonical_json,
    chart::{self, discover},
    manifest::Lock,
    oci::{Manifest, Reference},
    policy::{ImagePlaces, LicenseExpression, Policy},
    registry::Challenge,
    serve::{Repository, Route, Target as Named, route},
    sign::{SLOT_BYTES, Slot},
};
use rune_core::{digest::Digest, yaml};
use rune_storage::{
    DatabaseUrl, Places, json_text,
    migrations::{Dialect, split},
};

/// Reads what it is given; panics when something is wrong with that.
pub(crate) type Target = fn(&[u8]);

/// The targets by name.
pub(crate) const TARGETS: [(&str, Target); 14] = [
    ("archive", archive),
    ("canonical-json", canonical),
    ("challenge", challenge),
    ("database-url", database_url),
    ("head", head),
    ("json-text", json),
    ("lock", lock),
    ("oci-manifest", oci_manifest),
    ("policy", policy),
    ("rendered", rendered),
    ("reference", reference),
    ("route", asked),
    ("signature", signature),
    ("sql", sql),
];

const FILE: &str = "file";

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Changes some bytes: how many, then for each where it is, in three bytes, and what is changed
/// about it. Gives the rest.
fn changes(data: &[u8]) -> (Vec<(usize, u8)>, &[u8]) {
    let (count, mut rest) = data
        .split_first()
        .map_or((0, data), |(count, rest)| (usize::from(count % 8), rest));
    let mut changes = Vec::new();
    for _ in 0..count {
        let Some(([a, b, c, change], after)) = rest.split_first_chunk() else {
            break;
        };
        changes.push((
            usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            *change,
        ));
        rest = after;
    }
    (changes, rest)
}

/// An archive of these entries.
fn packed(layout: &Layout, contents: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (placed, content) in layout.entries().iter().zip(contents) {
        bytes.extend(placed.header());
        bytes.extend_from_slice(content);
        bytes.resize(usize::try_from(placed.end_offset()).unwrap(), 0);
    }
    bytes
}

fn entry(name: &str, size: usize) -> Entry {
    Entry {
        name: EntryName::new(name).unwrap(),
        size: size as u64,
        mode: Mode::Regular,
    }
}

/// An archive passes exactly when nothing outside of its contents was changed, and what is read are
/// its contents.
fn archive(data: &[u8]) {
    let (changes, rest) = changes(data);
    let (first, second) = rest.split_at(rest.len() / 3);
    let layout = Layout::new([
        entry("first", first.len()),
        entry("directory/second", second.len()),
    ])
    .unwrap();
    let sound = packed(&layout, &[first, second]);
    let mut bytes = sound.clone();
    for (at, change) in changes {
        let length = bytes.len();
        bytes[at % length] ^= change;
    }
    let (mut source, mut reader) = (bytes.as_slice(), EntryReader::default());
    let mut is_sound = true;
    for placed in layout.entries() {
        let mut content = Vec::new();
        let read = reader.read::<CheckError>(&mut source, placed, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        });
        is_sound &= read.is_ok();
        if read.is_err() {
            break;
        }
        let begin = usize::try_from(placed.content_offset()).unwrap();
        assert_eq!(
            content,
            bytes[begin..begin + content.len()],
            "the content of `{}`",
            placed.name()
        );
    }
    let is_content = |at: usize| {
        let within = |begin: u64, size: u64| (begin..begin + size).contains(&(at as u64));
        layout
            .entries()
            .iter()
            .any(|placed| within(placed.content_offset(), placed.size()))
    };
    let is_frame_whole = (0..sound.len()).all(|at| sound[at] == bytes[at] || is_content(at));
    assert_eq!(is_sound, is_frame_whole);
}

/// A head that was composed by the rules is read, and one that was changed is read as what it is or
/// not at all.
fn head(data: &[u8]) {
    let (changes, index) = changes(data);
    let slot = vec![b' '; SLOT_BYTES];
    let slots = (0..8).map(|slot| entry(&format!("signatures/{slot}.sigstore.json"), SLOT_BYTES));
    let layout = Layout::new([entry("bundle.json", index.len())].into_iter().chain(slots)).unwrap();
    let contents: Vec<&[u8]> = std::iter::once(index)
        .chain(std::iter::repeat_n(slot.as_slice(), 8))
        .collect();
    let mut bytes = packed(&layout, &contents);
    let is_changed = changes.iter().any(|(_, change)| *change != 0);
    for (at, change) in changes {
        // Mostly in what is not a slot: those are large and alike.
        let length = if at & 1 == 0 {
            bytes.len()
        } else {
            index.len() + 3 * 512
        };
        bytes[at % length] ^= change;
    }
    match UnverifiedHead::read(&mut bytes.as_slice()) {
        Ok(head) => {
            assert!(is_changed || head.digest() == Digest::of(index));
            let _ = head.peek();
        }
        Err(error) => assert!(is_changed, "{error:?}"),
    }
    if let Ok(read) = BundleIndex::from_bytes(index) {
        assert_eq!(read.to_bytes().unwrap(), index);
        let _ = read.layout(index.len() as u64);
    }
}

fn canonical(data: &[u8]) {
    if let Ok(value) = canonical_json::from_bytes::<serde_json::Value>(data) {
        assert_eq!(canonical_json::to_bytes(&value).unwrap(), data);
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else {
        return;
    };
    if let Ok(bytes) = canonical_json::to_bytes(&value) {
        assert_eq!(
            canonical_json::from_bytes::<serde_json::Value>(&bytes).unwrap(),
            value
        );
    }
}

fn challenge(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for challenge in Challenge::parse(text) {
        // A second header does not change what the first one says.
        assert!(
            Challenge::parse(&format!("{text}, Basic realm=\"x\"")).contains(&challenge)
                || text.contains('"')
        );
    }
}

/// A text written in any of its forms is read as the same again.
fn again<T: PartialEq + Debug + ToString, E: Debug>(
    value: &T,
    read: impl Fn(&str) -> Result<T, E>,
) {
    assert_eq!(&read(&value.to_string()).unwrap(), value);
}

fn reference(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        again(&reference, str::parse::<Reference>);
    }
    if let Ok(reference) = Reference::parse_like_a_runtime(text) {
        again(&reference, Reference::parse_like_a_runtime);
    }
}

/// What a request asks for is made of words of the registry's grammar, whatever the request says:
/// path, `?`, query.
fn asked(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let Ok(route) = route(path, query) else {
        return;
    };
    let (Route::Tags(repository, _)
    | Route::Manifest(repository, _)
    | Route::Blob(repository, _)
    | Route::Referrers { repository, .. }) = &route
    else {
        return;
    };
    let Repository { name, .. } = repository;
    let is_word = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "._-/".contains(character)
    };
    assert!(
        name.len() < 256
            && name.chars().all(is_word)
            && !name.contains("..")
            && !name.contains("//"),
        "{name:?}"
    );
    assert!(
        !name.starts_with(['/', '.']) && !name.ends_with(['/', '.']),
        "{name:?}"
    );
    if let Route::Manifest(_, Named::Tag(tag)) = &route {
        assert!(
            !tag.is_empty()
                && tag.len() <= 128
                && !tag.contains(['/', '\\', '%'])
                && !tag.starts_with('.'),
            "{tag:?}"
        );
    }
}

/// No text of a URL or of an error holds the password.
fn database_url(data: &[u8]) {
    const PASSWORD: &str = "pw9Zq7Xk";
    let Some(text) = text(data) else { return };
    let places = Places {
        working_directory: Some("/work".into()),
        home: Some("/home/rune".into()),
    };
    if let Ok(url) = DatabaseUrl::parse(text, &places) {
        let shown = url.to_string();
        let read = DatabaseUrl::parse(&shown, &places).unwrap();
        assert_eq!(read.to_string(), shown);
    }
    let _ = DatabaseUrl::from_path(text, &places);
    let secret = format!("postgresql://rune:{PASSWORD}{text}");
    let said = match DatabaseUrl::parse(&secret, &places) {
        Ok(url) => format!("{url} {url:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(
        text.contains(PASSWORD) || !said.contains(PASSWORD),
        "{said}"
    );
}

/// What Rust's own reader takes for JSON is JSON, and what is not is nowhere beyond the end.
fn json(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match json_text::check(text) {
        Ok(_) => {}
        Err(error) => {
            assert!(error.offset <= text.len());
            assert!(
                serde_json::from_str::<serde_json::Value>(text).is_err(),
                "{error}"
            );
        }
    }
}

fn lock(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let path = Utf8Path::new(FILE);
    let _ = yaml::parse(path, text);
    let _ = yaml::parse_rendered(path, text, 10_000);
    if let Ok(lock) = Lock::parse(path, text) {
        let written = lock.to_text().unwrap();
        assert_eq!(
            Lock::parse(path, &written).unwrap().to_text().unwrap(),
            written
        );
    }
}

/// What a chart renders to: whatever is found can be shown, and the same is found again.
fn rendered(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let found = discover(text, &ImagePlaces::default());
    for (place, named) in &found {
        let (chart::Named::Image(text) | chart::Named::Possible(text, _)) = named else {
            continue;
        };
        for shown in [&place.file, &place.object, &place.path, text] {
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
    }
    assert_eq!(found, discover(text, &ImagePlaces::default()));
}

fn policy(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = Policy::read(Utf8Path::new(FILE), text);
    let _ = LicenseExpression::parse(text);
}

fn oci_manifest(data: &[u8]) {
    let _ = Manifest::parse(data.to_vec(), None);
}

/// A slot has one form, whatever algorithm its signature is of.
fn signature(data: &[u8]) {
    let mut slot = data.to_vec();
    slot.resize(slot.len().max(SLOT_BYTES), b' ');
    if let Ok(read) = Slot::parse(&slot) {
        assert_eq!(read.to_bytes(), slot);
    }
}

/// Every statement stands in the text, and one that others follow is one statement.
fn sql(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let statements = split(text, dialect).unwrap_or_default();
        assert!(
            statements
                .iter()
                .all(|statement| text.contains(&statement.sql)),
            "{statements:?}"
        );
        for statement in statements.iter().rev().skip(1) {
            let again = split(&format!("{}\n;", statement.sql), dialect).unwrap();
            assert_eq!(
                again.iter().map(|one| &one.sql).collect::<Vec<_>>(),
                [&statement.sql]
            );
        }
    }
}
