//! `docs/reference/reports.md` has every field that a report has, with its type, and no other.

use std::{collections::BTreeSet, fs, process::Output};

use rune_testkit::{
    registry::{Auth, Registry},
    sample::Sample,
    sha256,
    web::{Page, WebServer},
};
use serde_json::Value;

use super::{
    markdown::{Document, code, document, rows},
    sandbox::Sandbox,
};
use crate::bundle::small_bundle::ends_with;
use crate::registry::{push_refused::picky, serve_support::Serving};
use crate::{
    bundle::foreign_shipment::{POSTGRES, RUNE_DB},
    registry::load_support::Containerd,
    registry::prune_support::{Crane, Shop},
};

/// The bundle of the sandbox.
const BUNDLE: &str = "rune-0.1.0.bundle.tar";

/// What the page says about one kind of object: the path of each field, its type.
struct Table(Vec<(String, String)>);

impl Table {
    fn of(page: &Document, heading: &str) -> Self {
        let row = |row: Vec<String>| {
            (
                code(&row[0])
                    .unwrap_or_else(|| panic!("`{}` is no field", row[0]))
                    .to_owned(),
                row[1].clone(),
            )
        };
        let section = page.section(heading);
        // The objects that a section defines for itself have tables of their own.
        Self(
            rows(section.split("\n### ").next().unwrap())
                .into_iter()
                .map(row)
                .collect(),
        )
    }
}

/// Compares reports with the page and remembers which fields it has seen.
pub(crate) struct Reader {
    page: Document,
    seen: BTreeSet<(String, String)>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            page: document("docs/reference/reports.md"),
            seen: BTreeSet::new(),
        }
    }

    /// Compares the report on the standard output of a command.
    fn read(&mut self, output: &Output, verb: &str, code: i32) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{verb}: {said}");
        self.report(
            verb,
            serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{verb}: {error}: {said}")),
        );
    }

    /// Compares a report.
    pub(crate) fn report(&mut self, verb: &str, mut report: Value) {
        let schema = report.as_object_mut().unwrap().remove("schema");
        assert_eq!(
            schema,
            Some(Value::from(format!("rune-bundle/report/{verb}/v1")))
        );
        // With one release an installation has its fields beside it.
        if let Some([only]) = report["releases"].as_array().map(Vec::as_slice)
            && verb == "install"
        {
            let only = only.as_object().unwrap().clone();
            let fields = report.as_object_mut().unwrap();
            fields.retain(|name, value| only.get(name) != Some(value));
        }
        self.object(&format!("## `{verb}`"), "", &report);
    }

    /// Compares the fields of the object at `path` of the table below a heading.
    fn object(&mut self, heading: &str, path: &str, value: &Value) {
        let fields = value
            .as_object()
            .unwrap_or_else(|| panic!("{heading}: `{path}` is no object: {value}"));
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        let Table(table) = Table::of(&self.page, heading);
        for name in fields.keys() {
            assert!(
                table
                    .iter()
                    .any(|(field, _)| *field == format!("{prefix}{name}")),
                "{heading} lacks `{prefix}{name}`"
            );
        }
        let own = table.iter().filter(|(field, _)| {
            field
                .strip_prefix(&prefix)
                .is_some_and(|name| !name.contains('.'))
        });
        for (field, kind) in own {
            let kind = match (
                kind.strip_suffix(", optional"),
                fields.get(&field[prefix.len()..]),
            ) {
                (Some(_), None) => continue,
                (None, None) => panic!("{heading}: `{field}` is missing in {value}"),
                (Some(kind), Some(_)) => kind,
                (None, Some(_)) => kind,
            };
            self.seen.insert((heading.to_owned(), field.clone()));
            self.typed(heading, field, kind, &fields[&field[prefix.len()..]]);
        }
    }

    fn typed(&mut self, heading: &str, field: &str, kind: &str, value: &Value) {
        if let Some(kind) = kind.strip_prefix("list of ") {
            for item in value
                .as_array()
                .unwrap_or_else(|| panic!("{heading}: `{field}` is no list: {value}"))
            {
                self.typed(heading, &format!("{field}[]"), kind, item);
            }
            return;
        }
        if let Some(kind) = kind.strip_suffix(" or null") {
            if !value.is_null() {
                self.typed(heading, field, kind, value);
            }
            return;
        }
        let is_right = match kind {
            "text" => value.is_string(),
            "number" => value.is_number(),
            "bool" => value.is_boolean(),
            // What the lists of the error report hold is told apart by the caller.
            "list" => value.is_array(),
            "bundle.json" | "receipt" => value["format"] == 1,
            "object" => {
                self.object(heading, field, value);
                true
            }
            named => {
                let named = code(named)
                    .unwrap_or_else(|| panic!("{heading}: `{field}` has the unknown type {named}"));
                self.object(&format!("### `{named}`"), "", value);
                true
            }
        };
        assert!(is_right, "{heading}: `{field}` is no {kind}: {value}");
    }

    /// Compares the `details` of an error report with the object that they are said to be.
    fn details(&mut self, output: &Output, named: &str) {
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let details = report["error"]["details"].as_array().unwrap();
        assert!(!details.is_empty());
        for item in details {
            self.object(&format!("### `{named}`"), "", item);
        }
    }

    /// Asserts that every field of these tables was in some report.
    fn has_seen_all(&self, headings: &[&str]) {
        for heading in headings {
            for (field, _) in Table::of(&self.page, heading).0 {
                assert!(
                    self.seen.contains(&((*heading).to_owned(), field.clone())),
                    "{heading}: no report has `{field}`"
                );
            }
        }
    }
}

