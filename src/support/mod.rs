//! Diagnostics of a cluster for the vendor: versions, states of pods and workloads, events and
//! logs.
//!
//! Nobody has to find secrets in it. Secrets, ConfigMaps, environment variables, commands and
//! annotations are not collected at all; logs and messages are redacted, rather too much than too
//! little. What may not be read is named and does not end the collection.

mod collection;
mod error;
mod redaction;

use std::fmt::Write as _;

use serde::Serialize;

pub(crate) use collection::collect;
pub(crate) use error::SupportError;

/// What the file that lists everything says about all of them.
const ABOUT: &str = "Diagnostics that `rune-bundle support` collected. Read them before you send them.

Not collected: Secrets, ConfigMaps of others, environment variables, commands, arguments, annotations.
Redacted in logs and messages, as [redacted]: values of keys like password, token, secret; user and
password in URLs; bearer tokens and tokens of known kinds; private keys; random texts; the values of
environment variables.
";

#[derive(Debug, Default)]
pub(crate) struct Collection {
    pub(crate) files: Vec<CollectedFile>,
    pub(crate) refused: Vec<String>,
    pub(crate) left_out: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CollectedFile {
    pub(crate) path: String,
    pub(crate) bytes: usize,
    pub(crate) redacted: usize,
    #[serde(skip)]
    content: Vec<u8>,
}

impl Collection {
    fn add(&mut self, path: String, (content, redacted): (String, usize)) {
        self.files.push(CollectedFile {
            path,
            bytes: content.len(),
            redacted,
            content: content.into_bytes(),
        });
    }

    /// The archive: a tar that begins with the list of what is in it.
    pub(crate) fn archive(&self) -> Result<Vec<u8>, SupportError> {
        let mut archive = tar::Builder::new(Vec::new());
        let listing = self.listing();
        let files = self.files.iter();
        let files = files.map(|file| (file.path.as_str(), file.content.as_slice()));
        for (path, content) in std::iter::once(("README.txt", listing.as_bytes())).chain(files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, format!("support/{path}"), content)
                .map_err(SupportError::Archive)?;
        }
        archive.into_inner().map_err(SupportError::Archive)
    }

    fn listing(&self) -> String {
        let mut text = format!("{ABOUT}\n     bytes  redacted  file\n");
        for file in &self.files {
            let _ = writeln!(
                text,
                "{:>10}  {:>8}  {}",
                file.bytes, file.redacted, file.path
            );
        }
        for refused in &self.refused {
            let _ = writeln!(text, "not read: {refused}");
        }
        for left_out in &self.left_out {
            let _ = writeln!(text, "left out: {left_out}");
        }
        text
    }
}
