//! Python's drivers and the port read, write and change each other's rows, by the URL that the
//! chart makes.

use std::{path::PathBuf, process::Command};

use camino::Utf8Path;
use rune_storage::port::{
    ChainNode, JobChange, JobStatus, NewArtifact, NewEvent, NewJob, NodeChange, OperatorPort,
    PoolLimits, PostgresStore, SqliteStore,
};
use rune_testkit::postgres::{MAJORS, Server};

use crate::store_support::{clock, guard, migrated_file, postgres_url, still_clock};
use rune_testkit::tool::rune_db;

const PROGRAM: &str = include_str!("store_python/rune.py");
const JOB: &str = "3f2b8c1e-0000-4000-8000-00000000000a";
const TIME: f64 = 1_777_777_777.123_456_7;
/// `json.dumps(…, sort_keys=True)` of what the program writes.
const REQUEST: &str =
    r#"{"a": "\u00e9\ud83d\ude00\n", "b": [1, 2.5, NaN], "big": 12345678901234567890123}"#;

fn python(url: &str, step: &str, job_id: &str) {
    let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    );
    let mut command = Command::new("python3");
    command
        .args(["-c", PROGRAM, step])
        .env("PYTHONPATH", tools.join("python"))
        .env("URL", url)
        .env("JOB", job_id);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{step}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn exchange(url: &str, store: &dyn OperatorPort) {
    python(url, "write", "");
    let job = store.get_job(JOB, Some("acme")).unwrap().unwrap();
    assert_eq!(
        (
            job.request_json.as_str(),
            job.result_json,
            job.created_at.to_bits()
        ),
        (REQUEST, None, TIME.to_bits())
    );
    let again = NewJob {
        tenant_id: "acme",
        kind: "benchmark",
        request_json: "{}",
        idempotency_key: Some("key"),
    };
    assert_eq!(store.create_job(&again).unwrap().job_id, JOB);
    let event = store.get_events_for_job(JOB, 0, 10).unwrap().remove(0);
    assert_eq!(
        (event.id, event.duration_ms, event.recorded_at),
        (1, Some(0.1 + 0.2), TIME)
    );
    assert_eq!(event.labels_json.as_deref(), Some(r#"{"\u00e9": 1}"#));
    let chain = store.get_chain_state(JOB).unwrap().unwrap();
    assert_eq!(
        (
            chain.nodes[0].agent_name.as_str(),
            chain.nodes[0].started_at
        ),
        ("é", Some(TIME))
    );
    let (info, content) = store.get_audit_artifact(JOB, JOB).unwrap().unwrap();
    assert_eq!(
        (info.name.as_str(), content.len(), content[255]),
        ("é.json", 1_280_000, 255)
    );
    assert_eq!(
        store
            .get_setting("rune_config")
            .unwrap()
            .unwrap()
            .value_json,
        REQUEST
    );

    let change = NodeChange {
        status: "success",
        finished_at: Some(TIME + 1.0),
        ..NodeChange::default()
    };
    store
        .record_chain_node_transition(JOB, "b", &change)
        .unwrap();
    let ours = NewJob {
        tenant_id: "t",
        kind: "benchmark",
        request_json: r#"{"x": Infinity}"#,
        idempotency_key: Some("ours"),
    };
    let id = store.create_job(&ours).unwrap().job_id;
    let event = NewEvent {
        job_id: Some(&id),
        event: "ours",
        status: "ok",
        duration_ms: Some(0.1 + 0.2),
        error_type: None,
        labels_json: None,
        recorded_at: TIME,
    };
    store.record_workflow_event(&event).unwrap();
    store
        .record_chain_initialized(&id, &[ChainNode::pending("é😀")], &[])
        .unwrap();
    let change = NodeChange {
        status: "failed",
        started_at: Some(1e16),
        finished_at: None,
        error: Some("\"\u{7f}\\"),
    };
    store
        .record_chain_node_transition(&id, "é😀", &change)
        .unwrap();
    let content = b"\0\xff".repeat(1000);
    store
        .record_audit_artifact(&NewArtifact {
            job_id: &id,
            kind: "log",
            name: "n",
            content: &content,
        })
        .unwrap();
    store.set_setting("ours", r#"{"a": NaN}"#).unwrap();
    python(url, "check", &id);

    python(url, "change", &id);
    let job = store.get_job(&id, None).unwrap().unwrap();
    assert_eq!(
        (
            job.status.as_str(),
            job.result_json.as_deref(),
            job.updated_at
        ),
        ("succeeded", Some(r#"{"\u00e9": NaN}"#), TIME)
    );
    let late = JobChange {
        status: Some(JobStatus::Failed),
        ..JobChange::default()
    };
    assert!(
        store.update_job(&id, &late).is_err(),
        "what Python ended comes back"
    );
    let chain = store.get_chain_state(&id).unwrap().unwrap();
    assert_eq!(
        (
            chain.overall_status.as_str(),
            chain.nodes[0].status.as_str()
        ),
        ("success", "success")
    );
    assert_eq!(store.get_setting("ours").unwrap().unwrap().value_json, "{}");
    assert_eq!(store.get_events_for_job(&id, 0, 10).unwrap(), []);
}

#[test]
fn pythons_sqlite3_and_the_port_understand_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let store = SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap();
    exchange(&format!("sqlite:///{path}"), &store);
}

#[test]
fn psycopg_and_the_port_understand_each_other_by_the_url_of_the_chart() {
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        let url = format!("{}?sslmode=disable", database.url());
        rune_db(&["migrate"]).on(&url).run().succeeds();
        let store = PostgresStore::open(
            &postgres_url(&url),
            PoolLimits::default(),
            clock(&still_clock()),
            guard(),
        )
        .unwrap();
        exchange(&url, &store);
    }
}
