//! A session of the superuser that lasts for several statements.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A session of the superuser.
#[derive(Debug)]
pub struct Session {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// Opens one with a `psql` that was told where.
    pub(super) fn open(psql: &mut Command) -> Self {
        let child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("psql can be started");
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Self { child, output }
    }

    /// Runs SQL and waits until it is done; gives what it said.
    pub fn run(&mut self, sql: &str) -> String {
        const END: &str = "-- done --\n";
        let input = self.child.stdin.as_mut().expect("standard input is a pipe");
        write!(input, "{sql};\n\\echo '{}'\n", END.trim_end()).expect("psql reads");
        let mut said = String::new();
        while !said.ends_with(END) {
            let length = self
                .output
                .read_line(&mut said)
                .expect("the output is text");
            assert!(length > 0, "psql ended: {said}");
        }
        said.trim_end_matches(END).trim_end().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
