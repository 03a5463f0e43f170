//! `build`: from a manifest and its lock to one signed file.

mod image_signing;
mod report;

use std::{collections::BTreeSet, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

pub(crate) use self::{image_signing::ImageSigning, report::BuildReport};
use self::{
    image_signing::write_payloads,
    report::{BuiltDelta, BuiltImage, BuiltSignatures, BundleReport},
};

use super::{
    HeldOptions,
    chart_check::{ChartCheck, CompletenessReport, PackedCharts},
    keys::{Passphrase, load_chart_key, load_private_key, signer},
    project::ProjectOptions,
    remarks,
    volumes::PartsList,
    written::default_output,
};
use crate::{
    bundle::{
        self, BundleIndex, ComponentChoice, DeltaPlan, Destination, Gathered, Held, Plan,
        PolicyRecord, Provenance, VolumeSize,
    },
    manifest::{self, Evidence, FetchedCharts, Lock, LockedContent, Programs},
    registry::{Client, ClientConfig},
    sign::PrivateKey,
};
use rune_core::{
    command::{CommandError, block_on},
    fsx,
    progress::Progress,
};

#[derive(Debug)]
pub(crate) struct BuildOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) output: Option<Utf8PathBuf>,
    /// What the receiver has: without anything, the bundle is written; else a delta of it.
    pub(crate) held: HeldOptions,
    pub(crate) volume_size: Option<VolumeSize>,
    /// Files with private keys; the first signs slot 0, and so on.
    pub(crate) keys: Vec<Utf8PathBuf>,
    pub(crate) has_provenance: bool,
    pub(crate) image_signing: Option<ImageSigning>,
    pub(crate) chart_key: Option<Utf8PathBuf>,
    pub(crate) components: ComponentChoice,
    pub(crate) chart_check: ChartCheck,
    pub(crate) jobs: usize,
    pub(crate) is_dry_run: bool,
    pub(crate) registry: ClientConfig,
}

