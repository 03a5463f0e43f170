//! The documentation is true: what it tells a reader to type works, its files are read, its tables
//! are complete.

mod ci;
mod ci_image;
pub(crate) mod cluster;
mod commands;
mod connections;
mod console;
mod examples;
mod files;
mod manifests;
mod markdown;
mod messages;
mod pages;
mod recording;
pub(crate) mod reports;
pub(crate) mod sandbox;
mod schemas;
mod server;
mod site;
mod templates;
mod trust;

use markdown::{Document, documents};

/// What a block of the documentation may be. All but `text` are checked: typed here, typed in a
/// cluster, or read.
const LANGUAGES: [&str; 5] = ["console", "sh", "text", "yaml", "json"];

#[test]
fn every_block_has_a_language_that_somebody_checks() {
    for document in documents() {
        for block in document.blocks() {
            let Document { path, .. } = &document;
            let language = block.language.as_str();
            assert!(
                LANGUAGES.contains(&language),
                "{path}:{}: a block of `{language}`; commands are `console`",
                block.line
            );
            let has_prompt = block.text.lines().any(|line| line.starts_with("$ "));
            assert!(
                !has_prompt || language == "console",
                "{path}:{}: commands in a block of `{language}`",
                block.line
            );
        }
    }
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    for document in documents() {
        for target in document.links() {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let found = document.resolve(path);
            assert!(found.exists(), "{}: nothing at `{target}`", document.path);
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(found).unwrap();
                assert!(
                    markdown::anchors(&text).iter().any(|known| known == anchor),
                    "{}: no heading for `{target}`",
                    document.path
                );
            }
        }
    }
}
