//! The behavioural suite of the port: every case on every backend, with identical results.

use std::collections::BTreeSet;

use crate::store_artifacts;
use crate::store_chains;
use crate::store_events;
use crate::store_jobs;
use crate::store_settings;
use crate::store_support::{Backend, Case, run_area};

const AREAS: [(&str, &[Case]); 5] = [
    ("jobs", store_jobs::CASES),
    ("events", store_events::CASES),
    ("chains", store_chains::CASES),
    ("artifacts", store_artifacts::CASES),
    ("settings", store_settings::CASES),
];

#[test]
fn every_case_of_the_suite_has_its_own_name() {
    let names: Vec<String> = AREAS
        .iter()
        .flat_map(|(area, cases)| {
            cases
                .iter()
                .map(move |case| format!("{area}::{}", case.name))
        })
        .collect();
    let mut seen = BTreeSet::new();
    let twice: Vec<&String> = names.iter().filter(|name| !seen.insert(*name)).collect();
    assert!(
        twice.is_empty(),
        "a failure of these names nobody: {twice:?}"
    );
}

macro_rules! suite {
    ($($area:ident: $cases:expr;)*) => {
        $(mod $area {
            use super::{Backend, run_area};

            #[test]
            fn in_memory() {
                run_area($cases, Backend::Memory);
            }

            #[test]
            fn in_a_file() {
                run_area($cases, Backend::File);
            }

            #[test]
            fn on_postgres_15() {
                run_area($cases, Backend::Postgres(15));
            }

            #[test]
            fn on_postgres_16() {
                run_area($cases, Backend::Postgres(16));
            }

            #[test]
            fn on_postgres_17() {
                run_area($cases, Backend::Postgres(17));
            }

            #[test]
            fn on_postgres_18() {
                run_area($cases, Backend::Postgres(18));
            }
        })*
    };
}

suite! {
    jobs: crate::store_jobs::CASES;
    events: crate::store_events::CASES;
    chains: crate::store_chains::CASES;
    artifacts: crate::store_artifacts::CASES;
    settings: crate::store_settings::CASES;
}
