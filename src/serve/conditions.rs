//! What a request's headers ask for: a part of a content, or nothing if the client has it already.
//!
//! Source: RFC 9110, sections 13 and 14. The validator of a content is its digest, so it is always
//! a strong one.

use std::ops::Range;

use hyper::{HeaderMap, header};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<u64>),
    Outside,
}

pub(super) fn entity_tag(digest: rune_core::digest::Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client says that it has this content already.
pub(super) fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// How much of a content of `size` bytes is asked for. What cannot be understood, or is more than
/// one part, asks for the whole; a part that ends before it begins lies outside.
pub(super) fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if text(header::IF_RANGE).is_some_and(|known| known != tag) {
        return Wanted::Whole;
    }
    let Some((first, last)) =
        text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse::<u64>().ok()
        } else {
            None
        }
    };
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => number(last).map(|count| size.saturating_sub(count)..size),
        (false, true) => number(first).map(|first| first..size),
        (false, false) => number(first)
            .zip(number(last))
            .map(|(first, last)| first..last.saturating_add(1).min(size)),
    };
    match range {
        None => Wanted::Whole,
        Some(range) if range.is_empty() => Wanted::Outside,
        Some(range) => Wanted::Part(range),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header};

    use super::{Wanted, has_already, wanted};

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn parts_are_cut_to_the_size_and_what_lies_outside_is_told_apart() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=5-", Wanted::Part(5..10)),
            ("bytes=5-100", Wanted::Part(5..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-100", Wanted::Part(0..10)),
            ("bytes=9-18446744073709551615", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-11", Wanted::Outside),
            ("bytes=5-4", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=18446744073709551616-", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(
                wanted(&headers(&[(header::RANGE, range)]), "\"x\"", 10),
                expected,
                "{range}"
            );
        }
        assert_eq!(
            wanted(&headers(&[(header::RANGE, "bytes=0-")]), "\"x\"", 0),
            Wanted::Outside
        );
        assert_eq!(wanted(&HeaderMap::new(), "\"x\"", 10), Wanted::Whole);
    }

    #[test]
    fn a_part_of_another_content_is_not_continued() {
        let continued = |tag| {
            wanted(
                &headers(&[(header::RANGE, "bytes=5-"), (header::IF_RANGE, tag)]),
                "\"x\"",
                10,
            )
        };
        assert_eq!(continued("\"x\""), Wanted::Part(5..10));
        assert_eq!(continued("\"y\""), Wanted::Whole);
        assert_eq!(continued("W/\"x\""), Wanted::Whole);
    }

    #[test]
    fn a_client_that_has_it_is_recognised() {
        for (value, expected) in [
            ("\"x\"", true),
            ("\"y\", \"x\"", true),
            ("W/\"x\"", true),
            ("*", true),
            ("\"y\"", false),
            ("x", false),
        ] {
            assert_eq!(
                has_already(&headers(&[(header::IF_NONE_MATCH, value)]), "\"x\""),
                expected,
                "{value}"
            );
        }
        assert!(!has_already(&HeaderMap::new(), "\"x\""));
    }
}
