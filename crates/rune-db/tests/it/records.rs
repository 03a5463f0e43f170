//! The verbs that look into RUNE's tables, on both engines: what they show, what they change, and
//! what they never say.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use camino::Utf8Path;
use rune_storage::port::{
    ChainNode, JobChange, JobStatus, NewArtifact, NewEvent, NewJob, OperatorPort, PoolLimits,
    PostgresStore, SqliteStore,
};
use rune_testkit::postgres::Server;
use serde_json::{Value, json};

use crate::store_support::{clock, guard, migrated_file, postgres_url, still_clock};
use rune_testkit::tool::{Ended, rune_db, sqlite_execute};

/// What stands in payloads and must not be shown unasked.
const MARKER: &str = "PAYLOAD-c0ffee";
const DAY: f64 = 86_400.0;

fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// A database with three jobs of two tenants, their events, evidence, a chain and settings.
struct Sample {
    url: String,
    /// One that succeeded 100 days ago, one that has been running for two days, one that was made
    /// just now.
    jobs: [String; 3],
    artifacts: [String; 2],
}

fn fill(url: String, open: impl Fn(rune_storage::port::Clock) -> Box<dyn OperatorPort>) -> Sample {
    let time = still_clock();
    let store = open(clock(&time));
    let at = |age: f64| time.store((now() - age).to_bits(), std::sync::atomic::Ordering::SeqCst);
    let request = format!("{{\"prompt\": \"{MARKER}\"}}");
    let job = |age: f64, tenant_id: &str, kind: &str, key: Option<&str>| {
        at(age);
        store
            .create_job(&NewJob {
                tenant_id,
                kind,
                request_json: &request,
                idempotency_key: key,
            })
            .unwrap()
            .job_id
    };
    let old = job(101.0 * DAY, "acme", "benchmark", Some("key"));
    let change = JobChange {
        status: Some(JobStatus::Succeeded),
        result_json: Some(&request),
        error: None,
        message: Some("done"),
    };
    at(100.0 * DAY);
    store.update_job(&old, &change).unwrap();
    store
        .record_chain_initialized(&old, &[ChainNode::pending("a")], &[])
        .unwrap();
    let running = job(3.0 * DAY, "acme", "benchmark", None);
    at(2.0 * DAY);
    store
        .update_job(
            &running,
            &JobChange {
                status: Some(JobStatus::Running),
                ..JobChange::default()
            },
        )
        .unwrap();
    let new = job(0.0, "other", "agentic-agent", None);
    for (job_id, age, status, duration) in [
        (&old, 100.0, "ok", 12.2),
        (&old, 100.0, "ok", 12.3),
        (&running, 1.0, "error", 1.0),
    ] {
        let recorded_at = now() - age * DAY;
        let event = NewEvent {
            job_id: Some(job_id),
            event: "step",
            status,
            duration_ms: Some(duration),
            error_type: None,
            labels_json: Some(&request),
            recorded_at,
        };
        store.record_workflow_event(&event).unwrap();
    }
    let artifact = |job_id: &str, kind: &str| {
        let content = format!("{MARKER}\0{}", "x".repeat(5 << 20));
        store
            .record_audit_artifact(&NewArtifact {
                job_id,
                kind,
                name: "a\u{1b}[2J.json",
                content: content.as_bytes(),
            })
            .unwrap()
    };
    let artifacts = [artifact(&old, "sbom"), artifact(&running, "log")];
    store.set_setting("rune_config", &request).unwrap();
    store.set_setting("rune_other", "{}").unwrap();
    store.close();
    Sample {
        url,
        jobs: [old, running, new],
        artifacts,
    }
}

