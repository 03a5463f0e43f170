//! What the templates of a project make, as files: the development form that is committed, and the
//! pinned form that a bundle includes.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    AvailableImage, BuiltDigests, CheckValues, GatherError, ProfileIngredient, context,
    context::{chart_context, values_paths},
    gather::{ComponentChoice, images, left_out, migrations},
    templates::Templates,
};
use crate::{
    chart::{self, ChartError, ChartState, ChartTree, ImageContext, Package},
    manifest::{self, ChartSource, FetchedCharts, Lock, Project},
    oci::Reference,
};
use rune_core::digest::Digest;

const INSTALL_FILE: &str = "INSTALL.md";

/// The file of a chart that says which values it has.
const README: &str = "README.md";

/// Files by their path, relative to wherever they are written to.
pub(crate) type RenderedFiles = BTreeMap<Utf8PathBuf, Vec<u8>>;

#[derive(Debug)]
pub(crate) struct Development {
    pub(crate) files: RenderedFiles,
    /// Version and content that the charts have with that, subcharts included.
    pub(crate) charts: Vec<ChartState>,
}

/// Renders the development form: what the templates of the charts make without a lock, tags and no
/// digests, and with that the tables of values in the charts' READMEs.
pub(crate) fn render_development(project: &Project) -> Result<Development, GatherError> {
    let context = context(project.manifest(), None, &BuiltDigests::new());
    let templates = Templates::load(project, context)?;
    let mut development = Development {
        files: RenderedFiles::new(),
        charts: Vec::new(),
    };
    for chart in &project.manifest().charts {
        let ChartSource::Directory(path) = &chart.source else {
            continue;
        };
        let made = templates.render_below(path)?;
        development.files.extend(
            made.into_iter()
                .map(|(path, text)| (path, text.into_bytes())),
        );
        let mut tree = templates.chart_tree(path)?;
        for root in tree.chart_roots() {
            if let Some(text) = readme(&path.join(&root), &tree.below(&root))? {
                development
                    .files
                    .insert(path.join(&root).join(README), text.clone().into_bytes());
                tree.insert(root.join(README), text);
            }
        }
        development.charts.extend(ChartState::of(path, &tree)?);
    }
    Ok(development)
}

/// The README of a chart with the table of its values, if it has one with a place for the table.
fn readme(directory: &Utf8Path, chart: &ChartTree) -> Result<Option<String>, GatherError> {
    let text = |name: &str| {
        let text = |bytes| {
            std::str::from_utf8(bytes).map_err(|_| ChartError::NotText(directory.join(name)))
        };
        chart.get(name).map(text).transpose()
    };
    let (Some(readme), Some(values)) = (text(README)?, text("values.yaml")?) else {
        return Ok(None);
    };
    Ok(chart::readme_with_values(
        directory,
        readme,
        values,
        text("values.schema.json")?,
    )?)
}

/// Charts as a bundle includes them, the ways to install them, and the images that they use.
#[derive(Debug)]
pub(crate) struct PinnedCharts {
    pub(crate) charts: Vec<Package>,
    pub(crate) profiles: Vec<ProfileIngredient>,
    pub(crate) available: Vec<AvailableImage>,
    pub(crate) check_values: CheckValues,
}

impl PinnedCharts {
    fn pack(
        mut templates: Templates<'_>,
        fetched: &FetchedCharts,
        available: Vec<AvailableImage>,
    ) -> Result<Self, GatherError> {
        Ok(Self {
            charts: templates.pack_charts(fetched)?,
            profiles: templates.profiles()?,
            available,
            check_values: templates.check_values()?,
        })
    }
}

/// Packs the charts in the pinned form and renders the values of all profiles, without anything
/// else of a bundle.
pub(crate) fn pin_charts(
    project: &Project,
    lock: &Lock,
    fetched: &FetchedCharts,
) -> Result<PinnedCharts, GatherError> {
    manifest::check_current(project, lock)?;
    let images = images(
        project,
        lock,
        &BTreeSet::new(),
        migrations(project, lock)?.as_ref(),
    )?;
    let context = context(project.manifest(), Some(lock), &images.built);
    PinnedCharts::pack(
        Templates::load(project, context)?,
        fetched,
        images.available,
    )
}

/// Packs the charts as [`pin_charts`] does, with digests that stand in for those of a lock that is
/// not written yet.
pub(crate) fn preview_charts(
    project: &Project,
    fetched: &FetchedCharts,
    digest_of: impl Fn(&Reference) -> Digest,
) -> Result<PinnedCharts, GatherError> {
    let mut context = context(project.manifest(), None, &BuiltDigests::new());
    for image in &project.manifest().images {
        let reference = image.reference();
        let known = ImageContext::new(reference, Some(digest_of(reference)))
            .with_license(image.effective_license().unwrap_or_default());
        context.images.insert(image.name.clone(), known);
    }
    PinnedCharts::pack(Templates::load(project, context)?, fetched, Vec::new())
}

/// Renders the pinned form: whole charts of the project, the values of all profiles, and the text
/// for the admin, as a bundle made of this lock would include them.
pub(crate) fn render_pinned(project: &Project, lock: &Lock) -> Result<RenderedFiles, GatherError> {
    manifest::check_current(project, lock)?;
    let left_out = left_out(project.manifest(), &ComponentChoice::default())?;
    let built = images(
        project,
        lock,
        &left_out,
        migrations(project, lock)?.as_ref(),
    )?
    .built;
    let context = context(project.manifest(), Some(lock), &built);
    let mut templates = Templates::load(project, context)?;
    let mut files = RenderedFiles::new();
    let mut charts = Vec::new();
    for chart in &project.manifest().charts {
        match &chart.source {
            ChartSource::Directory(path) => {
                let tree = templates.chart_tree(path)?;
                let metadata = tree.metadata(path.as_str())?;
                charts.push(chart_context(&metadata.name, &metadata.version));
                files.extend(
                    tree.iter()
                        .map(|(file, bytes)| (path.join(file), bytes.to_owned())),
                );
            }
            ChartSource::Archive(path) => {
                let package = chart::read_package(&project.path(path))?;
                files.insert(
                    Utf8PathBuf::from("charts").join(package.metadata.file_name()),
                    package.bytes.clone(),
                );
                charts.push(chart_context(
                    &package.metadata.name,
                    &package.metadata.version,
                ));
            }
            // Nothing is rendered in it, and nothing is fetched for it here.
            ChartSource::Remote(remote) => {
                let locked = lock
                    .charts
                    .iter()
                    .find(|locked| locked.name == remote.name());
                let locked =
                    locked.ok_or_else(|| GatherError::NotLocked(remote.name().to_owned()))?;
                charts.push(chart_context(&locked.name, &locked.version));
            }
        }
    }
    templates.add_charts(charts.into_iter());
    for (file, place) in values_paths(project.manifest()) {
        files.insert(place.into(), templates.values(file)?.into_bytes());
    }
    files.insert(INSTALL_FILE.into(), templates.install_text()?.into_bytes());
    Ok(files)
}
