//! Parts that `split` made of a bundle: which files belong together, and whether none is missing.
//!
//! `split` names its parts by a counter, `b.tar.00`, `b.tar.01` or `b.tar.aa`, `b.tar.ab`. Whoever
//! names the first means all that follow without a gap. The parts know nothing of each other, so
//! what is wrong is found by their names, by their lengths, and by the signed index.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    BundleFile, VolumeError,
    file::{Piece, PieceKind},
    volume::{find_set, open_set},
};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
pub enum PartsError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("the part `{missing}` is missing: `{later}` exists")]
    #[failure(NotFound: "copy `{missing}` beside the others, or pass --part")]
    Gap { missing: String, later: String },
    #[error("the same part is in two places: `{0}` and `{1}`")]
    #[failure(help: "keep one of them")]
    Doubled(Utf8PathBuf, Utf8PathBuf),
    #[error("`{part}` is not a part of `{first}`")]
    #[failure(help: format!("parts have the name of the first, `{}`, with another number or letters at \
        the end", .first.file_name().unwrap_or_default()))]
    Stranger {
        part: Utf8PathBuf,
        first: Utf8PathBuf,
    },
    #[error("`{0}` is not the first of several parts")]
    #[failure(help: "name the first part, such as b.tar.00 or b.tar.aa; --part is for the others")]
    NoParts(Utf8PathBuf),
    #[error("the {count} parts have {found} bytes, the signed bundle has {expected}: {advice}")]
    #[failure(Content: "compare the sizes of the parts with those at their source")]
    Length {
        count: usize,
        found: u64,
        expected: u64,
        advice: String,
    },
}

/// The counter at the end of the name of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counter {
    /// The name up to the counter, with its full stop.
    stem: String,
    digits: String,
}

impl Counter {
    fn of(name: &str) -> Option<Self> {
        let (stem, digits) = name.rsplit_once('.')?;
        let all = |is_digit: fn(&u8) -> bool| digits.bytes().all(|byte| is_digit(&byte));
        let is_counter = digits.len() >= 2
            && (all(u8::is_ascii_digit) || all(u8::is_ascii_lowercase))
            && !stem.is_empty();
        is_counter.then(|| Self {
            stem: format!("{stem}."),
            digits: digits.to_owned(),
        })
    }

    /// Whether counting begins here: at zero, at one, or at the first letter.
    fn is_first(&self) -> bool {
        let (rest, last) = self.digits.split_at(self.digits.len().saturating_sub(1));
        match last {
            "0" | "1" => rest.bytes().all(|byte| byte == b'0'),
            "a" => rest.bytes().all(|byte| byte == b'a'),
            _ => false,
        }
    }

    fn name(&self) -> String {
        format!("{}{}", self.stem, self.digits)
    }

    /// The names that the next part can have: the next number, or the one with which GNU `split`
    /// goes on when its digits run out (`90` is `9000`, `za` is `zaaa`).
    fn next(&self) -> Vec<Self> {
        let (first, last) = if self.digits.starts_with(|c: char| c.is_ascii_digit()) {
            (b'0', b'9')
        } else {
            (b'a', b'z')
        };
        let mut digits = self.digits.clone().into_bytes();
        let mut has_carry = true;
        for digit in digits.iter_mut().rev() {
            if has_carry {
                has_carry = *digit == last;
                *digit = if has_carry {
                    first
                } else {
                    digit.saturating_add(1)
                };
            }
        }
        let with = |digits: Vec<u8>| Self {
            stem: self.stem.clone(),
            digits: String::from_utf8(digits).unwrap_or_default(),
        };
        if has_carry {
            return Vec::new();
        }
        let prefix = digits.iter().take_while(|digit| **digit == last).count();
        let is_wider = prefix > 0 && digits.iter().skip(prefix).all(|digit| *digit == first);
        let wider = is_wider.then(|| {
            let mut wide = digits.clone();
            wide.extend([first, first]);
            with(wide)
        });
        std::iter::once(with(digits)).chain(wider).collect()
    }
}

#[derive(Debug)]
pub(super) struct Places<'a> {
    first: &'a Utf8Path,
    more: &'a [Utf8PathBuf],
}

