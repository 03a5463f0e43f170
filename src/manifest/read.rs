//! From YAML to a [`BundleManifest`], mistake by mistake.
//!
//! Reads the text only; whether files exist and what the policy says is for the project to check,
//! with the places that are handed on here.

mod advisories;
mod artifacts;
mod charts;
mod files;
mod images;
mod namespaces;
mod releases;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;

use super::{
    BundleManifest, Component, Platforms, Profile, names,
    problem::{ManifestProblem, is_known_platform},
};
use crate::oci::{Platform, Reference};
use rune_core::yaml::{self, Findings, Mapping, Node, Place, Value};

const API_VERSION: &str = "rune-bundle/v1";
const KIND: &str = "BundleManifest";
const KEYS: &[&str] = &[
    "apiVersion",
    "kind",
    "name",
    "version",
    "platforms",
    "components",
    "images",
    "artifacts",
    "charts",
    "profiles",
    "releases",
    "namespaces",
    "migrations",
    "binaries",
    "files",
    "advisories",
    "policy",
    "predecessor",
];

pub(super) struct Draft {
    /// The manifest; nothing when a key that it cannot do without is missing or wrong.
    pub(super) manifest: Option<BundleManifest>,
    pub(super) findings: Findings,
    pub(super) files: Vec<NamedFile>,
    pub(super) references: Vec<NamedReference>,
    /// The charts from elsewhere, as policy and lock call them.
    pub(super) charts: Vec<(String, Place)>,
    pub(super) policy: Option<(Place, Utf8PathBuf)>,
}

pub(super) struct NamedReference {
    pub(super) place: Place,
    pub(super) subject: String,
    pub(super) reference: Reference,
    /// As it stands in the manifest: several spellings mean the same.
    written: String,
}

pub(super) struct NamedFile {
    pub(super) place: Place,
    pub(super) path: Utf8PathBuf,
    pub(super) role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    ChartDirectory,
    ChartArchive,
    Values,
    Migrations,
    Binary,
    Extra,
    Advisory,
}

pub(super) fn read(path: &Utf8Path, text: &str) -> Draft {
    let mut reader = Reader {
        findings: Findings::new(path),
        files: Vec::new(),
        references: Vec::new(),
        charts: Vec::new(),
        remote_charts: Vec::new(),
        policy: None,
    };
    let manifest = match yaml::parse(path, text) {
        Ok(root) => reader.manifest(&root),
        Err(error) => {
            reader.findings.add_syntax(&error);
            None
        }
    };
    Draft {
        manifest,
        findings: reader.findings,
        files: reader.files,
        references: reader.references,
        charts: reader.remote_charts,
        policy: reader.policy,
    }
}

struct Reader {
    findings: Findings,
    files: Vec<NamedFile>,
    references: Vec<NamedReference>,
    charts: Vec<String>,
    remote_charts: Vec<(String, Place)>,
    policy: Option<(Place, Utf8PathBuf)>,
}

