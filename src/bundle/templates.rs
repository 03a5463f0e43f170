//! The templates of a project: its charts, values and the text for the admin, as a bundle includes
//! them.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    CheckValues, GatherError, ProfileIngredient, ReleaseRecord,
    context::{add_charts, binary_path, chart_context, charts_of, values_paths},
    gather::path_below_files,
};
use crate::{
    chart::{self, ChartContext, ChartTree, Context, Package, Renderer},
    manifest::{self, BundleManifest, ChartSource, Download, FetchedCharts, FileSource, Project},
};
use rune_core::{fsx, yaml::parse_rendered};

/// The template of what the admin on the air-gapped side reads first.
const INSTALL_TEMPLATE: &str = "templates/INSTALL.md.j2";

/// The text for the admin in projects that bring none of their own.
const BUILT_IN_INSTALL: &str = include_str!("../../templates/INSTALL.md.j2");

/// The largest values file that is read, in bytes.
const MAX_VALUES_BYTES: u64 = 4 << 20;

/// Far more than Helm reads in a values file of its own limit.
const MAX_VALUES_NODES: usize = 1_000_000;

/// The templates of a project, and what they may ask for.
pub(super) struct Templates<'p> {
    project: &'p Project,
    renderer: Renderer,
    context: Context,
}

impl<'p> Templates<'p> {
    /// With the built-in text for the admin where the project has none.
    pub(super) fn load(project: &'p Project, context: Context) -> Result<Self, GatherError> {
        let mut templates = chart::load_templates(project.directory())?;
        templates
            .entry(INSTALL_TEMPLATE.to_owned())
            .or_insert_with(|| BUILT_IN_INSTALL.to_owned());
        Ok(Self {
            project,
            renderer: Renderer::new(templates)?,
            context,
        })
    }

    /// Packs the charts. From then on the templates know them.
    pub(super) fn pack_charts(
        &mut self,
        fetched: &FetchedCharts,
    ) -> Result<Vec<Package>, GatherError> {
        let charts = self.manifest().charts.iter();
        let charts = charts.map(|chart| self.pack(chart, fetched));
        let charts = charts.collect::<Result<Vec<_>, _>>()?;
        let known = charts
            .iter()
            .map(|package| chart_context(&package.metadata.name, &package.metadata.version));
        self.add_charts(known);
        Ok(charts)
    }

