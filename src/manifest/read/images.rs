//! The images of a manifest, and whether they would get into each other's way at the destination.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::{NamedReference, Reader, Role};
use crate::{
    manifest::{BuildImage, Component, Image, ImageSource, Platforms, problem::ManifestProblem},
    oci::{Platform, Reference},
    policy::{LicenseExpression, SubjectKind},
};
use rune_core::yaml::{self, Mapping, Node, Value};

impl Reader {
    pub(super) fn images(
        &mut self,
        node: &Node,
        components: &BTreeMap<String, Component>,
        platforms: Option<&Platforms>,
    ) -> Vec<Image> {
        let mut first_lines = BTreeMap::new();
        let mut images = Vec::new();
        for item in yaml::items(node, "`images`", &mut self.findings) {
            let Some(image) = self.image(item, components, platforms, &mut first_lines) else {
                continue;
            };
            images.push(image);
        }
        images
    }

    fn image(
        &mut self,
        node: &Node,
        components: &BTreeMap<String, Component>,
        platforms: Option<&Platforms>,
        first_lines: &mut BTreeMap<String, usize>,
    ) -> Option<Image> {
        let known = &[
            "name",
            "reference",
            "build",
            "component",
            "license",
            "extra",
        ];
        let map = Mapping::open(node, "an image", known, &mut self.findings)?;
        let name = map.required("name", &mut self.findings).and_then(|node| {
            let name = self.name(node, "an image")?;
            self.unique(first_lines, node.place, "images", name.clone());
            Some(name)
        });
        let label = SubjectKind::Image.label(name.as_deref().unwrap_or_default());
        let source = self.source(&map, &label, platforms);
        let component = map
            .optional("component")
            .and_then(|node| self.component(node, components));
        let license = map.optional("license").and_then(|node| self.license(node));
        let extra = map
            .optional("extra")
            .and_then(|node| yaml::boolean(node, "`extra`", &mut self.findings))
            .unwrap_or(false);
        Some(Image {
            name: name?,
            source: source?,
            component,
            license,
            extra,
        })
    }

    fn source(
        &mut self,
        map: &Mapping<'_>,
        subject: &str,
        platforms: Option<&Platforms>,
    ) -> Option<ImageSource> {
        let (what, one, other) = ("an image", "reference", "build");
        match (map.optional(one), map.optional(other)) {
            (Some(node), None) => self.reference(node, subject).map(ImageSource::Registry),
            (None, Some(node)) => self.build(node, subject, platforms).map(ImageSource::Build),
            (Some(_), Some(node)) => {
                self.add(node.place, &ManifestProblem::Both { what, one, other });
                None
            }
            (None, None) => {
                self.add(map.place(), &ManifestProblem::Neither { what, one, other });
                None
            }
        }
    }

    fn build(
        &mut self,
        node: &Node,
        subject: &str,
        platforms: Option<&Platforms>,
    ) -> Option<BuildImage> {
        let map = Mapping::open(
            node,
            "`build`",
            &["reference", "binaries"],
            &mut self.findings,
        )?;
        let reference = map
            .required("reference", &mut self.findings)
            .and_then(|node| {
                let reference = self.reference(node, subject)?;
                if reference.digest().is_some() {
                    self.add(node.place, &ManifestProblem::BuiltWithDigest);
                }
                Some(reference)
            });
        let node = map.required("binaries", &mut self.findings)?;
        let binaries = self.programs(node, platforms);
        Some(BuildImage {
            reference: reference?,
            binaries,
        })
    }

    fn programs(
        &mut self,
        node: &Node,
        platforms: Option<&Platforms>,
    ) -> BTreeMap<Platform, Vec<Utf8PathBuf>> {
        let Some(entries) = yaml::named_items(node, "`binaries`", &mut self.findings) else {
            return BTreeMap::new();
        };
        if entries.is_empty() {
            self.add(node.place, &ManifestProblem::BuiltFromNothing);
        }
        let mut programs: BTreeMap<Platform, Vec<Utf8PathBuf>> = BTreeMap::new();
        for (key, place, value) in entries {
            let paths = self.beside_each_other(value);
            let Some(platform) = self.platform(place, key) else {
                continue;
            };
            if platforms.is_some_and(|platforms| !platforms.include(&platform)) {
                self.add(place, &ManifestProblem::PlatformNotCarried(key.to_owned()));
            }
            if programs.keys().any(|known| known.matches(&platform)) {
                let (what, name) = ("programs for", key.to_owned());
                self.add(
                    place,
                    &ManifestProblem::Duplicate {
                        what,
                        name,
                        first: node.place.line,
                    },
                );
                continue;
            }
            // Every platform has the entrypoint of the first.
            if let Some((first, known)) = programs.first_key_value()
                && !paths.is_empty()
                && known.len().max(paths.len()) > 1
                && !names(known).eq(names(&paths))
            {
                let problem = ManifestProblem::BuiltDifferently {
                    platform: first.clone(),
                    names: names(known).map(str::to_owned).collect(),
                };
                self.add(place, &problem);
            }
            if !paths.is_empty() {
                programs.insert(platform, paths);
            }
        }
        programs
    }

