//! `cat`: one entry of a bundle, checked before a byte of it is shown.

use std::io::{self, Write};

use super::open::BundleOptions;
use crate::{
    archive::EntryName,
    bundle::{BundleIndex, ContentReader, OpenBundle},
};
use rune_core::{
    command::CommandError,
    failure::{Failure, FailureKind},
    progress::Progress,
    text::shown_text,
    yaml::suggestion,
};

/// An entry up to this size is checked in memory; a larger one is read twice.
const MAX_IN_MEMORY_BYTES: u64 = 8 << 20;

const INDEX: &str = "bundle.json";

#[derive(Debug, thiserror::Error, Failure)]
enum CatError {
    #[error("the bundle has no entry `{path}`")]
    #[failure(NotFound: format!("{}; `rune-bundle inspect --entries` lists all",
        suggestion(.path, .known)))]
    NoEntry { path: String, known: Vec<String> },
    #[error("`{0}` is not text, and standard output is a terminal")]
    #[failure(Usage: "write it to a file: `> FILE`")]
    Binary(String),
    #[error("cannot write to standard output")]
    #[failure(kind: match .0.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::Space,
        _ => FailureKind::Internal,
    })]
    Output(#[source] io::Error),
}

pub(crate) struct Output<'a> {
    pub(crate) writer: &'a mut dyn Write,
    /// A terminal gets text only, with control characters escaped.
    pub(crate) is_terminal: bool,
}

/// Of an entry of up to 8 MiB nothing is written when it is not as signed; a larger one was right
/// when it was read first, and its last piece is withheld when it no longer is.
pub(crate) fn run(
    options: &BundleOptions,
    path: &str,
    output: Output<'_>,
    progress: &dyn Progress,
) -> Result<(), CommandError> {
    let bundle = options.open_in_place()?;
    if let Some(trust) = options.trust_source() {
        progress.announce(&format!("trust: {trust}"));
    }
    let refused =
        |error: CommandError| error.context(format!("refusing `{path}` of `{}`", options.bundle));
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut printer = TextOrBytes {
        path,
        output,
        cut: Vec::new(),
    };
    if path == INDEX {
        printer.check(bundle.head().index_bytes())?;
        printer.check_end()?;
        printer.print(bundle.head().index_bytes())?;
        return printer.print_end();
    }
    let name = EntryName::new(path).ok();
    let reader = name
        .and_then(|name| bundle.read_entry(&name))
        .ok_or_else(|| no_entry(bundle.index(), path))?;
    let mut first = reader.clone();
    let is_kept = reader.size() <= MAX_IN_MEMORY_BYTES;
    let mut kept = Vec::new();
    each_piece(&bundle, &mut first, &mut |piece| {
        printer.check(piece)?;
        if is_kept {
            kept.extend_from_slice(piece);
        }
        Ok(())
    })
    .map_err(refused)?;
    printer.check_end()?;
    if is_kept {
        printer.print(&kept)?;
    } else {
        each_piece(&bundle, &mut reader.clone(), &mut |piece| {
            printer.print(piece)
        })
        .map_err(refused)?;
    }
    printer.print_end()
}

/// Reads a content to its end; the last piece comes when the digest is right.
fn each_piece(
    bundle: &OpenBundle,
    reader: &mut ContentReader,
    take: &mut dyn FnMut(&[u8]) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut piece = Vec::new();
    loop {
        let goes_on = reader.next_piece(bundle, &mut piece)?;
        take(&piece)?;
        if !goes_on {
            return Ok(());
        }
    }
}

fn no_entry(index: &BundleIndex, path: &str) -> CatError {
    let names = index.entries.iter().map(|entry| entry.path.as_str());
    let known = names
        .filter(|name| !name.starts_with("blobs/"))
        .map(str::to_owned)
        .collect();
    CatError::NoEntry {
        path: path.to_owned(),
        known,
    }
}

/// Bytes as they are, or text in pieces that may cut a character in two.
struct TextOrBytes<'a, 'o> {
    path: &'a str,
    output: Output<'o>,
    /// The beginning of a character whose end is in the next piece.
    cut: Vec<u8>,
}

impl TextOrBytes<'_, '_> {
    fn check(&mut self, piece: &[u8]) -> Result<(), CommandError> {
        if self.output.is_terminal {
            self.text(piece)?;
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), CommandError> {
        if std::mem::take(&mut self.cut).is_empty() {
            Ok(())
        } else {
            Err(self.binary())
        }
    }

    fn print(&mut self, piece: &[u8]) -> Result<(), CommandError> {
        if self.output.is_terminal {
            let text = shown_text(&self.text(piece)?);
            return self.write(text.as_bytes());
        }
        self.write(piece)
    }

    fn print_end(&mut self) -> Result<(), CommandError> {
        self.check_end()?;
        self.output
            .writer
            .flush()
            .or_else(ignore_closed)
            .map_err(|error| CatError::Output(error).into())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        self.output
            .writer
            .write_all(bytes)
            .or_else(ignore_closed)
            .map_err(|error| CatError::Output(error).into())
    }

    fn text(&mut self, piece: &[u8]) -> Result<String, CommandError> {
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(self.binary()),
        };
        self.cut = bytes.split_off(whole);
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(self.binary()),
        }
    }

    fn binary(&self) -> CommandError {
        CatError::Binary(self.path.to_owned()).into()
    }
}

/// A reader that has seen enough is not a failure.
fn ignore_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error)
    }
}
