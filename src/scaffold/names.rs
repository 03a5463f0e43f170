//! Names for what charts call otherwise: of bundles, images, profiles and files, by the grammar of
//! manifests.

use std::collections::BTreeSet;

const MAX_BYTES: usize = 63;

pub(super) fn label(text: &str, otherwise: &str) -> String {
    let mut label = String::new();
    for character in text.chars().map(|character| character.to_ascii_lowercase()) {
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            label.push(character);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if label.len() == MAX_BYTES {
            break;
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() {
        otherwise.to_owned()
    } else {
        label.to_owned()
    }
}

/// The name, with a number behind it when it is taken; from then on it is taken.
pub(super) fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 2_usize;
    while !taken.insert(unique.clone()) {
        let suffix = format!("-{number}");
        let room = MAX_BYTES.saturating_sub(suffix.len());
        let stem = name.get(..room).unwrap_or(name).trim_end_matches('-');
        unique = format!("{stem}{suffix}");
        number = number.saturating_add(1);
    }
    unique
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{label, unique};

    #[test]
    fn a_name_is_a_dns_label_whatever_the_text_and_differs_from_those_before() {
        let long = "a".repeat(80);
        for (text, expected) in [
            ("Web_App", "web-app"),
            ("../../etc", "etc"),
            ("--", "x"),
            ("ü", "x"),
            ("a..b", "a-b"),
            (&long, &long[..63]),
        ] {
            assert_eq!(label(text, "x"), expected);
        }
        let mut taken = BTreeSet::new();
        assert_eq!(
            [
                unique("a", &mut taken),
                unique("a", &mut taken),
                unique("a", &mut taken)
            ],
            ["a", "a-2", "a-3"]
        );
        unique(&long[..63], &mut taken);
        assert_eq!(unique(&long[..63], &mut taken).len(), 63);
    }
}
