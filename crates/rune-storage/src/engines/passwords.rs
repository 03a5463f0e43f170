//! Passwords in files: one file for one password, or libpq's password file.

use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::postgres_url::{PostgresHost, PostgresUrl};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
    secret::Secret,
};

const MAX_BYTES: u64 = 1 << 20;
/// Sockets in these directories are called `localhost` in a password file: where libpq looks by
/// itself.
const DEFAULT_SOCKETS: [&str; 3] = ["/tmp", "/var/run/postgresql", "/run/postgresql"];

/// Why a password could not be read.
#[derive(Debug, thiserror::Error, Failure)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PasswordError {
    #[error(transparent)]
    File(#[from] PathError),
    #[error("`{0}` holds no password")]
    #[failure(Input)]
    Empty(Utf8PathBuf),
    /// The password file is not the owner's alone.
    #[error("the password file `{0}` can be read by others")]
    #[failure(Access: "run `chmod 600 {0}`")]
    Exposed(Utf8PathBuf),
}

impl PostgresUrl {
    /// Takes the password from a file that holds nothing else; one line break at its end is not
    /// part of it.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub fn read_password(&mut self, path: &Utf8Path) -> Result<(), PasswordError> {
        let password = Secret::from_line(&fsx::read_to_string(path, MAX_BYTES)?);
        if password.is_empty() {
            return Err(PasswordError::Empty(path.to_owned()));
        }
        self.password = Some(password);
        Ok(())
    }

    /// Looks the password of each server up in libpq's password file, unless one for all is known.
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
        self.host_passwords = self
            .hosts
            .iter()
            .map(|host| self.find_password(&text, host))
            .collect();
        Ok(())
    }

    /// The first line that fits decides, as with libpq; an empty password does not count.
    fn find_password(&self, text: &str, host: &PostgresHost) -> Option<Secret> {
        let (names, port) = match host {
            PostgresHost::Tcp(name, port) => (vec![name.as_str()], port.to_string()),
            PostgresHost::Socket(directory, port)
                if DEFAULT_SOCKETS.contains(&directory.as_str()) =>
            {
                (vec![directory.as_str(), "localhost"], port.to_string())
            }
            PostgresHost::Socket(directory, port) => (vec![directory.as_str()], port.to_string()),
        };
        let wanted = [names, vec![&port], vec![&self.database], vec![&self.user]];
        let mut fitting = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut fields = split_fields(line).into_iter();
                let fits = wanted.iter().all(|wanted| {
                    fields
                        .next()
                        .is_some_and(|field| field == "*" || wanted.contains(&field.as_str()))
                });
                fits.then(|| fields.next()).flatten()
            });
        fitting
            .next()
            .filter(|password| !password.is_empty())
            .map(Secret::new)
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

    use crate::{DatabaseUrl, Places, PostgresUrl};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        secret::Secret,
    };

    fn url(text: &str) -> PostgresUrl {
        match DatabaseUrl::parse(
            text,
            &Places {
                working_directory: Some("/".into()),
                home: None,
            },
        )
        .unwrap()
        {
            DatabaseUrl::Postgres(url) => *url,
            DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
        }
    }

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("passwords")).unwrap();
        rune_core::fsx::write_new(&path, text.as_bytes(), mode).unwrap();
        assert_eq!(
            rune_core::fsx::open(&path)
                .unwrap()
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            mode
        );
        (directory, path)
    }

    #[test]
    fn a_file_holds_one_password_and_perhaps_a_line_break() {
        for (text, expected) in [
            ("hunter2\n", "hunter2"),
            ("hunter2", "hunter2"),
            ("a b \r\n", "a b "),
            ("a\n\n", "a\n"),
        ] {
            let (_guard, path) = file(text, 0o644);
            let mut url = url("postgresql://rune:other@db/rune");
            url.read_password(&path).unwrap();
            assert_eq!(url.password.unwrap().expose(), expected);
        }
        let (_guard, path) = file("\n", 0o644);
        assert_eq!(
            url("postgresql://rune@db/rune")
                .read_password(&path)
                .unwrap_err()
                .kind(),
            FailureKind::Input
        );
    }

    /// The passwords that a file has for the servers of a URL, `-` where there is none.
    fn found(lines: &str, text: &str) -> String {
        let (_guard, path) = file(lines, 0o600);
        let mut url = url(text);
        url.look_up_password(&path).unwrap();
        let password = |host| url.password_for(host).map_or("-", Secret::expose);
        (0..url.hosts.len())
            .map(password)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_password_file_is_searched_from_the_top() {
        let lines = "# comment\nother:5432:rune:rune:no\nd\\:b:5432:*:rune:col\\:on\\\\\ndb:*:rune:rune:yes\n*:*:*:*:last\n";
        for (text, expected) in [
            ("postgresql://rune@db:77/rune", "yes"),
            ("postgresql://rune@other/rune", "no"),
            ("postgresql://rune@elsewhere/rune", "last"),
            ("postgresql://rune:url@db/rune", "url"),
        ] {
            assert_eq!(found(lines, text), expected, "{text}");
        }
        assert_eq!(
            super::split_fields("d\\:b:col\\:on\\\\"),
            ["d:b", "col:on\\"]
        );
    }

    #[test]
    fn each_server_has_its_own_line_of_the_password_file() {
        let lines = "a:1:d:u:one\na:2:d:u:two\nb:*:d:u:\nb:*:d:u:never\n/run/pg:*:d:u:socket\nlocalhost:*:d:u:near\n";
        assert_eq!(found(lines, "postgresql://u@a:2,a:1,b,c/d"), "two one - -");
        assert_eq!(
            found(
                lines,
                "postgresql://u@/d?host=/run/pg,/tmp,localhost,/other"
            ),
            "socket near near -"
        );
        assert_eq!(found("a:1:d:u:pass:more\n", "postgresql://u@a:1/d"), "pass");
    }

    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        let (_guard, path) = file("*:*:*:*:x\n", 0o640);
        assert_eq!(
            url("postgresql://rune@db/rune")
                .look_up_password(&path)
                .unwrap_err()
                .kind(),
            FailureKind::Access
        );
    }
}
