//! What the page about messages quotes is what the programs say.

use std::{fs, path::Path};

use super::markdown::{code, document, rows};
use crate::{bundle::project::repository, cli_guide::joined};

/// Every source file, without backticks: the page cannot quote them.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let source = fs::read_to_string(&path).unwrap();
            found.push(joined(&source).replace('`', ""));
        }
    }
}

#[test]
fn every_message_of_the_page_about_trouble_is_one_of_the_program() {
    let page = document("docs/airgap/troubleshooting.md");
    let mut files = Vec::new();
    for part in ["src", "crates"] {
        sources(&repository().join(part), &mut files);
    }
    let mut quoted = 0;
    for heading in page.text.lines().filter(|line| line.starts_with("## ")) {
        for row in rows(page.section(heading)) {
            let message = code(&row[0]).unwrap_or_else(|| panic!("`{}` is no message", row[0]));
            let parts: Vec<&str> = message
                .split('…')
                .map(str::trim)
                .filter(|part| part.len() > 3)
                .collect();
            assert!(!parts.is_empty(), "{message}: nothing of it is fixed");
            let is_said = files
                .iter()
                .any(|source| parts.iter().all(|part| source.contains(part)));
            assert!(is_said, "nothing says `{message}`");
            quoted += 1;
        }
    }
    assert!(quoted > 30);
}
