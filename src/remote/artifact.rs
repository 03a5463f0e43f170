//! Charts of an OCI registry, as `helm push` stores them.

use camino::Utf8Path;

use super::{FetchedChart, RemoteError};
use crate::{
    chart::{self, Blob, ChartArtifact, MAX_CHART_BYTES},
    oci::{Descriptor, Manifest, ManifestKind, Reference},
    registry::{Client, RegistryError, RepositoryName},
};

const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// How many layers a chart may have: the archive, its provenance, and what others may add.
const MAX_LAYERS: usize = 8;

/// Fetches what a reference means as a chart: by its digest if it has one, else by its tag.
/// Everything that the manifest names is kept as it came, so that manifest and archive are the same
/// wherever they are published.
pub(crate) async fn fetch_artifact(
    client: &Client,
    reference: &Reference,
) -> Result<FetchedChart, RemoteError> {
    let manifest = client.resolve(reference).await?;
    let place = format!("oci://{reference}");
    let not_a_chart = |found: String| RemoteError::NotAChart {
        reference: place.clone(),
        found,
    };
    let (config, layers) = parts(&manifest).map_err(not_a_chart)?;
    let name = RepositoryName::from(reference);
    let config = fetch(client, &name, config, MAX_CONFIG_BYTES).await?;
    let mut blobs = Vec::new();
    for layer in layers {
        blobs.push(fetch(client, &name, layer, MAX_CHART_BYTES).await?);
    }
    let of_type = |is_it: fn(&str) -> bool| {
        blobs
            .iter()
            .find(|blob| is_it(&blob.descriptor.media_type))
            .map(|blob| blob.bytes.clone())
    };
    let archive = of_type(chart::is_archive_type)
        .ok_or_else(|| not_a_chart("it has no layer with a packed chart".to_owned()))?;
    let provenance = of_type(chart::is_provenance_type);
    let mut package = chart::package_from_bytes(Utf8Path::new(&place), archive)?;
    let descriptor = manifest.descriptor();
    let manifest = Blob {
        descriptor: descriptor.clone(),
        bytes: manifest.into_bytes(),
    };
    package.provenance = provenance;
    package.published = Some(ChartArtifact {
        manifest,
        config,
        layers: blobs,
    });
    Ok(FetchedChart {
        package,
        manifest: Some(descriptor),
        is_deprecated: false,
    })
}

/// Configuration and layers of a manifest that Helm takes for a chart.
fn parts(manifest: &Manifest) -> Result<(Descriptor, Vec<Descriptor>), String> {
    let ManifestKind::Image { config, layers, .. } = manifest.kind() else {
        return Err("it is an image index".to_owned());
    };
    if !chart::is_config_type(&config.media_type) {
        return Err(format!(
            "its configuration is of type `{}`",
            config.media_type.escape_debug()
        ));
    }
    if layers.len() > MAX_LAYERS {
        return Err(format!("it has {} layers", layers.len()));
    }
    Ok((config.clone(), layers.clone()))
}

async fn fetch(
    client: &Client,
    name: &RepositoryName,
    descriptor: Descriptor,
    max_bytes: u64,
) -> Result<Blob, RegistryError> {
    let bytes = client.blob_bytes(name, &descriptor, max_bytes).await?;
    Ok(Blob { descriptor, bytes })
}