fn bundle(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox
        .command("rune-bundle")
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap()
}

fn database(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox
        .command("rune-db")
        .args(arguments)
        .args(["--db-url", "sqlite:///./jobs.db", "--json"])
        .output()
        .unwrap()
}

fn replace(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let path = sandbox.path(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// The first of the volumes of `volumes.tar`.
fn first_volume(sandbox: &Sandbox) -> String {
    let names = fs::read_dir(sandbox.path(".")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .find(|name| name.starts_with("volumes.volume-1-of-"))
        .unwrap()
}

#[test]
fn the_reports_of_the_connected_side_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::clone(), Reader::new());
    reader.read(&bundle(&sandbox, &["keygen", "--dry-run"]), "keygen", 0);
    reader.read(
        &bundle(&sandbox, &["keygen", "--out", "release"]),
        "keygen",
        0,
    );
    reader.read(
        &bundle(
            &sandbox,
            &["init", "--chart", "charts/rune", "--name", "new"],
        ),
        "init",
        0,
    );
    reader.read(&bundle(&sandbox, &["lock", "--suggest"]), "suggest", 0);
    reader.read(&bundle(&sandbox, &["policy"]), "policy", 0);
    replace(
        &sandbox,
        "bundle-manifests/rune.yaml",
        "platforms: all",
        "platforms: [linux/amd64, linux/arm, linux/s390x]",
    );
    let server = WebServer::start();
    server.put("/notes", Page::of("notes"));
    let file = format!(
        "files: [{{ url: '{}', sha256: {}, path: files/notes }}]",
        server.url("/notes"),
        sha256(b"notes")
    );
    replace(&sandbox, "bundle-manifests/rune.yaml", "files: []", &file);
    let plain = format!("--plain-http={}", server.host());
    sandbox.sign_postgres();
    let policy = sandbox.path("bundle-manifests/policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    let elsewhere = "referrers: { repositories: [{ match: '**/postgres', repository: docker.io/acme/signatures }] }\n";
    fs::write(policy, format!("{text}\n{elsewhere}")).unwrap();
    reader.read(&bundle(&sandbox, &["lock", "--dry-run", &plain]), "lock", 0);
    reader.read(&bundle(&sandbox, &["lock", &plain]), "lock", 0);
    let export = ["lock", "--export", "hauler"];
    reader.read(&bundle(&sandbox, &export), "export", 0);
    reader.read(&bundle(&sandbox, &["policy", "--all"]), "policy", 0);
    reader.read(&bundle(&sandbox, &["render", "--dry-run"]), "render", 0);
    reader.read(
        &bundle(&sandbox, &["render", "--lock", "--out", "rendered"]),
        "render",
        0,
    );
    reader.read(&bundle(&sandbox, &["build", "--dry-run"]), "build", 0);
    reader.read(
        &bundle(
            &sandbox,
            &["build", "--key", "release.key", "--provenance", &plain],
        ),
        "build",
        0,
    );
    reader.read(
        &bundle(&sandbox, &["verify", BUNDLE, "--key", "release.pub"]),
        "verify",
        0,
    );
    let volumes = ["--volume-size", "250kB", "--output", "volumes.tar"];
    let build = [
        "build",
        "--key",
        "release.key",
        "--image-key",
        "release.key",
        &plain,
    ];
    reader.read(
        &bundle(&sandbox, &[&build[..], &volumes].concat()),
        "build",
        0,
    );
    let delta = ["--base", BUNDLE, "--output", "delta.tar"];
    reader.read(
        &bundle(&sandbox, &[&build[..], &delta].concat()),
        "build",
        0,
    );
    let first = first_volume(&sandbox);
    let verify = ["verify", "--set", &first, "--key", "release.pub"];
    reader.read(&bundle(&sandbox, &verify), "verify", 0);
    sandbox.put(
        "library/postgres",
        "17-alpine",
        &Sample {
            seed: "moved".to_owned(),
            ..Sample::default()
        },
    );
    reader.read(&bundle(&sandbox, &["lock", "--check", &plain]), "lock", 5);
    replace(&sandbox, "charts/rune/values.yaml", "\n", "\n# edited\n");
    reader.read(&bundle(&sandbox, &["render", "--check"]), "render", 5);
    reader.has_seen_all(&[
        "## `init`",
        "## `suggest`",
        "## `export`",
        "## `keygen`",
        "## `lock`",
        "## `render`",
    ]);
    reader.has_seen_all(&["## `policy`", "## `build`", "## `verify`"]);
    reader.has_seen_all(&[
        "### `platform`",
        "### `change`",
        "### `decision`",
        "### `completeness`",
    ]);
}

#[test]
fn the_reports_of_the_air_gapped_side_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::after_a_build(), Reader::new());
    let file = BUNDLE;
    reader.read(
        &bundle(&sandbox, &["verify", file, "--key", "release.pub"]),
        "verify",
        0,
    );
    reader.read(&bundle(&sandbox, &["inspect", file]), "inspect", 0);
    let split = [
        "split",
        file,
        "--volume-size",
        "250kB",
        "--output",
        "volumes.tar",
    ];
    let key = ["--key", "release.pub"];
    reader.read(&bundle(&sandbox, &[&split[..], &key].concat()), "split", 0);
    let first = first_volume(&sandbox);
    reader.read(&bundle(&sandbox, &["inspect", &first]), "inspect", 0);
    let join = ["join", &first, "--output", "joined.tar"];
    reader.read(&bundle(&sandbox, &[&join[..], &key].concat()), "join", 0);
    reader.has_seen_all(&["## `split`", "## `join`", "### `volumes`"]);
    let unpack = ["unpack", file, "changed", "--key", "release.pub"];
    assert!(bundle(&sandbox, &unpack).status.success());
    fs::write(sandbox.path("changed/INSTALL.md"), "changed").unwrap();
    reader.read(&bundle(&sandbox, &["have", "changed"]), "have", 0);
    let delta = ["delta", file, "--base", file, "--output", "delta.tar"];
    reader.read(&bundle(&sandbox, &[&delta[..], &key].concat()), "delta", 0);
    reader.read(&bundle(&sandbox, &["inspect", "delta.tar"]), "inspect", 0);
    let cut = ["delta", file, "--base", file, "--output", "cut.tar"];
    let cut = [&cut[..], &["--volume-size", "250kB"], &key].concat();
    reader.read(&bundle(&sandbox, &cut), "delta", 0);
    let apply = [
        "apply",
        "delta.tar",
        "--from",
        file,
        "--output",
        "applied.tar",
    ];
    reader.read(&bundle(&sandbox, &[&apply[..], &key].concat()), "apply", 0);
    reader.has_seen_all(&[
        "## `have`",
        "## `delta`",
        "## `apply`",
        "### `base`",
        "### `deltaContents`",
    ]);
    reader.read(
        &bundle(&sandbox, &["inspect", file, "--key", "release.pub"]),
        "inspect",
        0,
    );
    reader.read(
        &bundle(
            &sandbox,
            &["unpack", file, "--key", "release.pub", "--dry-run"],
        ),
        "unpack",
        0,
    );
    reader.read(
        &bundle(&sandbox, &["unpack", file, "--key", "release.pub"]),
        "unpack",
        0,
    );
    let mut serve = sandbox.command("rune-bundle");
    let serving = Serving::run(serve.args([
        "serve",
        file,
        "--key",
        "release.pub",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]));
    reader.report("serve", serving.report.clone());
    reader.has_seen_all(&[
        "## `inspect`",
        "## `unpack`",
        "## `serve`",
        "### `served`",
        "### `reference`",
    ]);
    let destination = format!("{}/rune", sandbox.registry());
    let push = ["push", file, &destination, "--key", "release.pub"];
    reader.read(
        &bundle(&sandbox, &[&push[..], &["--dry-run"]].concat()),
        "push",
        0,
    );
    reader.read(&bundle(&sandbox, &push), "push", 0);
    let picky = picky(400, "MANIFEST_INVALID");
    reader.read(
        &bundle(
            &sandbox,
            &["push", file, &picky.host(), "--key", "release.pub"],
        ),
        "push",
        10,
    );
    reader.has_seen_all(&["## `push`", "### `blobTally`"]);
    let publish = ["publish", file, &destination, "--key", "release.pub"];
    reader.read(&bundle(&sandbox, &publish), "publish", 0);
    let host = picky.host();
    let refused = [&["publish", file, &host], &publish[3..]].concat();
    reader.read(&bundle(&sandbox, &refused), "publish", 10);
    let published = format!("{destination}/bundles/rune:0.1.0");
    let fetch = ["fetch", &published, "--key", "release.pub", "--output"];
    let fetched = bundle(&sandbox, &[&fetch[..], &["fetched.tar"]].concat());
    reader.read(&fetched, "fetch", 0);
    reader.has_seen_all(&["## `publish`", "## `fetch`"]);
    reader.read(&bundle(&sandbox, &["receipts", "list"]), "receipts-list", 0);
    reader.read(
        &bundle(&sandbox, &["receipts", "show", "1"]),
        "receipts-show",
        0,
    );
    reader.read(
        &bundle(&sandbox, &["receipts", "verify"]),
        "receipts-verify",
        0,
    );
    let guarded = Registry::start_with(Auth::Basic("alice".to_owned(), "wonderland".to_owned()));
    let mut login = sandbox.command("rune-bundle");
    login.args([
        "login",
        &guarded.host(),
        "--username",
        "alice",
        "--password-stdin",
        "--json",
    ]);
    reader.read(
        &crate::registry::login::with_input(&mut login, "wonderland"),
        "login",
        0,
    );
    reader.read(&bundle(&sandbox, &["logout", &guarded.host()]), "logout", 0);
    reader.has_seen_all(&["## `receipts-show`", "## `login`", "## `logout`"]);
}

