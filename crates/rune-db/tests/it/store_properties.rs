//! Whatever is done in whatever order, SQLite and PostgreSQL answer alike.

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rune_core::failure::Failure as _;
use rune_storage::port::{
    ChainNode, JobChange, JobStatus, NewArtifact, NewEvent, NewJob, NodeChange, PoolLimits,
    PostgresStore, StaleJobs, StoragePort, StoreError,
};
use rune_testkit::postgres::Server;

use crate::store_support::{clock, guard, memory_store, postgres_url, still_clock};
use rune_testkit::tool::rune_db;

const STATUSES: [JobStatus; 5] = JobStatus::ALL;
const WORDS: [&str; 10] = ["a", "A", "é", "a_b", "aXb", "", "a\0", "😀", "%", "failed"];
const TEXTS: [&str; 7] = [
    "{}",
    "{\"a\": NaN}",
    "{\"é\":  1}",
    "[]",
    "",
    "{\"a\": \"\\u0000\"}",
    "{'a'}",
];

/// One call: which operation, and small numbers that choose its values.
#[derive(Debug, Clone)]
struct Call {
    operation: u8,
    choice: [usize; 4],
    number: f64,
}

fn call() -> impl Strategy<Value = Call> {
    let number = prop_oneof![
        4 => (-2000_i32..200_000).prop_map(|tenths| f64::from(tenths) / 20.0),
        1 => any::<f64>(),
        1 => Just(-0.0),
    ];
    (
        0_u8..16,
        [0_usize..70, 0_usize..70, 0_usize..70, 0_usize..70],
        number,
    )
        .prop_map(|(operation, choice, number)| Call {
            operation,
            choice,
            number,
        })
}

/// A store and the ids that it has given out, which are random: the transcript has their numbers.
struct Run<'a> {
    store: &'a dyn StoragePort,
    jobs: Vec<String>,
    artifacts: Vec<String>,
}

impl Run<'_> {
    fn job(&self, choice: usize) -> String {
        self.jobs
            .get(choice % 5)
            .cloned()
            .unwrap_or_else(|| "nobody".to_owned())
    }

    fn make(&mut self, call: &Call) -> Result<String, StoreError> {
        let store = self.store;
        let [a, b, c, d] = call.choice;
        let word = |choice: usize| WORDS[choice % WORDS.len()];
        let text = |choice: usize| TEXTS[choice % TEXTS.len()];
        let status = STATUSES[c % STATUSES.len()];
        let job = self.job(a);
        Ok(match call.operation {
            0 => {
                let new = NewJob {
                    tenant_id: word(a),
                    kind: "k",
                    request_json: text(b),
                    idempotency_key: (c % 2 == 0).then(|| word(d)),
                };
                let created = store.create_job(&new)?;
                let index = self
                    .jobs
                    .iter()
                    .position(|id| *id == created.job_id)
                    .unwrap_or(self.jobs.len());
                if created.is_new {
                    self.jobs.push(created.job_id);
                }
                format!("{index} {}", created.is_new)
            }
            1 => {
                let change = JobChange {
                    status: (b % 3 != 0).then_some(status),
                    result_json: (d % 3 == 0).then(|| text(d)),
                    error: (d % 4 == 0).then(|| word(b)),
                    message: None,
                };
                format!("{:?}", store.update_job(&job, &change)?)
            }
            2 => format!(
                "{:?}",
                store
                    .get_job(&job, (b % 2 == 0).then(|| word(c)))?
                    .map(|job| (job.status, job.error, job.result_json))
            ),
            3 => {
                let jobs = StaleJobs {
                    tenant_id: (b % 2 == 0).then(|| word(c)),
                    unchanged_since: call.number,
                    message: "m",
                };
                store.fail_stale_jobs(&jobs)?.len().to_string()
            }
            4..=6 => {
                let event = NewEvent {
                    job_id: (b % 3 != 0).then_some(job.as_str()),
                    event: word(c),
                    status: if d % 2 == 0 { "ok" } else { "error" },
                    duration_ms: (d % 5 != 0).then_some(call.number),
                    error_type: (a % 4 == 0).then(|| word(a)),
                    labels_json: (b % 4 == 0).then(|| text(a)),
                    recorded_at: call.number,
                };
                // Ids are not compared: a number that a failed statement took is not given out
                // again.
                store.record_workflow_event(&event)?;
                String::new()
            }
            7 => format!(
                "{:?}",
                store.get_events_summary((b % 2 == 0).then_some(job.as_str()))?
            ),
            8 => {
                let events = store.get_events_for_job(&job, 0, 50)?;
                format!(
                    "{:?}",
                    events
                        .iter()
                        .map(|event| (&event.event, event.duration_ms, event.recorded_at))
                        .collect::<Vec<_>>()
                )
            }
            9 => {
                let nodes: Vec<_> = (0..b % 4)
                    .map(|index| ChainNode::pending(word(index)))
                    .collect();
                format!(
                    "{:?}",
                    store.record_chain_initialized(word(a), &nodes, &[])?
                )
            }
            10 => {
                let change = NodeChange {
                    status: word(c),
                    started_at: (d % 2 == 0).then_some(call.number),
                    ..NodeChange::default()
                };
                format!(
                    "{:?}",
                    store.record_chain_node_transition(word(a), word(b), &change)?
                )
            }
            11 => format!("{:?}", store.get_chain_state(word(a))?),
            12 => {
                let new = NewArtifact {
                    job_id: word(a),
                    kind: if b % 4 == 0 { "x" } else { "log" },
                    name: word(c),
                    content: &[7; 70][..d],
                };
                self.artifacts.push(store.record_audit_artifact(&new)?);
                String::new()
            }
            13 => {
                let id = self.artifacts.get(b % 5).map_or("nothing", String::as_str);
                format!(
                    "{:?}",
                    store
                        .get_audit_artifact(word(a), id)?
                        .map(|(info, content)| (info.name, info.sha256, content))
                )
            }
            14 => match d % 3 {
                0 => format!("{:?}", store.delete_setting(word(a))?),
                1 => format!(
                    "{:?}",
                    store.update_setting(word(a), &mut |_| (c % 3 != 0)
                        .then(|| text(b).to_owned()))?
                ),
                _ => format!("{:?}", store.set_setting(word(a), text(b))?),
            },
            _ => format!("{:?}", store.list_settings(word(a))?),
        })
    }

    fn say(&mut self, call: &Call) -> String {
        match self.make(call) {
            Ok(text) => text,
            Err(error) => {
                let text = self
                    .jobs
                    .iter()
                    .fold(error.to_string(), |text, id| text.replace(id, "(id)"));
                format!("{:?}: {text}", error.kind())
            }
        }
    }
}

#[test]
fn random_operations_have_the_same_results_on_sqlite_and_postgres() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let postgres = PostgresStore::open(
        &postgres_url(&database.url()),
        PoolLimits::default(),
        clock(&still_clock()),
        guard(),
    )
    .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&prop::collection::vec(call(), 1..60), |calls| {
        database.query("TRUNCATE jobs, idempotency_keys, workflow_events, chain_state, audit_artifact, settings");
        let sqlite = memory_store(&still_clock());
        let mut left = Run { store: &sqlite, jobs: Vec::new(), artifacts: Vec::new() };
        let mut right = Run { store: &postgres, jobs: Vec::new(), artifacts: Vec::new() };
        for call in &calls {
            prop_assert_eq!(left.say(call), right.say(call), "{:?}", call);
        }
        Ok(())
    });
    outcome.unwrap();
}
