//! One directory with fixed inputs, the two programs and a registry, and what a command prints
//! there, without what differs from run to run.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use regex::Regex;
use rune_bundle::sign::{PrivateKey, SignError};
use rune_testkit::{registry::Registry, sample::Sample};

use super::folder;
use crate::{
    bundle::{
        project::{copy, sha256},
        small_bundle::{KEY, Scratch, ingredients, private_key, sign_and_write},
    },
    charts::support::{in_tools_env, tool},
};

/// The key of a second signer, the same in every run.
const SECOND_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

/// What is not the same in every run, and what stands in its place.
const FILTERS: [(&str, &str); 15] = [
    // Rows and files of the sessions are from 2001.
    (
        r"20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?",
        "[TIME]",
    ),
    (r"\b1[7-9]\d{8}\.\d+", "[TIME]"),
    (r#""(waitedMs|milliseconds)":( ?)\d+"#, "\"$1\":$2[..]"),
    (
        r#""(freeBytes|available|availableBytes)":( ?)\d+"#,
        "\"$1\":$2[..]",
    ),
    (r"waited \d+ ?m?s;", "waited [..];"),
    (r"room        [\d.]+ [kMGT]?B free", "room        [..] free"),
    (r"\d+ MiB free", "[..] MiB free"),
    (
        r"\d+(\.\d+)? [kMGT]?B( \([\d,]+ bytes\))? (are |is )?(free|available)",
        "[..] free",
    ),
    (r"PostgreSQL 17\.\d+( \([^)]*\))?", "PostgreSQL 17"),
    (
        r#""engineVersion":( ?)"17\.[^"]*""#,
        "\"engineVersion\":$1\"17\"",
    ),
    (r"\b(rune_\d+_\d+|rune_\d+)\b", "[DATABASE]"),
    (r"\d+ free of \d+", "[..] free of [..]"),
    // A new key, and receipts, which have a time.
    (
        r"fingerprint  sha256:[0-9a-f ]{71}",
        "fingerprint  sha256:[HEX]",
    ),
    (
        r"digest         sha256:[0-9a-f ]{71}",
        "digest         sha256:[HEX]",
    ),
    (r"/(\d{6})-[0-9a-f]{64}\.json", "/$1-[HEX].json"),
];

pub(super) struct Session {
    directory: tempfile::TempDir,
    registry: Registry,
    helm: String,
    path: String,
    environment: Vec<(&'static str, String)>,
    filters: Vec<(Regex, &'static str)>,
}

impl Session {
    pub(super) fn new() -> Self {
        let filters = FILTERS
            .iter()
            .map(|(pattern, replacement)| (Regex::new(pattern).unwrap(), *replacement))
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let path = format!(
            "{}:{}",
            directory.path().join(".bin").display(),
            in_tools_env("echo $PATH")
        );
        let helm = tool("helm4").display().to_string();
        let session = Self {
            directory,
            registry: Registry::start(),
            helm,
            path,
            environment: Vec::new(),
            filters,
        };
        copy(&folder().join("inputs"), session.directory.path());
        copy(&folder().join("written"), &session.path("written"));
        session.add_programs();
        session.add_keys();
        session.add_bundles();
        for (repository, tag) in [("library/server", "1.2"), ("lpasquali/extra", "3")] {
            session.registry.put_image(
                repository,
                tag,
                &Sample {
                    seed: repository.to_owned(),
                    ..Sample::default()
                }
                .build(),
            );
        }
        let mirror = |name: &str| {
            format!(
                "  {name}:\n    endpoint: [\"{}\"]\n",
                session.registry.url()
            )
        };
        fs::write(
            session.path("registries.yaml"),
            format!("mirrors:\n{}{}", mirror("docker.io"), mirror("ghcr.io")),
        )
        .unwrap();
        session
    }

    /// The same with a variable for commands, whose value is not shown.
    pub(super) fn knowing(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The two programs, and the smallest file that counts as a static program.
    fn add_programs(&self) {
        fs::create_dir(self.path(".bin")).unwrap();
        for program in [
            env!("CARGO_BIN_EXE_rune-bundle"),
            rune_testkit::programs::rune_db(),
        ] {
            symlink(
                program,
                self.path(".bin")
                    .join(Path::new(program).file_name().unwrap()),
            )
            .unwrap();
        }
        let mut program = vec![0; 64];
        program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        program[18] = 62;
        fs::create_dir(self.path("project/dist")).unwrap();
        fs::write(self.path("project/dist/tool"), program).unwrap();
    }

    fn add_keys(&self) {
        for (name, pem) in [("release", KEY), ("second", SECOND_KEY)] {
            let key = PrivateKey::load::<SignError>(pem.as_bytes(), || {
                panic!("the key is not encrypted")
            })
            .unwrap();
            fs::write(self.path(format!("{name}.key")), pem).unwrap();
            fs::write(self.path(format!("{name}.pub")), key.public_key().to_pem()).unwrap();
        }
    }

    /// A small bundle and its successor, both signed by `release`.
    fn add_bundles(&self) {
        for (name, version) in [("old.bundle.tar", "1.2.3"), ("new.bundle.tar", "1.3.0")] {
            let scratch = Scratch::new();
            let mut ingredients = ingredients(&scratch);
            ingredients.version = version.parse().unwrap();
            if name == "new.bundle.tar" {
                "# Install it\n".clone_into(&mut ingredients.install);
                ingredients.binaries.clear();
            }
            let made = sign_and_write(&scratch, ingredients.compose().unwrap());
            fs::copy(made, self.path(name)).unwrap();
        }
        assert_eq!(
            private_key().public_key().to_pem(),
            fs::read_to_string(self.path("release.pub")).unwrap()
        );
        assert_ne!(
            sha256(&self.path("old.bundle.tar")),
            sha256(&self.path("new.bundle.tar"))
        );
    }

    /// Runs a command and gives it with what came of it, in the form of a recording.
    pub(super) fn call(&self, command: &str) -> String {
        let mut shell = Command::new("timeout");
        shell
            .args(["40", "sh", "-c", command])
            .current_dir(self.directory.path())
            .env_clear();
        shell.envs([
            ("PATH", self.path.as_str()),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("COSIGN_PASSWORD", ""),
        ]);
        shell
            .env("HOME", self.path("home"))
            .env("REGISTRY", self.registry.host());
        // Not in the state directory of whoever runs the tests.
        shell.env("RUNE_BUNDLE_RECEIPTS", "rune-bundle-receipts");
        shell
            .env("RUNE_BUNDLE_HELM", &self.helm)
            .env("RUNE_BUNDLE_REGISTRY_CONFIG", self.path("registries.yaml"));
        shell.envs(
            self.environment
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let output = shell.output().unwrap();
        let mut text = format!("$ {command}\n");
        for (mark, bytes) in [("|", &output.stdout), ("!", &output.stderr)] {
            for line in self.shown(&String::from_utf8_lossy(bytes)).lines() {
                text.push_str(&if line.is_empty() {
                    format!("{mark}\n")
                } else {
                    format!("{mark} {line}\n")
                });
            }
        }
        match output.status.code() {
            Some(0) => text,
            Some(code) => format!("{text}? {code}\n"),
            None => panic!("`{command}` was killed"),
        }
    }

    /// A text without what is not the same in every run.
    fn shown(&self, text: &str) -> String {
        let mut text = text.replace(self.directory.path().to_str().unwrap(), "[DIR]");
        text = text
            .replace(&self.registry.host(), "registry.test:5000")
            .replace(&self.helm, "[HELM]");
        for (name, value) in &self.environment {
            // Passwords are not shown by the programs.
            let (place, database) = value
                .rsplit_once('@')
                .and_then(|(_, place)| place.split_once('/'))
                .unwrap_or((value, value));
            text = text
                .replace(place, "[SERVER]")
                .replace(database, &format!("[{name}]"));
        }
        for (pattern, replacement) in &self.filters {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}
