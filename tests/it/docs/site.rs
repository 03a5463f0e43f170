//! `docs/reference/site.md`: its example is read, and its table has every key of a site file.

use std::fs;

use camino::Utf8PathBuf;
use rune_bundle::commands::bundle::SiteFile;

use super::markdown::{code, document, rows};

fn parse(text: &str) -> Result<SiteFile, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(directory.path().join("site.yaml")).unwrap();
    fs::write(&path, text).unwrap();
    SiteFile::read(&path).map_err(|error| error.messages().join(": "))
}

pub(super) fn read(place: &str, text: &str) {
    parse(text).unwrap_or_else(|error| panic!("{place}: {error}"));
}

#[test]
fn the_table_of_the_page_has_every_key_and_no_other() {
    let page = document("docs/reference/site.md");
    let keys: Vec<String> = rows(page.section("# The site file"))
        .iter()
        .filter_map(|row| code(&row[0]).map(str::to_owned))
        .collect();
    let whole: String = keys.iter().map(|key| format!("{key}: x\n")).collect();
    parse(&format!("apiVersion: rune-bundle/v1\nkind: Site\n{whole}")).unwrap();
    // What is known besides stands in the hint about a key that is not.
    let error = parse("zzzzzzzzzzzz: x\n").unwrap_err();
    let known = error
        .split_once("known are ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap();
    let mut known: Vec<&str> = known
        .split(", ")
        .map(|key| key.trim_matches('`'))
        .filter(|key| !["apiVersion", "kind"].contains(key))
        .collect();
    let mut listed: Vec<&str> = keys.iter().map(String::as_str).collect();
    known.sort_unstable();
    listed.sort_unstable();
    assert_eq!(known, listed);
}