impl Reader {
    fn manifest(&mut self, root: &Node) -> Option<BundleManifest> {
        let map = Mapping::open(root, "a bundle manifest", KEYS, &mut self.findings)?;
        map.fixed("apiVersion", API_VERSION, &mut self.findings);
        map.fixed("kind", KIND, &mut self.findings);
        let name = map
            .required("name", &mut self.findings)
            .and_then(|node| self.name(node, "a bundle"));
        let version = map
            .required("version", &mut self.findings)
            .and_then(|node| self.version(node));
        let platforms = map
            .optional("platforms")
            .map_or(Some(Platforms::All), |node| self.platforms(node));
        let components = map
            .optional("components")
            .map(|node| self.components(node))
            .unwrap_or_default();
        let images = map
            .optional("images")
            .map(|node| self.images(node, &components, platforms.as_ref()))
            .unwrap_or_default();
        let artifacts = self.named_list(
            &map,
            "artifacts",
            "artifacts",
            |reader, node| reader.artifact(node, &components, &images),
            |artifact| artifact.name.clone(),
        );
        self.collisions();
        let charts = self.list(&map, "charts", Self::chart);
        let profiles = self.named_list(&map, "profiles", "profiles", Self::profile, |profile| {
            profile.name.clone()
        });
        let releases = self.releases(&map, &profiles);
        let namespaces = self.namespaces(&map);
        let migrations = map
            .optional("migrations")
            .and_then(|node| self.file(node, "`migrations`", Role::Migrations));
        let binaries = self.named_list(&map, "binaries", "programs", Self::binary, |binary| {
            // Variants of one architecture share a directory in the bundle.
            format!(
                "{}-{}/{}",
                binary.platform.os, binary.platform.architecture, binary.name
            )
        });
        let files = self.named_list(&map, "files", "files", Self::extra_file, |file| {
            file.path.as_str().to_ascii_lowercase()
        });
        let advisories = self.named_list(
            &map,
            "advisories",
            "advisories",
            Self::advisory,
            |advisory| {
                let name = advisory.source.file_name().unwrap_or_default();
                name.to_ascii_lowercase()
            },
        );
        let policy = map
            .optional("policy")
            .and_then(|node| self.path(node, "`policy`").map(|path| (node.place, path)));
        self.policy.clone_from(&policy);
        let predecessor = map.optional("predecessor").and_then(|node| {
            let text = yaml::text(node, "`predecessor`", &mut self.findings)?;
            self.parsed(
                node.place,
                text.parse()
                    .map_err(|_| ManifestProblem::Digest(text.to_owned())),
            )
        });
        Some(BundleManifest {
            name: name?,
            version: version?,
            platforms: platforms?,
            components,
            images,
            artifacts,
            charts,
            profiles,
            releases,
            namespaces,
            migrations,
            binaries,
            files,
            advisories,
            policy: policy.map(|(_, path)| path),
            predecessor,
        })
    }

    fn version(&mut self, node: &Node) -> Option<Version> {
        let text = yaml::text(node, "`version`", &mut self.findings)?;
        self.parsed(
            node.place,
            Version::parse(text).map_err(|_| ManifestProblem::Version(text.to_owned())),
        )
    }