/// Does something with the sample on both engines.
fn on_both(act: impl Fn(&Sample, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    act(
        &fill(format!("sqlite:///{path}"), |clock| {
            Box::new(SqliteStore::open(&path, clock, guard()).unwrap())
        }),
        directory.path(),
    );
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let directory = tempfile::tempdir().unwrap();
    let open = |clock| {
        Box::new(
            PostgresStore::open(
                &postgres_url(&database.url()),
                PoolLimits::default(),
                clock,
                guard(),
            )
            .unwrap(),
        ) as _
    };
    act(&fill(database.url(), open), directory.path());
}

impl Sample {
    fn run(&self, arguments: &[&str]) -> Ended {
        let ended = rune_db(arguments).on(&self.url).run();
        for text in [&ended.stdout, &ended.stderr] {
            assert!(
                !text.contains('\u{1b}'),
                "{arguments:?} lets others move the cursor: {text}"
            );
        }
        ended
    }

    /// Runs a verb with something on its standard input.
    fn fed(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = rune_db(arguments)
            .on(&self.url)
            .command()
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs a verb that must not show payloads.
    fn text(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert!(
            !ended.stdout.contains(MARKER) && !ended.stderr.contains(MARKER),
            "{arguments:?} shows a payload: {ended:?}"
        );
        ended.succeeds()
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap()
    }

    /// One field of each item of a list.
    fn list(&self, arguments: &[&str], list: &str, field: &str) -> Vec<String> {
        let items = self.report(arguments)[list].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| {
                item[field]
                    .as_str()
                    .map_or_else(|| item[field].to_string(), str::to_owned)
            })
            .collect()
    }
}

#[test]
fn jobs_are_listed_newest_first_by_tenant_kind_status_and_time() {
    on_both(|sample, _| {
        let [old, running, new] = &sample.jobs;
        for (filter, expected) in [
            (&[][..], vec![new, running, old]),
            (&["--tenant", "acme"], vec![running, old]),
            (&["--kind", "agentic-agent"], vec![new]),
            (&["--status", "running"], vec![running]),
            (&["--since", "7d"], vec![new, running]),
            (&["--until", "7d"], vec![old]),
            (&["--since", "7d", "--until", "1d"], vec![running]),
            (&["--until", "2001-01-01T00:00:00Z"], vec![]),
            (&["--limit", "1"], vec![new]),
            (&["--after", new], vec![running, old]),
        ] {
            let found = sample.list(&[&["jobs", "list"], filter].concat(), "jobs", "jobId");
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        }
        assert_eq!(
            sample.report(&["jobs", "list", "--limit", "2"])["next"],
            json!(running)
        );
        assert_eq!(
            sample.report(&["jobs", "list", "--limit", "3"])["next"],
            Value::Null
        );
        let text = sample.text(&["jobs", "list", "--limit", "1"]);
        assert!(
            text.starts_with("JOB ") && text.ends_with(&format!("more follow: `--after {new}`\n")),
            "{text}"
        );
        assert_eq!(
            sample.text(&["jobs", "list", "--tenant", "nobody"]),
            "no jobs\n"
        );
        sample
            .run(&["jobs", "list", "--after", "gone"])
            .fails(4, &["there is no row `gone` to go on after"]);
    });
}

#[test]
fn a_job_is_shown_with_its_payload_only_when_asked_for() {
    on_both(|sample, _| {
        let [old, ..] = &sample.jobs;
        let report = sample.report(&["jobs", "show", old]);
        assert_eq!(
            (
                &report["status"],
                &report["message"],
                &report["requestJson"]
            ),
            (&json!("succeeded"), &json!("done"), &Value::Null)
        );
        assert_eq!(
            report["resultBytes"],
            format!("{{\"prompt\": \"{MARKER}\"}}").len()
        );
        assert!(
            sample
                .text(&["jobs", "show", old])
                .contains("request  28 bytes\n")
        );
        let payload = sample.run(&["jobs", "show", old, "--payload"]).succeeds();
        assert_eq!(payload.matches(MARKER).count(), 2, "{payload}");
        sample
            .run(&["jobs", "show", old, "--tenant", "other"])
            .fails(4, &["there is no job"]);
        sample
            .run(&["jobs", "show", "nobody"])
            .fails(4, &["there is no job `nobody`"]);
    });
}

#[test]
fn s06_marking_jobs_as_failed_names_an_age_and_a_tenant() {
    on_both(|sample, _| {
        let [_, running, new] = &sample.jobs;
        let stale = |arguments: &[&str]| {
            sample.report(&[&["jobs", "fail-stale"], arguments].concat())["jobIds"].clone()
        };
        assert_eq!(stale(&["--older-than", "3d", "--all-tenants"]), json!([]));
        assert_eq!(
            stale(&["--older-than", "1d", "--tenant", "other"]),
            json!([])
        );
        assert_eq!(
            stale(&["--older-than", "1d", "--tenant", "acme", "--dry-run"]),
            json!([running])
        );
        assert_eq!(
            sample.report(&["jobs", "show", running])["status"],
            "running"
        );
        assert_eq!(
            stale(&[
                "--older-than",
                "1d",
                "--tenant",
                "acme",
                "--message",
                "host lost"
            ]),
            json!([running])
        );
        let job = sample.report(&["jobs", "show", running]);
        assert_eq!(
            (&job["status"], &job["error"], &job["message"]),
            (&json!("failed"), &json!("host lost"), &json!("host lost"))
        );
        assert_eq!(sample.report(&["jobs", "show", new])["status"], "queued");
        for wrong in [
            &["--all-tenants"][..],
            &["--older-than", "1d"],
            &["--older-than", "1d", "--all-tenants", "--tenant", "acme"],
        ] {
            assert_eq!(
                sample.run(&[&["jobs", "fail-stale"], wrong].concat()).code,
                2,
                "{wrong:?}"
            );
        }
    });
}

#[test]
fn events_are_listed_by_id_and_summed_up_by_name() {
    on_both(|sample, _| {
        let [old, running, _] = &sample.jobs;
        for (filter, expected) in [
            (&[][..], &["1", "2", "3"][..]),
            (&["--job", old], &["1", "2"]),
            (&["--status", "error"], &["3"]),
            (&["--event", "other"], &[]),
            (&["--since", "2d"], &["3"]),
            (&["--after", "1"], &["2", "3"]),
            (&["--limit", "2"], &["1", "2"]),
        ] {
            assert_eq!(
                sample.list(&[&["events", "list"], filter].concat(), "events", "id"),
                expected,
                "{filter:?}"
            );
        }
        assert_eq!(
            sample.report(&["events", "list", "--limit", "2"])["next"],
            2
        );
        assert!(
            sample
                .text(&["events", "list", "--limit", "2"])
                .ends_with("more follow: `--after 2`\n")
        );
        assert_eq!(
            sample
                .run(&["events", "list", "--labels"])
                .succeeds()
                .matches(MARKER)
                .count(),
            3
        );
        let summary = sample.report(&["events", "summary", "--job", old]);
        let expected = json!([{"event": "step", "total": 2, "ok": 2, "error": 0, "averageMs": 12.3, "minMs": 12.2, "maxMs": 12.3}]);
        assert_eq!(summary["events"], expected);
        assert_eq!(
            sample.report(&["events", "summary", "--since", "2d"])["events"][0]["error"],
            1
        );
        assert!(
            sample
                .text(&["events", "summary", "--job", running])
                .contains("step   1      0   1      1.0")
        );
    });
}

#[test]
fn evidence_is_listed_exported_and_checked() {
    on_both(|sample, directory| {
        let [sbom, log] = &sample.artifacts;
        assert_eq!(
            sample
                .list(&["audit", "list"], "artifacts", "artifactId")
                .len(),
            2
        );
        assert_eq!(
            sample.list(
                &["audit", "list", "--kind", "log"],
                "artifacts",
                "artifactId"
            ),
            std::slice::from_ref(log)
        );
        assert_eq!(
            sample.list(
                &["audit", "list", "--job", &sample.jobs[0]],
                "artifacts",
                "artifactId"
            ),
            std::slice::from_ref(sbom)
        );
        let first = sample.report(&["audit", "list", "--limit", "1"])["next"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            sample
                .list(
                    &["audit", "list", "--after", &first],
                    "artifacts",
                    "artifactId"
                )
                .len(),
            1
        );
        sample.text(&["audit", "list"]);

        let output = directory.join("out.bin");
        let output = output.to_str().unwrap();
        sample.text(&["audit", "export", sbom, "--output", output]);
        let content = fs::read(output).unwrap();
        assert_eq!(
            (content.len(), content.starts_with(MARKER.as_bytes())),
            ((5 << 20) + MARKER.len() + 1, true)
        );
        sample
            .run(&["audit", "export", log, "--output", output])
            .fails(12, &["out.bin"]);
        assert_eq!(fs::read(output).unwrap(), content);
        sample
            .run(&["audit", "export", "nothing", "--output", "other"])
            .fails(4, &["there is no audit artifact `nothing`"]);

        let report = sample.report(&["audit", "verify"]);
        assert_eq!(
            (&report["checked"], &report["damaged"]),
            (&json!(2), &json!([]))
        );
        assert_eq!(
            sample.report(&["audit", "verify", "--job", &sample.jobs[0]])["checked"],
            1
        );
    });
}

#[test]
fn damaged_evidence_is_named_and_never_exported() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let sample = fill(format!("sqlite:///{path}"), |clock| {
        Box::new(SqliteStore::open(&path, clock, guard()).unwrap())
    });
    let [sbom, log] = &sample.artifacts;
    let damage = format!(
        "UPDATE audit_artifact SET content = x'00' WHERE artifact_id = '{sbom}';
        UPDATE audit_artifact SET sha256 = upper(sha256) WHERE artifact_id = '{log}'"
    );
    sqlite_execute(path.as_std_path(), &damage);
    let ended = sample.run(&["audit", "verify"]);
    assert_eq!(
        (ended.code, ended.stdout.matches("damaged: ").count()),
        (5, 1),
        "{ended:?}"
    );
    assert!(
        ended.stdout.contains(&format!(
            "damaged: {sbom} of job {}: its size is another",
            sample.jobs[0]
        )),
        "{ended:?}"
    );
    let output = directory.path().join("out.bin");
    sample
        .run(&[
            "audit",
            "export",
            sbom,
            "--output",
            output.to_str().unwrap(),
        ])
        .fails(6, &[sbom, "its size is another"]);
    let names = rune_testkit::tool::names_in(directory.path());
    assert!(
        !names
            .iter()
            .any(|name| name.contains("out.bin") || name.starts_with(".rune")),
        "{names:?}"
    );
}

