//! Where the passphrase of a private key comes from: `COSIGN_PASSWORD`, as with cosign, or a person at a terminal.
//!
//! It is never an argument, because arguments are public on most systems. An empty passphrase counts only when the
//! variable is set to it on purpose.

#![expect(clippy::disallowed_methods, reason = "cli is where the environment is read")]

use std::{env, io};

use crate::{
    commands::CommandError,
    failure::{Failure, FailureKind},
    secret::Secret,
};

const VARIABLE: &str = "COSIGN_PASSWORD";

#[derive(Debug, thiserror::Error)]
enum PassphraseError {
    #[error("there is no passphrase: {VARIABLE} is not set and there is no terminal to ask at")]
    NoTerminal(#[source] io::Error),
    #[error("{VARIABLE} is not UTF-8 text")]
    NotText,
    #[error("the passphrase is empty")]
    Empty,
    #[error("the two passphrases differ")]
    Mismatch,
    #[error("interrupted")]
    Interrupted,
}

impl Failure for PassphraseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Interrupted => FailureKind::Interrupted,
            _ => FailureKind::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoTerminal(_) | Self::NotText => {
                format!("put the passphrase into {VARIABLE}; an empty one must be set to the empty text")
            }
            Self::Empty => format!("type one; a key without passphrase is made by setting {VARIABLE} to the empty text"),
            Self::Mismatch => "run the same command again and type the same passphrase twice".to_owned(),
            Self::Interrupted => return None,
        })
    }
}

/// The passphrase of a key that exists.
pub(super) fn existing() -> Result<Secret, CommandError> {
    Ok(from_environment()?.map_or_else(|| ask("Passphrase of the private key: "), Ok)?)
}

/// The passphrase of a key that is being made: typed twice.
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

fn from_environment() -> Result<Option<Secret>, PassphraseError> {
    match env::var(VARIABLE) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText),
    }
}

/// Asks at the terminal of the process, whatever standard input and output are.
fn ask(prompt: &str) -> Result<Secret, PassphraseError> {
    let _echo_survives = catch_interrupts().map_err(PassphraseError::NoTerminal)?;
    rpassword::prompt_password(prompt).map(Secret::new).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => PassphraseError::Interrupted,
        _ => PassphraseError::NoTerminal(error),
    })
}

/// While a passphrase is typed the terminal shows nothing, and Ctrl-C arrives as a signal that the prompt sends to
/// its own process. Unless that is caught, the process dies before the terminal is put right.
fn catch_interrupts() -> io::Result<tokio::signal::unix::Signal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
}
