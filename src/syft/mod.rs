//! Running the real syft: an SBOM of one image manifest, which comes from a registry through our
//! client.
//!
//! syft sees a directory of its own and one image at a loopback address, with a password for that
//! address alone; neither credentials nor the network are in its reach. What it prints becomes a
//! function of the image and of the version of syft: see [`document`].
#![deny(clippy::arithmetic_side_effects)]

mod document;
mod error;
mod image_server;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

pub(crate) use self::error::SyftError;
use self::{document::Facts, image_server::ImageServer};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind},
    process::{self, MissingSpace, isolated, shortened},
    registry::{Client, RepositoryName},
};
use rune_core::fsx::ScratchDirectory;

pub(crate) const MAX_SBOM_BYTES: u64 = 128 << 20;

const MAX_VERSION_BYTES: u64 = 64 << 10;

const VERSION_TIME: Duration = Duration::from_mins(1);

/// A large image over a slow line takes long; one that never ends is a mistake.
const SCAN_TIME: Duration = Duration::from_hours(2);

const MAX_CONFIG_BYTES: u64 = 8 << 20;

#[derive(Debug)]
pub(crate) struct Syft {
    program: Utf8PathBuf,
    version: String,
}

pub(crate) struct ImageManifest {
    /// What the SBOM calls the image: `registry/repository`.
    pub(crate) name: String,
    pub(crate) repository: RepositoryName,
    pub(crate) manifest: Descriptor,
    pub(crate) blobs: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Version {
    application: String,
    version: String,
}

impl Syft {
    pub(crate) async fn find(program: &Utf8Path) -> Result<Self, SyftError> {
        let scratch = ScratchDirectory::create()?;
        let mut command = isolated(program, scratch.path());
        command
            .args(["version", "--output", "json"])
            .env("SYFT_CHECK_FOR_APP_UPDATE", "false");
        let child = command.spawn().map_err(|source| SyftError::Start {
            program: program.to_owned(),
            source,
        })?;
        let unknown = || SyftError::Unknown(program.to_owned());
        let ended = process::ended(child, VERSION_TIME, MAX_VERSION_BYTES).await;
        let ended = ended.map_err(|_| unknown())?;
        let answer: Option<Version> = serde_json::from_slice(&ended.output).ok();
        let answer = answer.filter(|answer| {
            ended.is_success && answer.application == "syft" && is_version(&answer.version)
        });
        Ok(Self {
            program: program.to_owned(),
            version: answer.ok_or_else(unknown)?.version,
        })
    }

    pub(crate) fn tool(&self) -> String {
        format!("syft {}", self.version)
    }

    /// The SBOM of an image, as `CycloneDX` 1.6.
    pub(crate) async fn sbom(
        &self,
        image: ImageManifest,
        client: &Client,
    ) -> Result<Vec<u8>, SyftError> {
        let scratch = ScratchDirectory::create()?;
        let packed = image.blobs.iter().map(|blob| blob.size);
        let packed_bytes = packed.fold(0, u64::saturating_add);
        if let Some(missing) = MissingSpace::to_unpack(packed_bytes, scratch.path())? {
            let image = image.name;
            return Err(SyftError::Space { image, missing });
        }
        let manifest = client
            .manifest(
                &image.repository,
                image.manifest.digest,
                Some(&image.manifest.media_type),
            )
            .await?;
        let created = created(&manifest, &image, client).await?;
        let facts = Facts {
            name: image.name.clone(),
            manifest: image.manifest.digest,
            created,
        };
        let server = ImageServer::start(manifest, &image, client.clone()).await?;
        let mut command = isolated(&self.program, scratch.path());
        command
            .args(["scan", "--quiet", "--output", "cyclonedx-json@1.6"])
            .args(["--source-name", &facts.name])
            .arg("--source-version")
            .arg(facts.manifest.to_string())
            .arg(format!("registry:{}", server.reference()));
        command.envs([
            ("SYFT_CHECK_FOR_APP_UPDATE", "false"),
            ("SYFT_REGISTRY_INSECURE_USE_HTTP", "true"),
        ]);
        command
            .env("SYFT_REGISTRY_AUTH_AUTHORITY", server.address().to_string())
            .env("SYFT_REGISTRY_AUTH_USERNAME", image_server::USER)
            .env("SYFT_REGISTRY_AUTH_PASSWORD", server.password());
        let child = command.spawn().map_err(|source| SyftError::Start {
            program: self.program.clone(),
            source,
        })?;
        let failed = |what: String| SyftError::Failed {
            image: facts.name.clone(),
            manifest: facts.manifest,
            what,
        };
        let ended = process::ended(child, SCAN_TIME, MAX_SBOM_BYTES).await;
        // What the registry did not give is why syft failed.
        if let Some(error) = server.failure() {
            return Err(error.into());
        }
        let ended = ended.map_err(|failure| failed(failure.to_string()))?;
        if !ended.is_success {
            return Err(failed(shortened(&ended.stderr_text(scratch.path()))));
        }
        document::settled(&ended.output, &facts).map_err(|source| SyftError::Document {
            image: facts.name.clone(),
            manifest: facts.manifest,
            source,
        })
    }
}

/// Such as `1.57.1`, or `[not provided]` of one that somebody compiled.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

async fn created(
    manifest: &Manifest,
    image: &ImageManifest,
    client: &Client,
) -> Result<Option<String>, SyftError> {
    #[derive(Deserialize)]
    struct Config {
        created: Option<String>,
    }
    let ManifestKind::Image { config, .. } = manifest.kind() else {
        return Ok(None);
    };
    let bytes = client
        .blob_bytes(&image.repository, config, MAX_CONFIG_BYTES)
        .await?;
    let config: Option<Config> = serde_json::from_slice(&bytes).ok();
    Ok(config.and_then(|config| config.created))
}
