//! Integration tests: one binary, one module per behaviour.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking and look at the world directly"
)]

mod architecture;
mod build_resume;
mod build_verb;
mod chart_backup;
mod chart_bootstrap;
mod chart_defects;
mod chart_image;
mod chart_install_text;
mod chart_lint;
mod chart_matrix;
mod chart_package;
mod chart_pod;
mod chart_properties;
mod chart_refusals;
mod chart_render;
mod chart_support;
mod cli_conventions;
mod cli_help;
mod cluster_backup;
mod cluster_basics;
mod cluster_cnpg;
mod cluster_external;
mod cluster_install;
mod cluster_network;
mod cluster_offline;
mod cluster_release;
mod cluster_support;
mod completeness_check;
mod completeness_helm;
mod completeness_support;
mod db_bad_input;
mod db_certificates;
mod db_concurrency;
mod db_doctor;
mod db_kept;
mod db_legacy;
mod db_postgres;
mod db_records;
mod db_repair;
mod db_sqlite;
mod db_support;
mod db_tls;
mod db_verify;
mod db_wait;
mod diff_bundles;
mod diff_images;
mod diff_refusals;
mod diff_support;
mod docs;
mod doctor_build;
mod doctor_receive;
mod foreign_archive;
mod foreign_charts;
mod foreign_containers;
mod foreign_images;
mod foreign_platforms;
mod foreign_registries;
mod foreign_shipment;
mod foreign_signatures;
mod foreign_support;
mod heavy;
mod hostile_bundle;
mod image_from_scratch;
mod install_refusals;
mod lock_real;
mod lock_verb;
mod manifest_mistakes;
mod policy_decisions;
mod project;
mod project_support;
mod receipts_chain;
mod registry_addresses;
mod registry_auth;
mod registry_blobs;
mod registry_fetch;
mod registry_mirrors;
mod registry_options;
mod registry_real;
mod registry_support;
mod registry_trouble;
mod render_verb;
mod serve_access;
mod serve_clients;
mod serve_conformance;
mod serve_damage;
mod serve_protocol;
mod serve_start;
mod serve_support;
mod report_browser;
mod report_page;
mod sign_attach;
mod sign_crash;
mod sign_interop;
mod sign_keygen;
mod sign_support;
mod sign_trust;
mod sign_verb;
mod small_bundle;
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
mod transfer_back;
mod transfer_compare;
mod transfer_move;
mod transfer_refusals;
mod transfer_support;
