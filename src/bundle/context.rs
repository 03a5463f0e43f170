//! What templates may name, made from a manifest and, where there is one, its lock.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::{
    chart::{
        BinaryContext, BundleContext, ChartContext, ChartVersion, Context, ImageContext,
        ProfileContext, ReleaseContext, output_path,
    },
    manifest::{Binary, BundleManifest, Image, Lock, LockedContent, Profile, PulledImage},
    oci::Platform,
};
use rune_core::digest::Digest;

/// Images that the packager builds, by their name in the manifest: the digest of the image index,
/// and of the manifest of each platform.
pub(crate) type BuiltDigests = BTreeMap<String, (Digest, Vec<(Platform, Digest)>)>;

/// Makes the context of all templates. Without a lock it is the development form: tags, no digests.
#[expect(
    clippy::indexing_slicing,
    reason = "every values file of a profile has a place"
)]
pub(crate) fn context(
    manifest: &BundleManifest,
    lock: Option<&Lock>,
    built: &BuiltDigests,
) -> Context {
    let values_paths = values_paths(manifest);
    let files_of = |profile: &Profile| {
        profile
            .values
            .iter()
            .map(|file| values_paths[file.as_path()].clone())
            .collect()
    };
    let profiles = manifest.profiles.iter().map(|profile| ProfileContext {
        name: profile.name.clone(),
        charts: Vec::new(),
        files: files_of(profile),
    });
    let binaries = manifest.binaries.iter().map(|binary| BinaryContext {
        name: binary.name.clone(),
        platform: binary.platform.to_string(),
        path: binary_path(binary),
    });
    Context {
        bundle: BundleContext {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
        },
        schema_version: lock
            .and_then(|lock| lock.migrations.as_ref())
            .map_or(0, |migrations| migrations.schema_version),
        images: manifest
            .images
            .iter()
            .map(|image| (image.name.clone(), image_context(image, lock, built)))
            .collect(),
        charts: Vec::new(),
        profiles: profiles.collect(),
        releases: Vec::new(),
        binaries: binaries.collect(),
    }
}

/// Lets templates know the packed charts, given in the order of the manifest, and which profile
/// installs which of them.
pub(super) fn add_charts(
    context: &mut Context,
    manifest: &BundleManifest,
    charts: impl Iterator<Item = ChartContext>,
) {
    context.charts = charts.collect();
    context.releases = releases(manifest, &context.charts);
    for (profile, known) in manifest.profiles.iter().zip(&mut context.profiles) {
        known.charts = charts_of(profile, manifest, &context.charts)
            .map(|chart| chart.name.clone())
            .collect();
    }
}

/// The releases by the names of their charts, each with the profile whose values are taken.
fn releases(manifest: &BundleManifest, charts: &[ChartContext]) -> Vec<ReleaseContext> {
    let releases = manifest.releases.iter().filter_map(|release| {
        let mut charts = manifest.charts.iter().zip(charts);
        let (chart, known) = charts.find(|(chart, _)| chart.id() == release.chart)?;
        let first = || {
            let profile = manifest
                .profiles
                .iter()
                .find(|profile| profile.is_for(chart));
            profile.map(|profile| profile.name.clone())
        };
        Some(ReleaseContext {
            name: release.name.clone(),
            chart: known.name.clone(),
            profile: release.profile.clone().or_else(first).unwrap_or_default(),
            namespace: release.namespace.clone().unwrap_or_default(),
        })
    });
    releases.collect()
}

/// The charts that a profile installs, out of all in the order of the manifest.
pub(super) fn charts_of<'c>(
    profile: &Profile,
    manifest: &BundleManifest,
    charts: &'c [ChartContext],
) -> impl Iterator<Item = &'c ChartContext> {
    manifest
        .charts
        .iter()
        .zip(charts)
        .filter(|(chart, _)| profile.is_for(chart))
        .map(|(_, known)| known)
}

pub(super) fn chart_context(name: &str, version: &ChartVersion) -> ChartContext {
    let (name, version) = (name.to_owned(), version.to_string());
    ChartContext {
        file: format!("charts/{name}-{version}.tgz"),
        name,
        version,
    }
}

/// Where the values files and templates of all profiles are in the bundle: below `values/` under
/// the name of the file, or under the whole path where several files have this name.
pub(super) fn values_paths(manifest: &BundleManifest) -> BTreeMap<&Utf8Path, String> {
    let files = manifest.profiles.iter().flat_map(|profile| &profile.values);
    let files: BTreeSet<&Utf8Path> = files.map(camino::Utf8PathBuf::as_path).collect();
    let mut wanted: BTreeMap<String, u32> = BTreeMap::new();
    for file in &files {
        *wanted
            .entry(short_values_path(file).to_lowercase())
            .or_default() += 1;
    }
    let place = |file| match short_values_path(file) {
        short if wanted.get(&short.to_lowercase()) == Some(&1) => short,
        _ => long_values_path(file),
    };
    files.into_iter().map(|file| (file, place(file))).collect()
}

fn short_values_path(file: &Utf8Path) -> String {
    match output_path(file.as_str()) {
        Some(path) if path.starts_with("values") => path.into_string(),
        _ => format!(
            "values/{}",
            file.file_name().unwrap_or_default().trim_end_matches(".j2")
        ),
    }
}

fn long_values_path(file: &Utf8Path) -> String {
    let rendered = output_path(file.as_str()).unwrap_or_else(|| file.to_owned());
    let below = rendered.strip_prefix("values").unwrap_or(&rendered);
    format!("values/{}", below.as_str().trim_end_matches(".j2"))
}

pub(super) fn binary_path(binary: &Binary) -> String {
    format!(
        "bin/{}-{}/{}",
        binary.platform.os, binary.platform.architecture, binary.name
    )
}

fn image_context(image: &Image, lock: Option<&Lock>, built: &BuiltDigests) -> ImageContext {
    let pinned = |digest| ImageContext::new(image.reference(), Some(digest));
    let context = match lock
        .and_then(|lock| lock.image(&image.name))
        .map(|locked| &locked.content)
    {
        Some(LockedContent::Registry(pulled)) => {
            let context =
                pinned(pulled.root.digest).with_platforms(carried(pulled), pulled.is_complete());
            Some(context.with_media_type(&pulled.root.media_type))
        }
        Some(LockedContent::Build(_)) => built
            .get(&image.name)
            .map(|(digest, platforms)| pinned(*digest).with_platforms(platforms.clone(), true)),
        None => None,
    };
    let context = context.unwrap_or_else(|| ImageContext::new(image.reference(), None));
    context.with_license(image.effective_license().unwrap_or_default())
}

fn carried(image: &PulledImage) -> Vec<(Platform, Digest)> {
    let carried = image.manifests.iter().filter(|entry| entry.carried);
    carried
        .filter_map(|entry| Some((entry.platform.clone()?, entry.manifest.digest)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::short_values_path;

    #[test]
    fn values_land_below_values_whatever_the_project_calls_them() {
        let cases = [
            ("templates/values/airgap.yaml.j2", "values/airgap.yaml"),
            ("templates/sites/lab.yaml.j2", "values/lab.yaml"),
            ("sites/lab.yaml", "values/lab.yaml"),
        ];
        for (path, expected) in cases {
            assert_eq!(short_values_path(path.into()), expected, "{path}");
        }
    }
}
