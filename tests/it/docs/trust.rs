//! `docs/reference/trust.md`: its example is read, and its table has every key of a trust file.

use std::{cell::RefCell, collections::BTreeSet};

use camino::Utf8Path;
use rune_bundle::sign::{PrivateKey, TrustFile};
use rune_core::yaml::Diagnostics;
use serde_json::{Value, json};

use super::markdown::{code, document, rows};

/// Reads a trust file, with a new key in place of each key file that it names.
fn parse(place: &str, text: &str) -> Result<TrustFile, Diagnostics> {
    let asked = RefCell::new(BTreeSet::new());
    let read_key = |file: &str| {
        assert!(
            asked.borrow_mut().insert(file.to_owned()),
            "{place}: `{file}` is asked for twice"
        );
        Ok(PrivateKey::generate().unwrap().public_key().to_pem())
    };
    TrustFile::read(Utf8Path::new(place), text, &read_key)
}

pub(super) fn read(place: &str, text: &str) {
    parse(place, text).unwrap_or_else(|mistakes| panic!("{place}: {mistakes}"));
}

#[test]
fn the_page_has_every_key_of_a_trust_file() {
    let page = document("docs/reference/trust.md");
    let documented: BTreeSet<String> = rows(&page.text)
        .iter()
        .filter_map(|row| code(&row[0]))
        .map(str::to_owned)
        .collect();
    let block = page
        .blocks()
        .into_iter()
        .find(|block| block.language == "yaml")
        .unwrap();
    let example: Value = serde_yaml::from_str(&block.text).unwrap();
    let mut known = BTreeSet::new();
    for (pointer, prefix) in [
        ("", ""),
        ("/keys/0", "keys[]."),
        ("/revoked/0", "revoked[]."),
    ] {
        let mut strange = example.clone();
        strange.pointer_mut(pointer).unwrap()["zzzzzzzzzzzz"] = json!(1);
        let mistakes = parse("page", &strange.to_string()).unwrap_err();
        let hint = mistakes.findings()[0].hint.clone().unwrap();
        let list = hint.strip_prefix("known are ").unwrap();
        known.extend(
            list.split(", ")
                .map(|key| format!("{prefix}{}", key.trim_matches('`'))),
        );
    }
    assert_eq!(documented, known);
}
