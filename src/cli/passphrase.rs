//! Where the passphrase of a private key comes from: `COSIGN_PASSWORD`, as with cosign, or a person
//! at a terminal.
//!
//! It is never an argument, because arguments are public on most systems. An empty passphrase
//! counts only when the variable is set to it on purpose.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::{
    env,
    fs::File,
    io::{self, Read as _, Write as _},
};

use camino::Utf8Path;
use rustix::{
    fs::{Mode, OFlags},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use zeroize::Zeroizing;

use crate::commands::bundle::Passphrase;
use rune_core::{command::CommandError, failure::Failure, secret::Secret};

const VARIABLE: &str = "COSIGN_PASSWORD";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum PassphraseError {
    #[error("no passphrase: {VARIABLE} is not set, and there is no terminal to ask at")]
    #[failure(help: format!("put the passphrase into {VARIABLE}; an empty one must be set to the \
        empty text"))]
    NoTerminal(#[source] io::Error),
    #[error("no password, and no terminal to ask at")]
    #[failure(help: "give it on standard input: `--password-stdin < FILE`")]
    NoTerminalForPassword(#[source] io::Error),
    #[error("the passphrase is not UTF-8 text")]
    #[failure(help: "give a passphrase in UTF-8")]
    NotText,
    #[error("the passphrase is empty")]
    #[failure(help: format!("type one, or set {VARIABLE} to the empty text for a key without a \
        passphrase"))]
    Empty,
    #[error("the two passphrases differ")]
    #[failure(help: "run the same command again and type the same passphrase twice")]
    Mismatch,
    #[error("interrupted")]
    #[failure(Interrupted)]
    Interrupted,
}

pub(super) fn existing(key: &Utf8Path, attempt: u8) -> Result<Passphrase, CommandError> {
    if let Some(secret) = from_environment()? {
        return Ok(Passphrase {
            secret,
            is_typed: false,
        });
    }
    let again = if attempt > 1 {
        "The passphrase is wrong. "
    } else {
        ""
    };
    Ok(Passphrase {
        secret: ask(&format!("{again}Passphrase of `{key}`: "))?,
        is_typed: true,
    })
}

/// The passphrase of a new key: typed twice.
pub(super) fn new() -> Result<Secret, CommandError> {
    if let Some(passphrase) = from_environment()? {
        return Ok(passphrase);
    }
    let passphrase = ask("Passphrase for the new private key: ")?;
    if passphrase.is_empty() {
        return Err(PassphraseError::Empty.into());
    }
    if ask("The same passphrase again: ")? != passphrase {
        return Err(PassphraseError::Mismatch.into());
    }
    Ok(passphrase)
}

pub(super) fn of_user(user: &str, registry: &str) -> Result<Secret, CommandError> {
    Ok(
        ask(&format!("Password of {user} at {registry}: ")).map_err(|error| match error {
            PassphraseError::NoTerminal(source) => PassphraseError::NoTerminalForPassword(source),
            other => other,
        })?,
    )
}

fn from_environment() -> Result<Option<Secret>, PassphraseError> {
    match env::var(VARIABLE) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText),
    }
}

/// Asks at the terminal of the process, whatever standard input and output are.
fn ask(prompt: &str) -> Result<Secret, PassphraseError> {
    let terminal = SilentTerminal::open().map_err(PassphraseError::NoTerminal)?;
    let line = terminal.ask(prompt).map_err(PassphraseError::NoTerminal)?;
    let Some((last, line)) = line.split_last() else {
        return Err(PassphraseError::Interrupted);
    };
    match (*last, std::str::from_utf8(line)) {
        (CTRL_C, _) => Err(PassphraseError::Interrupted),
        (_, Ok(text)) => Ok(Secret::new(text)),
        (_, Err(_)) => Err(PassphraseError::NotText),
    }
}

const CTRL_C: u8 = 3;

/// The terminal of the process, showing nothing of what is typed until the value is dropped.
///
/// Ctrl-C ends the line here instead of the process, so that the terminal is put right in that case
/// too.
struct SilentTerminal {
    terminal: File,
    before: Termios,
}

impl SilentTerminal {
    fn open() -> io::Result<Self> {
        let terminal = File::from(rustix::fs::open(
            "/dev/tty",
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?);
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }

    /// One line with the byte that ended it; empty at the end of input.
    fn ask(&self, prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        (&self.terminal).write_all(prompt.as_bytes())?;
        // In this mode one read is one line, and a terminal's line has less than 4096 bytes.
        let mut line = Zeroizing::new(vec![0; 4096]);
        let length = (&self.terminal).read(&mut line)?;
        line.truncate(length);
        (&self.terminal).write_all(b"\n")?;
        Ok(line)
    }
}

impl Drop for SilentTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