/// Everything that can be wrong without the network is found before the first byte is fetched.
/// Nothing stands under the final name after a failure.
pub(crate) fn run(
    options: BuildOptions,
    passphrase: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
    progress: &Arc<dyn Progress>,
) -> Result<BuildReport, CommandError> {
    let project = options.project.load(Programs::Required)?;
    let manifest = project.manifest();
    let kind = if options.held.is_empty() {
        "bundle"
    } else {
        "delta"
    };
    let output = options
        .output
        .unwrap_or_else(|| default_output(&manifest.name, &manifest.version, kind));
    match &options.image_signing {
        Some(ImageSigning::Emit(directory)) => fsx::check_free(directory)?,
        _ => bundle::check_output_name(&output)?,
    }
    let provenance = provenance_path(options.has_provenance, &output)?;
    let held = (!options.held.is_empty()).then(|| options.held.read(&[]));
    let held = held.transpose()?;
    options.chart_check.find_helm(&project)?;
    let lock = Lock::read(&project.lock_path())?;
    // What the policy denies is not even asked for.
    manifest::evaluate(&project, Some(&lock), &FetchedCharts::default(), None)?
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
    let image_signer = match &options.image_signing {
        Some(signing) => signing.signer(&passphrase)?,
        None => None,
    };
    let client = Client::new(options.registry)?;
    progress.plan(if options.is_dry_run { 2 } else { 4 });
    let fetched =
        block_on(FetchedCharts::default().complete(&project, &lock, &client, &**progress))?;
    let is_final = !matches!(options.image_signing, Some(ImageSigning::Emit(_)));
    let builder = image_signer
        .as_ref()
        .map(|signer| signer.key().fingerprint());
    let evidence = if is_final {
        Evidence::default().with_builder(builder)
    } else {
        Evidence::default()
    };
    let evidence = block_on(evidence.completed(project.policy(), &lock, &client))?;
    let evaluation = manifest::evaluate(&project, Some(&lock), &fetched, Some(&evidence))?
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
        mut available,
        check_values,
    } = bundle::gather(
        &project,
        &lock,
        &fetched,
        &options.components,
        policy,
        &**progress,
    )?;
    let packed = PackedCharts {
        charts: &ingredients.charts,
        profiles: &ingredients.profiles,
        check_values: &check_values,
        images: &mut available,
    };
    // Which tags mean a digest was asked when it was locked.
    let completeness = options
        .chart_check
        .run(&project, packed, |_, _, _| false, &**progress)?;
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
    ingredients.image_signer = image_signer;
    let draft = ingredients.compose()?;
    if let Some(ImageSigning::Emit(directory)) = &options.image_signing {
        return write_payloads(&draft, directory).map(BuildReport::Payloads);
    }
    let index = draft.index().clone();
    let plan = draft.sign(&keys)?;
    let digest = plan.digest();
    let (plan, delta) = match held {
        Some(held) => without_held(plan, &index, held)?,
        None => (plan, None),
    };
    let destination = Destination::new(&output, plan.layout(), options.volume_size)?;
    let transferred = if options.is_dry_run {
        bundle::check_output(&plan, &destination)?;
        None
    } else {
        Some(block_on(bundle::materialise(
            &plan,
            Some(&client),
            &destination,
            options.jobs,
            progress,
        ))?)
    };
    if let (Some(path), Some(key), false) = (&provenance, keys.first(), options.is_dry_run) {
        write_provenance(path, &index, &lock, key)?;
    }
    let (remote_blobs, remote_bytes) = plan.remote();
    Ok(BuildReport::Bundle(Box::new(BundleReport {
        remarks: remarks::ending_waivers(&project, &evaluation),
        output,
        name: index.name.clone(),
        version: index.version.clone(),
        digest,
        bytes: plan.total_bytes(),
        entries: plan.entries(),
        images: built_images(&index),
        signed_by: keys.iter().map(|key| key.public_key().key_id()).collect(),
        signers: options
            .keys
            .iter()
            .zip(&keys)
            .map(|(path, key)| signer(path, key.public_key()).to_string())
            .collect(),
        provenance,
        image_signatures: built_signatures(&index),
        waived,
        completeness,
        remote_blobs,
        remote_bytes,
        dry_run: options.is_dry_run,
        volumes: PartsList::of(&destination),
        delta,
        transferred,
    })))
}

fn provenance_path(
    is_wanted: bool,
    output: &Utf8Path,
) -> Result<Option<Utf8PathBuf>, CommandError> {
    if !is_wanted {
        return Ok(None);
    }
    let path = Utf8PathBuf::from(format!("{output}.provenance.sigstore.json"));
    fsx::check_free(&path)?;
    Ok(Some(path))
}

fn write_provenance(
    path: &Utf8Path,
    index: &BundleIndex,
    lock: &Lock,
    key: &PrivateKey,
) -> Result<(), CommandError> {
    let statement = Provenance::sign(index, &fetched_images(lock), key)?;
    fsx::write_new(path, statement.bytes(), 0o644).map_err(|error| {
        CommandError::from(error).context("the bundle is written, and not its provenance")
    })
}

fn built_signatures(index: &BundleIndex) -> Option<BuiltSignatures> {
    let signatures = index.image_signatures.as_ref();
    signatures.map(|signatures| BuiltSignatures {
        key: signatures.key,
        count: signatures.manifests.len(),
    })
}

fn fetched_images(lock: &Lock) -> BTreeSet<&str> {
    let images = lock.images_and_artifacts();
    let fetched = images.filter(|(_, image)| matches!(image.content, LockedContent::Registry(_)));
    fetched.map(|(_, image)| image.name.as_str()).collect()
}

fn built_images(index: &BundleIndex) -> Vec<BuiltImage> {
    let images = index.images.iter().map(|image| {
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
    images.collect()
}

fn without_held(
    bundle: Plan,
    index: &BundleIndex,
    held: Held,
) -> Result<(Plan, Option<BuiltDelta>), CommandError> {
    let DeltaPlan {
        plan,
        included,
        left_out,
    } = DeltaPlan::new(bundle, index, &held)?;
    let delta = BuiltDelta {
        included,
        left_out,
        bases: held.into_bases(),
    };
    Ok((plan, Some(delta)))
}
