//! One thing of a manifest that can be locked on its own.

use crate::{
    manifest::{Artifact, Binary, BundleManifest, Chart, Download, ExtraFile, FileSource, Image},
    policy::SubjectKind,
    remote::RemoteChart,
};

#[derive(Debug)]
pub(crate) enum Subject<'m> {
    Image(&'m Image),
    Artifact(&'m Artifact),
    Chart(&'m Chart, &'m RemoteChart),
    Binary(&'m Binary, &'m Download),
    File(&'m ExtraFile, &'m Download),
}

impl<'m> Subject<'m> {
    /// Everything of a manifest that can be locked on its own, with what it is called: images, then
    /// artifacts, charts, programs and files from elsewhere. An image goes before a chart of the
    /// same name.
    pub(crate) fn all(manifest: &'m BundleManifest) -> impl Iterator<Item = (String, Self)> {
        let images = manifest
            .images
            .iter()
            .map(|image| (image.name.clone(), Self::Image(image)));
        let artifacts = manifest
            .artifacts
            .iter()
            .map(|artifact| (artifact.name.clone(), Self::Artifact(artifact)));
        let charts = manifest.charts.iter().filter_map(|chart| {
            let remote = chart.remote()?;
            Some((remote.name().to_owned(), Self::Chart(chart, remote)))
        });
        let binaries = manifest
            .binaries
            .iter()
            .filter_map(|binary| match &binary.source {
                FileSource::Url(download) => {
                    Some((binary.name.clone(), Self::Binary(binary, download)))
                }
                FileSource::Path(_) => None,
            });
        let files = manifest.files.iter().filter_map(|file| match &file.source {
            FileSource::Url(download) => Some((file.path.to_string(), Self::File(file, download))),
            FileSource::Path(_) => None,
        });
        images
            .chain(artifacts)
            .chain(charts)
            .chain(binaries)
            .chain(files)
    }

    pub(crate) fn label(&self) -> String {
        match self {
            Self::Image(image) => SubjectKind::Image.label(&image.name),
            Self::Artifact(artifact) => SubjectKind::Artifact.label(&artifact.name),
            Self::Chart(_, remote) => format!("chart `{}`", remote.name()),
            Self::Binary(binary, _) => format!("program `{}`", binary.name),
            Self::File(file, _) => format!("file `{}`", file.path),
        }
    }
}