impl<'a> Places<'a> {
    pub(super) const fn first(&self) -> &'a Utf8Path {
        self.first
    }

    pub(super) const fn new(first: &'a Utf8Path, more: &'a [Utf8PathBuf]) -> Self {
        Self { first, more }
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Utf8PathBuf>, PartsError> {
        let named = self
            .more
            .iter()
            .filter(|path| path.file_name() == Some(name));
        let directories = self.more.iter().filter(|path| fsx::is_dir(path));
        let beside = std::iter::once(self.first.with_file_name(name));
        let mut found: Option<Utf8PathBuf> = None;
        for path in beside
            .chain(directories.map(|directory| directory.join(name)))
            .chain(named.cloned())
            .filter(|path| fsx::exists(path) && !fsx::is_dir(path))
        {
            match &found {
                Some(other) if fsx::identity(other)? != fsx::identity(&path)? => {
                    return Err(PartsError::Doubled(other.clone(), path));
                }
                Some(_) => {}
                None => found = Some(path),
            }
        }
        Ok(found)
    }

    fn names(&self) -> BTreeSet<String> {
        let directories = self.more.iter().filter(|path| fsx::is_dir(path));
        let beside = fsx::parent(self.first);
        std::iter::once(beside)
            .chain(directories.map(Utf8PathBuf::as_path))
            .flat_map(|directory| fsx::file_names(directory).unwrap_or_default())
            .chain(
                self.more
                    .iter()
                    .filter_map(|path| Some(path.file_name()?.to_owned())),
            )
            .collect()
    }

    /// A file of `--part` that is not one of these.
    pub(super) fn stranger(&self, used: &[Utf8PathBuf]) -> Option<Utf8PathBuf> {
        let is_used = |path: &Utf8PathBuf| {
            used.iter()
                .any(|used| fsx::identity(used).ok() == fsx::identity(path).ok())
        };
        self.more
            .iter()
            .find(|path| !fsx::is_dir(path) && !is_used(path))
            .cloned()
    }
}

/// The parts of which a file is the first, in their order; nothing when it is a whole bundle.
pub(super) fn find_parts(places: &Places<'_>) -> Result<Option<Vec<Utf8PathBuf>>, PartsError> {
    let first = places.first;
    let counter = first
        .file_name()
        .and_then(Counter::of)
        .filter(Counter::is_first);
    let Some(mut counter) = counter else {
        return Ok(None);
    };
    let mut paths = vec![first.to_owned()];
    let mut names = BTreeSet::from([counter.name()]);
    loop {
        let mut next = None;
        for candidate in counter.next() {
            if let Some(path) = places.find(&candidate.name())? {
                next = Some((candidate, path));
                break;
            }
        }
        let Some((found, path)) = next else { break };
        names.insert(found.name());
        paths.push(path);
        counter = found;
    }
    let later = places.names().into_iter().find(|name| {
        !names.contains(name)
            && Counter::of(name).is_some_and(|other| {
                other.stem == counter.stem && other.has_form_of(&counter) && other > counter
            })
    });
    if let (Some(later), Some(missing)) = (later, counter.next().first()) {
        return Err(PartsError::Gap {
            missing: missing.name(),
            later,
        });
    }
    Ok((paths.len() > 1).then_some(paths))
}

impl Counter {
    fn has_form_of(&self, other: &Self) -> bool {
        let is_number = |counter: &Self| counter.digits.bytes().all(|byte| byte.is_ascii_digit());
        self.digits.len() == other.digits.len() && is_number(self) == is_number(other)
    }
}

impl PartialOrd for Counter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.stem == other.stem).then(|| self.digits.cmp(&other.digits))
    }
}

impl BundleFile {
    /// Opens a bundle: the file, the parts of which it is the first, or the volumes of which it is
    /// one. The others are looked for beside it and in the files and directories of `more`. With
    /// `is_only`, each file of `more` must belong to it.
    pub fn open(first: &Utf8Path, more: &[Utf8PathBuf], is_only: bool) -> Result<Self, PartsError> {
        let places = Places::new(first, more);
        if let Some(volumes) = find_set(&places, is_only)? {
            return Ok(open_set(volumes)?);
        }
        let paths = find_parts(&places)?;
        let used = paths.as_deref().unwrap_or_default();
        if let Some(part) = places.stranger(used).filter(|_| is_only) {
            let first = first.to_owned();
            return Err(if used.is_empty() {
                PartsError::NoParts(first)
            } else {
                PartsError::Stranger { part, first }
            });
        }
        match paths {
            Some(paths) => open_parts(paths),
            None => Ok(Self::whole(fsx::open(first)?, first.to_owned())),
        }
    }
}

