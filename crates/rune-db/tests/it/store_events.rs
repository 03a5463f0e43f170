//! What the port does with events.

use rune_core::failure::FailureKind::Input;
use rune_storage::port::{Event, EventSummary, NewEvent};

use crate::store_support::{Bench, Case};

const PLAIN: NewEvent<'_> = NewEvent {
    job_id: Some("j"),
    event: "step",
    status: "ok",
    duration_ms: Some(1.5),
    error_type: None,
    labels_json: None,
    recorded_at: 50.25,
};

fn list(bench: &Bench, job_id: &str, after_id: i64) -> Vec<Event> {
    bench
        .store
        .get_events_for_job(job_id, after_id, 100)
        .unwrap()
}

fn only(bench: &Bench, event: &NewEvent<'_>) -> Event {
    bench.store.record_workflow_event(event).unwrap();
    list(bench, event.job_id.unwrap(), 0).remove(0)
}

/// The mean, shortest and longest of durations.
fn times(bench: &Bench, durations: &[f64]) -> (f64, f64, f64) {
    for duration in durations {
        bench.event(Some("j"), "e", "ok", Some(*duration));
    }
    let summary: EventSummary = bench.store.get_events_summary(None).unwrap().remove(0);
    (summary.average_ms, summary.min_ms, summary.max_ms)
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an_event_comes_back_as_it_went_in",
        run: |bench| {
            let new = NewEvent {
                error_type: Some("Timeout"),
                labels_json: Some("{\"b\":1, \"a\": NaN}"),
                status: "error",
                ..PLAIN
            };
            let event = only(bench, &new);
            bench.sees(
                (
                    event.job_id.as_deref(),
                    event.event.as_str(),
                    event.status.as_str(),
                ),
                (Some("j"), "step", "error"),
            );
            bench.sees(
                (
                    event.duration_ms,
                    event.error_type.as_deref(),
                    event.recorded_at,
                ),
                (Some(1.5), Some("Timeout"), 50.25),
            );
            bench.sees(event.labels_json.as_deref(), Some("{\"b\":1, \"a\": NaN}"));
        },
    },
    Case {
        name: "ids_count_from_one",
        run: |bench| {
            bench.sees(
                [(); 3].map(|()| bench.event(None, "e", "ok", None)),
                [1, 2, 3],
            );
        },
    },
    Case {
        name: "an_event_may_be_nobodys",
        run: |bench| {
            bench.event(None, "e", "ok", None);
            bench.sees(list(bench, "j", 0), vec![]);
            bench.sees(bench.store.get_events_summary(None).unwrap()[0].total, 1);
        },
    },
    Case {
        name: "no_duration_stays_none",
        run: |bench| {
            bench.sees(
                only(
                    bench,
                    &NewEvent {
                        duration_ms: None,
                        ..PLAIN
                    },
                )
                .duration_ms,
                None,
            );
        },
    },
    Case {
        name: "labels_that_say_nothing_are_none",
        run: |bench| {
            bench.sees(
                only(
                    bench,
                    &NewEvent {
                        labels_json: Some("{}"),
                        ..PLAIN
                    },
                )
                .labels_json,
                None,
            );
        },
    },
    Case {
        name: "labels_that_are_no_json_are_refused",
        run: |bench| {
            let event = NewEvent {
                labels_json: Some("{a: 1}"),
                ..PLAIN
            };
            bench.fails(
                bench.store.record_workflow_event(&event),
                Input,
                "`labels_json` is not JSON from byte 1 on",
            );
        },
    },
    Case {
        name: "labels_that_are_no_object_are_refused",
        run: |bench| {
            bench.fails(
                bench.store.record_workflow_event(&NewEvent {
                    labels_json: Some("1"),
                    ..PLAIN
                }),
                Input,
                "`labels_json`",
            );
        },
    },
    Case {
        name: "an_event_without_name_is_refused",
        run: |bench| {
            bench.fails(
                bench
                    .store
                    .record_workflow_event(&NewEvent { event: "", ..PLAIN }),
                Input,
                "`event` is empty",
            );
        },
    },
    Case {
        name: "s09_an_event_with_nul_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.record_workflow_event(&NewEvent {
                    event: "a\0",
                    ..PLAIN
                }),
                Input,
                "U+0000",
            );
        },
    },
    Case {
        name: "an_error_type_with_nul_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.record_workflow_event(&NewEvent {
                    error_type: Some("\0"),
                    ..PLAIN
                }),
                Input,
                "`error_type`",
            );
        },
    },
    Case {
        name: "an_event_name_of_255_wide_letters_is_taken",
        run: |bench| {
            bench.sees(
                only(
                    bench,
                    &NewEvent {
                        event: &"😀".repeat(255),
                        ..PLAIN
                    },
                )
                .event
                .chars()
                .count(),
                255,
            );
        },
    },
    Case {
        name: "an_event_name_of_256_letters_is_refused",
        run: |bench| {
            let name = "x".repeat(256);
            bench.fails(
                bench.store.record_workflow_event(&NewEvent {
                    event: &name,
                    ..PLAIN
                }),
                Input,
                "more than 255 characters",
            );
        },
    },
    Case {
        name: "a_duration_that_is_no_number_is_refused",
        run: |bench| {
            for duration in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let event = NewEvent {
                    duration_ms: Some(duration),
                    ..PLAIN
                };
                bench.fails(
                    bench.store.record_workflow_event(&event),
                    Input,
                    "`duration_ms` is not a finite number",
                );
            }
        },
    },
    Case {
        name: "a_duration_of_more_than_30000_years_is_refused",
        run: |bench| {
            let event = NewEvent {
                duration_ms: Some(1.1e15),
                ..PLAIN
            };
            bench.fails(
                bench.store.record_workflow_event(&event),
                Input,
                "`duration_ms` is beyond 10^15 milliseconds",
            );
        },
    },
    Case {
        name: "a_time_that_is_no_number_is_refused",
        run: |bench| {
            bench.fails(
                bench.store.record_workflow_event(&NewEvent {
                    recorded_at: f64::NAN,
                    ..PLAIN
                }),
                Input,
                "`recorded_at`",
            );
        },
    },
    Case {
        name: "a_negative_zero_becomes_zero",
        run: |bench| {
            let event = only(
                bench,
                &NewEvent {
                    duration_ms: Some(-0.0),
                    recorded_at: -0.0,
                    ..PLAIN
                },
            );
            bench.sees(
                (
                    event.duration_ms.map(f64::to_bits),
                    event.recorded_at.to_bits(),
                ),
                (Some(0), 0),
            );
        },
    },
    Case {
        name: "s04_durations_and_times_are_kept_to_the_bit",
        run: |bench| {
            let (duration, time) = (1_234_567.123_456_789, 1_777_777_777.123_456_7);
            let event = only(
                bench,
                &NewEvent {
                    duration_ms: Some(duration),
                    recorded_at: time,
                    ..PLAIN
                },
            );
            bench.sees(
                (event.duration_ms, event.recorded_at),
                (Some(duration), time),
            );
        },
    },
    Case {
        name: "the_extremes_of_a_float_are_kept",
        run: |bench| {
            for (index, number) in [
                f64::MAX,
                f64::MIN,
                f64::MIN_POSITIVE,
                5e-324,
                9_007_199_254_740_993.0,
            ]
            .into_iter()
            .enumerate()
            {
                bench
                    .store
                    .record_workflow_event(&NewEvent {
                        recorded_at: number,
                        ..PLAIN
                    })
                    .unwrap();
                bench.sees(
                    list(bench, "j", 0)[index].recorded_at.to_bits(),
                    number.to_bits(),
                );
            }
        },
    },
    Case {
        name: "s05_events_after_an_id_are_listed",
        run: |bench| {
            for event in ["a", "b", "c"] {
                bench.event(Some("j"), event, "ok", None);
            }
            let names = |after| {
                list(bench, "j", after)
                    .into_iter()
                    .map(|event| event.event)
                    .collect::<String>()
            };
            bench.sees(
                [0, 1, 2, 3, -5, i64::MAX].map(names),
                ["abc", "bc", "c", "", "abc", ""].map(str::to_owned),
            );
        },
    },
    Case {
        name: "s05_a_page_of_events_ends_at_its_limit",
        run: |bench| {
            for _ in 0..5 {
                bench.event(Some("j"), "e", "ok", None);
            }
            let page = |after| {
                bench
                    .store
                    .get_events_for_job("j", after, 2)
                    .unwrap()
                    .iter()
                    .map(|event| event.id)
                    .collect::<Vec<_>>()
            };
            bench.sees(
                [0, 2, 4, 5].map(page),
                [vec![1, 2], vec![3, 4], vec![5], vec![]],
            );
        },
    },
    Case {
        name: "s10_events_are_listed_by_id_whatever_their_time",
        run: |bench| {
            for time in [30.0, 10.0, 10.0, 20.0] {
                bench
                    .store
                    .record_workflow_event(&NewEvent {
                        recorded_at: time,
                        ..PLAIN
                    })
                    .unwrap();
            }
            bench.sees(
                list(bench, "j", 0)
                    .iter()
                    .map(|event| event.id)
                    .collect::<Vec<_>>(),
                vec![1, 2, 3, 4],
            );
        },
    },
    Case {
        name: "events_of_other_jobs_are_not_listed",
        run: |bench| {
            bench.event(Some("a"), "e", "ok", None);
            bench.event(Some("A"), "e", "ok", None);
            bench.sees(list(bench, "a", 0).len(), 1);
        },
    },
    Case {
        name: "the_events_of_a_job_with_nul_are_refused",
        run: |bench| {
            bench.fails(
                bench.store.get_events_for_job("\0", 0, 1),
                Input,
                "`job_id` contains U+0000",
            );
        },
    },
    Case {
        name: "no_events_make_no_summary",
        run: |bench| bench.sees(bench.store.get_events_summary(None).unwrap(), vec![]),
    },
    Case {
        name: "a_summary_counts_by_status",
        run: |bench| {
            for status in ["ok", "ok", "error", "odd", "OK"] {
                bench.event(Some("j"), "e", status, None);
            }
            let summary = bench.store.get_events_summary(None).unwrap().remove(0);
            bench.sees((summary.total, summary.ok, summary.error), (5, 2, 1));
        },
    },
    Case {
        name: "s10_a_summary_is_ordered_by_code_point",
        run: |bench| {
            for event in ["b", "B", "a_b", "aXb", "é", "z", "\u{ffff}", "😀", "a b"] {
                bench.event(None, event, "ok", None);
            }
            let names: Vec<_> = bench
                .store
                .get_events_summary(None)
                .unwrap()
                .into_iter()
                .map(|summary| summary.event)
                .collect();
            bench.sees(
                names,
                vec!["B", "a b", "aXb", "a_b", "b", "z", "é", "\u{ffff}", "😀"],
            );
        },
    },
    Case {
        name: "a_summary_of_a_job_is_its_own",
        run: |bench| {
            bench.event(Some("a"), "e", "ok", Some(1.0));
            bench.event(Some("b"), "e", "ok", Some(3.0));
            bench.sees(
                bench.store.get_events_summary(Some("b")).unwrap()[0].average_ms,
                3.0,
            );
            bench.sees(
                bench.store.get_events_summary(None).unwrap()[0].average_ms,
                2.0,
            );
            bench.sees(bench.store.get_events_summary(Some("c")).unwrap(), vec![]);
        },
    },
    Case {
        name: "no_durations_are_zero",
        run: |bench| {
            bench.event(None, "e", "ok", None);
            let summary = bench.store.get_events_summary(None).unwrap().remove(0);
            bench.sees(
                (summary.average_ms, summary.min_ms, summary.max_ms),
                (0.0, 0.0, 0.0),
            );
        },
    },
    Case {
        name: "missing_durations_do_not_count_in_the_mean",
        run: |bench| {
            bench.event(None, "e", "ok", None);
            bench.sees(times(bench, &[4.0, 8.0]), (6.0, 4.0, 8.0));
        },
    },
    Case {
        name: "a_mean_of_12_25_is_12_3",
        run: |bench| bench.sees(times(bench, &[12.2, 12.3]), (12.3, 12.2, 12.3)),
    },
    Case {
        name: "a_mean_of_0_05_is_0_1",
        run: |bench| bench.sees(times(bench, &[0.05]), (0.1, 0.1, 0.1)),
    },
    Case {
        name: "a_mean_of_0_15_is_0_2",
        run: |bench| bench.sees(times(bench, &[0.1, 0.2]), (0.2, 0.1, 0.2)),
    },
    Case {
        name: "a_negative_half_goes_away_from_zero",
        run: |bench| bench.sees(times(bench, &[-0.25]), (-0.3, -0.3, -0.3)),
    },
    Case {
        name: "a_third_is_rounded_down",
        run: |bench| bench.sees(times(bench, &[0.0, 0.0, 1.0]), (0.3, 0.0, 1.0)),
    },
    Case {
        name: "a_mean_of_many_tenths_is_a_tenth",
        run: |bench| bench.sees(times(bench, &[0.1; 200]), (0.1, 0.1, 0.1)),
    },
    Case {
        name: "a_mean_does_not_depend_on_the_order",
        run: |bench| {
            for duration in [1e15, 0.25, -1e15, 0.75] {
                bench.event(None, "a", "ok", Some(duration));
            }
            for duration in [0.25, 0.75, 1e15, -1e15] {
                bench.event(None, "b", "ok", Some(duration));
            }
            let means: Vec<_> = bench
                .store
                .get_events_summary(None)
                .unwrap()
                .iter()
                .map(|summary| summary.average_ms)
                .collect();
            bench.sees(means, vec![0.3, 0.3]);
        },
    },
    Case {
        name: "s04_long_durations_keep_their_digits",
        run: |bench| {
            bench.sees(
                times(bench, &[1_234_567.25]),
                (1_234_567.3, 1_234_567.3, 1_234_567.3),
            );
        },
    },
];
