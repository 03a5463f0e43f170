//! What the port does with the steps of chained jobs.

use rune_core::failure::FailureKind::{Input, NotFound};
use rune_storage::port::{ChainEdge, ChainNode, NodeChange};

use crate::store_support::{Bench, Case};

fn start(bench: &Bench, ids: &[&str]) {
    let nodes: Vec<_> = ids.iter().map(|id| ChainNode::pending(*id)).collect();
    let edges: Vec<_> = ids
        .windows(2)
        .map(|pair| ChainEdge {
            from: pair[0].to_owned(),
            to: pair[1].to_owned(),
        })
        .collect();
    bench
        .store
        .record_chain_initialized("j", &nodes, &edges)
        .unwrap();
}

fn go(bench: &Bench, node_id: &str, status: &str) {
    bench
        .store
        .record_chain_node_transition(
            "j",
            node_id,
            &NodeChange {
                status,
                ..NodeChange::default()
            },
        )
        .unwrap();
}

fn overall(bench: &Bench) -> String {
    bench
        .store
        .get_chain_state("j")
        .unwrap()
        .unwrap()
        .overall_status
}

fn node(bench: &Bench, index: usize) -> ChainNode {
    bench
        .store
        .get_chain_state("j")
        .unwrap()
        .unwrap()
        .nodes
        .remove(index)
}

/// Where the database can be looked into: its text of the chain.
fn stored(bench: &Bench, expected: &str) {
    let found = bench.sql("SELECT state_json FROM chain_state");
    assert!(
        found.is_none_or(|found| found == expected),
        "{:?}",
        bench.sql("SELECT state_json FROM chain_state")
    );
}

/// Puts a text where the port reads chains; on SQLite in memory, the same by way of the port is
/// seen.
fn plant(bench: &Bench, state_json: &str) -> bool {
    let sql = format!(
        "INSERT INTO chain_state VALUES ('j', '{}', 'pending', 1.0)",
        state_json.replace('\'', "''")
    );
    bench.sql(&sql).is_some()
}

