//! A running `serve`, bundles for it, and a client that sees every byte of an answer.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use rune_bundle::{
    bundle::{ImageIngredient, ImageSource, Ingredients},
    oci::{Descriptor, media_type},
};
use rune_core::digest::Digest;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::bundle::small_bundle::{Scratch, ingredients, private_key, write};

/// How long something may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, ended when the test is.
pub(crate) struct Serving {
    child: Child,
    pub(crate) report: Value,
    log: Arc<Log>,
}

/// What the server said on standard error so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// What came back for one request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How the connection broke, if it did not end.
    pub(crate) broken: Option<io::ErrorKind>,
}

impl Serving {
    /// Serves bundles that are signed by the key of the small bundle, on a free port.
    pub(crate) fn start<'a>(bundles: impl IntoIterator<Item = &'a Path>, options: &[&str]) -> Self {
        let bundles: Vec<&Path> = bundles.into_iter().collect();
        let key = bundles[0].with_file_name("key.pub");
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .arg("serve")
            .args(&bundles)
            .arg("--key")
            .arg(key)
            .args(["--listen", "127.0.0.1:0", "--json"])
            .args(options);
        Self::run(&mut command)
    }

    /// Runs a command that serves with `--json`, and waits until it is ready.
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let (stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || written.collect(stderr));
        let mut stdout = serde_json::Deserializer::from_reader(child.stdout.take().unwrap());
        let report = Value::deserialize(&mut stdout).unwrap_or_else(|error| {
            panic!("{command:?}: {error}: {:?}", log.lines.lock().unwrap())
        });
        Self { child, report, log }
    }

    pub(crate) fn host(&self) -> &str {
        self.report["address"].as_str().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host().parse().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The digest under which something is served, as the report says.
    pub(crate) fn digest(&self, reference: &str) -> String {
        let references = self.report["references"].as_array().unwrap();
        let found = references
            .iter()
            .find(|known| known["reference"] == reference);
        found.unwrap_or_else(|| panic!("no {reference} in {references:?}"))["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    pub(crate) fn head(&self, path: &str) -> Reply {
        self.ask("HEAD", path, "")
    }

    /// Asks with more headers, each with its line end.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str) -> Reply {
        let mut stream = self.begin(method, path, headers);
        let mut bytes = Vec::new();
        let broken = stream
            .read_to_end(&mut bytes)
            .err()
            .map(|error| error.kind());
        Reply::parse(&bytes, broken)
    }

    /// Sends a request and leaves the answer to the caller.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n",
            self.host()
        )
        .unwrap();
        stream
    }

    /// Waits for a line in the log with all of these words in it.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let is_it = |line: &&String| words.iter().all(|word| line.contains(word));
        let lines = self.log.lines.lock().unwrap();
        let wait = self.log.more.wait_timeout_while(lines, PATIENCE, |lines| {
            !lines.iter().any(|line| is_it(&line))
        });
        let (lines, _) = wait.unwrap();
        lines
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("nobody said {words:?} in {lines:#?}"))
            .clone()
    }

    /// Everything that was said by the end of the process.
    pub(crate) fn said(&self) -> String {
        self.log.lines.lock().unwrap().join("\n")
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn collect(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines() {
            self.lines.lock().unwrap().push(line.unwrap());
            self.more.notify_all();
        }
    }
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8], broken: Option<io::ErrorKind>) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            return Self {
                status: 0,
                headers: Vec::new(),
                body: bytes.to_vec(),
                broken,
            };
        };
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let header = |line: &str| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .unwrap()
        };
        Self {
            status,
            headers: lines.map(header).collect(),
            body: bytes[end + 4..].to_vec(),
            broken,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an answer that is an error of the specification.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The body, which must be whole and have this digest.
    pub(crate) fn whole(&self, digest: &str) -> &[u8] {
        assert_eq!(
            (self.status, self.broken),
            (200, None),
            "{:?}",
            self.headers
        );
        assert_eq!(
            self.header("content-length"),
            Some(self.body.len().to_string().as_str())
        );
        assert_eq!(Digest::of(&self.body).to_string(), digest);
        &self.body
    }
}

/// Bytes that differ from piece to piece and from seed to seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut number = seed << 32;
    while bytes.len() < length {
        number += 1;
        bytes.extend_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image of one platform with these layers.
pub(crate) fn image(reference: &str, layers: Vec<Vec<u8>>) -> ImageIngredient {
    let blob = |media_type: &str, bytes: Vec<u8>| (Descriptor::of(media_type, &bytes), bytes);
    let layers: Vec<_> = layers
        .into_iter()
        .map(|layer| blob("application/vnd.oci.image.layer.v1.tar", layer))
        .collect();
    image_of(reference, layers)
}

/// The same with layers whose bytes may be those that the file has anyway: zeros.
pub(crate) fn image_of(reference: &str, layers: Vec<(Descriptor, Vec<u8>)>) -> ImageIngredient {
    let blob = |media_type: &str, bytes: Vec<u8>| (Descriptor::of(media_type, &bytes), bytes);
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "author": reference});
    let config = blob(media_type::CONFIG, serde_json::to_vec(&config).unwrap());
    let descriptors: Vec<_> = layers.iter().map(|(descriptor, _)| descriptor).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config.0, "layers": descriptors});
    let manifest = blob(media_type::MANIFEST, serde_json::to_vec(&manifest).unwrap());
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [manifest.0]});
    let index = blob(media_type::INDEX, serde_json::to_vec(&index).unwrap());
    ImageIngredient {
        name: reference.rsplit(['/', ':']).nth(1).unwrap().to_owned(),
        reference: reference.parse().unwrap(),
        component: None,
        license: Some("Apache-2.0".to_owned()),
        sboms: Vec::new(),
        source: ImageSource::Built {
            target: index.0.clone(),
            manifests: vec![("linux/amd64".parse().unwrap(), manifest.0.digest)],
            blobs: layers
                .into_iter()
                .chain([config, manifest, index])
                .collect(),
        },
    }
}

/// Writes a bundle of that name with these images besides what a small one has, signed, with
/// `key.pub` beside it.
pub(crate) fn bundle(scratch: &Scratch, name: &str, images: Vec<ImageIngredient>) -> PathBuf {
    let key = private_key();
    fs::write(scratch.path("key.pub"), key.public_key().to_pem()).unwrap();
    let draft = Ingredients {
        name: name.to_owned(),
        images,
        ..ingredients(scratch)
    }
    .compose()
    .unwrap();
    let file = format!("{name}.tar");
    write(&draft.sign(&[key]).unwrap(), &scratch.utf8(&file));
    scratch.path(&file)
}
