//! The bundle manifest as typed values.
//!
//! These types hold what was written, already checked; `read` makes them from YAML. All paths are
//! relative to the project directory, in the spelling of the manifest.

use std::{collections::BTreeMap, fmt};

use camino::Utf8PathBuf;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    evidence::AdvisoryKind,
    oci::{Platform, Reference},
    registry::WebUrl,
    remote::RemoteChart,
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleManifest {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) platforms: Platforms,
    /// Parts that a site may leave out, by name.
    pub(crate) components: BTreeMap<String, Component>,
    pub(crate) images: Vec<Image>,
    /// Other artifacts of registries, such as vulnerability databases.
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) charts: Vec<Chart>,
    pub(crate) profiles: Vec<Profile>,
    /// What `install` installs together, in this order; empty when it installs one chart.
    pub releases: Vec<Release>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) migrations: Option<Utf8PathBuf>,
    pub(crate) binaries: Vec<Binary>,
    pub(crate) files: Vec<ExtraFile>,
    pub(crate) advisories: Vec<Advisory>,
    /// Policy file; without one the built-in policy holds.
    pub(crate) policy: Option<Utf8PathBuf>,
    /// Digest of the bundle that this one follows.
    pub(crate) predecessor: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platforms {
    All,
    Only(Vec<Platform>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) default: bool,
    pub(crate) description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) source: ImageSource,
    /// The component it belongs to; without one it is always included.
    pub(crate) component: Option<String>,
    /// Its licence as an SPDX expression; an image that the packager builds has the packager's own
    /// unless the manifest says otherwise.
    pub(crate) license: Option<String>,
    pub(crate) extra: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    Registry(Reference),
    Build(BuildImage),
}

/// An image that is built: static programs, CA roots and the migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildImage {
    pub(crate) reference: Reference,
    /// The programs for each platform; several have the same names for all. The first one is what a
    /// container runs.
    pub(crate) binaries: BTreeMap<Platform, Vec<Utf8PathBuf>>,
}

/// Something of a registry that is not run: a vulnerability database, a model, a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) reference: Reference,
    /// The component it belongs to; without one it is always included.
    pub(crate) component: Option<String>,
    /// Its licence as an SPDX expression.
    pub(crate) license: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chart {
    pub(crate) source: ChartSource,
    /// Values files that the completeness check adds to those of every profile. They are not in the
    /// bundle.
    pub(crate) check_values: Vec<Utf8PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChartSource {
    Directory(Utf8PathBuf),
    Archive(Utf8PathBuf),
    Remote(RemoteChart),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// The charts that it installs, as [`Chart::id`] has them; empty for all.
    pub(crate) charts: Vec<String>,
    /// Value files or templates (`.j2`), later ones win.
    pub(crate) values: Vec<Utf8PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub name: String,
    pub(crate) chart: String,
    /// The profile; without one, the first for the chart.
    pub(crate) profile: Option<String>,
    /// The namespace; without one, the one that whoever installs it names.
    pub(crate) namespace: Option<String>,
    /// The releases that must run before it.
    pub(crate) after: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// Which one; without a name, every one that has no settings of its own.
    pub(crate) name: Option<String>,
    pub(crate) pod_security: Option<PodSecurity>,
    /// Amounts by resource, as a `ResourceQuota` has them.
    pub(crate) quota: BTreeMap<String, String>,
    /// In which directions nothing passes that no other policy allows.
    pub(crate) default_deny: Vec<Direction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PodSecurity {
    Privileged,
    Baseline,
    Restricted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary {
    /// File name in the bundle, below `bin/<os>-<arch>/`.
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) source: FileSource,
}

/// Where a program or another file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSource {
    Path(Utf8PathBuf),
    Url(Download),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Download {
    pub(crate) url: WebUrl,
    pub(crate) sha256: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExtraFile {
    pub(crate) source: FileSource,
    /// Its path in the bundle, below `files/`.
    pub(crate) path: Utf8PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advisory {
    pub(crate) source: Utf8PathBuf,
    pub(crate) kind: AdvisoryKind,
}

impl Platforms {
    pub(crate) fn include(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::Only(chosen) => chosen.iter().any(|chosen| platform.matches(chosen)),
        }
    }

    /// Whether an image manifest for `platform` is included, of an image that there is for `all`
    /// these: for each chosen platform the best that runs on it, as containerd chooses.
    pub(crate) fn choose(&self, platform: &Platform, all: &[&Platform]) -> bool {
        let is_best = |wanted: &Platform| {
            let best = all
                .iter()
                .filter_map(|other| other.distance_from(wanted))
                .min();
            best.is_some() && platform.distance_from(wanted) == best
        };
        match self {
            Self::All => true,
            Self::Only(wanted) => wanted.iter().any(is_best),
        }
    }
}

impl Image {
    /// The reference it has in the manifest, wherever it comes from.
    pub(crate) const fn reference(&self) -> &Reference {
        match &self.source {
            ImageSource::Registry(reference) | ImageSource::Build(BuildImage { reference, .. }) => {
                reference
            }
        }
    }
}

impl Image {
    /// Its licence; an image that the packager builds has the packager's own unless the manifest
    /// says otherwise.
    pub(crate) fn effective_license(&self) -> Option<&str> {
        let own = matches!(self.source, ImageSource::Build(_)).then_some(env!("CARGO_PKG_LICENSE"));
        self.license.as_deref().or(own)
    }
}

impl Chart {
    /// What profiles and messages call it: its path, its `reference`, or its name in a repository.
    pub(crate) fn id(&self) -> String {
        match &self.source {
            ChartSource::Directory(path) | ChartSource::Archive(path) => path.to_string(),
            ChartSource::Remote(chart @ RemoteChart::Registry { .. }) => chart.origin(),
            ChartSource::Remote(RemoteChart::Repository { name, .. }) => name.clone(),
        }
    }

    pub(crate) const fn remote(&self) -> Option<&RemoteChart> {
        match &self.source {
            ChartSource::Remote(chart) => Some(chart),
            _ => None,
        }
    }
}

impl Profile {
    pub(crate) fn is_for(&self, chart: &Chart) -> bool {
        self.charts.is_empty() || self.charts.contains(&chart.id())
    }
}

impl Serialize for Platforms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Only(platforms) => {
                serializer.collect_seq(platforms.iter().map(Platform::to_string))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Platforms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Platforms;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`all` or a list of platforms")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "all" {
                    Ok(Platforms::All)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut items: A,
            ) -> Result<Self::Value, A::Error> {
                let mut platforms = Vec::new();
                while let Some(text) = items.next_element::<String>()? {
                    platforms.push(text.parse().map_err(de::Error::custom)?);
                }
                Ok(Platforms::Only(platforms))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
