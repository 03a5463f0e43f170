//! As much of Markdown as the documentation of this project uses; anything else is refused, so that
//! nothing is overlooked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::bundle::project::repository;

/// A page of the documentation.
pub(super) struct Document {
    /// Its path in the repository.
    pub(super) path: String,
    pub(super) text: String,
}

/// A fenced block.
pub(super) struct Block {
    pub(super) language: String,
    /// The line of its first line of content, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// The README and everything below `docs/`.
pub(super) fn documents() -> Vec<Document> {
    let mut paths = vec![PathBuf::from("README.md")];
    collect(Path::new("docs"), &mut paths);
    paths.sort();
    paths
        .iter()
        .map(|path| document(path.to_str().unwrap()))
        .collect()
}

pub(super) fn document(path: &str) -> Document {
    Document {
        path: path.to_owned(),
        text: fs::read_to_string(repository().join(path)).unwrap(),
    }
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(repository().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = directory.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

impl Document {
    /// Its fenced blocks, in order.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            let is_fence =
                line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
            match (&mut open, is_fence) {
                (None, false) => {}
                (Some(block), false) => block.text.push_str(&format!("{line}\n")),
                (None, true) => {
                    let language = line.strip_prefix("```").unwrap_or_else(|| {
                        panic!("{}:{}: an indented fence", self.path, number + 1)
                    });
                    open = Some(Block {
                        language: language.to_owned(),
                        line: number + 2,
                        text: String::new(),
                    });
                }
                (Some(_), true) => {
                    assert_eq!(
                        line,
                        "```",
                        "{}:{}: a fence within a fence",
                        self.path,
                        number + 1
                    );
                    blocks.extend(open.take());
                }
            }
        }
        assert!(
            open.is_none(),
            "{}: the last block is not closed",
            self.path
        );
        blocks
    }

    /// The text below a heading, up to the next one of the same or a higher level.
    pub(super) fn section(&self, heading: &str) -> &str {
        let level = |line: &str| line.chars().take_while(|c| *c == '#').count();
        let (mut is_code, mut start, mut position) = (false, None, 0);
        for line in self.text.split_inclusive('\n') {
            is_code ^= line.starts_with("```");
            match start {
                None if line.trim_end() == heading => start = Some(position + line.len()),
                Some(start) if !is_code && (1..=level(heading)).contains(&level(line)) => {
                    return &self.text[start..position];
                }
                _ => {}
            }
            position += line.len();
        }
        &self.text[start.unwrap_or_else(|| panic!("{}: no `{heading}`", self.path))..]
    }

    /// The targets of its links that are no URLs.
    pub(super) fn links(&self) -> Vec<String> {
        let targets = self
            .text
            .split("](")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap().to_owned());
        targets.filter(|target| !target.contains("://")).collect()
    }

    /// The file that a link leads to.
    pub(super) fn resolve(&self, link: &str) -> PathBuf {
        let own = repository().join(&self.path);
        if link.is_empty() {
            own
        } else {
            own.parent().unwrap().join(link)
        }
    }
}

/// The cells of every row of the tables in a text, headings and rulers left out.
pub(super) fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let Some(inner) = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'))
        else {
            continue;
        };
        if inner.chars().all(|c| matches!(c, '-' | '|' | ':' | ' ')) {
            // What stands above the ruler is the heading.
            rows.pop();
            continue;
        }
        // A bar within a cell is written \|.
        let cells = inner.replace("\\|", "\u{0}");
        rows.push(
            cells
                .split('|')
                .map(|cell| cell.trim().replace('\u{0}', "|"))
                .collect(),
        );
    }
    rows
}

/// The content of a cell that is one piece of code.
pub(super) fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?
        .strip_suffix('`')
        .filter(|inner| !inner.contains('`'))
}

/// The anchors of the headings of a text, in the form of the usual forges.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    headings
        .map(|heading| {
            heading
                .chars()
                .filter(|c| kept(*c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}