#[test]
fn the_report_of_a_pruned_registry_is_documented_field_by_field() {
    let (shop, registry) = (Shop::new(), Registry::start());
    let host = registry.host();
    shop.push(&host, 1..=4);
    Crane::new().run(&["tag", &format!("{host}/lpasquali/rune:v1"), "site"]);
    let clusters = [shop.cluster("one", &[4])];
    let mut reader = Reader::new();
    let pruned = shop.prune(&host, &clusters, &["--keep", "2", "--yes"]);
    reader.read(&pruned, "prune", 0);
    reader.has_seen_all(&["## `prune`"]);
}

#[test]
fn the_reports_of_a_node_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::after_a_build(), Reader::new());
    let file = BUNDLE;
    fs::create_dir(sandbox.path("images")).unwrap();
    reader.read(
        &bundle(
            &sandbox,
            &[
                "load",
                file,
                "--key",
                "release.pub",
                "--images-dir",
                "images",
            ],
        ),
        "load",
        0,
    );
    let containerd = Containerd::start();
    let load = [
        "load",
        file,
        "--key",
        "release.pub",
        "--address",
        containerd.address(),
    ];
    reader.read(&bundle(&sandbox, &load), "load", 0);
    containerd.ctr(&["images", "tag", "--force", RUNE_DB, POSTGRES]);
    reader.read(&bundle(&sandbox, &load), "load", 0);
    reader.read(
        &bundle(
            &sandbox,
            &[
                "mirror",
                "docker",
                file,
                "registry.lan",
                "--key",
                "release.pub",
            ],
        ),
        "mirror",
        0,
    );
    reader.has_seen_all(&[
        "## `load`",
        "### `loadedImage`",
        "### `loadedName`",
        "## `mirror`",
        "### `configurationFile`",
    ]);
}

