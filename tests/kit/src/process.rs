//! Real programs, started for one test and ended with it.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::poll::{poll, wait_until};

/// A running program. Dropping it closes its standard input, then ends it by its process id.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; standard input stays open until the value is dropped.
    pub fn start(command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        let child = command.stdin(Stdio::piped()).spawn();
        Self {
            child: child
                .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", program.display())),
        }
    }

    /// Starts a program that announces itself with one JSON line on standard output, and waits for
    /// the line.
    pub fn start_announced(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> (Self, Value) {
        let mut command = Command::new(&program);
        let mut process = Self::start(command.args(arguments).stdout(Stdio::piped()));
        let line = process.first_line();
        let announced = serde_json::from_str(&line);
        (
            process,
            announced.unwrap_or_else(|error| {
                panic!(
                    "`{}` announced {line:?}: {error}",
                    program.as_ref().display()
                )
            }),
        )
    }

    /// The first line that it prints; its standard output must be a pipe.
    pub fn first_line(&mut self) -> String {
        let stdout = self.child.stdout.take();
        let mut line = String::new();
        BufReader::new(stdout.expect("standard output is a pipe"))
            .read_line(&mut line)
            .expect("standard output is readable");
        line
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_ready` says so.
    ///
    /// # Panics
    /// When the program ends or `patience` runs out before that.
    pub fn wait_until(&mut self, patience: Duration, mut is_ready: impl FnMut() -> bool) {
        let what = format!("process {} is ready", self.child.id());
        wait_until(&what, patience, || {
            let is_ready = is_ready();
            if let Some(status) = self.child.try_wait().unwrap().filter(|_| !is_ready) {
                panic!(
                    "process {} ended before it was ready: {status}",
                    self.child.id()
                );
            }
            is_ready
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A program that ends by itself when its input closes gets a moment to end its own
        // children.
        if poll(Duration::from_secs(2), || {
            matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
        }) {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that must succeed, and returns what it printed.
pub fn succeeded(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{stdout}{stderr}",
        output.status
    );
    stdout.into_owned()
}
