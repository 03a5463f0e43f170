//! One server of each major version for all tests of a run.
//!
//! The first test that needs a version starts its server, the others find it. It belongs to the
//! program that runs the tests: when that ends, in whatever way, the server ends too and its files
//! go.

use std::{
    fs,
    os::unix::process::{CommandExt as _, parent_id},
    path::Path,
    process::Stdio,
    sync::atomic::AtomicU32,
};

use super::{Directory, PATIENCE, Server, Setup, cache, free_port, is_in_state};
use crate::{lock::lock, poll::wait_until};

/// Runs a server until another process ends, then takes its files away. `tail` looks once a second.
const UNTIL_RUN_ENDS: &str = r#"
    "$@" >>"$LOG" 2>&1 & server=$!
    tail --pid="$RUN" -f /dev/null
    kill -QUIT $server; wait $server
    cd / && rm -rf "$(dirname "$LOG")"
"#;

impl Server {
    /// The server of a major version that the tests of this run share; one of its own outside of
    /// nextest, where each test has the process of all the others.
    pub fn shared(major: u32) -> Self {
        let Ok(run) = std::env::var("NEXTEST_RUN_ID") else {
            return Self::start(major);
        };
        let cache = cache();
        let announcement = cache.join(format!("{run}-{major}"));
        let _lock = lock(&cache.join(format!("lock-{major}")));
        let text = fs::read_to_string(&announcement).unwrap_or_else(|_| {
            let text = start(major);
            remove_announcements(&cache, major);
            fs::write(&announcement, &text).expect("the build directory is ours");
            text
        });
        let (port, directory) = text
            .split_once(' ')
            .expect("it was written whole, under the lock");
        let port = port.parse().expect("a port is a number");
        let directory = Directory::Shared(directory.into());
        Self {
            process: None,
            directory,
            port,
            databases: AtomicU32::new(0),
            setup: Setup::new(major),
        }
    }
}

/// Starts a server that stays when this process ends; gives its port and directory.
#[expect(clippy::zombie_processes, reason = "it outlives this process")]
fn start(major: u32) -> String {
    // Nothing is cleaned up in databases that live for seconds, and several tests start many
    // clients at once.
    let mut setup = Setup::new(major)
        .setting("autovacuum=off")
        .setting("max_connections=200")
        .setting("shared_buffers=64MB");
    setup.script = UNTIL_RUN_ENDS;
    let directory = setup.prepare().keep();
    let port = free_port();
    let mut command = setup.command(&directory, port);
    // A group of its own: the one of a test is killed with the test.
    command.env("RUN", parent_id().to_string()).process_group(0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("a shell can be started");
    wait_until("the shared server is ready", PATIENCE, || {
        is_in_state(&directory, "ready")
    });
    format!("{port} {}", directory.display())
}

/// Those of earlier runs, whose servers are gone.
fn remove_announcements(cache: &Path, major: u32) {
    let ending = format!("-{major}");
    for entry in fs::read_dir(cache)
        .expect("the build directory is ours")
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(&ending) && !name.starts_with("lock") && entry.path().is_file() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