#[test]
fn content_that_is_not_bytes_is_damaged_and_the_rest_is_still_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let sample = fill(format!("sqlite:///{path}"), |clock| {
        Box::new(SqliteStore::open(&path, clock, guard()).unwrap())
    });
    let [sbom, log] = &sample.artifacts;
    for (content, problem) in [
        ("7", "a number"),
        ("1.5", "a number"),
        ("CAST(content AS TEXT)", "text"),
    ] {
        sqlite_execute(
            path.as_std_path(),
            &format!("UPDATE audit_artifact SET content = {content} WHERE artifact_id = '{log}'"),
        );
        let report = sample.run(&["audit", "verify", "--json"]);
        assert_eq!(report.code, 5, "{report:?}");
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        assert_eq!(
            (
                &report["checked"],
                report["damaged"].as_array().unwrap().len()
            ),
            (&json!(2), 1),
            "{report}"
        );
        assert_eq!(
            report["damaged"][0]["problem"],
            format!("it is {problem}, not bytes")
        );
        let output = directory.path().join("out.bin");
        sample
            .run(&["audit", "export", log, "--output", output.to_str().unwrap()])
            .fails(6, &[log, "not bytes"]);
        assert!(!output.exists());
    }
    sqlite_execute(
        path.as_std_path(),
        &format!("UPDATE audit_artifact SET sha256 = x'00' WHERE artifact_id = '{sbom}'"),
    );
    let ended = sample.run(&["audit", "verify"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(
        ended.stdout.contains("`sha256`")
            && ended.stdout.contains(log)
            && ended.stdout.contains("run `rune-db verify`"),
        "{ended:?}"
    );
}

#[test]
fn settings_are_listed_without_values_and_changed_one_by_one() {
    on_both(|sample, directory| {
        assert_eq!(
            sample.list(&["settings", "list"], "settings", "key"),
            ["rune_config", "rune_other"]
        );
        assert_eq!(
            sample.list(
                &["settings", "list", "--prefix", "rune_c"],
                "settings",
                "key"
            ),
            ["rune_config"]
        );
        assert_eq!(
            sample.list(
                &["settings", "list", "--after", "rune_config"],
                "settings",
                "key"
            ),
            ["rune_other"]
        );
        assert_eq!(
            sample.list(
                &["settings", "list", "--prefix", "rune%"],
                "settings",
                "key"
            ),
            [""; 0]
        );
        assert!(
            sample
                .run(&["settings", "get", "rune_config"])
                .succeeds()
                .contains(MARKER)
        );
        let value = "{\"a\": NaN,  \"b\": [1]}";
        sample.text(&["settings", "set", "k", value]);
        assert_eq!(
            sample.run(&["settings", "get", "k"]).succeeds(),
            format!("{value}\n")
        );
        let file = directory.join("value.json");
        fs::write(&file, format!("{{\"secret\": \"{MARKER}\"}}\n")).unwrap();
        sample.text(&["settings", "set", "k", "--file", file.to_str().unwrap()]);
        assert_eq!(
            sample.run(&["settings", "get", "k"]).succeeds(),
            format!("{{\"secret\": \"{MARKER}\"}}\n")
        );
        let ended = sample.run(&["settings", "set", "k", &format!("[\"{MARKER}\"]")]);
        ended.fails(3, &["`value_json` is not a JSON object"]);
        assert!(!ended.stderr.contains(MARKER));
        let set = |input: &str| sample.fed(&["settings", "set", "k", "-"], input.as_bytes());
        set("{\"in\": 1}\n").succeeds();
        assert_eq!(
            sample.run(&["settings", "get", "k"]).succeeds(),
            "{\"in\": 1}\n"
        );
        set("").fails(3, &["`value_json`"]);
        sample
            .fed(&["settings", "set", "k", "-"], b"\xff")
            .fails(3, &["standard input", "not UTF-8"]);
        assert_eq!(
            sample.run(&["settings", "get", "k"]).succeeds(),
            "{\"in\": 1}\n"
        );
        sample.text(&["settings", "delete", "k"]);
        for verb in ["get", "delete"] {
            sample
                .run(&["settings", verb, "k"])
                .fails(4, &["there is no setting `k`"]);
        }
    });
}

#[test]
fn pruning_takes_what_is_old_and_evidence_only_when_told() {
    on_both(|sample, _| {
        let [old, ..] = &sample.jobs;
        let counts = |report: &Value| {
            [
                "events",
                "jobs",
                "idempotencyKeys",
                "chainStates",
                "auditArtifacts",
            ]
            .map(|name| report[name].clone())
        };
        let prune = |arguments: &[&str]| sample.report(&[&["prune"], arguments].concat());
        assert_eq!(
            counts(&prune(&["--older-than", "200d"])),
            [0, 0, 0, 0, 0].map(|count| json!(count))
        );
        let planned = prune(&["--older-than", "90d", "--dry-run"]);
        assert_eq!(counts(&planned), [2, 1, 1, 1, 0].map(|count| json!(count)));
        let with = prune(&["--older-than", "90d", "--dry-run", "--with-audit-artifacts"]);
        assert_eq!(counts(&with), [2, 1, 1, 1, 1].map(|count| json!(count)));
        assert_eq!(sample.list(&["jobs", "list"], "jobs", "jobId").len(), 3);
        assert_eq!(counts(&prune(&["--older-than", "90d"])), counts(&planned));
        sample
            .run(&["jobs", "show", old])
            .fails(4, &["there is no job"]);
        assert_eq!(sample.list(&["events", "list"], "events", "id"), ["3"]);
        assert_eq!(
            sample
                .list(&["audit", "list"], "artifacts", "artifactId")
                .len(),
            2
        );
        assert_eq!(
            counts(&prune(&["--older-than", "90d"])),
            [0, 0, 0, 0, 0].map(|count| json!(count))
        );
        // Jobs that have not ended stay, however old.
        assert_eq!(counts(&prune(&["--older-than", "1h"]))[1], json!(0));
        assert_eq!(sample.list(&["jobs", "list"], "jobs", "jobId").len(), 2);
        assert_eq!(sample.run(&["prune"]).code, 2);
    });
}

#[test]
fn many_old_jobs_are_pruned_in_batches() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    sqlite_execute(
        path.as_std_path(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1234)
            INSERT INTO jobs SELECT 'job-' || i, 't', 'k', 'failed', '{}', NULL, NULL, NULL, 1.0, 1.0 FROM n;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)
            INSERT INTO workflow_events (job_id, event, status, recorded_at) SELECT 'job-1', 'e', 'ok', 1.0 FROM n",
    );
    let report = rune_db(&["prune", "--older-than", "1d"])
        .on(&format!("sqlite:///{path}"))
        .report();
    assert_eq!(
        (&report["jobs"], &report["events"]),
        (&json!(1234), &json!(1100))
    );
}

