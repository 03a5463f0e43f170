//! `rune-db jobs chain`: shows the steps of a chained job.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    instant::moment_text,
    records::{Missing, StoreOptions, shown, table},
};
use rune_core::command::{CommandError, Report};
use rune_storage::port::{ChainEdge, ChainNode, ChainState};

#[derive(Debug)]
pub(crate) struct ChainOptions {
    pub(crate) store: StoreOptions,
    pub(crate) job_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainReport {
    pub(crate) job_id: String,
    pub(crate) overall_status: String,
    pub(crate) nodes: Vec<ChainNode>,
    pub(crate) edges: Vec<ChainEdge>,
}

pub(crate) fn run(options: &ChainOptions) -> Result<ChainReport, CommandError> {
    let ChainState {
        nodes,
        edges,
        overall_status,
    } = options.store.read_store(|store| {
        let missing = || Missing {
            what: "chain state of job",
            name: shown(&options.job_id),
        };
        Ok(store
            .get_chain_state(&options.job_id)?
            .ok_or_else(missing)?)
    })?;
    Ok(ChainReport {
        job_id: options.job_id.clone(),
        overall_status,
        nodes,
        edges,
    })
}

impl Report for ChainReport {
    const VERB: &'static str = "db-jobs-chain";

    fn text(&self) -> String {
        let mut text = format!(
            "job {}: {}\n",
            shown(&self.job_id),
            shown(&self.overall_status)
        );
        let time = |time: Option<f64>| time.map_or_else(String::new, moment_text);
        let row = |node: &ChainNode| {
            let error = node.error.clone().unwrap_or_default();
            [
                node.id.clone(),
                node.agent_name.clone(),
                node.status.clone(),
                time(node.started_at),
                time(node.finished_at),
                error,
            ]
        };
        text.push_str(&table(
            ["NODE", "AGENT", "STATUS", "STARTED", "FINISHED", "ERROR"],
            self.nodes.iter().map(row),
        ));
        for edge in &self.edges {
            let _ = writeln!(text, "{} -> {}", shown(&edge.from), shown(&edge.to));
        }
        text
    }
}
