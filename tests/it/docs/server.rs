//! A PostgreSQL server for the pages about databases: version 17, with TLS, reached over loopback.
//!
//! What a page may use of it:
//!
//! | | |
//! |---|---|
//! | `RUNE_DB_URL` | the database `rune` of the role `rune`, with its password |
//! | `DB` | host and port, for URLs that a page puts together itself: `postgresql://rune@$DB/rune` |
//! | `ADMIN_URL` | a superuser's URL of the database `rune`, for `psql "$ADMIN_URL" -c '…'` |
//! | `ca.crt` | the authority that issued the server's certificate, in the directory of the page |
//! | `client.crt`, `client.key` | a certificate that lets the role `certified` in without a password |
//! | `password.txt` | the password of `rune` |

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use rune_testkit::postgres::Server;

use rune_testkit::certificates::{Authority, Issued};

/// The password of `rune`. Long enough for RUNE's rules; nothing in it must be percent-encoded.
const PASSWORD: &str = "a-password-for-the-documentation";
const HBA: &str = "local all postgres trust\nhostssl all certified samehost cert\nhost all all samehost scram-sha-256\n";

pub(super) struct DatabaseServer(Server);

impl DatabaseServer {
    /// Starts it and puts its files into the directory of the page.
    pub(super) fn start(directory: &Path) -> Self {
        let authority = Authority::new("documentation");
        let server = authority
            .setup("127.0.0.1", false)
            .file("pg_hba.conf", HBA)
            .start();
        server.query(
            "postgres",
            &format!("CREATE ROLE rune LOGIN PASSWORD '{PASSWORD}'"),
        );
        server.query("postgres", "CREATE ROLE certified LOGIN");
        server.query("postgres", "CREATE DATABASE rune OWNER rune");
        authority.file(directory);
        let Issued { certificate, key } = authority.issue(None, "certified", false);
        for (name, text) in [
            ("client.crt", certificate),
            ("client.key", key),
            ("password.txt", format!("{PASSWORD}\n")),
        ] {
            fs::write(directory.join(name), text).unwrap();
            fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self(server)
    }

    /// Tells a command where it is.
    pub(super) fn introduce(&self, command: &mut Command) {
        let port = self.0.port();
        command.env("DB", format!("127.0.0.1:{port}"));
        command.env(
            "RUNE_DB_URL",
            format!("postgresql://rune:{PASSWORD}@127.0.0.1:{port}/rune"),
        );
        let directory = self.0.socket_directory().display();
        command.env(
            "ADMIN_URL",
            format!("postgresql://postgres@/rune?host={directory}&port={port}"),
        );
    }
}
