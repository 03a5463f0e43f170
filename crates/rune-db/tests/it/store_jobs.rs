//! What the port does with jobs.

use rune_core::failure::FailureKind::{Conflict, Input, NotFound};
use rune_storage::port::{Job, JobChange, JobStatus, NewJob, StaleJobs};

use crate::store_support::{Bench, Case};

fn get(bench: &Bench, job_id: &str) -> Job {
    bench.store.get_job(job_id, None).unwrap().unwrap()
}

fn set(bench: &Bench, job_id: &str, status: JobStatus) {
    bench
        .store
        .update_job(
            job_id,
            &JobChange {
                status: Some(status),
                ..JobChange::default()
            },
        )
        .unwrap();
}

fn moves(bench: &Bench, path: &[JobStatus], refused: Option<JobStatus>) {
    let id = bench.job("t", "benchmark", None).job_id;
    for status in path {
        set(bench, &id, *status);
    }
    if let Some(status) = refused {
        let change = JobChange {
            status: Some(status),
            message: Some("late"),
            ..JobChange::default()
        };
        bench.fails(
            bench.store.update_job(&id, &change),
            Conflict,
            "cannot become",
        );
    }
    bench.sees(get(bench, &id).status, path.last().unwrap().word());
    bench.sees(get(bench, &id).message.as_deref(), Some("accepted"));
}

fn new<'a>(tenant_id: &'a str, kind: &'a str, request_json: &'a str) -> NewJob<'a> {
    NewJob {
        tenant_id,
        kind,
        request_json,
        idempotency_key: None,
    }
}

fn stale(bench: &Bench, tenant_id: Option<&str>, unchanged_since: f64) -> usize {
    bench
        .store
        .fail_stale_jobs(&StaleJobs {
            tenant_id,
            unchanged_since,
            message: "gone",
        })
        .unwrap()
        .len()
}

