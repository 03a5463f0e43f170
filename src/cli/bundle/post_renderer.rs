//! What Helm starts as its post-renderer. It is not a verb: `install` tells Helm to call it.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::commands::bundle::{POST_RENDERER, map_rendered};
use rune_core::failure::Failure as _;

pub(super) fn asked() -> Option<Utf8PathBuf> {
    let mut arguments = env::args_os().skip(1);
    let is_asked = arguments.next()? == POST_RENDERER;
    let map = arguments
        .next()
        .and_then(|map| map.into_string().ok())
        .unwrap_or_default();
    is_asked.then(|| map.into())
}

pub(super) fn run(map: &Utf8Path) -> ExitCode {
    match map_rendered(map, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Helm shows it, or nobody does.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}
