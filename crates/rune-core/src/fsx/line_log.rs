//! A text file that only grows, a line at a time; a line that was cut off by a crash does not
//! count.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, PathError, whole};

const MAX_BYTES: u64 = 16 << 20;

#[derive(Debug)]
pub struct LineLog {
    file: File,
    path: Utf8PathBuf,
}

impl LineLog {
    /// Opens or creates a log and returns the complete lines it has.
    pub fn open(path: &Utf8Path) -> Result<(Self, Vec<String>), PathError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(PathError::of(Action::Write, path))?;
        let text = whole::read_to_string(path, MAX_BYTES)?;
        let complete = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let lines = complete.lines().map(str::to_owned).collect();
        let log = Self {
            file,
            path: path.to_owned(),
        };
        if complete.len().saturating_add(1) < text.len()
            || (complete.is_empty() && !text.is_empty())
        {
            // Cut the torn line off, so that the next one does not join it.
            let length = text.rfind('\n').map_or(0, |end| end.saturating_add(1));
            log.file
                .set_len(length as u64)
                .map_err(PathError::of(Action::Write, path))?;
        }
        Ok((log, lines))
    }

    pub fn clear(&mut self) -> Result<(), PathError> {
        self.file
            .set_len(0)
            .map_err(PathError::of(Action::Write, &self.path))
    }

    /// Appends lines, each of which must not contain a newline.
    pub fn append(&mut self, lines: &[String]) -> Result<(), PathError> {
        let text: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect();
        self.file
            .write_all(text.as_bytes())
            .map_err(PathError::of(Action::Write, &self.path))
    }

    pub fn remove(self) -> Result<(), PathError> {
        whole::remove_file(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::LineLog;

    #[test]
    fn a_line_that_was_cut_off_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("log")).unwrap();
        for (text, expected) in [
            ("", &[][..]),
            ("a\nb", &["a"]),
            ("a\nb\n", &["a", "b"]),
            ("torn", &[]),
        ] {
            std::fs::write(&path, text).unwrap();
            let (mut log, lines) = LineLog::open(&path).unwrap();
            assert_eq!(lines, expected, "{text:?}");
            log.append(&["c".to_owned()]).unwrap();
            let (_, lines) = LineLog::open(&path).unwrap();
            assert_eq!(lines.last().map(String::as_str), Some("c"), "{text:?}");
            assert_eq!(lines.len(), expected.len() + 1);
        }
    }
}
