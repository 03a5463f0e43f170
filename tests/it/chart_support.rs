//! What the chart tests share: the project's templates, a context as a manifest and a lock would give it, and the real Helm.

use std::{collections::BTreeMap, fs, path::Path};

use camino::{Utf8Path, Utf8PathBuf};
use rune_bundle::{
    chart::{BinaryContext, BundleContext, ChartContext, Context, ImageContext, ProfileContext, Renderer, load_templates},
    oci::{Digest, Reference},
};

/// The images of the example manifest.
const IMAGES: [(&str, &str, &str); 3] = [
    ("postgres", "docker.io/library/postgres:17-alpine", "PostgreSQL"),
    ("rune-db", "ghcr.io/lpasquali/rune-db:0.1.0", "Apache-2.0"),
    ("rune", "ghcr.io/lpasquali/rune:v0.0.0a6", "Apache-2.0"),
];

/// The checkout.
pub(crate) fn project() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The project's own templates.
pub(crate) fn renderer() -> Renderer {
    Renderer::new(load_templates(project()).unwrap()).unwrap()
}

/// What a manifest gives: no digests.
pub(crate) fn development() -> Context {
    context(|_| None)
}

/// What a manifest with a lock gives: a digest per image, made of its name.
pub(crate) fn pinned() -> Context {
    context(|name| Some(digest_of(name)))
}

/// The digest that stands for an image here.
pub(crate) fn digest_of(image: &str) -> Digest {
    Digest::of(image.as_bytes())
}

fn context(digest: impl Fn(&str) -> Option<Digest>) -> Context {
    let image = |reference: &str, name: &str| ImageContext::new(&reference.parse::<Reference>().unwrap(), digest(name));
    let platforms = |name: &str| {
        ["linux/amd64", "linux/arm64/v8"].map(|platform| (platform.parse().unwrap(), digest_of(&format!("{name} {platform}"))))
    };
    Context {
        bundle: BundleContext { name: "rune".to_owned(), version: "0.1.0".to_owned() },
        schema_version: 6,
        images: IMAGES
            .iter()
            .map(|(name, reference, license)| {
                let image = image(reference, name).with_license(*license);
                (
                    (*name).to_owned(),
                    if digest(name).is_some() { image.with_platforms(platforms(name), *name != "postgres") } else { image },
                )
            })
            .collect(),
        charts: Vec::new(),
        profiles: Vec::new(),
        binaries: Vec::new(),
    }
}

/// The context as it is when the charts are packed and the text for the administrator is written.
pub(crate) fn packed() -> Context {
    Context {
        charts: vec![ChartContext { name: "rune".to_owned(), version: "0.2.0".to_owned(), file: "charts/rune-0.2.0.tgz".to_owned() }],
        profiles: ["airgap", "cnpg"]
            .map(|name| ProfileContext { name: name.to_owned(), files: vec![format!("values/{name}.yaml")] })
            .to_vec(),
        binaries: vec![BinaryContext {
            name: "rune-db".to_owned(),
            platform: "linux/amd64".to_owned(),
            path: "bin/linux-amd64/rune-db".to_owned(),
        }],
        ..pinned()
    }
}

/// Writes rendered files below a directory.
pub(crate) fn write_all(root: &Path, files: &BTreeMap<Utf8PathBuf, String>) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
