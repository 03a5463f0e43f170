//! The files below a directory in which links may lead to other places of it.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::{PathError, path_error::Action};

/// Every regular file below a directory, as paths relative to it with `/`, in byte order. A link to
/// something below the same directory is followed; one that leads outside, nowhere or in a circle
/// is an error. `skips` is told a path, and whether it is a directory.
pub fn list_linked_files(
    root: &Utf8Path,
    max_files: usize,
    skips: impl Fn(&Utf8Path, bool) -> bool,
) -> Result<Vec<Utf8PathBuf>, PathError> {
    let resolve = |path: &Utf8Path| {
        path.canonicalize_utf8()
            .map_err(PathError::of(Action::Read, path))
    };
    let top = resolve(root)?;
    let mut files = Vec::new();
    // A directory by the path on which it is reached, and the real directories on the way there.
    let mut pending = vec![(Utf8PathBuf::new(), vec![top.clone()])];
    while let Some((relative, way)) = pending.pop() {
        let directory = root.join(&relative);
        let at = |error| PathError::of(Action::Read, &directory)(error);
        for entry in directory.read_dir_utf8().map_err(at)? {
            let entry = entry.map_err(|error| PathError::of_entry(&directory, error))?;
            let kind = entry.file_type().map_err(at)?;
            let path = relative.join(entry.file_name());
            let refuse = |reason: &str| {
                let error = io::Error::new(io::ErrorKind::InvalidData, reason);
                Err(PathError::of(Action::Read, &root.join(&path))(error))
            };
            let real = if kind.is_symlink() {
                match resolve(&root.join(&path)) {
                    Ok(real) if real.starts_with(&top) => real,
                    _ if skips(&path, false) => continue,
                    Ok(real) => {
                        return refuse(&format!(
                            "it is a link to `{real}`, outside of the directory; put a copy there \
                             instead"
                        ));
                    }
                    Err(error) => return Err(error),
                }
            } else {
                way.last().map_or_else(
                    || root.join(&path),
                    |directory| directory.join(entry.file_name()),
                )
            };
            let kind = real
                .metadata()
                .map_err(PathError::of(Action::Inspect, &root.join(&path)))?;
            if skips(&path, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                if way.contains(&real) {
                    return refuse("it is a link to a directory that it lies in");
                }
                let mut way = way.clone();
                way.push(real);
                pending.push((path, way));
            } else if kind.is_file() {
                files.push(path);
            } else {
                return refuse("it is a special file, not a regular one");
            }
            if files.len().saturating_add(pending.len()) > max_files {
                return Err(PathError::of(Action::Read, root)(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it has more than {max_files} files"),
                )));
            }
        }
    }
    files.sort_unstable_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt as _, fs::symlink},
    };

    use camino::Utf8Path;

    use super::list_linked_files;
    use crate::fsx;

    fn list(root: &Utf8Path) -> Result<Vec<String>, String> {
        let found = list_linked_files(root, 20, |path, _| path == "skipped");
        found
            .map(|paths| paths.into_iter().map(Into::into).collect())
            .map_err(|error| format!("{error}: {}", error.source))
    }

    #[test]
    fn links_are_followed_inside_and_nowhere_else() {
        let guard = tempfile::tempdir().unwrap();
        let root = &Utf8Path::from_path(guard.path()).unwrap().join("chart");
        for path in ["a/b/file", "c"] {
            fsx::create_dir_all(fsx::parent(&root.join(path))).unwrap();
            fsx::write_atomic(&root.join(path), b"x").unwrap();
        }
        for (target, link) in [("a/b", "d"), ("../c", "a/e"), ("/etc/passwd", "skipped")] {
            symlink(target, root.join(link)).unwrap();
        }
        assert_eq!(list(root).unwrap(), ["a/b/file", "a/e", "c", "d/file"]);
        for (target, reason) in [
            ("..", "outside"),
            ("/etc/passwd", "outside"),
            (".", "lies in"),
            ("x", "cannot read"),
            ("gone", "cannot read"),
        ] {
            symlink(target, root.join("x")).unwrap();
            let error = list(root).unwrap_err();
            assert!(
                error.contains(reason) && error.contains("chart/x`"),
                "{target}: {error}"
            );
            fsx::remove_file(&root.join("x")).unwrap();
        }
        // Each pair of links doubles what is below.
        for level in 1..9 {
            fsx::create_dir_all(&root.join(format!("l{level}"))).unwrap();
            for link in ["p", "q"] {
                symlink(
                    format!("../l{}", level - 1),
                    root.join(format!("l{level}/{link}")),
                )
                .unwrap();
            }
        }
        fsx::create_dir_all(&root.join("l0")).unwrap();
        fsx::write_atomic(&root.join("l0/file"), b"x").unwrap();
        assert!(list(root).unwrap_err().contains("more than 20 files"));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_named() {
        let guard = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(guard.path()).unwrap();
        symlink("x", guard.path().join(OsStr::from_bytes(b"f\xff"))).unwrap();
        let said = [list(root).unwrap_err(), {
            let error = fsx::list_files(root).unwrap_err();
            format!("{error}: {}", error.source)
        }];
        let expected =
            format!("cannot read `{root}`: the name `f\\xff` in it is not UTF-8; rename it");
        assert!(
            said.iter().all(|said| said.replace("/`", "`") == expected),
            "{said:?}"
        );
    }
}