#[test]
fn the_reports_about_signatures_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::after_a_build(), Reader::new());
    let file = BUNDLE;
    let trust = |revoked: &str| {
        let keys =
            "keys: [{ name: release, file: release.pub }, { name: second, file: second.pub }]";
        let text = format!(
            "apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\n{keys}\nrevoked: [{revoked}]\n"
        );
        fs::write(sandbox.path("trust.yaml"), text).unwrap();
    };
    reader.read(
        &bundle(&sandbox, &["keygen", "--out", "second"]),
        "keygen",
        0,
    );
    trust("");
    reader.read(
        &bundle(&sandbox, &["fingerprint", "trust.yaml"]),
        "fingerprint",
        0,
    );
    reader.read(
        &bundle(&sandbox, &["fingerprint", "second.pub"]),
        "fingerprint",
        0,
    );
    reader.read(
        &bundle(
            &sandbox,
            &["sign", file, "--key", "second.key", "--trust", "trust.yaml"],
        ),
        "sign",
        0,
    );
    let slot = sandbox
        .command("tar")
        .args(["--occurrence=1", "-xOf", file, "signatures/1.sigstore.json"])
        .output()
        .unwrap();
    fs::write(sandbox.path("second.json"), slot.stdout).unwrap();
    let attach = [
        "attach",
        file,
        "--signature",
        "second.json",
        "--trust",
        "trust.yaml",
    ];
    reader.read(&bundle(&sandbox, &attach), "attach", 0);
    reader.read(
        &bundle(&sandbox, &["verify", file, "--key", "release.pub"]),
        "verify",
        0,
    );
    trust("{ name: second, reason: lost }");
    reader.read(
        &bundle(&sandbox, &["verify", file, "--trust", "trust.yaml"]),
        "verify",
        0,
    );
    reader.has_seen_all(&["### `signature`", "## `sign`", "## `attach`"]);
}

