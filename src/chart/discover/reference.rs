//! The shape of image references in text that was written for any purpose.
//!
//! A text is cut into words of the characters that a reference can have, placeholders included;
//! each word is a reference by its shape or it is not. How sure that is depends on the shape alone;
//! the caller knows where the text stands and decides. One pass, no backtracking.

use super::{exclusions, known::is_about_images, tokens::tokens};

/// The longest word that is taken for a reference, in bytes: host, repository, tag and digest, and
/// placeholders in them.
const MAX_REFERENCE: usize = 1024;

/// How much a word looks like an image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// One word without anything: `redis`.
    Token,
    /// A path without a tag: `ghcr.io/a/b`, `a/b`.
    Untagged,
    /// `name:tag`, or a path with a tag that is commonly something else.
    Bare,
    /// `org/name:tag`.
    Path,
    /// `host/name:tag`, or a digest.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate<'t> {
    /// The reference, with placeholders as they are written.
    pub(super) text: &'t str,
    pub(super) shape: Shape,
    /// What stands before it in the same line, without the separators between.
    pub(super) before: &'t str,
}

/// The parts of a word; placeholders are `\0`.
pub(super) struct Parts<'w> {
    pub(super) host: Option<&'w str>,
    pub(super) path: Vec<&'w str>,
    pub(super) tag: Option<&'w str>,
    has_digest: bool,
}

/// Every word of a text that has the shape of a reference, in order.
pub(super) fn candidates(text: &str) -> impl Iterator<Item = Candidate<'_>> {
    tokens(text)
        .filter(|word| word.text.len() <= MAX_REFERENCE)
        .filter_map(|word| {
            let (reference, shape) = shape_of(word.text)?;
            Some(Candidate {
                text: reference,
                shape,
                before: word.before,
            })
        })
}

fn shape_of(word: &str) -> Option<(&str, Shape)> {
    // Emphasis goes around a word, the star of a pattern stands on one side of it.
    let word = word
        .strip_prefix("**")
        .and_then(|word| word.strip_suffix("**"))
        .unwrap_or(word);
    let reference = match word.split_once("://") {
        // Other schemes are addresses of something else.
        Some((scheme, rest)) => Some(rest).filter(|_| {
            matches!(
                scheme.rsplit(':').next(),
                Some("docker" | "oci" | "docker-daemon")
            )
        })?,
        None => word,
    };
    let reference = reference.trim_end_matches(['.', ':', '-', '/', '@']);
    if let Some(parts) = Parts::read(&masked(reference)) {
        return Some((reference, parts.shape()));
    }
    // `docker:ghcr.io/a/b:1`, `kafka:quay.io/a/b:1`: what stands before is not a part of it.
    let (before, rest) = reference.split_once(':')?;
    let least = if is_about_images(before) {
        Shape::Bare
    } else {
        Shape::Full
    };
    let shape = Parts::read(&masked(rest))
        .map(|parts| parts.shape())
        .filter(|shape| *shape >= least)?;
    // `image:redis:7`: what stands before says enough.
    Some((
        rest,
        if shape == Shape::Bare {
            Shape::Path
        } else {
            shape
        },
    ))
}

/// The word with a `\0` for each placeholder.
fn masked(word: &str) -> String {
    let mut masked = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let length = super::tokens::placeholder(rest).unwrap_or(0);
        masked.push(if length > 0 { '\0' } else { first });
        rest = rest.get(length.max(first.len_utf8())..).unwrap_or_default();
    }
    masked
}

impl<'w> Parts<'w> {
    /// Reads a word by the grammar of references, in which a placeholder can stand for any part.
    ///
    /// Source: distribution's `reference` package, its grammar; hosts may also be IPv6 addresses,
    /// and digests of any algorithm.
    fn read(word: &'w str) -> Option<Self> {
        let (named, digest) = word
            .split_once('@')
            .map_or((word, None), |(named, digest)| (named, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return None;
        }
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && !tag.ends_with(']') => (name, Some(tag)),
            _ => (named, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return None;
        }
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_like_host(first) => (Some(first), rest),
            _ => (None, name),
        };
        let path: Vec<&str> = path.split('/').collect();
        let is_name =
            host.is_none_or(is_host) && path.iter().all(|component| is_component(component));
        is_name.then_some(Self {
            host,
            path,
            tag,
            has_digest: digest.is_some(),
        })
    }

    fn shape(&self) -> Shape {
        let is_whole = self
            .path
            .iter()
            .any(|component| component.contains(|letter: char| letter.is_ascii_alphabetic()));
        match (self.tag, self.host) {
            _ if self.has_digest => Shape::Full,
            // Nothing but placeholders and numbers.
            (Some(_), _) if !is_whole => Shape::Token,
            // A placeholder can be a host as well as anything else.
            (Some(_), Some("\0")) if !exclusions::is_no_host(self) => Shape::Path,
            (Some(_), Some(_)) if !exclusions::is_no_host(self) => Shape::Full,
            (Some(_), None) if self.path.len() > 1 && !exclusions::is_no_path(self) => Shape::Path,
            (Some(_), _) => Shape::Bare,
            (None, host) if host.is_some() || self.path.len() > 1 => Shape::Untagged,
            (None, _) => Shape::Token,
        }
    }

    pub(super) fn has_possible_tag(&self) -> bool {
        self.tag.is_none_or(|tag| !exclusions::is_no_tag(tag))
    }
}

/// Whether a bare `name:tag` can be an image where an image is expected: not `host:port` and not a
/// switch.
pub(super) fn is_possible_bare(text: &str, is_about_registry: bool) -> bool {
    let masked = masked(text);
    let Some(parts) = Parts::read(&masked) else {
        return false;
    };
    let is_number = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = parts.path.len() == 1
        && parts.tag.is_some_and(is_number)
        && (is_about_registry
            || parts
                .path
                .iter()
                .any(|name| name.contains('.') || *name == "localhost"));
    !is_address
        && parts.has_possible_tag()
        && parts.path.iter().all(|component| !component.is_empty())
}

/// Algorithm and value; `sha256` with its length, others with at least 32 digits.
fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_length = if algorithm == "sha256" {
        hex.len() == 64
    } else {
        hex.len() >= 32
    };
    is_hex && is_length && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_tag(tag: &str) -> bool {
    let is_start =
        tag.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '_' | '\0'));
    is_start
        && tag.len() <= 128
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | 0))
}

fn is_like_host(first: &str) -> bool {
    first.contains(['.', ':', '\0'])
        || first.starts_with('[')
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        let Some((address, port)) = inside.split_once(']') else {
            return false;
        };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port
            && address.contains(':')
            && address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    }
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | 0))
    };
    port.is_none_or(is_port) && name.split('.').all(is_label)
}

fn is_port(port: &str) -> bool {
    port == "\0" || port.parse::<u16>().is_ok()
}

/// Lower-case letters and digits, separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == 0;
    let mut separator = String::new();
    for character in component.chars() {
        if u8::try_from(character).is_ok_and(is_word) {
            if !matches!(separator.as_str(), "" | "." | "_" | "__")
                && separator.contains(|part| part != '-')
            {
                return false;
            }
            separator.clear();
        } else if matches!(character, '.' | '_' | '-') {
            separator.push(character);
        } else {
            return false;
        }
    }
    separator.is_empty() && component.bytes().next().is_some_and(is_word)
}
