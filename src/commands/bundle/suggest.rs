//! `lock --suggest`: what a project lacks to be locked, as a patch. Nothing is written.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::project::ProjectOptions;
use crate::{
    bundle::HelmOptions,
    chart::Helm,
    manifest::{FetchedCharts, Programs},
    registry::{Client, ClientConfig},
    scaffold::{self, GivenChart, Plan, ScaffoldError, Suggestion},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::FailureKind,
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct SuggestOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) helm: HelmOptions,
    pub(crate) registry: ClientConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuggestReport {
    manifest: Utf8PathBuf,
    patch: String,
    problems: Vec<String>,
}

impl Report for SuggestReport {
    const VERB: &'static str = "suggest";

    fn verdict(&self) -> Option<FailureKind> {
        (!self.problems.is_empty()).then_some(FailureKind::Policy)
    }

    fn text(&self) -> String {
        self.patch.clone()
    }
}

pub(crate) fn run(
    options: &SuggestOptions,
    progress: &dyn Progress,
) -> Result<SuggestReport, CommandError> {
    let project = options.project.load(Programs::NotNeeded)?;
    let client = Client::new(options.registry.clone())?;
    progress.begin("Looking for images", 0);
    let fetched = block_on(FetchedCharts::named(&project, &client, progress))?;
    let (given, charts) = scaffold::given(&project, &fetched)?;
    let plan = block_on(plan(given, charts, options, &client));
    progress.end();
    let plan = plan?;
    let Suggestion { patch, by_hand } = Suggestion::of(&plan, &project)?;
    let problems: Vec<String> = plan.problems().iter().cloned().chain(by_hand).collect();
    // Standard output is the patch.
    for why in plan.unasked() {
        progress.announce(&format!("note: {why}; licences of its images are unknown"));
    }
    for problem in &problems {
        progress.announce(&format!("to mend: {problem}"));
    }
    if patch.is_empty() {
        progress.announce("note: there is nothing to add");
    }
    Ok(SuggestReport {
        manifest: project.manifest_path().to_owned(),
        patch,
        problems,
    })
}

async fn plan(
    given: Plan,
    charts: Vec<GivenChart>,
    options: &SuggestOptions,
    client: &Client,
) -> Result<Plan, ScaffoldError> {
    let program = options
        .helm
        .program
        .as_deref()
        .ok_or(ScaffoldError::NoHelm)?;
    let helm = Helm::find(program, options.helm.time_limit).await?;
    let mut plan = given.find(charts, Some(&helm)).await?;
    let licenses = scaffold::licenses(client, plan.references()).await;
    plan.set_licenses(licenses);
    plan.pin(&helm, &options.helm).await?;
    Ok(plan)
}
