//! From ingredients to a plan: which entries a bundle has, in which order, and the bundle index
//! over them.
//!
//! Pure: sizes and digests of everything are known before anything is fetched, so the same
//! ingredients give the same index, and the bundle index determines every byte.

mod entries;
mod images;
mod sbom;
mod signatures;

use std::{collections::BTreeMap, sync::Arc};

use camino::Utf8PathBuf;

use self::{
    entries::Entries,
    images::{Roots, add_image},
    sbom::{Delivered, add_sbom},
    signatures::add_signatures,
};
use super::{
    AdvisoryIngredient, AdvisoryRecord, BinaryRecord, BundleIndex, ChartRecord, Completeness,
    FORMAT, ImageSigner, IndexError, MigrationRecord, Migrations, NamespaceRecord, PolicyRecord,
    ProfileRecord, ReleaseRecord,
    materialise::{Content, Plan},
    publication::chart_repository,
};
use crate::{
    archive::{EntryName, EntryNameError, Mode},
    canonical_json::CanonicalJsonError,
    chart::{ChartArtifact, Package},
    oci::Platform,
    policy::SubjectKind,
    registry::WebUrl,
    sign::{PrivateKey, SLOTS, SignError, Slot, SlotSignature},
};
use rune_core::{digest::Digest, failure::Failure};

pub(super) use images::{ARTIFACT, ARTIFACT_KIND, IMAGE_SIGNATURE, REFERRER};
pub use images::{ImageIngredient, ImageSource};
pub(crate) use sbom::SBOM_NAME;
pub(super) use sbom::purl;
pub(crate) use signatures::BundlePayload;

#[derive(Debug)]
pub struct Ingredients {
    pub name: String,
    pub version: semver::Version,
    /// The digest of the bundle it succeeds.
    pub predecessor: Option<Digest>,
    pub images: Vec<ImageIngredient>,
    /// Artifacts that are not run, in the order in which they are listed.
    pub artifacts: Vec<ImageIngredient>,
    pub charts: Vec<Package>,
    pub profiles: Vec<ProfileIngredient>,
    /// What is installed together, in this order.
    pub releases: Vec<ReleaseRecord>,
    pub namespaces: Vec<NamespaceRecord>,
    pub migrations: Option<MigrationsIngredient>,
    pub binaries: Vec<BinaryIngredient>,
    pub files: Vec<FileIngredient>,
    pub advisories: Vec<AdvisoryIngredient>,
    /// Where charts, programs and files from elsewhere come from, by their path in the bundle.
    pub origins: BTreeMap<String, String>,
    /// What the admin on the air-gapped side reads first.
    pub install: String,
    pub policy: PolicyRecord,
    /// Whether the charts were checked for images that are not inside.
    pub completeness: Completeness,
    /// Who signs the images and charts; nobody without one.
    pub image_signer: Option<ImageSigner>,
}

#[derive(Debug)]
pub struct ProfileIngredient {
    pub name: String,
    /// Names of the charts that it installs; empty for all.
    pub charts: Vec<String>,
    /// Path in the bundle and content of each values file, in the order in which Helm is to take
    /// them.
    pub values: Vec<(String, String)>,
}

impl ProfileIngredient {
    pub(crate) fn is_for(&self, chart: &str) -> bool {
        self.charts.is_empty() || self.charts.iter().any(|name| name == chart)
    }
}

#[derive(Debug)]
pub struct MigrationsIngredient {
    pub schema_version: u32,
    /// Version, file name and content of each.
    pub files: Vec<(u32, String, Vec<u8>)>,
}

#[derive(Debug)]
pub struct BinaryIngredient {
    pub name: String,
    pub platform: Platform,
    pub content: BinaryContent,
}

/// The bytes of a program, or where they are.
#[derive(Debug)]
pub enum BinaryContent {
    Bytes(Arc<[u8]>),
    Web {
        url: WebUrl,
        size: u64,
        digest: Digest,
    },
}

#[derive(Debug)]
pub struct FileIngredient {
    /// Its path in the bundle, below `files/`.
    pub path: String,
    pub source: FileOrigin,
    pub size: u64,
    pub digest: Digest,
}