#[test]
fn the_reports_that_compare_and_examine_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::after_a_build(), Reader::new());
    let (old, new) = (BUNDLE, "new.tar");
    replace(
        &sandbox,
        "bundle-manifests/rune.yaml",
        "platforms: all",
        "platforms: [linux/amd64, linux/arm64]",
    );
    replace(
        &sandbox,
        "templates/values/lab.yaml.j2",
        "memory: 128Mi,",
        "memory: 64Mi,",
    );
    replace(&sandbox, "charts/rune/templates/NOTES.txt", "\n", "\n\n");
    replace(&sandbox, "migrations/0001_jobs.sql", "\n", "\n\n");
    sandbox.put(
        "library/postgres",
        "17-alpine",
        &Sample {
            seed: "moved".to_owned(),
            ..Sample::default()
        },
    );
    for arguments in [
        &["lock"][..],
        &["build", "--key", "release.key", "--output", new],
    ] {
        ends_with(&bundle(&sandbox, arguments), 0);
    }
    reader.read(&bundle(&sandbox, &["diff", old, new]), "diff", 0);
    reader.read(
        &bundle(
            &sandbox,
            &["report", new, "--against", old, "--output", "page.html"],
        ),
        "report",
        0,
    );
    let delta = ["delta", "--base", old, new, "--output", "delta.tar"];
    ends_with(
        &bundle(&sandbox, &[&delta[..], &["--key", "release.pub"]].concat()),
        0,
    );
    let page = ["report", "delta.tar", "--output", "delta.html"];
    reader.read(&bundle(&sandbox, &page), "report", 0);
    let evidence = ["evidence", new, "--key", "release.pub"];
    reader.read(&bundle(&sandbox, &evidence), "evidence", 0);
    reader.read(
        &bundle(
            &sandbox,
            &[
                "doctor",
                "build",
                "--no-chart-check",
                "--output",
                "next.tar",
            ],
        ),
        "doctor",
        0,
    );
    reader.read(&bundle(&sandbox, &["doctor", "receive", new]), "doctor", 0);
    reader.has_seen_all(&[
        "## `diff`",
        "### `side`",
        "### `difference`",
        "### `listDiff`",
        "### `tally`",
        "### `fileDiff`",
        "### `valuesDiff`",
    ]);
    reader.has_seen_all(&["## `report`", "## `evidence`", "## `doctor`"]);
}

