//! The SBOM of the whole bundle: one `CycloneDX` document with everything that is delivered, as far
//! as the bundle knows it. What is within images is in the SBOMs that come with them.
//!
//! A function of the records alone: it has no time, and its serial number is made of its content.
//!
//! Sources: ECMA-424, `CycloneDX` 1.6; package-url, `oci-definition.json`.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{ComposeError, Entries};
use crate::{
    archive::EntryName,
    bundle::{BinaryRecord, ChartRecord, ImageRecord, Migrations},
    canonical_json,
    evidence::serial_number,
    oci::Platform,
    policy::SubjectKind,
};
use rune_core::digest::Digest;

pub(crate) const SBOM_NAME: &str = "sbom.cdx.json";

pub(super) struct Delivered<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a semver::Version,
    pub(super) tool: &'a str,
    pub(super) images: &'a [ImageRecord],
    pub(super) artifacts: &'a [ImageRecord],
    pub(super) charts: &'a [ChartRecord],
    pub(super) migrations: Option<&'a Migrations>,
    pub(super) binaries: &'a [BinaryRecord],
    pub(super) files: &'a [EntryName],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    tools: Tools<'a>,
    component: Named<'a>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Named<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Named<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bom_ref: Option<&'static str>,
    name: &'a str,
    version: String,
}

