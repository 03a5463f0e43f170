//! `docs/operations/ci.md`: the commands of its two files are typed as they stand, on a project in
//! which nothing, a tag, the policy, a waiver or the network is wrong.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Output,
};

use rune_testkit::{sample::Sample, sha256};
use serde_json::Value;

use super::{
    markdown::document,
    sandbox::{Sandbox, equipment_path},
};
use crate::{bundle::small_bundle::ends_with, charts::support::tool};

pub(super) const PAGE: &str = "docs/operations/ci.md";

pub(super) const MANIFEST: &str = "bundle-manifests/shop-bundle.yaml";
const POLICY: &str = "bundle-manifests/policy.yaml";
pub(super) const GITLAB_REPORT: &str = "gl-code-quality-report.json";

/// For which of the two a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forge {
    Github,
    Gitlab,
}

/// What a forge shows beside a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    is_error: bool,
    path: String,
    line: u64,
    message: String,
}

impl Forge {
    const BOTH: [Self; 2] = [Self::Github, Self::Gitlab];

    /// The file that the page shows.
    fn file(self) -> Value {
        let mark = match self {
            Self::Github => "runs-on:",
            Self::Gitlab => ".rune-bundle:",
        };
        let blocks = document(PAGE).blocks();
        let block = blocks.iter().find(|block| block.text.contains(mark));
        serde_yaml::from_str(&block.unwrap().text).unwrap()
    }

    /// The commands of a step or job, as its runner gives them to a shell.
    fn script(self, name: &str) -> String {
        let file = self.file();
        let lines = |value: &Value| -> String {
            let lines = value.as_array().unwrap().iter();
            lines
                .map(|line| format!("{}\n", line.as_str().unwrap()))
                .collect()
        };
        match self {
            Self::Github => {
                let steps = file["jobs"]["bundle"]["steps"].as_array().unwrap();
                let step = steps.iter().find(|step| step["name"] == name);
                step.unwrap_or_else(|| panic!("no step `{name}`"))["run"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            }
            Self::Gitlab if name == "Install" => lines(&file[".rune-bundle"]["before_script"]),
            Self::Gitlab => lines(&file[name]["script"]),
        }
    }

    fn policy(self) -> String {
        self.script(if self == Self::Github {
            "Policy"
        } else {
            "policy"
        })
    }

    pub(super) fn drift(self) -> String {
        self.script(match self {
            Self::Github => "Nothing has moved",
            Self::Gitlab => "drift",
        })
    }
}

/// A project that was made as the tutorial says, in a directory of its own like a checkout.
pub(super) struct Checkout {
    pub(super) sandbox: Sandbox,
    forge: Forge,
}

impl Checkout {
    pub(super) fn new(forge: Forge) -> Self {
        let sandbox = Sandbox::clone().with_a_shop().with_a_chart_of_a_shop();
        for arguments in [
            &["keygen", "--out", "release"][..],
            &["init", "--chart", "shop", "--name", "shop-bundle"],
            &["lock", &format!("shop-bundle/{MANIFEST}")],
        ] {
            let output = sandbox.command("rune-bundle").args(arguments).output();
            ends_with(&output.unwrap(), 0);
        }
        fs::rename(
            sandbox.path("release.pub"),
            sandbox.path("shop-bundle/release.pub"),
        )
        .unwrap();
        Self { sandbox, forge }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("shop-bundle").join(name)
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}: {text}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    /// The line of a file with a text in it.
    fn line(&self, file: &str, part: &str) -> u64 {
        let text = fs::read_to_string(self.path(file)).unwrap();
        let line = text.lines().position(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("{file} has no {part}: {text}")) as u64 + 1
    }