fn open_parts(paths: Vec<Utf8PathBuf>) -> Result<BundleFile, PartsError> {
    let mut pieces = Vec::new();
    let mut start = 0_u64;
    let last = paths.len().saturating_sub(1);
    for (position, path) in paths.into_iter().enumerate() {
        let file = fsx::open(&path)?;
        let size = fsx::file_size(&path)?;
        let end = if position == last {
            u64::MAX
        } else {
            start.saturating_add(size)
        };
        pieces.push(Piece {
            file,
            path,
            range: start..end,
            offset: 0,
            kind: PieceKind::Part,
        });
        start = end;
    }
    Ok(BundleFile::new(pieces))
}

/// Checks that parts together are as long as the bundle that was signed. One file is read to its
/// end instead.
pub(super) fn check_length(file: &BundleFile, expected: u64) -> Result<(), PartsError> {
    if !file.has_parts() {
        return Ok(());
    }
    let parts: Vec<(&Utf8Path, u64)> = file.parts().collect();
    let found = parts.iter().map(|(_, size)| size).sum();
    if file.volumes().is_some() || found == expected {
        return Ok(());
    }
    Err(PartsError::Length {
        count: parts.len(),
        found,
        expected,
        advice: what_length_says(&parts, expected),
    })
}

/// `split` makes parts of one size, and a last one that is not larger.
fn what_length_says(parts: &[(&Utf8Path, u64)], expected: u64) -> String {
    let mut end = 0_u64;
    for (path, size) in parts {
        if end == expected {
            return format!("`{path}` does not belong to it");
        }
        end = end.saturating_add(*size);
    }
    let usual = parts
        .iter()
        .rev()
        .skip(1)
        .map(|(_, size)| *size)
        .max()
        .unwrap_or_default();
    let mut other = parts
        .iter()
        .rev()
        .skip(1)
        .filter(|(_, size)| *size != usual);
    if let Some((path, size)) = other.next_back() {
        return format!("`{path}` has {size} bytes, the others have {usual}");
    }
    let last = parts.last().map_or("", |(path, _)| path.as_str());
    match parts.last() {
        Some((_, size)) if *size >= usual && end < expected => {
            format!("the parts after `{last}` are missing")
        }
        _ if end < expected => format!("`{last}` is too short, or parts after it are missing"),
        _ => format!("`{last}` is too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::Counter;

    fn next(name: &str) -> Vec<String> {
        Counter::of(name)
            .unwrap()
            .next()
            .iter()
            .map(Counter::name)
            .collect()
    }

    #[test]
    fn counts_as_split_does() {
        assert_eq!(next("b.tar.00"), ["b.tar.01"]);
        assert_eq!(next("b.tar.09"), ["b.tar.10"]);
        assert_eq!(next("b.tar.az"), ["b.tar.ba"]);
        assert_eq!(next("b.tar.89"), ["b.tar.90", "b.tar.9000"]);
        assert_eq!(next("b.tar.9899"), ["b.tar.9900", "b.tar.990000"]);
        assert_eq!(next("b.tar.yz"), ["b.tar.za", "b.tar.zaaa"]);
        assert_eq!(next("b.tar.99"), [""; 0]);
    }

    #[test]
    fn knows_where_counting_begins() {
        for (name, is_first) in [
            ("b.tar.00", Some(true)),
            ("b.tar.001", Some(true)),
            ("b.tar.aa", Some(true)),
            ("b.tar.01", Some(true)),
            ("b.tar.02", Some(false)),
            ("b.tar.ab", Some(false)),
            ("b.tar", Some(false)),
            ("b.0", None),
            ("b", None),
        ] {
            let found = Counter::of(name).map(|counter| counter.is_first());
            assert_eq!(found, is_first, "{name}");
        }
    }
}