fn ends(bench: &Bench, statuses: &[&str], expected: &str) {
    let ids: Vec<String> = (0..statuses.len()).map(|index| index.to_string()).collect();
    start(bench, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    for (id, status) in ids.iter().zip(statuses) {
        go(bench, id, status);
    }
    bench.sees(overall(bench), expected);
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an_unknown_chain_is_none",
        run: |bench| bench.sees(bench.store.get_chain_state("j").unwrap(), None),
    },
    Case {
        name: "a_new_chain_is_pending",
        run: |bench| {
            start(bench, &["a", "b"]);
            let state = bench.store.get_chain_state("j").unwrap().unwrap();
            bench.sees(
                state.nodes,
                vec![ChainNode::pending("a"), ChainNode::pending("b")],
            );
            bench.sees(
                (
                    state.edges.len(),
                    state.edges[0].from.as_str(),
                    state.edges[0].to.as_str(),
                ),
                (1, "a", "b"),
            );
            bench.sees(state.overall_status, "pending");
        },
    },
    Case {
        name: "a_chain_is_spelt_as_python_spells_it",
        run: |bench| {
            let node = ChainNode {
                agent_name: "é\"\n".to_owned(),
                started_at: Some(1_770_000_000.5),
                finished_at: Some(1e16),
                error: Some("😀".to_owned()),
                ..ChainNode::pending("a")
            };
            let edge = ChainEdge {
                from: "a".to_owned(),
                to: "b".to_owned(),
            };
            bench
                .store
                .record_chain_initialized("j", std::slice::from_ref(&node), &[edge])
                .unwrap();
            bench.sees(
                bench.store.get_chain_state("j").unwrap().unwrap().nodes,
                vec![node],
            );
            stored(
                bench,
                concat!(
                    r#"{"nodes": [{"id": "a", "agent_name": "\u00e9\"\n", "status": "pending", "started_at": 1770000000.5, "#,
                    r#""finished_at": 1e+16, "error": "\ud83d\ude00"}], "edges": [{"from": "a", "to": "b"}]}"#
                ),
            );
        },
    },
    Case {
        name: "a_chain_without_steps_is_pending",
        run: |bench| {
            start(bench, &[]);
            bench.sees(overall(bench), "pending");
            stored(bench, r#"{"nodes": [], "edges": []}"#);
        },
    },
    Case {
        name: "setting_a_chain_again_replaces_it",
        run: |bench| {
            start(bench, &["a"]);
            go(bench, "a", "failed");
            start(bench, &["b"]);
            bench.sees(
                (overall(bench).as_str(), node(bench, 0).id.as_str()),
                ("pending", "b"),
            );
        },
    },
    Case {
        name: "a_step_takes_what_is_said_about_it",
        run: |bench| {
            start(bench, &["a"]);
            let change = NodeChange {
                status: "failed",
                started_at: Some(1.5),
                finished_at: Some(2.5),
                error: Some("no"),
            };
            bench
                .store
                .record_chain_node_transition("j", "a", &change)
                .unwrap();
            let node = node(bench, 0);
            bench.sees(
                (node.started_at, node.finished_at, node.error.as_deref()),
                (Some(1.5), Some(2.5), Some("no")),
            );
        },
    },
    Case {
        name: "a_step_keeps_what_nothing_is_said_about",
        run: |bench| {
            start(bench, &["a"]);
            let change = NodeChange {
                status: "running",
                started_at: Some(1.5),
                ..NodeChange::default()
            };
            bench
                .store
                .record_chain_node_transition("j", "a", &change)
                .unwrap();
            go(bench, "a", "success");
            let node = node(bench, 0);
            bench.sees(
                (node.status.as_str(), node.started_at, node.finished_at),
                ("success", Some(1.5), None),
            );
        },
    },
    Case {
        name: "the_first_of_two_steps_of_one_name_changes",
        run: |bench| {
            start(bench, &["a", "a"]);
            go(bench, "a", "running");
            bench.sees(
                [node(bench, 0).status, node(bench, 1).status],
                ["running", "pending"],
            );
        },
    },
    Case {
        name: "a_step_of_an_unknown_chain_fails",
        run: |bench| {
            let outcome = bench.store.record_chain_node_transition(
                "j",
                "a",
                &NodeChange {
                    status: "running",
                    ..NodeChange::default()
                },
            );
            bench.fails(
                outcome,
                NotFound,
                "chain state not initialized for job_id=j",
            );
        },
    },
    Case {
        name: "an_unknown_step_fails",
        run: |bench| {
            start(bench, &["a"]);
            let outcome = bench.store.record_chain_node_transition(
                "j",
                "x",
                &NodeChange {
                    status: "running",
                    ..NodeChange::default()
                },
            );
            bench.fails(
                outcome,
                NotFound,
                "chain node 'x' not found in state for job_id=j",
            );
        },
    },
    Case {
        name: "a_refused_step_leaves_the_chain",
        run: |bench| {
            start(bench, &["a"]);
            let change = NodeChange {
                status: "running",
                started_at: Some(f64::NAN),
                ..NodeChange::default()
            };
            bench.fails(
                bench.store.record_chain_node_transition("j", "a", &change),
                Input,
                "`node.started_at`",
            );
            bench.sees(
                (overall(bench).as_str(), node(bench, 0).status.as_str()),
                ("pending", "pending"),
            );
        },
    },
    Case {
        name: "a_step_without_name_is_refused",
        run: |bench| {
            bench.fails(
                bench
                    .store
                    .record_chain_initialized("j", &[ChainNode::pending("")], &[]),
                Input,
                "`node.id`",
            );
        },
    },
    Case {
        name: "an_edge_from_nowhere_is_refused",
        run: |bench| {
            let edge = ChainEdge {
                from: String::new(),
                to: "b".to_owned(),
            };
            bench.fails(
                bench.store.record_chain_initialized("j", &[], &[edge]),
                Input,
                "`edge.from`",
            );
        },
    },
    Case {
        name: "s09_a_step_with_nul_is_refused",
        run: |bench| {
            bench.fails(
                bench
                    .store
                    .record_chain_initialized("j", &[ChainNode::pending("a\0")], &[]),
                Input,
                "U+0000",
            );
        },
    },
    Case {
        name: "an_unknown_status_is_kept",
        run: |bench| {
            start(bench, &["a"]);
            go(bench, "a", "odd");
            bench.sees(
                (node(bench, 0).status.as_str(), overall(bench).as_str()),
                ("odd", "success"),
            );
        },
    },
    Case {
        name: "one_failed_step_fails_the_chain",
        run: |bench| ends(bench, &["success", "failed", "running"], "failed"),
    },
    Case {
        name: "one_running_step_runs_the_chain",
        run: |bench| ends(bench, &["success", "running", "pending"], "running"),
    },
    Case {
        name: "one_pending_step_keeps_the_chain_pending",
        run: |bench| ends(bench, &["success", "pending"], "pending"),
    },
    Case {
        name: "only_skipped_steps_skip_the_chain",
        run: |bench| ends(bench, &["skipped", "skipped"], "skipped"),
    },
    Case {
        name: "skipped_and_succeeded_is_success",
        run: |bench| ends(bench, &["skipped", "success"], "success"),
    },
    Case {
        name: "all_succeeded_is_success",
        run: |bench| ends(bench, &["success", "success"], "success"),
    },
    Case {
        name: "what_the_port_does_not_know_of_a_chain_stays",
        run: |bench| {
            let text = r#"{"nodes": [{"id": "a", "status": "pending", "extra": [1, NaN, 12345678901234567890123], "started_at": 5}], "edges": [], "v": "\ud800"}"#;
            if plant(bench, text) {
                go(bench, "a", "running");
                stored(bench, &text.replace("\"pending\"", "\"running\""));
                assert_eq!(node(bench, 0).started_at, Some(5.0));
            }
            bench.sees(0, 0);
        },
    },
    Case {
        name: "a_chain_that_is_none_fails_and_stays",
        run: |bench| {
            if plant(bench, "[]") {
                let change = NodeChange {
                    status: "running",
                    ..NodeChange::default()
                };
                let error = bench
                    .store
                    .record_chain_node_transition("j", "a", &change)
                    .unwrap_err();
                assert!(
                    error
                        .to_string()
                        .contains("`chain_state.state_json` of job `j` cannot be read"),
                    "{error}"
                );
                assert!(bench.store.get_chain_state("j").is_err());
                stored(bench, "[]");
            }
            bench.sees(0, 0);
        },
    },
    Case {
        name: "chains_of_other_jobs_stay",
        run: |bench| {
            start(bench, &["a"]);
            bench
                .store
                .record_chain_initialized("k", &[ChainNode::pending("a")], &[])
                .unwrap();
            go(bench, "a", "failed");
            bench.sees(
                bench
                    .store
                    .get_chain_state("k")
                    .unwrap()
                    .unwrap()
                    .overall_status,
                "pending",
            );
        },
    },
];
