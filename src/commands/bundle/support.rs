//! `support`: diagnostics for the vendor in one file, without secrets.

use std::{collections::BTreeSet, fmt::Write as _};

use camino::Utf8PathBuf;
use serde::Serialize;

use super::receipt_place::tool;
use crate::{
    install::{Cluster, ClusterOptions, InstallRecord},
    support::{self, CollectedFile, Collection, SupportError},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    fsx,
    progress::Progress,
    text::size,
};

#[derive(Debug, Clone)]
pub(crate) struct SupportOptions {
    pub(crate) cluster: ClusterOptions,
    /// Whether all namespaces with a release are looked into.
    pub(crate) in_all_namespaces: bool,
    pub(crate) output: Utf8PathBuf,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SupportReport {
    output: Utf8PathBuf,
    bytes: u64,
    cluster: String,
    namespaces: Vec<String>,
    files: Vec<CollectedFile>,
    refused: Vec<String>,
    left_out: Vec<String>,
}

impl Report for SupportReport {
    const VERB: &'static str = "support";

    fn text(&self) -> String {
        let mut text = format!(
            "wrote {} in {} to `{}`\n",
            counted(self.files.len(), "file"),
            size(self.bytes),
            self.output
        );
        for file in &self.files {
            let redacted = match file.redacted {
                0 => String::new(),
                count => format!(", {count} redacted"),
            };
            let _ = writeln!(
                text,
                "  {}  {}{redacted}",
                file.path,
                size(file.bytes as u64)
            );
        }
        for refused in &self.refused {
            let _ = writeln!(text, "not read: {refused}");
        }
        for left_out in &self.left_out {
            let _ = writeln!(text, "left out: {left_out}");
        }
        let _ = writeln!(
            text,
            "next   read it before you send it: tar -xf {}",
            self.output
        );
        text
    }
}

pub(crate) fn run(
    options: &SupportOptions,
    progress: &dyn Progress,
) -> Result<SupportReport, CommandError> {
    fsx::check_free(&options.output)?;
    let (cluster, namespaces, collection) = block_on(collect(options, progress))?;
    let archive = collection.archive()?;
    fsx::write_new(&options.output, &archive, 0o600)?;
    let Collection {
        files,
        refused,
        left_out,
    } = collection;
    Ok(SupportReport {
        output: options.output.clone(),
        bytes: archive.len() as u64,
        cluster,
        namespaces,
        files,
        refused,
        left_out,
    })
}

async fn collect(
    options: &SupportOptions,
    progress: &dyn Progress,
) -> Result<(String, Vec<String>, Collection), SupportError> {
    let cluster = Cluster::connect(&options.cluster).await?;
    let namespaces: Vec<String> = if options.in_all_namespaces {
        let records = InstallRecord::list(&cluster, true).await?;
        let namespaces = records.into_keys().map(|(namespace, _)| namespace);
        namespaces.collect::<BTreeSet<_>>().into_iter().collect()
    } else {
        vec![cluster.namespace().to_owned()]
    };
    let collection = support::collect(&cluster, &namespaces, &tool(), progress).await?;
    Ok((cluster.address().to_owned(), namespaces, collection))
}