    /// Lets the templates know the charts, which are in the order of the manifest.
    pub(super) fn add_charts(&mut self, charts: impl Iterator<Item = ChartContext>) {
        add_charts(&mut self.context, self.project.manifest(), charts);
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "every values file of a profile has a place"
    )]
    pub(super) fn profiles(&self) -> Result<Vec<ProfileIngredient>, GatherError> {
        let manifest = self.manifest();
        let places = values_paths(manifest);
        let profiles = manifest.profiles.iter().map(|profile| {
            let values = profile.values.iter().map(|file| {
                let place = places[file.as_path()].clone();
                Ok((place, self.values(file)?))
            });
            let is_for_all = profile.charts.is_empty();
            let charts = charts_of(profile, manifest, &self.context.charts)
                .filter(|_| !is_for_all)
                .map(|chart| chart.name.clone())
                .collect();
            Ok(ProfileIngredient {
                name: profile.name.clone(),
                charts,
                values: values.collect::<Result<_, GatherError>>()?,
            })
        });
        profiles.collect()
    }

    /// The releases, by the names of their charts, which must be known.
    pub(super) fn releases(&self) -> Vec<ReleaseRecord> {
        let name = |id: &str| {
            let mut charts = self.known_charts();
            charts.find_map(|(chart, known)| (chart.id() == id).then(|| known.name.clone()))
        };
        let releases = self.manifest().releases.iter().filter_map(|release| {
            Some(ReleaseRecord {
                name: release.name.clone(),
                chart: name(&release.chart)?,
                profile: release.profile.clone(),
                namespace: release.namespace.clone(),
                after: release.after.clone(),
            })
        });
        releases.collect()
    }

    /// Renders the values that are for the check of the charts alone, which must be known.
    pub(super) fn check_values(&self) -> Result<CheckValues, GatherError> {
        let mut all = CheckValues::default();
        for (chart, known) in self.known_charts() {
            for path in &chart.check_values {
                all.add(&known.name, path.as_str(), self.values(path)?)?;
            }
        }
        Ok(all)
    }

    /// Where charts, programs and files from elsewhere come from, by their path in the bundle. The
    /// charts must be known.
    pub(super) fn origins(&self) -> BTreeMap<String, String> {
        let manifest = self.manifest();
        let charts = self.known_charts();
        let charts = charts
            .filter_map(|(chart, known)| Some((known.file.clone(), chart.remote()?.origin())));
        let url = |source: &FileSource| match source {
            FileSource::Url(Download { url, .. }) => Some(url.to_string()),
            FileSource::Path(_) => None,
        };
        let binaries = manifest
            .binaries
            .iter()
            .filter_map(|binary| Some((binary_path(binary), url(&binary.source)?)));
        let files = manifest.files.iter().filter_map(|file| {
            let path = format!("files/{}", path_below_files(file));
            Some((path, url(&file.source)?))
        });
        charts.chain(binaries).chain(files).collect()
    }

    /// What the templates below a directory of the project make.
    pub(super) fn render_below(
        &self,
        directory: &Utf8Path,
    ) -> Result<BTreeMap<Utf8PathBuf, String>, GatherError> {
        Ok(chart::render_below(
            &self.renderer,
            directory,
            &self.context,
        )?)
    }

    /// A chart of the project with what its templates make.
    pub(super) fn chart_tree(&self, path: &Utf8Path) -> Result<ChartTree, GatherError> {
        let mut tree = ChartTree::read(&self.project.path(path))?;
        for (file, text) in self.render_below(path)? {
            let inside = file
                .strip_prefix(path)
                .map(Utf8Path::to_owned)
                .unwrap_or(file);
            tree.insert(inside, text);
        }
        Ok(tree)
    }

    pub(super) fn values(&self, path: &Utf8Path) -> Result<String, GatherError> {
        let file = self.project.path(path);
        if path.extension() != Some("j2") {
            return Ok(fsx::read_to_string(&file, MAX_VALUES_BYTES)?);
        }
        if !self.renderer.names().any(|name| name == path) && fsx::is_file(&file) {
            return Err(GatherError::TemplateElsewhere(path.to_owned()));
        }
        let text = self.renderer.render(path.as_str(), &self.context)?;
        // Helm would point to a file that exists only while it runs.
        match parse_rendered(path, &text, MAX_VALUES_NODES) {
            Ok(_) => Ok(text),
            Err(source) => Err(GatherError::Values {
                path: path.to_owned(),
                has_braces: text.contains("{{"),
                source,
            }),
        }
    }

    pub(super) fn install_text(&self) -> Result<String, GatherError> {
        Ok(self.renderer.render(INSTALL_TEMPLATE, &self.context)?)
    }

    fn manifest(&self) -> &'p BundleManifest {
        self.project.manifest()
    }

    fn known_charts(&self) -> impl Iterator<Item = (&'p manifest::Chart, &ChartContext)> {
        self.manifest().charts.iter().zip(&self.context.charts)
    }

    fn pack(
        &self,
        chart: &manifest::Chart,
        fetched: &FetchedCharts,
    ) -> Result<Package, GatherError> {
        match &chart.source {
            ChartSource::Directory(path) => {
                Ok(chart::package(path.as_str(), &self.chart_tree(path)?)?)
            }
            ChartSource::Archive(path) => Ok(chart::read_package(&self.project.path(path))?),
            ChartSource::Remote(_) => fetched
                .get(chart)
                .cloned()
                .ok_or_else(|| GatherError::NotFetched(chart.id())),
        }
    }
}
