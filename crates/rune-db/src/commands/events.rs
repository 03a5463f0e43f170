//! `rune-db events`: lists what happened, or sums it up.

use serde::Serialize;

use super::{
    instant::moment_text,
    records::{
        Cut, StoreOptions, TimeRangeOptions, cut, next_line, number_text, table, unreadable_lines,
        unreadable_verdict,
    },
};
use rune_core::{
    command::{CommandError, Report},
    failure::FailureKind,
};
use rune_storage::port::{Event, EventFilter, EventSummary, Unreadable};

#[derive(Debug)]
pub(crate) struct ListOptions {
    pub(crate) store: StoreOptions,
    pub(crate) job_id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) recorded: TimeRangeOptions,
    pub(crate) show_labels: bool,
    pub(crate) after: Option<i64>,
    pub(crate) limit: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ListReport {
    pub(crate) events: Vec<Event>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// What to go on after, when more follow.
    pub(crate) next: Option<i64>,
    #[serde(skip)]
    show_labels: bool,
}

pub(crate) fn list(options: &ListOptions) -> Result<ListReport, CommandError> {
    let filter = EventFilter {
        job_id: options.job_id.as_deref(),
        event: options.event.as_deref(),
        status: options.status.as_deref(),
        recorded: options.recorded.span((options.store.now)()),
    };
    let limit = options.limit.saturating_add(1);
    let listed = options
        .store
        .read_store(|store| Ok(store.list_events(&filter, options.after, limit)?))?;
    let Cut {
        rows: mut events,
        unreadable,
        next,
    } = cut(listed, options.limit, |event| event.id.to_string());
    let next = next.and_then(|id| id.parse().ok());
    if !options.show_labels {
        for event in &mut events {
            event.labels_json = None;
        }
    }
    Ok(ListReport {
        events,
        unreadable,
        next,
        show_labels: options.show_labels,
    })
}

impl Report for ListReport {
    const VERB: &'static str = "db-events-list";

    fn text(&self) -> String {
        if self.events.is_empty() && self.unreadable.is_empty() {
            return "no events\n".to_owned();
        }
        let row = |event: &Event| {
            let duration = event.duration_ms.map_or_else(String::new, number_text);
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            [
                event.id.to_string(),
                moment_text(event.recorded_at),
                event.event.clone(),
                event.status.clone(),
                duration,
                text(&event.job_id),
                text(&event.error_type),
                text(&event.labels_json),
            ]
        };
        let labels = if self.show_labels { "LABELS" } else { "" };
        let text = table(
            [
                "ID", "TIME", "EVENT", "STATUS", "MS", "JOB", "ERROR", labels,
            ],
            self.events.iter().map(row),
        );
        text + &unreadable_lines(&self.unreadable)
            + &next_line(self.next.map(|id| id.to_string()).as_deref())
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}

#[derive(Debug)]
pub(crate) struct SummaryOptions {
    pub(crate) store: StoreOptions,
    pub(crate) job_id: Option<String>,
    pub(crate) recorded: TimeRangeOptions,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SummaryReport {
    pub(crate) events: Vec<EventSummary>,
    /// Names of which a duration, or the name itself, cannot be read.
    pub(crate) unreadable: Vec<Unreadable>,
}

pub(crate) fn summary(options: &SummaryOptions) -> Result<SummaryReport, CommandError> {
    let recorded = options.recorded.span((options.store.now)());
    let job_id = options.job_id.as_deref();
    let listed = options
        .store
        .read_store(|store| Ok(store.summarise_events(job_id, recorded)?))?;
    let Cut {
        rows: events,
        unreadable,
        ..
    } = cut(listed, u32::MAX, |event| event.event.clone());
    Ok(SummaryReport { events, unreadable })
}

impl Report for SummaryReport {
    const VERB: &'static str = "db-events-summary";

    fn text(&self) -> String {
        if self.events.is_empty() && self.unreadable.is_empty() {
            return "no events\n".to_owned();
        }
        let row = |event: &EventSummary| {
            let tenth = |number: f64| {
                if number.abs() < 1e15 {
                    format!("{number:.1}")
                } else {
                    number_text(number)
                }
            };
            [
                event.event.clone(),
                event.total.to_string(),
                event.ok.to_string(),
                event.error.to_string(),
                tenth(event.average_ms),
                tenth(event.min_ms),
                tenth(event.max_ms),
            ]
        };
        let text = table(
            [
                "EVENT", "TOTAL", "OK", "ERROR", "MEAN MS", "MIN MS", "MAX MS",
            ],
            self.events.iter().map(row),
        );
        text + &unreadable_lines(&self.unreadable)
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}