    /// One program, or several that lie beside each other in an image.
    fn beside_each_other(&mut self, node: &Node) -> Vec<Utf8PathBuf> {
        let Value::Sequence(items) = &node.value else {
            let path = self.file(node, "a program", Role::Binary);
            return path.into_iter().collect();
        };
        if items.is_empty() {
            self.add(node.place, &ManifestProblem::BuiltFromNothing);
        }
        let mut paths: Vec<Utf8PathBuf> = Vec::new();
        for item in items {
            let Some(path) = self.file(item, "a program", Role::Binary) else {
                continue;
            };
            if names(&paths).any(|name| path.file_name() == Some(name)) {
                let name = path.file_name().unwrap_or_default().to_owned();
                self.add(item.place, &ManifestProblem::BuiltTwice(name));
            }
            paths.push(path);
        }
        paths
    }

    pub(super) fn license(&mut self, node: &Node) -> Option<String> {
        let text = yaml::text(node, "`license`", &mut self.findings)?;
        self.parsed(
            node.place,
            LicenseExpression::parse(text).map_err(Into::into),
        )
        .map(|expression| expression.to_string())
    }

    pub(super) fn component(
        &mut self,
        node: &Node,
        components: &BTreeMap<String, Component>,
    ) -> Option<String> {
        let name = yaml::text(node, "`component`", &mut self.findings)?;
        let known = components.keys().cloned().collect();
        let problem = ManifestProblem::UnknownComponent {
            name: name.to_owned(),
            known,
        };
        self.parsed(
            node.place,
            if components.contains_key(name) {
                Ok(name.to_owned())
            } else {
                Err(problem)
            },
        )
    }

    pub(super) fn reference(&mut self, node: &Node, subject: &str) -> Option<Reference> {
        let text = yaml::text(node, "`reference`", &mut self.findings)?;
        let reference: Reference =
            self.parsed(node.place, text.parse().map_err(ManifestProblem::Reference))?;
        let named = NamedReference {
            place: node.place,
            subject: subject.to_owned(),
            reference: reference.clone(),
            written: text.to_owned(),
        };
        self.references.push(named);
        Some(reference)
    }

    /// At the destination an image or artifact is `[prefix/]repository:tag`, whatever registry it
    /// came from. Two that share both would overwrite each other; two registries that share a
    /// repository could not be told apart by those who pull.
    pub(super) fn collisions(&mut self) {
        let mut problems = Vec::new();
        for (
            position,
            NamedReference {
                place,
                reference,
                written,
                ..
            },
        ) in self.references.iter().enumerate()
        {
            let mut earlier = self.references.iter().take(position);
            let Some(other) = earlier.find(|other| collide(reference, &other.reference)) else {
                continue;
            };
            let tag = reference
                .tag()
                .filter(|tag| other.reference.tag() == Some(tag));
            let destination = tag.map_or_else(
                || reference.repository().to_owned(),
                |tag| format!("{}:{tag}", reference.repository()),
            );
            let (reference, first) = (written.clone(), other.place.line);
            problems.push((
                *place,
                ManifestProblem::Collision {
                    reference,
                    other: other.written.clone(),
                    destination,
                    first,
                },
            ));
        }
        for (place, problem) in problems {
            self.add(place, &problem);
        }
    }
}

fn collide(one: &Reference, other: &Reference) -> bool {
    let is_same_tag = one.tag().is_some() && one.tag() == other.tag();
    let is_same_digest = one.digest().is_some() && one.digest() == other.digest();
    one.repository() == other.repository()
        && (is_same_tag || is_same_digest || one.registry() != other.registry())
}

fn names(paths: &[Utf8PathBuf]) -> impl Iterator<Item = &str> {
    paths.iter().filter_map(|path| path.file_name())
}