#[derive(Serialize)]
struct Component {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    hashes: [Hash; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Self>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
struct License {
    expression: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: &'static str,
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<String>,
}

const BUNDLE: &str = "bundle";

pub(super) fn add_sbom(
    delivered: &Delivered<'_>,
    entries: &mut Entries,
) -> Result<(), ComposeError> {
    let components = components(delivered, entries)?;
    let refs = || components.iter().map(|component| component.bom_ref.clone());
    let images = delivered.images.iter();
    let document = Document {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata {
            tools: Tools {
                components: [Named {
                    r#type: "application",
                    bom_ref: None,
                    name: "rune-bundle",
                    version: delivered.tool.to_owned(),
                }],
            },
            component: Named {
                r#type: "application",
                bom_ref: Some(BUNDLE),
                name: delivered.name,
                version: delivered.version.to_string(),
            },
        },
        dependencies: vec![Dependency {
            r#ref: BUNDLE,
            depends_on: refs().collect(),
        }],
        compositions: vec![
            Composition {
                aggregate: "complete",
                assemblies: vec![BUNDLE.to_owned()],
            },
            // What is within images is not listed here.
            Composition {
                aggregate: "incomplete",
                assemblies: images
                    .map(|image| image_ref(image, SubjectKind::Image))
                    .collect(),
            },
        ],
        components,
    };
    let serial = serial_number(&canonical_json::to_bytes(&document)?);
    let document = Document {
        serial_number: Some(serial),
        ..document
    };
    entries.add_bytes(SBOM_NAME, canonical_json::to_bytes(&document)?)?;
    Ok(())
}

fn components(
    delivered: &Delivered<'_>,
    entries: &Entries,
) -> Result<Vec<Component>, ComposeError> {
    let file = |kind, reference: String, name: String, path: &EntryName| {
        let digest = entries.digest(path);
        let digest = digest.ok_or_else(|| ComposeError::NoEntry(path.clone()))?;
        let mut component = Component::new(kind, reference, name, digest);
        component.add("rune-bundle:path", path.to_string());
        Ok::<_, ComposeError>(component)
    };
    let mut components: Vec<Component> = delivered.images.iter().map(image).collect();
    components.extend(delivered.artifacts.iter().map(artifact));
    for chart in delivered.charts {
        let reference = format!("chart/{}@{}", chart.name, chart.version);
        let mut component = file("application", reference, chart.name.clone(), &chart.path)?;
        component.version = Some(chart.version.clone());
        components.push(component);
    }
    for binary in delivered.binaries {
        let reference = format!("program/{}@{}", binary.name, binary.platform);
        let mut component = file("application", reference, binary.name.clone(), &binary.path)?;
        component.add("rune-bundle:platform", binary.platform.to_string());
        components.push(component);
    }
    let migrations = delivered.migrations.into_iter();
    for migration in migrations.flat_map(|migrations| &migrations.files) {
        let name = migration.path.as_str();
        let mut component = file("file", name.to_owned(), name.to_owned(), &migration.path)?;
        component.version = Some(migration.version.to_string());
        components.push(component);
    }
    for path in delivered.files {
        components.push(file("file", path.to_string(), path.to_string(), path)?);
    }
    Ok(components)
}

fn image_ref(image: &ImageRecord, kind: SubjectKind) -> String {
    match kind {
        SubjectKind::Image => format!("image/{}", image.name),
        SubjectKind::Artifact => format!("artifact/{}", image.name),
    }
}

fn image(image: &ImageRecord) -> Component {
    let mut component = of_registry("container", SubjectKind::Image, image);
    // One manifest may stand for several platforms.
    let mut seen = BTreeSet::from([image.target.digest]);
    let platforms = image
        .carried_runnable()
        .filter(|manifest| seen.insert(manifest.digest));
    component.components = platforms
        .map(|manifest| {
            let reference = format!("{}/{}", component.bom_ref, manifest.digest);
            let platform = manifest.platform.as_ref();
            let mut part = Component::new(
                "container",
                reference,
                component.name.clone(),
                manifest.digest,
            );
            part.version = Some(manifest.digest.to_string());
            part.purl = Some(purl(image, manifest.digest, platform));
            part.add("rune-bundle:platform", manifest.platform_name());
            part
        })
        .collect();
    component
}

fn artifact(artifact: &ImageRecord) -> Component {
    let mut component = of_registry("data", SubjectKind::Artifact, artifact);
    if let Some(kind) = &artifact.target.artifact_type {
        component.add("rune-bundle:artifact-type", kind.clone());
    }
    component
}

fn of_registry(r#type: &'static str, kind: SubjectKind, image: &ImageRecord) -> Component {
    let digest = image.target.digest;
    let reference = image_ref(image, kind);
    let mut component = Component::new(r#type, reference, image.reference.name(), digest);
    let tag = image.reference.tag().map(str::to_owned);
    component.version = Some(tag.unwrap_or_else(|| digest.to_string()));
    component.purl = Some(purl(image, digest, None));
    component.licenses = image
        .license
        .iter()
        .map(|expression| License {
            expression: expression.clone(),
        })
        .collect();
    if let Some(name) = &image.component {
        component.add("rune-bundle:component", name.clone());
    }
    component
}

/// The name of a manifest in a registry, as vulnerability scanners and VEX documents have it.
pub(in crate::bundle) fn purl(
    image: &ImageRecord,
    digest: Digest,
    platform: Option<&Platform>,
) -> String {
    let repository = image.reference.name();
    let (_, name) = repository.rsplit_once('/').unwrap_or(("", &repository));
    let encoded = |text: &str| text.replace(':', "%3A");
    let mut qualifiers = Vec::new();
    if let Some(platform) = platform {
        qualifiers.push(format!("arch={}", encoded(&platform.architecture)));
    }
    qualifiers.push(format!("repository_url={}", encoded(&repository)));
    if let Some(tag) = image.reference.tag() {
        qualifiers.push(format!("tag={tag}"));
    }
    format!(
        "pkg:oci/{name}@{}?{}",
        encoded(&digest.to_string()),
        qualifiers.join("&")
    )
}

impl Component {
    fn new(r#type: &'static str, bom_ref: String, name: String, digest: Digest) -> Self {
        Self {
            r#type,
            bom_ref,
            name,
            version: None,
            hashes: [Hash {
                alg: "SHA-256",
                content: digest.hex(),
            }],
            licenses: Vec::new(),
            purl: None,
            properties: Vec::new(),
            components: Vec::new(),
        }
    }

    fn add(&mut self, name: &'static str, value: String) {
        self.properties.push(Property { name, value });
    }
}