    fn platforms(&mut self, node: &Node) -> Option<Platforms> {
        if matches!(&node.value, Value::Scalar { text, .. } if text == "all") {
            return Some(Platforms::All);
        }
        let items = match &node.value {
            // One platform needs no list.
            Value::Scalar { .. } => std::slice::from_ref(node),
            _ => yaml::items(node, "`platforms`, or the word all", &mut self.findings),
        };
        if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
            self.add(node.place, &ManifestProblem::NoPlatforms);
        }
        let platforms: Vec<Platform> = items
            .iter()
            .filter_map(|item| {
                let text = yaml::text(item, "a platform", &mut self.findings)?;
                self.platform(item.place, text)
            })
            .collect();
        (!platforms.is_empty()).then_some(Platforms::Only(platforms))
    }

    fn platform(&mut self, place: Place, text: &str) -> Option<Platform> {
        let known = text
            .parse::<Platform>()
            .ok()
            .filter(|platform| is_known_platform(&platform.os, &platform.architecture));
        self.parsed(
            place,
            known.ok_or_else(|| ManifestProblem::UnknownPlatform(text.to_owned())),
        )
    }

    fn components(&mut self, node: &Node) -> BTreeMap<String, Component> {
        let entries =
            yaml::named_items(node, "`components`", &mut self.findings).unwrap_or_default();
        let mut components = BTreeMap::new();
        for (name, place, value) in entries {
            if !names::is_name(name) {
                self.add(
                    place,
                    &ManifestProblem::Name {
                        what: "a component",
                        name: name.to_owned(),
                    },
                );
            }
            let mut component = Component {
                default: true,
                description: String::new(),
            };
            if let Some(map) = Mapping::open(
                value,
                "a component",
                &["default", "description"],
                &mut self.findings,
            ) {
                if let Some(node) = map.optional("default") {
                    component.default =
                        yaml::boolean(node, "`default`", &mut self.findings).unwrap_or(true);
                }
                if let Some(text) = map
                    .optional("description")
                    .and_then(|node| yaml::text(node, "`description`", &mut self.findings))
                {
                    text.clone_into(&mut component.description);
                }
            }
            // Kept when it is wrong, too: images that refer to it make no second mistake.
            components.insert(name.to_owned(), component);
        }
        components
    }

    fn profile(&mut self, node: &Node) -> Option<Profile> {
        let map = Mapping::open(
            node,
            "a profile",
            &["name", "charts", "values"],
            &mut self.findings,
        )?;
        let name = map
            .required("name", &mut self.findings)
            .and_then(|node| self.name(node, "a profile"));
        let charts = map
            .optional("charts")
            .map(|node| self.charts_of_profile(node))
            .unwrap_or_default();
        let values = self.list(&map, "values", |reader, node| {
            reader.file(node, "a values file", Role::Values)
        });
        Some(Profile {
            name: name?,
            charts,
            values,
        })
    }

    /// The charts that a profile installs, each as the manifest names it under `charts`.
    fn charts_of_profile(&mut self, node: &Node) -> Vec<String> {
        let items = yaml::items(node, "`charts`", &mut self.findings);
        if items.is_empty() && matches!(node.value, Value::Sequence(_)) {
            self.add(node.place, &ManifestProblem::NoCharts);
        }
        let known = self.charts.clone();
        let mut first_lines = BTreeMap::new();
        let mut charts = Vec::new();
        for item in items {
            let Some(path) =
                yaml::text(item, "a chart of a profile", &mut self.findings).map(str::to_owned)
            else {
                continue;
            };
            self.unique(&mut first_lines, item.place, "charts", path.clone());
            if known.contains(&path) {
                charts.push(path);
            } else {
                self.add(
                    item.place,
                    &ManifestProblem::UnknownChart {
                        path,
                        known: known.clone(),
                    },
                );
            }
        }
        charts
    }

    fn name(&mut self, node: &Node, what: &'static str) -> Option<String> {
        let name = yaml::text(node, "`name`", &mut self.findings)?.to_owned();
        let good = if names::is_name(&name) {
            Ok(name)
        } else {
            Err(ManifestProblem::Name { what, name })
        };
        self.parsed(node.place, good)
    }

    fn file(&mut self, node: &Node, what: &str, role: Role) -> Option<Utf8PathBuf> {
        let path = self.path(node, what)?;
        self.files.push(NamedFile {
            place: node.place,
            path: path.clone(),
            role,
        });
        Some(path)
    }

    fn path(&mut self, node: &Node, what: &str) -> Option<Utf8PathBuf> {
        let text = yaml::text(node, what, &mut self.findings)?;
        let good = if names::is_project_path(text) {
            Ok(text.into())
        } else {
            Err(ManifestProblem::Path(text.to_owned()))
        };
        self.parsed(node.place, good)
    }

    fn list<T>(
        &mut self,
        map: &Mapping<'_>,
        key: &'static str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = map.optional(key) else {
            return Vec::new();
        };
        yaml::items(node, &format!("`{key}`"), &mut self.findings)
            .iter()
            .filter_map(|item| read(self, item))
            .collect()
    }

    /// A list whose items must differ in `name`.
    fn named_list<T>(
        &mut self,
        map: &Mapping<'_>,
        key: &'static str,
        what: &'static str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
        name: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let mut first_lines = BTreeMap::new();
        self.list(map, key, |reader, node| {
            let item = read(reader, node)?;
            reader.unique(&mut first_lines, node.place, what, name(&item));
            Some(item)
        })
    }

    fn unique(
        &mut self,
        first_lines: &mut BTreeMap<String, usize>,
        place: Place,
        what: &'static str,
        name: String,
    ) {
        match first_lines.get(&name) {
            Some(&first) => self.add(place, &ManifestProblem::Duplicate { what, name, first }),
            None => _ = first_lines.insert(name, place.line),
        }
    }

    fn parsed<T>(&mut self, place: Place, result: Result<T, ManifestProblem>) -> Option<T> {
        result.map_err(|problem| self.add(place, &problem)).ok()
    }

    fn add(&mut self, place: Place, problem: &ManifestProblem) {
        self.findings.add(place, problem);
    }
}
