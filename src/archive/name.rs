//! Names of entries: relative, portable, and harmless on every file system.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};

use rune_core::failure::Failure;

/// The longest name, in bytes: what fits the name field of a ustar header without its prefix field.
const MAX_BYTES: usize = 100;

/// The name of an archive entry: at most 100 bytes of `[A-Za-z0-9._+/-]`, no empty, `.` or `..`
/// component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Input)]
pub enum EntryNameError {
    #[error("the entry name {0:?} does not have between 1 and 100 bytes")]
    Length(String),
    #[error("the entry name {0:?} has characters other than A-Z a-z 0-9 . _ + - /")]
    Character(String),
    /// An empty, `.` or `..` component, or a leading or trailing slash.
    #[error("the entry name {0:?} has an empty, `.` or `..` component")]
    Component(String),
}

impl EntryName {
    pub fn new(text: impl Into<String>) -> Result<Self, EntryNameError> {
        let text = text.into();
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-/".contains(&byte);
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(EntryNameError::Length(text));
        }
        if !text.bytes().all(is_allowed) {
            return Err(EntryNameError::Character(text));
        }
        if text
            .split('/')
            .any(|component| matches!(component, "" | "." | ".."))
        {
            return Err(EntryNameError::Component(text));
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EntryName {
    type Error = EntryNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<EntryName> for String {
    fn from(name: EntryName) -> Self {
        name.0
    }
}

impl Borrow<str> for EntryName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::EntryName;

    #[test]
    fn accepts_plain_relative_paths() {
        for good in [
            "a",
            "bundle.json",
            "bin/linux-amd64/rune-db",
            "charts/rune-0.1.0+x_y.tgz",
            ".a/..b",
            &"x".repeat(100),
        ] {
            assert!(EntryName::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_whatever_could_leave_a_directory_or_surprise_a_file_system() {
        let long = "x".repeat(101);
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            "a\\b",
            "a b",
            "a\0",
            "ä",
            "C:a",
            "a\n",
            long.as_str(),
        ] {
            assert!(EntryName::new(bad).is_err(), "{bad:?}");
        }
    }
}
