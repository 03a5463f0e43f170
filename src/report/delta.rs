//! What the page says about a delta: what it has of its bundle, and each entry that it needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    bundle::{BundleIndex, DeltaContents, DeltaView, EntryRecord, ImageRecord, Role},
    oci::{Manifest, ManifestKind},
};
use rune_core::digest::Digest;

/// How many uses of one entry are named.
const NAMED_USES: usize = 3;

#[derive(Debug, Serialize)]
pub(super) struct DeltaPart {
    bytes: u64,
    included: String,
    pub(super) needed: String,
    /// What it was created for. That is not signed.
    bases: Vec<String>,
    pub(super) entries: Vec<NeededEntry>,
}

#[derive(Debug, Serialize)]
pub(super) struct NeededEntry {
    what: String,
    path: String,
    bytes: u64,
}

/// What an entry is for. A bundle may use one entry many times, so few are kept.
#[derive(Debug, Default)]
struct Uses(BTreeSet<String>);

#[derive(Debug, Default)]
struct Catalog<'a> {
    names: BTreeMap<&'a str, Uses>,
    digests: BTreeMap<Digest, Uses>,
    /// For each manifest, what its configuration is and what its layers are.
    manifests: BTreeMap<Digest, (Uses, Uses)>,
}

impl DeltaPart {
    pub(super) fn of(delta: &DeltaView, contents: &DeltaContents<'_>) -> Self {
        let index = delta.head().index();
        let catalog = Catalog::of(index, contents);
        let needed = index.entries.iter().filter(|entry| !contents.has(entry));
        let entries = needed.map(|entry| NeededEntry {
            what: catalog.what(entry),
            path: entry.path.to_string(),
            bytes: entry.size,
        });
        let entries = entries.collect();
        let (included, needed) = contents.tallies(index);
        Self {
            bytes: contents.bytes(),
            included: included.to_string(),
            needed: needed.to_string(),
            bases: delta.bases().iter().map(ToString::to_string).collect(),
            entries,
        }
    }
}

impl Uses {
    fn add(&mut self, what: &str) {
        if self.0.len() <= NAMED_USES {
            self.0.insert(what.to_owned());
        }
    }

    fn add_all(&mut self, more: &Self) {
        more.0.iter().for_each(|what| self.add(what));
    }
}

impl<'a> Catalog<'a> {
    fn of(index: &'a BundleIndex, delta: &DeltaContents<'_>) -> Self {
        let mut catalog = Self::default();
        for chart in &index.charts {
            let what = format!("chart {} {}", chart.name, chart.version);
            catalog.name(chart.path.as_str(), &what);
            let manifest = format!("manifest of {what}");
            let config = format!("configuration of {what}");
            catalog.manifest(chart.artifact.digest, &manifest, &config, &what);
        }
        for profile in &index.profiles {
            for path in &profile.values {
                catalog.name(
                    path.as_str(),
                    &format!("values of profile {}", profile.name),
                );
            }
        }
        for migration in index.migrations.iter().flat_map(|all| &all.files) {
            catalog.name(
                migration.path.as_str(),
                &format!("migration {}", migration.version),
            );
        }
        for program in &index.binaries {
            let what = format!("program {} for {}", program.name, program.platform);
            catalog.name(program.path.as_str(), &what);
        }
        for advisory in &index.advisories {
            catalog.name(advisory.path.as_str(), "advisory");
        }
        let signatures = index.image_signatures.iter();
        for signature in signatures.flat_map(|all| &all.manifests) {
            let what = "image signature of the builder";
            catalog.manifest(signature.target.digest, what, what, what);
            catalog.digest(signature.statement, what);
        }
        for image in &index.images {
            catalog.image("image", image);
        }
        for artifact in &index.artifacts {
            catalog.image("artifact", artifact);
        }
        // A chart is a blob as well.
        for entry in &index.entries {
            if let Some(uses) = catalog.names.get(entry.path.as_str()) {
                let same = catalog.digests.entry(entry.sha256).or_default();
                same.add_all(uses);
            }
        }
        catalog.read_manifests(index, delta);
        catalog
    }

    fn image(&mut self, noun: &str, image: &ImageRecord) {
        let of = format!("of {noun} {}", image.reference);
        for manifest in &image.manifests {
            let (what, config, layer) = match manifest.role {
                Role::Attestation => ("attestation", "attestation", "attestation"),
                _ => ("manifest", "configuration", "layer"),
            };
            let [what, config, layer] = [what, config, layer].map(|what| format!("{what} {of}"));
            self.manifest(manifest.digest, &what, &config, &layer);
        }
        let roots = [&image.target].into_iter().chain(&image.reduced_index);
        for root in roots {
            if !self.manifests.contains_key(&root.digest) {
                self.digest(root.digest, &format!("image index {of}"));
            }
        }
        for referrer in &image.referrers {
            let what = format!("{} about {noun} {}", referrer.kind(), image.reference);
            self.manifest(referrer.target.digest, &what, &what, &what);
        }
    }

    fn name(&mut self, name: &'a str, what: &str) {
        self.names.entry(name).or_default().add(what);
    }

    fn digest(&mut self, digest: Digest, what: &str) {
        self.digests.entry(digest).or_default().add(what);
    }

    fn manifest(&mut self, digest: Digest, what: &str, config: &str, layer: &str) {
        self.digest(digest, what);
        let (configs, layers) = self.manifests.entry(digest).or_default();
        configs.add(config);
        layers.add(layer);
    }

    /// What configurations and layers are for, as the manifests say that the delta has.
    fn read_manifests(&mut self, index: &BundleIndex, delta: &DeltaContents<'_>) {
        let sizes: BTreeMap<Digest, u64> = index
            .entries
            .iter()
            .map(|entry| (entry.sha256, entry.size))
            .collect();
        for (digest, (configs, layers)) in &self.manifests {
            let bytes = sizes
                .get(digest)
                .and_then(|size| delta.bytes_of(*digest, *size));
            let manifest = bytes.and_then(|bytes| Manifest::parse(bytes, None).ok());
            let Some(ManifestKind::Image {
                config,
                layers: parts,
                ..
            }) = manifest.as_ref().map(Manifest::kind)
            else {
                continue;
            };
            let digests = &mut self.digests;
            digests.entry(config.digest).or_default().add_all(configs);
            for part in parts {
                digests.entry(part.digest).or_default().add_all(layers);
            }
        }
    }

    fn what(&self, entry: &EntryRecord) -> String {
        // Entries with the same content may be for different things, and the name says for which.
        let uses = self.names.get(entry.path.as_str());
        let uses = uses.or_else(|| self.digests.get(&entry.sha256));
        let Some(Uses(uses)) = uses else {
            let is_blob = entry.path.as_str().starts_with("blobs/");
            return if is_blob { "blob" } else { "file" }.to_owned();
        };
        let named: Vec<&str> = uses.iter().take(NAMED_USES).map(String::as_str).collect();
        let more = if uses.len() > NAMED_USES {
            ", and others"
        } else {
            ""
        };
        format!("{}{more}", named.join(", "))
    }
}
