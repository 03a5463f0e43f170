//! Passwords that stand in files: one file for one password, or libpq's password file.

use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::postgres_url::{PostgresHost, PostgresUrl};
use crate::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
    secret::Secret,
};

const MAX_BYTES: u64 = 1 << 20;

/// Why a password could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] PathError),
    /// There is nothing in it.
    #[error("`{0}` holds no password")]
    Empty(Utf8PathBuf),
    /// The password file is not the owner's alone.
    #[error("the password file `{0}` can be read by others")]
    Exposed(Utf8PathBuf),
}

impl Failure for PasswordError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::File(error) => error.kind(),
            Self::Empty(_) => FailureKind::Input,
            Self::Exposed(_) => FailureKind::Access,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Empty(_) => None,
            Self::Exposed(path) => Some(format!("run `chmod 600 {path}`")),
        }
    }
}

impl PostgresUrl {
    /// Takes the password from a file that holds nothing else; one line break at its end is not part of it.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub fn read_password(&mut self, path: &Utf8Path) -> Result<(), PasswordError> {
        let text = fsx::read_to_string(path, MAX_BYTES)?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(PasswordError::Empty(path.to_owned()));
        }
        self.password = Some(Secret::new(text));
        Ok(())
    }

    /// Looks the password up in libpq's password file, unless one is known.
    ///
    /// # Errors
    /// When the file cannot be read, or others can read it too.
    pub fn look_up_password(&mut self, path: &Utf8Path) -> Result<(), PasswordError> {
        if self.password.is_some() {
            return Ok(());
        }
        let mode = fsx::open(path)?.metadata().map(|metadata| metadata.mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            return Err(PasswordError::Exposed(path.to_owned()));
        }
        let text = fsx::read_to_string(path, MAX_BYTES)?;
        self.password = self.hosts.iter().find_map(|host| self.find_password(&text, host));
        Ok(())
    }

    fn find_password(&self, text: &str, host: &PostgresHost) -> Option<Secret> {
        let (name, port) = match host {
            PostgresHost::Tcp(name, port) => (name.as_str(), port.to_string()),
            PostgresHost::Socket(directory, port) => (directory.as_str(), port.to_string()),
        };
        let wanted = [name, &port, &self.database, &self.user];
        text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields: [String; 5] = split_fields(line).try_into().ok()?;
            let [.., password] = &fields;
            let matches = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
            (matches && !password.is_empty()).then(|| Secret::new(password.as_str()))
        })
    }
}

/// The fields of a line, divided by `:`, where `\` takes the next character as it is.
fn split_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, fields.last_mut()) {
            (':', _) => fields.push(String::new()),
            ('\\', Some(field)) => field.extend(characters.next()),
            (other, Some(field)) => field.push(other),
            (_, None) => {}
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use camino::Utf8PathBuf;

    use crate::{
        failure::{Failure as _, FailureKind},
        storage::{DatabaseUrl, Places, PostgresUrl},
    };

    fn url(text: &str) -> PostgresUrl {
        match DatabaseUrl::parse(text, &Places { working_directory: Some("/".into()), home: None }).unwrap() {
            DatabaseUrl::Postgres(url) => *url,
            DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
        }
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("passwords")).unwrap();
        crate::fsx::write_new(&path, text.as_bytes(), mode).unwrap();
        assert_eq!(crate::fsx::open(&path).unwrap().metadata().unwrap().permissions().mode() & 0o777, mode);
        (directory, path)
    }

    #[test]
    fn a_file_holds_one_password_and_perhaps_a_line_break() {
        for (text, expected) in [("hunter2\n", "hunter2"), ("hunter2", "hunter2"), ("a b \r\n", "a b "), ("a\n\n", "a\n")] {
            let (_guard, path) = file(text, 0o644);
            let mut url = url("postgresql://rune:other@db/rune");
            url.read_password(&path).unwrap();
            assert_eq!(url.password.unwrap().expose(), expected);
        }
        let (_guard, path) = file("\n", 0o644);
        assert_eq!(url("postgresql://rune@db/rune").read_password(&path).unwrap_err().kind(), FailureKind::Input);
    }

    #[test]
    fn the_password_file_is_searched_from_the_top() {
        let lines = "# comment\nother:5432:rune:rune:no\nd\\:b:5432:*:rune:col\\:on\\\\\ndb:*:rune:rune:yes\n*:*:*:*:last\n";
        let (_guard, path) = file(lines, 0o600);
        for (text, expected) in [
            ("postgresql://rune@db:77/rune", "yes"),
            ("postgresql://rune@other/rune", "no"),
            ("postgresql://rune@elsewhere/rune", "last"),
            ("postgresql://rune:url@db/rune", "url"),
        ] {
            let mut url = url(text);
            url.look_up_password(&path).unwrap();
            assert_eq!(url.password.unwrap().expose(), expected, "{text}");
        }
        assert_eq!(super::split_fields("d\\:b:col\\:on\\\\"), ["d:b", "col:on\\"]);
    }

    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        let (_guard, path) = file("*:*:*:*:x\n", 0o640);
        assert_eq!(url("postgresql://rune@db/rune").look_up_password(&path).unwrap_err().kind(), FailureKind::Access);
    }
}