    /// Types commands as the runner of the forge does.
    pub(super) fn run(&self, script: &str, more: &[(&str, &str)]) -> Output {
        let file = self.forge.file();
        let variables = &file[match self.forge {
            Forge::Github => "env",
            Forge::Gitlab => "variables",
        }];
        let mut command = self.sandbox.command("bash");
        command
            .args(["-eo", "pipefail", "-c", script])
            .current_dir(self.path("."));
        for (name, value) in variables.as_object().unwrap() {
            // What the forge fills in comes from the test.
            if !value.as_str().unwrap().contains("${{") {
                command.env(name, value.as_str().unwrap());
            }
        }
        for (name, value) in more {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        command.output().unwrap()
    }

    /// The exit code of commands, and what the forge shows of them.
    fn result(&self, script: &str, more: &[(&str, &str)]) -> (i32, Vec<Annotation>) {
        let output = self.run(script, more);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let annotations = match self.forge {
            Forge::Github => stderr
                .lines()
                .filter(|line| line.starts_with("::"))
                .map(workflow_command)
                .collect(),
            Forge::Gitlab => {
                let report = fs::read_to_string(self.path(GITLAB_REPORT)).unwrap();
                fs::remove_file(self.path(GITLAB_REPORT)).unwrap();
                let report: Value = serde_json::from_str(&report).unwrap();
                report.as_array().unwrap().iter().map(issue).collect()
            }
        };
        (output.status.code().unwrap(), annotations)
    }
}

/// Reads a workflow command of GitHub.
fn workflow_command(line: &str) -> Annotation {
    let (command, message) = line[2..].split_once("::").unwrap();
    let (kind, properties) = command.split_once(' ').unwrap();
    let property = |name: &str| {
        let properties = properties
            .split(',')
            .map(|pair| pair.split_once('=').unwrap());
        let mut found = properties.filter(|(known, _)| *known == name);
        decoded(
            found
                .next()
                .unwrap_or_else(|| panic!("no {name} in {line}"))
                .1,
        )
    };
    assert!(property("title").starts_with("rune-bundle "), "{line}");
    Annotation {
        is_error: match kind {
            "error" => true,
            "warning" => false,
            _ => panic!("{line}"),
        },
        path: property("file"),
        line: property("line").parse().unwrap(),
        message: decoded(message),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

/// Reads an issue of a code quality report, with everything that GitLab asks for.
fn issue(issue: &Value) -> Annotation {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert!(text(&issue["check_name"]).starts_with("rune-bundle "));
    assert_eq!(text(&issue["fingerprint"]).len(), 64);
    Annotation {
        is_error: match issue["severity"].as_str().unwrap() {
            "major" => true,
            "minor" => false,
            other => panic!("{other}"),
        },
        path: text(&issue["location"]["path"]),
        line: issue["location"]["lines"]["begin"].as_u64().unwrap(),
        message: text(&issue["description"]),
    }
}

/// The only annotation, which must be at this line and have these words.
fn assert_one(found: &[Annotation], is_error: bool, place: (&str, u64), words: &[&str]) {
    let [one] = found else {
        panic!("{found:#?}");
    };
    assert_eq!(
        (one.is_error, one.path.as_str(), one.line),
        (is_error, place.0, place.1),
        "{one:#?}"
    );
    for word in words {
        assert!(one.message.contains(word), "no {word} in {one:#?}");
    }
}

#[test]
fn a_clean_project_passes_every_check_of_the_page_without_an_annotation() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let rendered = forge.script(match forge {
            Forge::Github => "Charts and values are rendered",
            Forge::Gitlab => "rendered",
        });
        for script in [forge.policy(), rendered, forge.drift()] {
            assert_eq!(checkout.result(&script, &[]), (0, Vec::new()), "{script}");
        }
    }
}

#[test]
fn a_tag_that_moved_is_drift_at_its_image() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let moved = Sample {
            seed: "moved".to_owned(),
            ..Sample::default()
        };
        checkout.sandbox.put("library/redis", "7.2", &moved);
        let (code, found) = checkout.result(&forge.drift(), &[]);
        assert_eq!(code, 5, "{found:#?}");
        let place = (
            MANIFEST,
            checkout.line(MANIFEST, "docker.io/library/redis:7.2"),
        );
        for one in &found {
            assert_eq!((one.path.as_str(), one.line), place, "{one:#?}");
            assert!(one.is_error);
            let next = format!("help: review it, then run `rune-bundle lock {MANIFEST}`");
            assert!(one.message.contains(&next), "{one:#?}");
        }
        assert!(
            found.iter().any(|one| one.message.contains("digest")),
            "{found:#?}"
        );
    }
}

#[test]
fn a_policy_violation_is_shown_at_its_image_with_the_waiver_that_would_allow_it() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        checkout.replace(POLICY, "ghcr.io/acme/web", "ghcr.io/acme/other");
        let place = (MANIFEST, checkout.line(MANIFEST, "ghcr.io/acme/web:1.2.0"));
        for script in [forge.policy(), forge.drift()] {
            let (code, found) = checkout.result(&script, &[]);
            assert_eq!(code, 8, "{found:#?}");
            let words = [
                "rule `sources`",
                "help: use something else",
                "{ rule: sources",
            ];
            assert_one(&found, true, place, &words);
        }
    }
}