/// One unfinished job for each of two tenants at 100 and 200 seconds, and one that succeeded.
fn some_jobs(bench: &Bench) -> [String; 5] {
    let job = |time, tenant| bench.at(time).job(tenant, "benchmark", None).job_id;
    let jobs = [
        job(100.0, "a"),
        job(100.0, "b"),
        job(200.0, "a"),
        job(200.0, "b"),
        job(50.0, "a"),
    ];
    set(bench, &jobs[4], JobStatus::Succeeded);
    bench.at(200.0);
    set(bench, &jobs[2], JobStatus::Running);
    bench.at(300.0);
    jobs
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a_new_job_is_queued_and_accepted_now",
        run: |bench| {
            let created = bench.job("t", "benchmark", None);
            assert!(created.is_new);
            let job = get(bench, &created.job_id);
            bench.sees(
                (
                    job.tenant_id.as_str(),
                    job.kind.as_str(),
                    job.status.as_str(),
                ),
                ("t", "benchmark", "queued"),
            );
            bench.sees(
                (job.message.as_deref(), job.error, job.result_json),
                (Some("accepted"), None, None),
            );
            bench.sees((job.created_at, job.updated_at), (1000.5, 1000.5));
        },
    },
    Case {
        name: "a_job_id_is_a_uuid_of_version_4",
        run: |bench| {
            let id = bench.job("t", "benchmark", None).job_id;
            bench.sees(
                (
                    id.len(),
                    &id[14..15],
                    id.matches('-').count(),
                    "89ab".contains(&id[19..20]),
                ),
                (36, "4", 4, true),
            );
        },
    },
    Case {
        name: "two_jobs_without_key_are_two",
        run: |bench| {
            bench.sees(
                bench.job("t", "k", None).job_id == bench.job("t", "k", None).job_id,
                false,
            );
        },
    },
    Case {
        name: "the_request_stays_the_text_it_was",
        run: |bench| {
            let text = "{\"b\":1,  \"a\": NaN, \"e\": \"\\u00e9\", \"n\": 12345678901234567890123, \"x\": -Infinity}";
            let id = bench.store.create_job(&new("t", "k", text)).unwrap().job_id;
            bench.sees(get(bench, &id).request_json, text);
        },
    },
    Case {
        name: "a_request_that_is_no_json_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.create_job(&new("t", "k", "{'a': 1}")),
                Input,
                "`request_json` is not JSON from byte 1 on",
            );
        },
    },
    Case {
        name: "a_request_that_is_no_object_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.create_job(&new("t", "k", "[]")),
                Input,
                "`request_json` is not a JSON object",
            );
        },
    },
    Case {
        name: "a_tenant_of_64_letters_is_taken",
        run: |bench| {
            let tenant = "é".repeat(64);
            let id = bench.job(&tenant, "k", None).job_id;
            bench.sees(get(bench, &id).tenant_id, tenant);
        },
    },
    Case {
        name: "a_tenant_of_65_letters_is_refused",
        run: |bench| {
            let tenant = "é".repeat(65);
            bench.fails(
                bench.store.create_job(&new(&tenant, "k", "{}")),
                Input,
                "`tenant_id` has more than 64 characters",
            );
        },
    },
    Case {
        name: "an_empty_tenant_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.create_job(&new("", "k", "{}")),
                Input,
                "`tenant_id` is empty",
            );
        },
    },
    Case {
        name: "an_empty_kind_is_refused",
        run: |bench| bench.fails(bench.store.create_job(&new("t", "", "{}")), Input, "`kind`"),
    },
    Case {
        name: "s09_a_tenant_with_nul_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.create_job(&new("a\0b", "k", "{}")),
                Input,
                "`tenant_id` contains U+0000",
            );
        },
    },
    Case {
        name: "an_escaped_nul_in_a_request_is_kept",
        run: |bench| {
            let id = bench
                .store
                .create_job(&new("t", "k", r#"{"a": "\u0000"}"#))
                .unwrap()
                .job_id;
            bench.sees(get(bench, &id).request_json, r#"{"a": "\u0000"}"#);
        },
    },
    Case {
        name: "an_unknown_job_is_none",
        run: |bench| bench.sees(bench.store.get_job("nobody", None).unwrap(), None),
    },
    Case {
        name: "a_job_id_with_nul_is_none",
        run: |bench| bench.sees(bench.store.get_job("a\0", None).unwrap(), None),
    },
    Case {
        name: "a_job_of_another_tenant_is_none",
        run: |bench| {
            let id = bench.job("a", "k", None).job_id;
            bench.sees(bench.store.get_job(&id, Some("b")).unwrap(), None);
            bench.sees(bench.store.get_job(&id, Some("a")).unwrap().is_some(), true);
        },
    },
    Case {
        name: "tenants_differ_by_case",
        run: |bench| {
            let id = bench.job("a", "k", None).job_id;
            bench.sees(bench.store.get_job(&id, Some("A")).unwrap(), None);
        },
    },
    Case {
        name: "a_change_changes_only_what_it_names",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            bench
                .at(2000.25)
                .store
                .update_job(
                    &id,
                    &JobChange {
                        message: Some("half"),
                        ..JobChange::default()
                    },
                )
                .unwrap();
            let job = get(bench, &id);
            bench.sees(
                (
                    job.status.as_str(),
                    job.message.as_deref(),
                    job.created_at,
                    job.updated_at,
                ),
                ("queued", Some("half"), 1000.5, 2000.25),
            );
        },
    },
    Case {
        name: "an_empty_change_is_a_sign_of_life",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            bench
                .at(2000.0)
                .store
                .update_job(&id, &JobChange::default())
                .unwrap();
            bench.sees(get(bench, &id).updated_at, 2000.0);
        },
    },
    Case {
        name: "a_result_stays_the_text_it_was",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            let result = "{\"z\": [1e400, NaN],\"a\":{}}";
            bench
                .store
                .update_job(
                    &id,
                    &JobChange {
                        result_json: Some(result),
                        ..JobChange::default()
                    },
                )
                .unwrap();
            bench.sees(get(bench, &id).result_json.as_deref(), Some(result));
        },
    },
    Case {
        name: "a_result_that_is_no_object_is_refused",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            let change = JobChange {
                result_json: Some("null"),
                ..JobChange::default()
            };
            bench.fails(bench.store.update_job(&id, &change), Input, "`result_json`");
            bench.sees(get(bench, &id).result_json, None);
        },
    },
    Case {
        name: "s09_an_error_with_nul_is_refused",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            let change = JobChange {
                error: Some("a\0b"),
                ..JobChange::default()
            };
            bench.fails(
                bench.store.update_job(&id, &change),
                Input,
                "`error` contains U+0000",
            );
        },
    },
    Case {
        name: "an_error_of_10000_letters_is_taken",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            let error = "x".repeat(10_000);
            bench
                .store
                .update_job(
                    &id,
                    &JobChange {
                        error: Some(&error),
                        ..JobChange::default()
                    },
                )
                .unwrap();
            bench.sees(get(bench, &id).error.map(|error| error.len()), Some(10_000));
        },
    },
    Case {
        name: "an_error_of_10001_letters_is_refused",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            let error = "x".repeat(10_001);
            let change = JobChange {
                error: Some(&error),
                ..JobChange::default()
            };
            bench.fails(
                bench.store.update_job(&id, &change),
                Input,
                "`error` has more than 10000 characters",
            );
        },
    },
    Case {
        name: "an_empty_error_is_an_error",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            bench
                .store
                .update_job(
                    &id,
                    &JobChange {
                        error: Some(""),
                        ..JobChange::default()
                    },
                )
                .unwrap();
            bench.sees(get(bench, &id).error.as_deref(), Some(""));
        },
    },
    Case {
        name: "s07_changing_an_unknown_job_fails",
        run: |bench| {
            bench.fails(
                bench.store.update_job("nobody", &JobChange::default()),
                NotFound,
                "job `nobody` not found",
            );
        },
    },
    Case {
        name: "changing_a_job_with_nul_in_its_id_fails",
        run: |bench| {
            bench.fails(
                bench.store.update_job("a\0", &JobChange::default()),
                NotFound,
                "not found",
            );
        },
    },
    Case {
        name: "queued_may_run_and_succeed",
        run: |bench| moves(bench, &[JobStatus::Running, JobStatus::Succeeded], None),
    },
    Case {
        name: "queued_may_run_and_fail",
        run: |bench| moves(bench, &[JobStatus::Running, JobStatus::Failed], None),
    },
    Case {
        name: "queued_may_be_cancelled",
        run: |bench| moves(bench, &[JobStatus::Cancelled], None),
    },
    Case {
        name: "running_may_run_on",
        run: |bench| moves(bench, &[JobStatus::Running, JobStatus::Running], None),
    },
    Case {
        name: "an_end_may_be_said_twice",
        run: |bench| moves(bench, &[JobStatus::Failed, JobStatus::Failed], None),
    },
    Case {
        name: "s07_cancelled_does_not_become_succeeded",
        run: |bench| moves(bench, &[JobStatus::Cancelled], Some(JobStatus::Succeeded)),
    },
    Case {
        name: "s07_succeeded_does_not_become_failed",
        run: |bench| moves(bench, &[JobStatus::Succeeded], Some(JobStatus::Failed)),
    },
    Case {
        name: "s07_failed_does_not_run_again",
        run: |bench| moves(bench, &[JobStatus::Failed], Some(JobStatus::Running)),
    },
    Case {
        name: "s07_running_is_not_queued_again",
        run: |bench| moves(bench, &[JobStatus::Running], Some(JobStatus::Queued)),
    },
    Case {
        name: "a_job_that_ended_may_get_another_message",
        run: |bench| {
            let id = bench.job("t", "k", None).job_id;
            set(bench, &id, JobStatus::Succeeded);
            bench
                .store
                .update_job(
                    &id,
                    &JobChange {
                        message: Some("seen"),
                        ..JobChange::default()
                    },
                )
                .unwrap();
            bench.sees(get(bench, &id).message.as_deref(), Some("seen"));
        },
    },
    Case {
        name: "s06_only_the_tenant_that_is_named_loses_jobs",
        run: |bench| {
            let [a, b, c, d, _] = some_jobs(bench);
            bench.sees(stale(bench, Some("a"), 250.0), 2);
            bench.sees(
                [a, b, c, d].map(|id| get(bench, &id).status),
                ["failed", "queued", "failed", "queued"],
            );
        },
    },
    Case {
        name: "s06_only_jobs_that_are_old_enough_are_given_up",
        run: |bench| {
            let [a, b, c, d, _] = some_jobs(bench);
            bench.sees(stale(bench, None, 150.0), 2);
            bench.sees(
                [a, b, c, d].map(|id| get(bench, &id).status),
                ["failed", "failed", "running", "queued"],
            );
        },
    },
    Case {
        name: "the_moment_itself_is_old_enough",
        run: |bench| {
            some_jobs(bench);
            bench.sees(
                (stale(bench, None, 99.99), stale(bench, None, 100.0)),
                (0, 2),
            );
        },
    },
    Case {
        name: "a_job_that_was_given_up_says_so",
        run: |bench| {
            let [a, ..] = some_jobs(bench);
            stale(bench, None, 1e9);
            let job = get(bench, &a);
            bench.sees(
                (job.error.as_deref(), job.message.as_deref(), job.updated_at),
                (Some("gone"), Some("gone"), 300.0),
            );
        },
    },
    Case {
        name: "a_job_that_ended_is_never_given_up",
        run: |bench| {
            let [.., e] = some_jobs(bench);
            stale(bench, None, 1e9);
            bench.sees(get(bench, &e).status, "succeeded");
        },
    },
    Case {
        name: "the_jobs_that_were_given_up_are_named_in_order",
        run: |bench| {
            for _ in 0..1200 {
                bench.job("t", "k", None);
            }
            let ids = bench
                .at(2000.0)
                .store
                .fail_stale_jobs(&StaleJobs {
                    tenant_id: Some("t"),
                    unchanged_since: 1500.0,
                    message: "m",
                })
                .unwrap();
            bench.sees((ids.len(), ids.is_sorted()), (1200, true));
        },
    },
    Case {
        name: "giving_up_needs_a_time",
        run: |bench| {
            let jobs = StaleJobs {
                tenant_id: None,
                unchanged_since: f64::NAN,
                message: "m",
            };
            bench.fails(
                bench.store.fail_stale_jobs(&jobs),
                Input,
                "`unchanged_since` is not a finite number",
            );
        },
    },
    Case {
        name: "the_cost_report_has_what_succeeded_newest_first",
        run: |bench| {
            for (time, kind, status) in [
                (10.0, "benchmark", JobStatus::Succeeded),
                (20.0, "agentic-agent", JobStatus::Succeeded),
                (30.0, "llm-instance", JobStatus::Succeeded),
                (40.0, "benchmark", JobStatus::Failed),
            ] {
                let id = bench.at(0.0).job("t", kind, None).job_id;
                bench.at(time);
                set(bench, &id, status);
            }
            let jobs = bench.store.list_jobs_for_finops("t", 2000).unwrap();
            let jobs: Vec<_> = jobs
                .iter()
                .map(|job| (job.kind.as_str(), job.duration_seconds))
                .collect();
            bench.sees(jobs, vec![("agentic-agent", 20.0), ("benchmark", 10.0)]);
            bench.sees(
                bench.store.list_jobs_for_finops("other", 2000).unwrap(),
                vec![],
            );
        },
    },
    Case {
        name: "the_cost_report_counts_a_thousandth_at_least",
        run: |bench| {
            let id = bench.job("t", "benchmark", None).job_id;
            set(bench, &id, JobStatus::Succeeded);
            bench.sees(
                bench.store.list_jobs_for_finops("t", 1).unwrap()[0].duration_seconds,
                0.001,
            );
        },
    },
    Case {
        name: "the_cost_report_keeps_its_length_within_limits",
        run: |bench| {
            for _ in 0..3 {
                let id = bench.job("t", "benchmark", None).job_id;
                set(bench, &id, JobStatus::Succeeded);
            }
            bench.sees(
                [0, 2, u32::MAX]
                    .map(|limit| bench.store.list_jobs_for_finops("t", limit).unwrap().len()),
                [1, 2, 3],
            );
        },
    },
    Case {
        name: "s01_the_same_key_finds_the_same_job",
        run: |bench| {
            let (first, second) = (
                bench.job("t", "k", Some("x")),
                bench.at(2000.0).job("t", "k", Some("x")),
            );
            bench.sees(
                (first.job_id == second.job_id, first.is_new, second.is_new),
                (true, true, false),
            );
            bench.sees(get(bench, &first.job_id).updated_at, 1000.5);
        },
    },
    Case {
        name: "the_same_key_with_another_request_finds_the_same_job",
        run: |bench| {
            let first = bench.job("t", "k", Some("x"));
            let other = NewJob {
                tenant_id: "t",
                kind: "k",
                request_json: "{}",
                idempotency_key: Some("x"),
            };
            bench.sees(
                bench.store.create_job(&other).unwrap().job_id == first.job_id,
                true,
            );
            bench.sees(get(bench, &first.job_id).request_json, r#"{"model": "m"}"#);
        },
    },
    Case {
        name: "the_same_key_of_another_tenant_is_another_job",
        run: |bench| {
            bench.sees(
                bench.job("a", "k", Some("x")).is_new && bench.job("b", "k", Some("x")).is_new,
                true,
            );
        },
    },
    Case {
        name: "the_same_key_of_another_kind_is_another_job",
        run: |bench| {
            bench.sees(
                bench.job("a", "k", Some("x")).is_new && bench.job("a", "l", Some("x")).is_new,
                true,
            );
        },
    },
    Case {
        name: "an_empty_key_is_none",
        run: |bench| {
            bench.sees(
                bench.job("a", "k", Some("")).is_new && bench.job("a", "k", Some("")).is_new,
                true,
            );
        },
    },
    Case {
        name: "keys_differ_by_case_and_accent",
        run: |bench| {
            bench.sees(
                ["é", "e", "E", "e\u{301}"].map(|key| bench.job("a", "k", Some(key)).is_new),
                [true; 4],
            );
        },
    },
    Case {
        name: "a_key_of_255_wide_letters_is_taken",
        run: |bench| {
            let key = "😀".repeat(255);
            bench.sees(
                (
                    bench.job("a", "k", Some(&key)).is_new,
                    bench.job("a", "k", Some(&key)).is_new,
                ),
                (true, false),
            );
        },
    },
    Case {
        name: "a_key_of_256_letters_is_refused",
        run: |bench| {
            let key = "x".repeat(256);
            let job = NewJob {
                tenant_id: "t",
                kind: "k",
                request_json: "{}",
                idempotency_key: Some(&key),
            };
            bench.fails(
                bench.store.create_job(&job),
                Input,
                "`idempotency_key` has more than 255 characters",
            );
        },
    },
    Case {
        name: "a_refused_job_takes_no_key",
        run: |bench| {
            let job = NewJob {
                tenant_id: "t",
                kind: "k",
                request_json: "no",
                idempotency_key: Some("x"),
            };
            bench.fails(bench.store.create_job(&job), Input, "`request_json`");
            bench.sees(bench.job("t", "k", Some("x")).is_new, true);
        },
    },
    Case {
        name: "the_key_outlives_the_end_of_its_job",
        run: |bench| {
            let first = bench.job("t", "k", Some("x"));
            set(bench, &first.job_id, JobStatus::Failed);
            bench.sees(bench.job("t", "k", Some("x")).job_id == first.job_id, true);
        },
    },
    Case {
        name: "s04_a_time_of_today_is_kept_to_the_bit",
        run: |bench| {
            let time = 1_777_777_777.123_456_7_f64;
            let id = bench.at(time).job("t", "k", None).job_id;
            bench.sees(get(bench, &id).created_at.to_bits(), time.to_bits());
        },
    },
    Case {
        name: "a_clock_that_says_nothing_is_refused",
        run: |bench| {
            bench.fails(
                bench.at(f64::NAN).store.create_job(&new("t", "k", "{}")),
                Input,
                "`now` is not a finite number",
            );
        },
    },
];
