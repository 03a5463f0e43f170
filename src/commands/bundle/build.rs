//! `build`: from a manifest and its lock to one signed file.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    chart_check::{ChartCheck, CompletenessReport, check_helm, check_survey, survey_charts},
    keys::{Passphrase, load_chart_key, load_private_key, signer},
    project::ProjectOptions,
    remarks,
    volumes::PartsList,
};
use crate::{
    bundle::{self, ComponentChoice, Destination, Gathered, PolicyRecord, Transferred, VolumeSize},
    manifest::{self, Evidence, FetchedCharts, Lock, Programs},
    oci::Platform,
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    digest::Digest,
    progress::Progress,
    remark::Remark,
};

#[derive(Debug)]
pub struct BuildOptions {
    pub project: ProjectOptions,
    /// The file to write; without one, `<name>-<version>.bundle.tar` in the working directory.
    pub output: Option<Utf8PathBuf>,
    /// Write volumes of at most this size instead of one file.
    pub volume_size: Option<VolumeSize>,
    /// Files with private keys; the first signs slot 0, and so on.
    pub keys: Vec<Utf8PathBuf>,
    /// The file with the OpenPGP key that signs the charts for Helm.
    pub chart_key: Option<Utf8PathBuf>,
    /// Components to carry or leave out.
    pub components: ComponentChoice,
    /// Whether the charts are checked for images that are not inside.
    pub chart_check: ChartCheck,
    /// How many downloads at once.
    pub jobs: usize,
    /// Only check and say what would be done.
    pub is_dry_run: bool,
    pub registry: ClientConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildReport {
    output: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
    bytes: u64,
    entries: usize,
    images: Vec<BuiltImage>,
    /// The key identifiers of whoever signed.
    signed_by: Vec<String>,
    #[serde(skip)]
    signers: Vec<String>,
    waived: Vec<String>,
    completeness: CompletenessReport,
    /// What is to be fetched, or was.
    remote_blobs: u64,
    remote_bytes: u64,
    dry_run: bool,
    #[serde(skip_serializing_if = "PartsList::is_empty")]
    volumes: PartsList,
    #[serde(skip_serializing_if = "Option::is_none")]
    transferred: Option<Transferred>,
    #[serde(skip)]
    remarks: Vec<Remark>,
}

/// An image in the bundle.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuiltImage {
    reference: String,
    digest: Digest,
    platforms: Vec<Platform>,
    platforms_left_out: Vec<Platform>,
}

impl Report for BuildReport {
    const VERB: &'static str = "build";

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let Self {
            output,
            name,
            version,
            bytes,
            entries,
            ..
        } = self;
        let mut text = match &self.transferred {
            None => {
                let (blobs, fetched) = (self.remote_blobs, self.remote_bytes);
                format!(
                    "would write {name} {version} to `{output}`: {entries} entries, {bytes} bytes, {fetched} of them in {blobs} blobs to fetch\n"
                )
            }
            Some(transferred) => {
                let mut text = format!(
                    "wrote {name} {version} to `{output}`: {entries} entries, {bytes} bytes\n"
                );
                let Transferred {
                    fetched_blobs,
                    fetched_bytes,
                    kept_blobs,
                } = transferred;
                let _ = writeln!(
                    text,
                    "fetched        {fetched_blobs} blobs, {fetched_bytes} bytes; {kept_blobs} blobs were there from an earlier run"
                );
                text
            }
        };
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        for image in &self.images {
            let _ = writeln!(text, "image          {}@{}", image.reference, image.digest);
            if !image.platforms_left_out.is_empty() {
                let _ = writeln!(
                    text,
                    "               {} platforms included, {} left out",
                    image.platforms.len(),
                    image.platforms_left_out.len()
                );
            }
        }
        for signer in &self.signers {
            let _ = writeln!(text, "signed by      {signer}");
        }
        if self.signed_by.is_empty() {
            text.push_str("NOT SIGNED: pass --key to sign; verbs refuse an unsigned bundle unless its digest is given\n");
        }
        for waived in &self.waived {
            let _ = writeln!(text, "waived         {waived}");
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "note: {remark}");
        }
        text.push_str(&self.completeness.text("completeness   "));
        text.push_str(&self.volumes.text());
        text
    }
}