/// A waiver of the policy for an image that it does not allow.
fn with_a_waiver(checkout: &Checkout, until: &str) -> u64 {
    checkout.replace(POLICY, "ghcr.io/acme/web", "ghcr.io/acme/other");
    let text = fs::read_to_string(checkout.path(POLICY)).unwrap();
    let waiver = format!(
        "waivers:\n  - {{ rule: sources, match: ghcr.io/acme/web, reason: moving, until: {until} }}\n"
    );
    fs::write(checkout.path(POLICY), text + &waiver).unwrap();
    checkout.line(POLICY, "rule: sources")
}

#[test]
fn a_waiver_that_has_ended_is_shown_where_it_stands() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let line = with_a_waiver(&checkout, "1.2.0");
        let (code, found) = checkout.result(&forge.policy(), &[]);
        assert_eq!(code, 8, "{found:#?}");
        let words = ["its waiver ended with 1.2.0", "raise `until`"];
        assert_one(&found, true, (POLICY, line), &words);
    }
}

#[test]
fn a_waiver_that_the_next_version_ends_is_a_warning() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let line = with_a_waiver(&checkout, "1.3.0");
        for script in [forge.policy(), forge.drift()] {
            let (code, found) = checkout.result(&script, &[]);
            assert_eq!(code, 0, "{found:#?}");
            assert_one(&found, false, (POLICY, line), &["ends with 1.3.0"]);
        }
        checkout.replace(POLICY, "until: 1.3.0", "until: 2.0.0");
        assert_eq!(checkout.result(&forge.policy(), &[]), (0, Vec::new()));
    }
}

#[test]
fn a_registry_that_cannot_be_reached_is_a_network_failure_and_not_drift() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let dead = checkout.path("../dead.yaml");
        fs::write(
            &dead,
            "mirrors:\n  docker.io: { endpoint: [\"http://127.0.0.1:9\"] }\n  ghcr.io: { endpoint: [\"http://127.0.0.1:9\"] }\n",
        )
        .unwrap();
        let mirrors = ("RUNE_BUNDLE_REGISTRY_CONFIG", dead.to_str().unwrap());
        let (code, found) = checkout.result(&forge.drift(), &[mirrors]);
        assert_eq!(code, 10, "{found:#?}");
        for one in &found {
            assert!(one.is_error && one.path == MANIFEST, "{one:#?}");
            assert!(one.message.contains("\nhelp: "), "{one:#?}");
        }
        assert!(!found.is_empty());
    }
}

#[test]
fn mistakes_are_shown_at_their_lines_and_auto_knows_both_forges() {
    for (forge, variable) in [
        (Forge::Github, "GITHUB_ACTIONS"),
        (Forge::Gitlab, "GITLAB_CI"),
    ] {
        let checkout = Checkout::new(forge);
        checkout.replace(MANIFEST, "images:", "imags:");
        let (code, found) = checkout.result(
            &forge.policy(),
            &[("RUNE_BUNDLE_ANNOTATE", "auto"), (variable, "true")],
        );
        assert_eq!(code, 3, "{found:#?}");
        let place = (MANIFEST, checkout.line(MANIFEST, "imags:"));
        let words = ["unknown key `imags`", "did you mean `images`?"];
        assert_one(&found, true, place, &words);
        let silent = checkout.run(&forge.policy(), &[("RUNE_BUNDLE_ANNOTATE", "auto")]);
        assert!(!String::from_utf8(silent.stderr).unwrap().contains("\n::"));
        assert!(!checkout.path(GITLAB_REPORT).exists());
    }
}

/// A file that `curl` can fetch, and its checksum.
fn download(path: &Path) -> (String, String) {
    (
        format!("file://{}", path.display()),
        sha256(&fs::read(path).unwrap()).replace("sha256:", ""),
    )
}

