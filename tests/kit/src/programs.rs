//! Programs of the workspace that the build of this run made.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::SystemTime,
};

/// The path of `rune-db`; Cargo tells a test only where the programs of its own package are.
///
/// # Panics
///
/// If the program is not there or is older than a source file of the database crates.
pub fn rune_db() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // The test is `target/PROFILE/deps/NAME-HASH`.
        let test = std::env::current_exe().expect("this program has a path");
        let program = test
            .ancestors()
            .nth(2)
            .expect("a test lies in a directory of the build")
            .join("rune-db");
        let built = modified(&program);
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for directory in ["crates", "migrations"] {
            for source in files_in(&workspace.join(directory)) {
                assert!(
                    modified(&source) <= built,
                    "{} is older than {}: cargo build --workspace --all-features --bins",
                    program.display(),
                    source.display()
                );
            }
        }
        program
            .into_os_string()
            .into_string()
            .expect("the build lies under a path of UTF-8")
    })
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sources in Rust and SQL of the programs.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !["tests", "benches", "examples"]
                .iter()
                .any(|name| path.ends_with(name))
            {
                files.extend(files_in(&path));
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "sql")
        {
            files.push(path);
        }
    }
    files
}