/// Builds a bundle. Everything that can be wrong without the network is found before the first byte
/// is fetched.
///
/// # Errors
/// When the manifest, lock, policy, a key or a file is not right, the destination cannot receive
/// the bundle, or a registry does not deliver what was locked. Nothing stands under the final name
/// then.
pub fn run(
    options: BuildOptions,
    passphrase: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
    progress: &Arc<dyn Progress>,
) -> Result<BuildReport, CommandError> {
    let project = options.project.load(Programs::Required)?;
    let manifest = project.manifest();
    let output = options
        .output
        .unwrap_or_else(|| format!("{}-{}.bundle.tar", manifest.name, manifest.version).into());
    bundle::check_output_name(&output)?;
    check_helm(&project, &options.chart_check)?;
    let lock = Lock::read(&project.lock_path())?;
    // What the policy denies is not even asked for.
    manifest::judge(&project, Some(&lock), &FetchedCharts::default(), None)?
        .into_result()
        .map_err(remarks::located(&project))?;
    manifest::check_current(&project, &lock)?;
    let keys = options
        .keys
        .iter()
        .map(|path| load_private_key(path, &passphrase))
        .collect::<Result<Vec<_>, _>>()?;
    let chart_key = options
        .chart_key
        .as_deref()
        .map(|path| load_chart_key(path, &passphrase))
        .transpose()?;
    let client = Client::new(options.registry)?;
    progress.plan(if options.is_dry_run { 2 } else { 4 });
    let fetched =
        block_on(FetchedCharts::default().complete(&project, &lock, &client, &**progress))?;
    let evidence = block_on(Evidence::fetch(project.policy(), &lock, &client))?;
    let evaluation = manifest::judge(&project, Some(&lock), &fetched, Some(&evidence))?
        .into_result()
        .map_err(remarks::located(&project))?;
    let waived = evaluation
        .waived()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let policy = PolicyRecord {
        sha256: project.policy().digest,
        waived: waived.clone(),
    };
    let Gathered {
        mut ingredients,
        available,
        check_values,
    } = bundle::gather(
        &project,
        &lock,
        &fetched,
        &options.components,
        policy,
        &**progress,
    )?;
    let survey = survey_charts(
        &project,
        &ingredients.charts,
        &ingredients.profiles,
        &check_values,
        &options.chart_check,
        &**progress,
    )?;
    let completeness = check_survey(&project, survey.as_ref(), &available)?;
    ingredients.completeness = completeness
        .record()
        .with_places(&project.policy().image_places);
    if let Some(key) = &chart_key {
        for chart in &mut ingredients.charts {
            chart.provenance = Some(key.sign(chart)?);
            // The signature is part of what a registry has.
            chart.published = None;
        }
    }
    let draft = ingredients.compose()?;
    let images = draft.index().images.iter().map(|image| {
        let (carried, left_out): (Vec<_>, Vec<_>) =
            image.runnable().partition(|manifest| manifest.carried);
        let platforms = |manifests: Vec<&bundle::ManifestRecord>| {
            manifests
                .iter()
                .filter_map(|manifest| manifest.platform.clone())
                .collect()
        };
        let (reference, digest) = (image.reference.to_string(), image.target.digest);
        BuiltImage {
            reference,
            digest,
            platforms: platforms(carried),
            platforms_left_out: platforms(left_out),
        }
    });
    let images = images.collect();
    let (name, version) = (draft.index().name.clone(), draft.index().version.clone());
    let plan = draft.sign(&keys)?;
    let destination = Destination::new(&output, plan.layout(), options.volume_size)?;
    let transferred = if options.is_dry_run {
        bundle::check_output(&plan, &destination)?;
        None
    } else {
        Some(block_on(bundle::materialise(
            &plan,
            &client,
            &destination,
            options.jobs,
            progress,
        ))?)
    };
    let (remote_blobs, remote_bytes) = plan.remote();
    Ok(BuildReport {
        remarks: remarks::ending_waivers(&project, &evaluation),
        output,
        name,
        version,
        digest: plan.digest(),
        bytes: plan.total_bytes(),
        entries: plan.entries(),
        images,
        signed_by: keys.iter().map(|key| key.public_key().key_id()).collect(),
        signers: options
            .keys
            .iter()
            .zip(&keys)
            .map(|(path, key)| signer(path, key.public_key()).to_string())
            .collect(),
        waived,
        completeness,
        remote_blobs,
        remote_bytes,
        dry_run: options.is_dry_run,
        volumes: PartsList::of(&destination),
        transferred,
    })
}