#[test]
fn the_page_installs_both_programs_and_builds_a_bundle_that_it_verifies() {
    for forge in Forge::BOTH {
        let checkout = Checkout::new(forge);
        let place = checkout.sandbox.equipment("downloads");
        fs::create_dir_all(place.join("linux-amd64")).unwrap();
        // Small programs that run the real ones, whose tens of megabytes need not be packed.
        let program = |name: &str, real: &Path| {
            let path = place.join(name);
            fs::write(
                &path,
                format!("#!/bin/sh\nexec {} \"$@\"\n", real.display()),
            )
            .unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).unwrap();
            path
        };
        let bundle = program("rune-bundle", Path::new(env!("CARGO_BIN_EXE_rune-bundle")));
        program("linux-amd64/helm", Path::new(&tool("helm4")));
        let mut tar = checkout.sandbox.command("tar");
        tar.args(["-czf", "helm.tar.gz", "linux-amd64"])
            .current_dir(&place);
        ends_with(&tar.output().unwrap(), 0);
        let (bundle_url, bundle_sum) = download(&bundle);
        let (helm_url, helm_sum) = download(&place.join("helm.tar.gz"));
        let home = checkout.sandbox.equipment("runner");
        fs::create_dir(&home).unwrap();
        // The machine of a runner has neither program.
        let bin = checkout.sandbox.equipment("runner-bin");
        fs::create_dir(&bin).unwrap();
        for name in [
            "bash",
            "curl",
            "sha256sum",
            "tar",
            "gzip",
            "mkdir",
            "chmod",
            "cat",
        ] {
            let script = format!("command -v {name}");
            let mut which = checkout.sandbox.command("sh");
            which.args(["-c", &script]).env("PATH", equipment_path());
            let found = ends_with(&which.output().unwrap(), 0);
            symlink(found.lines().next().unwrap(), bin.join(name)).unwrap();
        }
        let github_path = home.join("path");
        let key = fs::read_to_string(checkout.path("../release.key")).unwrap();
        let [home_text, bin_text, path_text] =
            [&home, &bin, &github_path].map(|path| path.to_str().unwrap().to_owned());
        let environment = [
            ("HOME", home_text.as_str()),
            ("PATH", &bin_text),
            ("RUNNER_TEMP", &home_text),
            ("GITHUB_PATH", &path_text),
            ("RUNE_BUNDLE_URL", &bundle_url),
            ("RUNE_BUNDLE_SHA256", &bundle_sum),
            ("HELM_URL", &helm_url),
            ("HELM_SHA256", &helm_sum),
            ("RUNE_BUNDLE_HELM", ""),
            ("REGISTRY", ""),
            ("RELEASE_KEY", key.trim_end()),
        ];
        let build = match forge {
            Forge::Github => "Build",
            Forge::Gitlab => "build",
        };
        // GitHub puts what a step adds into the path of the next one.
        let between = match forge {
            Forge::Github => "export PATH=$(cat \"$GITHUB_PATH\"):$PATH\ncd \"$CHECKOUT\"\n",
            Forge::Gitlab => "",
        };
        let script = format!(
            "{}\n{between}{}",
            forge.script("Install"),
            forge.script(build)
        );
        let checkout_path = checkout.path(".");
        let more = [
            &environment[..],
            &[("CHECKOUT", checkout_path.to_str().unwrap())],
        ]
        .concat();
        let said = ends_with(&checkout.run(&script, &more), 0);
        assert!(said.contains("shop-bundle 1.2.0 is intact"), "{said}");
        assert!(checkout.path("release.bundle.tar").exists());

        let wrong = more
            .iter()
            .map(|(name, value)| match *name {
                "HELM_SHA256" => (*name, bundle_sum.as_str()),
                _ => (*name, *value),
            })
            .collect::<Vec<_>>();
        ends_with(&checkout.run(&forge.script("Install"), &wrong), 1);
    }
}

#[test]
fn the_files_of_the_page_have_the_shape_that_their_forge_reads() {
    let github = Forge::Github.file();
    // YAML 1.1 readers such as that of Python take `on` for a boolean; GitHub's does not.
    assert!(github["on"]["schedule"][0]["cron"].is_string());
    let job = &github["jobs"]["bundle"];
    assert!(job["runs-on"].is_string() && job["timeout-minutes"].is_u64());
    for step in job["steps"].as_array().unwrap() {
        assert!(
            step["uses"].is_string() != step["run"].is_string(),
            "{step}"
        );
    }
    let gitlab = Forge::Gitlab.file();
    for name in ["policy", "rendered", "drift", "build"] {
        assert_eq!(gitlab[name]["extends"], ".rune-bundle", "{name}");
    }
    let common = &gitlab[".rune-bundle"];
    assert_eq!(common["retry"]["exit_codes"][0], 10);
    assert_eq!(common["allow_failure"]["exit_codes"][0], 10);
    assert_eq!(common["artifacts"]["when"], "always");
    assert_eq!(common["artifacts"]["reports"]["codequality"], GITLAB_REPORT);
}