#[test]
fn the_report_of_a_scan_is_documented_field_by_field() {
    let sandbox = Sandbox::clone().with_a_vulnerable_image();
    replace(
        &sandbox,
        "bundle-manifests/rune.yaml",
        "platforms: [linux/amd64]",
        "platforms: [linux/amd64]\nadvisories: [{ source: notes.txt, kind: text }]",
    );
    fs::write(sandbox.path("notes.txt"), "Nothing to do.\n").unwrap();
    let sandbox = sandbox.with_a_bundle().with_a_vulnerability_database();
    let mut reader = Reader::new();
    let scan = ["scan", BUNDLE, "--key", "release.pub", "--fail-on", "high"];
    reader.read(&bundle(&sandbox, &scan), "scan", 8);
    reader.has_seen_all(&["## `scan`", "### `severityCounts`", "### `vulnerability`"]);
}

#[test]
fn error_reports_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::after_a_build(), Reader::new());
    reader.read(&bundle(&sandbox, &["lock", "--chekc"]), "error", 2);
    reader.read(
        &bundle(
            &sandbox,
            &["verify", "no.bundle.tar", "--key", "release.pub"],
        ),
        "error",
        4,
    );
    for (file, from, to, code, named) in [
        (
            "charts/rune/templates/deployment.yaml",
            "        - name: api\n",
            "        - { name: more, image: 'docker.io/library/more:1', args: ['acme/more:1'] }\n        - name: api\n",
            8,
            "misfit",
        ),
        ("migrations/0001_jobs.sql", "\n", "\n\n", 5, "change"),
        (
            "bundle-manifests/policy.yaml",
            "- docker.io/library/*",
            "- docker.io/other/*",
            8,
            "decision",
        ),
        (
            "bundle-manifests/rune.yaml",
            "name: rune\n",
            "nmae: rune\n",
            3,
            "mistake",
        ),
    ] {
        replace(&sandbox, file, from, to);
        let output = bundle(&sandbox, &["build", "--output", "other.tar"]);
        reader.read(&output, "error", code);
        reader.details(&output, named);
    }
    reader.has_seen_all(&[
        "## `error`",
        "### `mistake`",
        "### `decision`",
        "### `misfit`",
    ]);
}

