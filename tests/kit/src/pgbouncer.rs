//! PgBouncer, the Debian package, between a client and a server of a test.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    postgres::{Database, ENCODED_PASSWORD, NOBODY, PASSWORD, as_root, free_port},
    process::Process,
};

/// It ends when our end of its standard input closes, however we end.
const SCRIPT: &str = r#"exec 3<&0; pgbouncer "$0" >/dev/null 2>&1 & server=$!; (read -r _ <&3; kill -QUIT $server 2>/dev/null) & wait $server"#;

/// A running PgBouncer.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    _directory: TempDir,
    port: u16,
}

impl PgBouncer {
    /// Starts one before a database, with a pool mode of PgBouncer: `session`, `transaction`.
    pub fn start(database: &Database<'_>, mode: &str) -> Self {
        Self::start_with(database, mode, "")
    }

    /// The same with more lines for its section `[pgbouncer]`.
    pub fn start_with(database: &Database<'_>, mode: &str, lines: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("rune-bouncer-")
            .tempdir()
            .expect("a directory can be made");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("the directory is ours");
        let (port, name) = (free_port(), database.name());
        let settings = format!(
            "[databases]\n{name} = host=127.0.0.1 port={} dbname={name} user={name} password={PASSWORD}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {}\npool_mode = {mode}\n{lines}",
            database.port(),
            directory.path().join("users").display(),
        );
        fs::write(
            directory.path().join("users"),
            format!("\"{name}\" \"{PASSWORD}\"\n"),
        )
        .expect("the directory is ours");
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, settings).expect("the directory is ours");
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT])
            .arg(&file)
            .current_dir(directory.path());
        if as_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut process = Process::start(&mut command);
        process.wait_until(Duration::from_secs(20), || speaks(port));
        Self {
            _process: process,
            _directory: directory,
            port,
        }
    }

    /// The URL that the owner of a database uses to come this way.
    pub fn url(&self, database: &Database<'_>) -> String {
        format!(
            "postgresql://{0}:{ENCODED_PASSWORD}@127.0.0.1:{1}/{0}",
            database.name(),
            self.port
        )
    }
}

/// Whether it answers the question for TLS.
fn speaks(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47])?;
        stream.read_exact(&mut [0])
    };
    ask().is_ok()
}