/// Every verb of this kind with arguments that are right.
const VERBS: [&[&str]; 13] = [
    &["jobs", "list"],
    &["jobs", "show", "j"],
    &["jobs", "fail-stale", "--older-than", "1d", "--all-tenants"],
    &["events", "list"],
    &["events", "summary"],
    &["audit", "list"],
    &["audit", "export", "a", "--output", "out"],
    &["audit", "verify"],
    &["settings", "list"],
    &["settings", "get", "k"],
    &["settings", "set", "k", "{}"],
    &["settings", "delete", "k"],
    &["prune", "--older-than", "1d"],
];

#[test]
fn no_verb_makes_a_file_or_touches_a_schema_that_it_does_not_know() {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap();
    let path = migrated_file(root);
    sqlite_execute(
        path.as_std_path(),
        "INSERT INTO schema_version VALUES (7, 1.0)",
    );
    let server = Server::shared(17);
    let (empty, newer) = (server.database(), server.database());
    rune_db(&["migrate"]).on(&newer.url()).run().succeeds();
    newer.query("INSERT INTO schema_version VALUES (7, 1.0)");
    for verb in VERBS {
        rune_db(verb)
            .on(&format!("sqlite:///{root}/none.db"))
            .run()
            .fails(4, &["none.db"]);
        rune_db(verb)
            .on(&format!("sqlite:///{path}"))
            .run()
            .fails(12, &["schema version 7"]);
        rune_db(verb)
            .on(&newer.url())
            .run()
            .fails(12, &["schema version 7"]);
        rune_db(verb)
            .on(&empty.url())
            .run()
            .fails(5, &["not initialized", "rune-db migrate"]);
    }
    assert!(!root.join("none.db").exists());
}

