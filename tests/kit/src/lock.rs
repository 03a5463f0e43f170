//! Files by which tests, each a process of its own, take turns.

use std::{fs::File, path::Path};

/// Holds a file until the value is dropped.
pub(crate) fn lock(path: &Path) -> File {
    let file = File::create(path).expect("the directory of the file is ours");
    file.lock().expect("the file can be locked");
    file
}
