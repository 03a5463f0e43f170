//! `rune-db`, the storage port under it, and the move between engines.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking and look at the world directly"
)]

mod bad_input;
mod cancel;
mod column_types;
mod concurrency;
mod dead_paths;
mod doctor;
mod encodings;
mod file_damage;
mod file_shapes;
mod float4;
mod guarded;
mod heavy;
mod kept;
mod legacy;
mod matrix;
mod migrate_whole;
mod postgres;
mod records;
mod repair;
mod repair_waits;
mod sequences;
mod server_errors;
mod session_settings;
mod site_effects;
mod site_messages;
mod site_objects;
mod snapshots;
mod sqlite;
mod standby;
mod store_artifacts;
mod store_chains;
mod store_concurrency;
mod store_defects;
mod store_events;
mod store_jobs;
mod store_properties;
mod store_python;
mod store_settings;
mod store_suite;
mod store_support;
mod tls;
mod tls_certificates;
mod transfer_back;
mod transfer_compare;
mod transfer_files;
mod transfer_move;
mod transfer_refusals;
mod unreadable;
mod verify;
mod wait;
