//! `rune-db events`: lists what happened, or sums it up.

use serde::Serialize;

use super::{
    instant::moment_text,
    records::{SpanOptions, StoreOptions, Use, cut, next_line, table},
};
use crate::{
    commands::{CommandError, Report},
    storage::port::{Event, EventFilter, EventSummary},
};

/// Which events to list.
#[derive(Debug)]
pub struct ListOptions {
    /// Where.
    pub store: StoreOptions,
    /// Of which job.
    pub job_id: Option<String>,
    /// Of which name.
    pub event: Option<String>,
    /// `ok` or `error`.
    pub status: Option<String>,
    /// When they happened.
    pub recorded: SpanOptions,
    /// Whether labels are shown.
    pub has_labels: bool,
    /// The id of the last event that was seen.
    pub after: i64,
    /// How many at most.
    pub limit: u32,
}

/// Events, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListReport {
    /// The events, with labels only if they are to be shown.
    pub events: Vec<Event>,
    /// What to go on after, when more follow.
    pub next: Option<i64>,
}

/// Lists events.
///
/// # Errors
/// When the database cannot be read.
pub fn list(options: &ListOptions) -> Result<ListReport, CommandError> {
    let filter = EventFilter {
        job_id: options.job_id.as_deref(),
        event: options.event.as_deref(),
        status: options.status.as_deref(),
        recorded: options.recorded.span((options.store.now)()),
    };
    let limit = options.limit.saturating_add(1);
    let mut events = options.store.with_store(Use::Looking, |store| Ok(store.list_events(&filter, options.after, limit)?))?;
    let more = cut(&mut events, options.limit, |_| String::new());
    let next = more.and(events.last().map(|event| event.id));
    if !options.has_labels {
        for event in &mut events {
            event.labels_json = None;
        }
    }
    Ok(ListReport { events, next })
}

impl Report for ListReport {
    const VERB: &'static str = "db-events-list";

    fn text(&self) -> String {
        if self.events.is_empty() {
            return "no events\n".to_owned();
        }
        let row = |event: &Event| {
            let duration = event.duration_ms.map_or_else(String::new, |duration| duration.to_string());
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
        let text = table(["ID", "TIME", "EVENT", "STATUS", "MS", "JOB", "ERROR", ""], self.events.iter().map(row));
        text + &next_line(self.next.map(|id| id.to_string()).as_deref())
    }
}

/// Which events to sum up.
#[derive(Debug)]
pub struct SummaryOptions {
    /// Where.
    pub store: StoreOptions,
    /// Of which job.
    pub job_id: Option<String>,
    /// When they happened.
    pub recorded: SpanOptions,
}

/// Events by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryReport {
    /// One for each name, in order.
    pub events: Vec<EventSummary>,
}

/// Sums events up.
///
/// # Errors
/// When the database cannot be read.
pub fn summary(options: &SummaryOptions) -> Result<SummaryReport, CommandError> {
    let recorded = options.recorded.span((options.store.now)());
    let job_id = options.job_id.as_deref();
    let events = options.store.with_store(Use::Looking, |store| Ok(store.summarise_events(job_id, recorded)?))?;
    Ok(SummaryReport { events })
}

impl Report for SummaryReport {
    const VERB: &'static str = "db-events-summary";

    fn text(&self) -> String {
        if self.events.is_empty() {
            return "no events\n".to_owned();
        }
        let row = |event: &EventSummary| {
            let tenth = |number: f64| format!("{number:.1}");
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
        table(["EVENT", "TOTAL", "OK", "ERROR", "MEAN MS", "MIN MS", "MAX MS"], self.events.iter().map(row))
    }
}