#[derive(Debug)]
pub enum FileOrigin {
    Path(Utf8PathBuf),
    Web(WebUrl),
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum ComposeError {
    #[error(transparent)]
    #[failure(Input: "entry names have at most 100 characters of A-Z a-z 0-9 . _ + - /; rename the \
        file or chart")]
    Name(#[from] EntryNameError),
    #[error("two parts of the bundle would both be the entry `{0}`")]
    #[failure(help: "rename one of the files that it is made from")]
    Collision(EntryName),
    #[error("the charts `{one}` and `{other}` would both be published as `{repository}`")]
    #[failure(help: "put one of them into another bundle")]
    Repositories {
        one: String,
        other: String,
        repository: String,
    },
    #[error(transparent)]
    #[failure(Input)]
    Json(#[from] CanonicalJsonError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Chart(#[from] crate::chart::ChartError),
    #[error("the document {digest} has {size} bytes, at most 4 MiB are allowed")]
    DocumentTooLarge { digest: Digest, size: u64 },
    #[error("the signature of {what} cannot be used")]
    #[failure(inner: "sign the files that `--emit-image-payloads DIR` writes, with the key that \
        --image-key names")]
    ImageSignature {
        what: String,
        #[source]
        source: SignError,
    },
    /// The SBOM would name a part that has no entry: a bug.
    #[error("`{0}` is not an entry of the bundle")]
    #[failure(Internal)]
    NoEntry(EntryName),
    #[error("there is no signature of:\n  {}", .0.join("\n  "))]
    #[failure(Signature: "write what is to be signed with `--emit-image-payloads DIR`, and put the \
        signature of each NAME.payload into NAME.sig")]
    MissingImageSignatures(Vec<String>),
    #[error("a bundle has room for {SLOTS} signatures, {0} keys were given")]
    #[failure(Usage)]
    TooManyKeys(usize),
}

/// A composed bundle that nobody has signed yet.
#[derive(Debug)]
pub struct Draft {
    index: BundleIndex,
    contents: Vec<Content>,
    payloads: Vec<BundlePayload>,
}

impl Ingredients {
    pub fn compose(self) -> Result<Draft, ComposeError> {
        let mut entries = Entries::default();
        let mut roots = Roots::default();
        let images = self
            .images
            .into_iter()
            .map(|image| add_image(SubjectKind::Image, image, &mut entries, &mut roots))
            .collect::<Result<Vec<_>, _>>()?;
        let artifacts = self
            .artifacts
            .into_iter()
            .map(|artifact| add_image(SubjectKind::Artifact, artifact, &mut entries, &mut roots))
            .collect::<Result<Vec<_>, _>>()?;
        let charts: Vec<_> = self
            .charts
            .iter()
            .map(|chart| add_chart(chart, &mut entries, &mut roots))
            .collect::<Result<_, _>>()?;
        check_repositories(&charts)?;
        let profiles = self
            .profiles
            .into_iter()
            .map(|profile| add_profile(profile, &mut entries))
            .collect::<Result<Vec<_>, _>>()?;
        let migrations = self
            .migrations
            .map(|migrations| add_migrations(migrations, &mut entries))
            .transpose()?;
        let binaries = self
            .binaries
            .into_iter()
            .map(|binary| add_binary(binary, &mut entries))
            .collect::<Result<Vec<_>, _>>()?;
        let mut files = Vec::new();
        for file in self.files {
            let content = match file.source {
                FileOrigin::Path(path) => Content::File {
                    path,
                    digest: file.digest,
                },
                FileOrigin::Web(url) => web_content(url, file.size, file.digest),
            };
            files.push(entries.add(
                &format!("files/{}", file.path),
                content,
                file.size,
                file.digest,
                Mode::Regular,
            )?);
        }
        let advisories = self.advisories.into_iter().map(|advisory| {
            let path = entries.add_bytes(&advisory.path, advisory.bytes)?;
            Ok(AdvisoryRecord {
                kind: advisory.kind,
                path,
            })
        });
        let advisories = advisories.collect::<Result<_, ComposeError>>()?;
        entries.add_bytes("INSTALL.md", self.install.into_bytes())?;
        let delivered = Delivered {
            name: &self.name,
            version: &self.version,
            tool: env!("CARGO_PKG_VERSION"),
            images: &images,
            artifacts: &artifacts,
            charts: &charts,
            migrations: migrations.as_ref(),
            binaries: &binaries,
            files: &files,
        };
        add_sbom(&delivered, &mut entries)?;
        let payloads = roots.subjects.payloads()?;
        let image_signatures = self
            .image_signer
            .map(|signer| add_signatures(&signer, &payloads, &mut entries, &mut roots))
            .transpose()?;
        roots.add_to(&mut entries)?;
        let (records, contents) = entries.in_order()?;
        let origins = self
            .origins
            .into_iter()
            .map(|(path, origin)| Ok((EntryName::new(path)?, origin)));
        let origins: BTreeMap<EntryName, String> =
            origins.collect::<Result<_, EntryNameError>>()?;
        let index = BundleIndex {
            format: FORMAT,
            requires: Vec::new(),
            name: self.name,
            version: self.version,
            tool: concat!("rune-bundle ", env!("CARGO_PKG_VERSION")).to_owned(),
            predecessor: self.predecessor,
            entries: records,
            images,
            artifacts,
            charts,
            profiles,
            releases: self.releases,
            namespaces: self.namespaces,
            migrations,
            binaries,
            origins,
            policy: self.policy,
            completeness: self.completeness,
            image_signatures,
            advisories,
        };
        let index = BundleIndex {
            requires: index.required_abilities(),
            ..index
        };
        Ok(Draft {
            index,
            contents,
            payloads,
        })
    }
}

impl Draft {
    pub(crate) const fn index(&self) -> &BundleIndex {
        &self.index
    }

    pub(crate) fn payloads(&self) -> &[BundlePayload] {
        &self.payloads
    }

    /// Signs the bundle index with each key, in order, and fixes every byte of the bundle.
    pub fn sign(self, keys: &[PrivateKey]) -> Result<Plan, ComposeError> {
        if keys.len() > SLOTS {
            return Err(ComposeError::TooManyKeys(keys.len()));
        }
        let index_bytes = self.index.to_bytes()?;
        let layout = self.index.layout(index_bytes.len() as u64)?;
        let signed: Vec<Slot> = keys
            .iter()
            .map(|key| Slot::Signed(SlotSignature::sign(key, &index_bytes)))
            .collect();
        let slots = signed
            .into_iter()
            .chain(std::iter::repeat_with(|| Slot::Blank))
            .take(SLOTS);
        let slots = slots.map(|slot| Content::Bytes(slot.to_bytes().into()));
        let digest = Digest::of(&index_bytes);
        let contents = std::iter::once(Content::Bytes(index_bytes.into()))
            .chain(slots)
            .chain(self.contents)
            .collect();
        Ok(Plan {
            digest,
            layout,
            contents,
        })
    }
}

/// Names of charts may differ in ways that names of repositories do not.
fn check_repositories(charts: &[ChartRecord]) -> Result<(), ComposeError> {
    let mut names = BTreeMap::new();
    for chart in charts {
        let repository = chart_repository(&chart.name);
        let other = names.entry(repository.clone()).or_insert(&chart.name);
        if *other != &chart.name {
            return Err(ComposeError::Repositories {
                one: (*other).clone(),
                other: chart.name.clone(),
                repository,
            });
        }
    }
    Ok(())
}

fn add_chart(
    chart: &Package,
    entries: &mut Entries,
    roots: &mut Roots,
) -> Result<ChartRecord, ComposeError> {
    let artifact = ChartArtifact::new(chart)?;
    let (name, version) = (
        chart.metadata.name.clone(),
        chart.metadata.version.to_string(),
    );
    let path = entries.add_bytes(&format!("charts/{name}-{version}.tgz"), chart.bytes.clone())?;
    if let Some(provenance) = &chart.provenance {
        entries.add_bytes(&format!("{path}.prov"), provenance.clone())?;
    }
    for blob in artifact
        .layers
        .iter()
        .chain([&artifact.config, &artifact.manifest])
    {
        entries.add_blob(&blob.descriptor, Content::Bytes(blob.bytes.clone().into()));
    }
    let manifest = artifact.manifest.descriptor;
    roots.add_chart(
        &manifest,
        &format!("{name}:{}", ChartArtifact::tag(&chart.metadata)),
    );
    Ok(ChartRecord {
        name,
        version,
        path,
        artifact: manifest,
    })
}

fn web_content(url: WebUrl, size: u64, digest: Digest) -> Content {
    Content::Web {
        url: Box::new(url),
        size,
        digest,
    }
}

fn add_profile(
    profile: ProfileIngredient,
    entries: &mut Entries,
) -> Result<ProfileRecord, ComposeError> {
    let values = profile
        .values
        .into_iter()
        .map(|(path, text)| entries.add_shared(&path, text.into_bytes()))
        .collect::<Result<_, _>>()?;
    Ok(ProfileRecord {
        name: profile.name,
        charts: profile.charts,
        values,
    })
}

fn add_migrations(
    migrations: MigrationsIngredient,
    entries: &mut Entries,
) -> Result<Migrations, ComposeError> {
    let mut add = |(version, file, bytes): (u32, String, Vec<u8>)| {
        entries
            .add_bytes(&format!("migrations/{file}"), bytes)
            .map(|path| MigrationRecord { version, path })
    };
    let files = migrations
        .files
        .into_iter()
        .map(&mut add)
        .collect::<Result<_, _>>()?;
    Ok(Migrations {
        schema_version: migrations.schema_version,
        files,
    })
}

fn add_binary(
    binary: BinaryIngredient,
    entries: &mut Entries,
) -> Result<BinaryRecord, ComposeError> {
    let BinaryIngredient {
        name,
        platform,
        content,
    } = binary;
    let path = format!("bin/{}-{}/{name}", platform.os, platform.architecture);
    let (content, size, digest) = match content {
        BinaryContent::Bytes(bytes) => {
            let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
            (Content::Bytes(bytes), size, digest)
        }
        BinaryContent::Web { url, size, digest } => (web_content(url, size, digest), size, digest),
    };
    let path = entries.add(&path, content, size, digest, Mode::Executable)?;
    Ok(BinaryRecord {
        name,
        platform,
        path,
    })
}
