//! The migrations that this program brings along.

macro_rules! migrations {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_bytes!(concat!("../../../../migrations/", $file)))),*]
    };
}

/// Names and text of the files in `migrations/`, in order.
pub(super) const FILES: &[(&str, &[u8])] = migrations![
    "0001_jobs.sql",
    "0002_idempotency_keys.sql",
    "0003_workflow_events.sql",
    "0004_chain_state.sql",
    "0005_audit_artifact.sql",
    "0006_settings.sql",
];

/// The number of the last one: they are numbered from 1, and none is left out.
#[cfg(feature = "engines")]
#[expect(clippy::cast_possible_wrap, reason = "there are a handful")]
pub(crate) const LAST: i64 = FILES.len() as i64;