#[test]
fn pool_limits_of_the_environment_are_read_with_clear_errors() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let run = |name, value| {
        rune_db(&["jobs", "list"])
            .on(&database.url())
            .env(name, value)
            .run()
    };
    run("RUNE_PG_POOL_MAX", "ten").fails(
        2,
        &["`RUNE_PG_POOL_MAX` must be a whole number from 1 to 1000"],
    );
    run("RUNE_PG_POOL_MAX", "3").succeeds();
}

#[test]
fn events_with_ids_of_zero_and_below_are_listed_on_both_engines_and_pages_go_on_past_them() {
    const EVENTS: &str = "INSERT INTO workflow_events (id, event, status, recorded_at) VALUES (-9223372036854775807, 'a', 'ok', 1), (-1, 'b', 'ok', 1), (0, 'c', 'ok', 1), (1, 'd', 'ok', 1)";
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    rune_testkit::tool::sqlite_execute(path.as_std_path(), EVENTS);
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(EVENTS);
    for url in [format!("sqlite:///{path}"), database.url()] {
        let names = |arguments: &[&str]| {
            let report = rune_db(&[&["events", "list"], arguments].concat())
                .on(&url)
                .report();
            let names: String = report["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["event"].as_str().unwrap())
                .collect();
            (names, report["next"].as_i64())
        };
        assert_eq!(names(&[]), ("abcd".to_owned(), None));
        assert_eq!(names(&["--limit", "2"]), ("ab".to_owned(), Some(-1)));
        assert_eq!(
            names(&["--limit", "2", "--after", "-1"]),
            ("cd".to_owned(), None)
        );
        assert_eq!(names(&["--after", "0"]), ("d".to_owned(), None));
        assert!(
            rune_db(&["events", "summary"])
                .on(&url)
                .run()
                .succeeds()
                .contains('a')
        );
    }
    rune_testkit::rows::compared(&format!("sqlite:///{path}"), &database.url(), &["--rows"])
        .succeeds();
}