#[test]
fn the_reports_of_the_database_tool_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::clone(), Reader::new());
    reader.read(
        &database(&sandbox, &["migrate", "--dry-run"]),
        "db-migrate",
        0,
    );
    reader.read(&database(&sandbox, &["migrate"]), "db-migrate", 0);
    reader.read(&database(&sandbox, &["status"]), "db-status", 0);
    reader.read(&database(&sandbox, &["wait"]), "db-wait", 0);
    reader.read(&database(&sandbox, &["doctor"]), "db-doctor", 0);
    let connection = rusqlite::Connection::open(sandbox.path("jobs.db")).unwrap();
    connection
        .execute_batch(
            "DROP INDEX idx_audit_artifact_job_id; INSERT INTO settings VALUES ('k', '{', 0)",
        )
        .unwrap();
    reader.read(
        &database(&sandbox, &["repair", "--dry-run"]),
        "db-repair",
        0,
    );
    reader.read(&database(&sandbox, &["repair"]), "db-repair", 0);
    reader.read(&database(&sandbox, &["verify"]), "db-verify", 5);
    rusqlite::Connection::open(sandbox.path("jobs.db"))
        .unwrap()
        .execute_batch(
            "UPDATE rune_db_ledger SET sha256 = 'another' WHERE version = 1;
            DELETE FROM schema_version WHERE version IN (5, 6);
            DROP TABLE settings;
            DROP TABLE chain_state;
            INSERT INTO schema_version VALUES (99, 0);
            ALTER TABLE workflow_events RENAME TO old;
            CREATE TABLE workflow_events AS SELECT * FROM old;",
        )
        .unwrap();
    reader.read(&database(&sandbox, &["status"]), "db-status", 5);
    reader.has_seen_all(&[
        "## `db-migrate`",
        "## `db-status`",
        "## `db-repair`",
        "## `db-verify`",
        "### `defect`",
        "## `db-doctor`",
        "## `db-wait`",
        "### `database`",
        "### `drift`",
        "### `migration`",
    ]);
}

