//! The port under many threads, and two stores on one database, as two replicas of RUNE are.

use std::{
    collections::BTreeSet,
    sync::{Arc, Barrier},
};

use camino::Utf8Path;
use rune_storage::port::{
    ChainNode, NodeChange, PoolLimits, PostgresStore, SqliteStore, StoragePort,
};
use rune_testkit::postgres::{MAJORS, Server};

use crate::store_support::{
    clock, guard, job, memory_store, migrated_file, postgres_url, still_clock,
};
use rune_testkit::tool::rune_db;

/// Stores of one database.
type Stores = Vec<Arc<dyn StoragePort>>;

/// Does something with the stores of every backend.
fn everywhere(act: impl Fn(&str, &Stores)) {
    act("memory", &vec![Arc::new(memory_store(&still_clock()))]);
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let open = || -> Arc<dyn StoragePort> {
        Arc::new(SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap())
    };
    act("file", &vec![open(), open()]);
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        let url = postgres_url(&database.url());
        let open = || -> Arc<dyn StoragePort> {
            Arc::new(
                PostgresStore::open(&url, PoolLimits::default(), clock(&still_clock()), guard())
                    .unwrap(),
            )
        };
        act(&format!("PostgreSQL {major}"), &vec![open(), open()]);
    }
}

/// Runs something in many threads that start at the same moment, in turn on each store.
fn at_once<T: Send>(
    stores: &Stores,
    threads: usize,
    act: impl Fn(usize, &dyn StoragePort) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let run = |index: usize| {
            let (barrier, act, store) = (&barrier, &act, &stores[index % stores.len()]);
            scope.spawn(move || {
                barrier.wait();
                act(index, store.as_ref())
            })
        };
        let threads: Vec<_> = (0..threads).map(run).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn s01_160_calls_with_one_key_get_160_answers_with_one_id() {
    everywhere(|backend, stores| {
        let answers = at_once(stores, 160, |_, store| {
            job(store, "t", "benchmark", Some("key"))
        });
        let ids: BTreeSet<_> = answers
            .iter()
            .map(|answer| answer.job_id.as_str())
            .collect();
        assert_eq!((answers.len(), ids.len()), (160, 1), "{backend}");
        assert_eq!(
            answers.iter().filter(|answer| answer.is_new).count(),
            1,
            "{backend}"
        );
        assert!(
            stores[0]
                .get_job(&answers[0].job_id, Some("t"))
                .unwrap()
                .is_some(),
            "{backend}"
        );
    });
}

#[test]
fn s02_80_of_80_transitions_at_once_are_kept() {
    everywhere(|backend, stores| {
        let nodes: Vec<_> = (0..80)
            .map(|index| ChainNode::pending(index.to_string()))
            .collect();
        stores[0]
            .record_chain_initialized("j", &nodes, &[])
            .unwrap();
        at_once(stores, 8, |thread, store| {
            for index in 0..10 {
                let change = NodeChange {
                    status: "success",
                    ..NodeChange::default()
                };
                store
                    .record_chain_node_transition("j", &(thread * 10 + index).to_string(), &change)
                    .unwrap();
            }
        });
        let state = stores[0].get_chain_state("j").unwrap().unwrap();
        assert_eq!(
            state
                .nodes
                .iter()
                .filter(|node| node.status == "success")
                .count(),
            80,
            "{backend}"
        );
        assert_eq!(state.overall_status, "success", "{backend}");
    });
}

#[test]
fn s11_no_update_of_a_setting_is_lost_the_first_one_included() {
    everywhere(|backend, stores| {
        at_once(stores, 8, |_, store| {
            for _ in 0..10 {
                // The value grows by one letter each time.
                let mut add = |value: Option<&str>| {
                    let letters = value.map_or(0, |value| value.matches('x').count());
                    Some(format!("{{\"{}\": 1}}", "x".repeat(letters + 1)))
                };
                store.update_setting("k", &mut add).unwrap();
            }
        });
        let value = stores[0].get_setting("k").unwrap().unwrap().value_json;
        assert_eq!(value.matches('x').count(), 80, "{backend}");
    });
}

#[test]
fn event_ids_are_given_out_once() {
    everywhere(|backend, stores| {
        let ids = at_once(stores, 16, |_, store| {
            (0..5)
                .map(|_| crate::store_support::event(store, Some("j"), "e", "ok", None))
                .collect::<Vec<_>>()
        });
        let ids: BTreeSet<_> = ids.into_iter().flatten().collect();
        assert_eq!(ids.len(), 80, "{backend}");
        assert_eq!(
            stores[0].get_events_for_job("j", 0, 100).unwrap().len(),
            80,
            "{backend}"
        );
    });
}

#[test]
fn a_job_ends_once_whoever_says_so() {
    use rune_storage::port::{JobChange, JobStatus};
    everywhere(|backend, stores| {
        let id = job(stores[0].as_ref(), "t", "k", None).job_id;
        let ends = [
            JobStatus::Succeeded,
            JobStatus::Failed,
            JobStatus::Cancelled,
        ];
        let outcomes = at_once(stores, 12, |index, store| {
            store
                .update_job(
                    &id,
                    &JobChange {
                        status: Some(ends[index % 3]),
                        ..JobChange::default()
                    },
                )
                .is_ok()
        });
        // Four say the same, and only they are heard.
        assert_eq!(
            outcomes.iter().filter(|is_heard| **is_heard).count(),
            4,
            "{backend}"
        );
    });
}
