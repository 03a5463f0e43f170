//! Where other programs are: Helm, syft, scanners.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use camino::Utf8PathBuf;
use rustix::fs::{Access, access};

/// The program that was named, or else the first of these that is in `PATH`.
pub(super) fn program(named: Option<Utf8PathBuf>, names: &[&str]) -> Option<Utf8PathBuf> {
    let in_path = || names.iter().find_map(|name| in_path(name));
    named.map(absolute).or_else(in_path)
}

/// A program works in a directory of its own, so its name must lead to it from there.
pub(super) fn absolute(path: Utf8PathBuf) -> Utf8PathBuf {
    let full = std::path::absolute(&path)
        .ok()
        .and_then(|full| Utf8PathBuf::from_path_buf(full).ok());
    full.unwrap_or(path)
}

/// The program that a shell would run.
fn in_path(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&path)
        .filter_map(|directory| Utf8PathBuf::from_path_buf(directory.join(name)).ok());
    programs
        .filter(|program| {
            program.is_file() && access(program.as_std_path(), Access::EXEC_OK).is_ok()
        })
        .map(absolute)
        .next()
}
