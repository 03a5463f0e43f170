//! `serve` against distribution, which gives the same blobs to the same client.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{Bench, ROUNDS, gib, median, seconds, shell};

/// A running `serve`, ended by its process id.
struct Serving {
    child: Child,
    host: String,
}

impl Serving {
    fn start(bench: &Bench, options: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/rune-bundle");
        let mut command = Command::new(program);
        command.args([
            "serve",
            "x.tar",
            "--key",
            "bench.pub",
            "--listen",
            "127.0.0.1:0",
            "--quiet",
        ]);
        let mut child = command
            .args(options)
            .current_dir(&bench.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_, host) = line.trim_end().rsplit_once('/').unwrap();
        Self {
            child,
            host: host.to_owned(),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bench {
    /// The bundle is the one that `verify` left.
    pub(super) fn serve(&self) {
        let total: u64 = self.blobs.iter().map(|(_, blob)| blob.size).sum();
        let (mut start, mut verified) = (Vec::new(), Vec::new());
        let (mut first, mut again, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        // Both have what they serve in memory: the comparison is of the servers, not of the order
        // on the disk.
        self.pull(&self.host);
        self.pull(&Serving::start(self, &[]).host);
        for _ in 0..ROUNDS {
            let mut serving = None;
            start.push(seconds(|| serving = Some(Serving::start(self, &[]))));
            let serving = serving.unwrap();
            verified.push(seconds(|| self.pull(&serving.host)));
            let serving = Serving::start(self, &["--rehash"]);
            first.push(seconds(|| self.pull(&serving.host)));
            again.push(seconds(|| self.pull(&serving.host)));
            theirs.push(seconds(|| self.pull(&self.host)));
        }
        let (first, again, theirs) = (median(first), median(again), median(theirs));
        let verified = median(verified);
        println!(
            "\nserve, {:.2} GiB in {} blobs, 8 curls at once, median of {ROUNDS}",
            gib(total),
            self.blobs.len()
        );
        println!(
            "  from start to ready, signature checked         {:>6.3} s   (bar: less than 0.2)",
            median(start)
        );
        println!("  distribution (no hash)                         {theirs:>6.2} s");
        println!(
            "  serve, for the first time (hashed on the way)  {first:>6.2} s   {:.2} times as fast as distribution",
            theirs / first
        );
        println!(
            "  serve, for the first time, verified before     {verified:>6.2} s   {:.2} times as fast (bar: at least 1.0)",
            theirs / verified
        );
        println!(
            "  serve, from then on                            {again:>6.2} s   {:.2} times as fast (bar: at least 1.0)",
            theirs / again
        );
    }

    /// Fetches every blob, eight at a time, and keeps none.
    fn pull(&self, host: &str) {
        let list: String = self
            .blobs
            .iter()
            .map(|(repository, blob)| {
                format!("http://{host}/v2/{repository}/blobs/{}\n", blob.digest)
            })
            .collect();
        std::fs::write(self.path("urls"), list).unwrap();
        shell(
            &self.directory,
            "xargs -a urls -P 8 -n 1 curl --silent --show-error --fail --output /dev/null",
        );
    }
}
