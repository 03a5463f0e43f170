//! A database of a running server, and who may use it.

use super::{ENCODED_PASSWORD, PASSWORD, Server, run};

/// A database of a running server, owned by a role of the same name.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a Server,
    name: String,
    /// Whether it goes when this value does.
    is_dropped: bool,
}

impl<'a> Database<'a> {
    /// One that is there.
    pub(super) fn known(server: &'a Server, name: &str) -> Self {
        Self {
            server,
            name: name.to_owned(),
            is_dropped: false,
        }
    }

    /// Makes one, and the role that owns it.
    pub(super) fn create(server: &'a Server, name: String, is_dropped: bool) -> Self {
        let password = PASSWORD.replace('\'', "''");
        let database = format!("CREATE DATABASE {name} OWNER {name}");
        run(server.psql("postgres").args([
            "--command",
            &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"),
            "--command",
            &database,
        ]));
        Self {
            server,
            name,
            is_dropped,
        }
    }
}

impl Database<'_> {
    /// The name of the database and of its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The URL that its owner uses.
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// The URL that another role with [`PASSWORD`] uses.
    pub fn url_of(&self, role: &str) -> String {
        format!(
            "postgresql://{role}:{ENCODED_PASSWORD}@127.0.0.1:{}/{}",
            self.server.port, self.name
        )
    }

    /// The URL of the superuser.
    pub fn admin_url(&self) -> String {
        let directory = self.server.socket_directory().display();
        format!(
            "postgresql://postgres@/{}?host={directory}&port={}",
            self.name, self.server.port
        )
    }

    /// Runs SQL in it as the superuser.
    pub fn query(&self, sql: &str) -> String {
        self.server.query(&self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if self.is_dropped {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            // What is left goes with the server.
            let _ = self
                .server
                .psql("postgres")
                .args(["--command", &drop])
                .output();
        }
    }
}