#[test]
fn the_reports_about_stored_rows_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::clone(), Reader::new());
    assert!(database(&sandbox, &["migrate"]).status.success());
    let sql = "INSERT INTO jobs VALUES ('j', 't', 'benchmark', 'running', '{}', '{}', 'e', 'm', 1.0, 1.0);
        INSERT INTO jobs VALUES ('k', 't', 'benchmark', 'queued', '{}', NULL, NULL, NULL, 2.0, 2.0);
        INSERT INTO workflow_events (job_id, event, status, duration_ms, error_type, labels_json, recorded_at)
            VALUES ('j', 'e', 'ok', 1.0, 't', '{}', 1.0), ('j', 'e', 'ok', 1.0, 't', '{\"a\": 1}', 1.0);
        INSERT INTO audit_artifact VALUES ('a', 'j', 'log', 'n', 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', x'', 1.0);
        INSERT INTO audit_artifact VALUES ('b', 'j', 'log', 'n', 1, '', x'', 1.0);
        INSERT INTO chain_state VALUES ('j', '{\"nodes\": [{\"id\": \"a\", \"status\": \"pending\"}], \"edges\": [{\"from\": \"a\", \"to\": \"a\"}]}', 'pending', 1.0);
        INSERT INTO settings VALUES ('k', '{}', 1.0), ('l', '{}', 1.0);";
    rusqlite::Connection::open(sandbox.path("jobs.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    for (arguments, verb, code) in [
        (&["jobs", "list", "--limit", "1"][..], "db-jobs-list", 0),
        (&["jobs", "show", "j", "--payload"], "db-jobs-show", 0),
        (&["jobs", "chain", "j"], "db-jobs-chain", 0),
        (
            &["jobs", "fail-stale", "--older-than", "1d", "--tenant", "t"],
            "db-jobs-fail-stale",
            0,
        ),
        (
            &["events", "list", "--limit", "1", "--labels"],
            "db-events-list",
            0,
        ),
        (&["events", "summary"], "db-events-summary", 0),
        (&["audit", "list", "--limit", "1"], "db-audit-list", 0),
        (
            &["audit", "export", "a", "--output", "a.log"],
            "db-audit-export",
            0,
        ),
        (&["audit", "verify"], "db-audit-verify", 5),
        (&["settings", "list", "--limit", "1"], "db-settings-list", 0),
        (&["settings", "get", "k"], "db-settings-get", 0),
        (&["settings", "set", "k", "{}"], "db-settings-set", 0),
        (&["settings", "delete", "k"], "db-settings-delete", 0),
        (
            &["prune", "--older-than", "90d", "--allow-cascade"],
            "db-prune",
            0,
        ),
    ] {
        reader.read(&database(&sandbox, arguments), verb, code);
        reader.has_seen_all(&[&format!("## `{verb}`")]);
    }
    let sql =
        "INSERT INTO jobs VALUES ('x', 't', x'00', 'queued', '{}', NULL, NULL, NULL, 2.0, 2.0)";
    rusqlite::Connection::open(sandbox.path("jobs.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    reader.read(&database(&sandbox, &["jobs", "list"]), "db-jobs-list", 3);
    reader.has_seen_all(&["### `artifact`", "### `unreadable`"]);
}

#[test]
fn the_reports_of_moves_are_documented_field_by_field() {
    let (sandbox, mut reader) = (Sandbox::clone(), Reader::new());
    let server = rune_testkit::postgres::Server::shared(17);
    let target = server.database();
    let call = |arguments: &[&str]| {
        let mut command = sandbox.command("rune-db");
        command
            .args(arguments)
            .arg("--json")
            .env("TARGET", target.url())
            .output()
            .unwrap()
    };
    let (file, source) = (
        "sqlite:///./jobs.db",
        ["--source", "sqlite:///./jobs.db", "--target", "env:TARGET"],
    );
    reader.read(&database(&sandbox, &["migrate"]), "db-migrate", 0);
    let sql = "INSERT INTO settings VALUES ('k', char(0), 1.0)";
    rusqlite::Connection::open(sandbox.path("jobs.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    let refused = call(&[&["migrate-to-postgres"], &source[..]].concat());
    reader.read(&refused, "error", 3);
    reader.details(&refused, "finding");
    let sql = "UPDATE settings SET value_json = '{}'";
    rusqlite::Connection::open(sandbox.path("jobs.db"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    reader.read(
        &call(&[&["migrate-to-postgres", "--dry-run"], &source[..]].concat()),
        "db-migrate-to-postgres",
        0,
    );
    reader.read(
        &call(&[&["migrate-to-postgres"], &source[..]].concat()),
        "db-migrate-to-postgres",
        0,
    );
    reader.read(&call(&["compare", file, "env:TARGET"]), "db-compare", 0);
    target.query("UPDATE settings SET updated_at = 2");
    reader.read(
        &call(&["compare", file, "env:TARGET", "--rows"]),
        "db-compare",
        5,
    );
    reader.read(
        &call(&[
            "export-sqlite",
            "--source",
            "env:TARGET",
            "--output",
            "export.db",
        ]),
        "db-export-sqlite",
        0,
    );
    reader.read(
        &call(&["backup", "--db-url", file, "--output", "backup.db"]),
        "db-backup",
        0,
    );
    reader.read(
        &call(&[
            "restore",
            "--db-url",
            "sqlite:///./new.db",
            "--from",
            "backup.db",
        ]),
        "db-restore",
        0,
    );
    reader.has_seen_all(&[
        "## `db-migrate-to-postgres`",
        "## `db-compare`",
        "## `db-export-sqlite`",
        "## `db-backup`",
        "## `db-restore`",
    ]);
    reader.has_seen_all(&["### `tableDigest`", "### `carriedTable`", "### `finding`"]);
}
