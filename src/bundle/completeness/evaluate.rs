//! Holding what the charts name against the images of the lock.
//!
//! A reference fits when its repository is that of an image in the lock, without the registry,
//! which the destination replaces, its digest is the one of that image's index, and its tag, if it
//! has one, means that digest. A tag alone fits where the policy says so.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AvailableImage, CompletenessFinding, Exceptions, Incomplete, Survey,
    available::{is_at_destination, is_repository_of, is_same_registry},
    random_names::{Places, Sightings},
    survey::Rendering,
};
use crate::{
    chart::{ImagePlace, Named, RenderFailure, RenderMode},
    oci::{Reference, ReferenceError},
    policy::{Declaration, Policy},
};
use rune_core::digest::Digest;

pub(super) struct Evaluator<'i> {
    images: &'i [AvailableImage],
    policy: &'i Policy,
    used: BTreeSet<&'i str>,
    /// Images that something speaks of, though not as it should.
    mentioned: BTreeSet<&'i str>,
    findings: BTreeMap<CompletenessFinding, Places>,
    left_out: BTreeSet<String>,
    exceptions: Exceptions,
    references: usize,
    has_unread: bool,
}

struct Fault {
    message: String,
    hint: Option<String>,
    policy: Vec<Declaration>,
}

impl Fault {
    fn new(message: String, hint: &str) -> Self {
        Self {
            message,
            hint: Some(hint.to_owned()),
            policy: Vec::new(),
        }
    }

    fn bare(message: String) -> Self {
        Self {
            message,
            hint: None,
            policy: Vec::new(),
        }
    }
}

impl<'i> Evaluator<'i> {
    pub(super) fn new(images: &'i [AvailableImage], policy: &'i Policy) -> Self {
        Self {
            images,
            policy,
            used: BTreeSet::new(),
            mentioned: BTreeSet::new(),
            findings: BTreeMap::new(),
            left_out: BTreeSet::new(),
            exceptions: Exceptions::default(),
            references: 0,
            has_unread: false,
        }
    }

    pub(super) fn evaluate_all(&mut self, survey: &Survey) {
        for (number, rendering) in survey.renderings.iter().enumerate() {
            let of = Sightings {
                rendering: number,
                profile: &rendering.profile,
            };
            match &rendering.found {
                Ok(found) => found
                    .iter()
                    .for_each(|(place, named)| self.evaluate(&rendering.chart, of, place, named)),
                Err(failure) => {
                    self.has_unread = true;
                    let finding = unrendered(rendering, failure, survey.fails_otherwise(rendering));
                    self.add(of, "", finding);
                }
            }
        }
    }

    fn evaluate(&mut self, chart: &str, of: Sightings<'_>, place: &ImagePlace, named: &Named) {
        let (image, fault) = match named {
            Named::Image(text) => {
                self.references += 1;
                (Some(text.clone()), self.reference(text, of.profile).err())
            }
            Named::Possible(text, declaration) => (
                Some(text.clone()),
                self.possible(text, declaration, of.profile),
            ),
            Named::Ignored(text, reason) => {
                self.exceptions
                    .ignored
                    .insert((text.clone(), reason.clone()));
                return;
            }
            Named::LeftOutTest(pattern, reason) => {
                self.exceptions
                    .tests
                    .insert((pattern.clone(), reason.clone()));
                return;
            }
            Named::NoReference => (
                None,
                Some(Fault::bare(
                    "the policy declares an image here, but the value has no image reference"
                        .to_owned(),
                )),
            ),
            Named::Nothing => (
                None,
                Some(Fault::bare("the container has no image".to_owned())),
            ),
            Named::Elsewhere => {
                let hint = "write the image as `value`, or take the variable out of \
                            `images.variables` in the policy";
                (
                    None,
                    Some(Fault::new(
                        "the policy says that this is an image, but its value is not in the chart"
                            .to_owned(),
                        hint,
                    )),
                )
            }
            Named::Unreadable(why) => {
                self.has_unread = true;
                (
                    None,
                    Some(Fault::bare(format!(
                        "what helm rendered cannot be read: {why}"
                    ))),
                )
            }
        };
        let Some(Fault {
            message,
            hint,
            policy,
        }) = fault
        else {
            return;
        };
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let finding = CompletenessFinding {
            file: some(&place.file),
            object: None,
            container: place.container.clone(),
            path: some(&place.path),
            image,
            hint,
            policy,
            ..CompletenessFinding::of_chart(chart, message)
        };
        self.add(of, &place.object, finding);
    }

    fn add(&mut self, of: Sightings<'_>, object: &str, finding: CompletenessFinding) {
        self.findings.entry(finding).or_default().add(object, of);
    }

    /// What only looks like an image is one when the lock has it; otherwise somebody has to say.
    fn possible(&mut self, text: &str, declaration: &Declaration, profile: &str) -> Option<Fault> {
        let fault = match self.reference(text, profile) {
            Ok(()) => {
                self.references += 1;
                return None;
            }
            Err(_) if self.is_tag_with_digest(text) => return None,
            Err(fault) => fault,
        };
        // What cannot be transferred cannot be declared either, such as a reference with a
        // placeholder.
        let Some(hint) = fault.hint else {
            let hint = format!(
                "write the whole reference, or add it to `images.ignore` in the policy: \
                 {{ reference: \"{text}\", reason: … }}"
            );
            return Some(Fault::new(
                format!("possible image: {}", fault.message),
                &hint,
            ));
        };
        let list = declaration.list();
        let hint = format!(
            "declare it under `{list}` in the policy: {declaration}; {hint}; if it is not an \
             image, add it to `images.ignore` with a reason"
        );
        let policy = std::iter::once(declaration.clone())
            .chain(fault.policy)
            .collect();
        Some(Fault {
            message: format!("possible image: {}", fault.message),
            hint: Some(hint),
            policy,
        })
    }

    /// Whether a text is `TAG@DIGEST` of an image, as a chart shows the value that pins it in an
    /// annotation or a variable. A prefix of the tag may be the chart's.
    fn is_tag_with_digest(&self, text: &str) -> bool {
        let Some((shown, digest)) = text.split_once('@') else {
            return false;
        };
        self.images.iter().any(|image| {
            let tag = image.reference.tag();
            digest == image.digest.to_string() && tag.is_some_and(|tag| tag.ends_with(shown))
        })
    }

    fn reference(&mut self, text: &str, profile: &str) -> Result<(), Fault> {
        let reference =
            Reference::parse_like_a_runtime(text).map_err(|error| unusable(text, &error))?;
        let same: Vec<&'i AvailableImage> = self
            .images
            .iter()
            .filter(|image| is_repository_of(&reference, image, self.images))
            .collect();
        match reference.digest() {
            Some(digest) => self.by_digest(text, &reference, digest, &same, profile),
            None => self.by_tag(text, &reference, &same, profile),
        }
    }

    fn by_tag(
        &mut self,
        text: &str,
        reference: &Reference,
        same: &[&'i AvailableImage],
        profile: &str,
    ) -> Result<(), Fault> {
        let tag = reference.tag().unwrap_or_default();
        let message = format!("`{text}` has no digest");
        // Without a digest another source has another image, whatever it is called.
        let is_same_source = |image: &&AvailableImage| {
            is_at_destination(reference, self.images) || is_same_registry(reference, image)
        };
        let same: Vec<&'i AvailableImage> = same.iter().copied().filter(is_same_source).collect();
        let Some(image) = same.iter().find(|image| image.has_tag(tag)) else {
            // An image that was locked by its digest may be the one.
            self.mentioned.extend(
                same.iter()
                    .filter(|image| image.reference.tag().is_none())
                    .map(|image| image.name.as_str()),
            );
            return Err(match same.as_slice() {
                // Whoever names it in the manifest can accept its tag at once.
                [] => Fault {
                    policy: vec![Declaration::Pin(reference.name())],
                    ..Fault::new(
                        message,
                        "name the image in the manifest, and let the chart take its digest from \
                         the lock",
                    )
                },
                _ => Fault::new(
                    format!("{message}, and the lock has another tag of it"),
                    &format!(
                        "the lock has {}; name {} in the manifest as well, or correct the tag",
                        listed(&same),
                        reference
                    ),
                ),
            });
        };
        let own_tag = image.reference.tag() == Some(tag);
        if let Some(pin) = self.policy.tag_pin(&image.reference).filter(|_| own_tag) {
            self.exceptions
                .tag_pins
                .insert(image.name.clone(), pin.reason.clone());
            self.is_used(image, profile);
            return Ok(());
        }
        self.mentioned.insert(&image.name);
        let hint = format!(
            "let the chart take `images.{}.digest` from its template; the lock says {}",
            image.name, image.digest
        );
        // Of several images of one repository only this one.
        let pin = Declaration::Pin(if same.len() > 1 {
            format!("{}:{tag}", image.reference.name())
        } else {
            image.reference.name()
        });
        if !own_tag {
            return Err(Fault::new(message, &hint));
        }
        let hint =
            format!("{hint}; where it cannot, accept the tag under `pins` in the policy: {pin}");
        Err(Fault {
            message,
            hint: Some(hint),
            policy: vec![pin],
        })
    }

    fn by_digest(
        &mut self,
        text: &str,
        reference: &Reference,
        digest: Digest,
        same: &[&'i AvailableImage],
        profile: &str,
    ) -> Result<(), Fault> {
        let tagged = reference
            .tag()
            .and_then(|tag| same.iter().find(|image| image.has_tag(tag)));
        let pinned: Vec<&'i AvailableImage> = same
            .iter()
            .copied()
            .filter(|image| image.digest == digest)
            .collect();
        // At a registry of one's own nobody can be asked for a tag; there it must only not be that
        // of another image.
        let is_free = tagged.is_none() && is_at_destination(reference, self.images);
        let meant = pinned
            .iter()
            .copied()
            .find(|image| is_free || reference.tag().is_none_or(|tag| image.has_tag(tag)));
        if let Some(image) = meant {
            self.is_used(image, profile);
            return Ok(());
        }
        self.mentioned.extend(
            pinned
                .iter()
                .copied()
                .chain(tagged.copied())
                .map(|image| image.name.as_str()),
        );
        if let Some(image) = pinned.first() {
            let tag = reference.tag().unwrap_or_default();
            let hint = match tagged {
                Some(other) => format!(
                    "the lock has {} for the tag {tag} (image `{}`)",
                    other.digest, other.name
                ),
                None => "write the tag that the lock has for this digest, or no tag; `rune-bundle \
                         lock` accepts another tag when the registry of the image has it for the \
                         same digest"
                    .to_owned(),
            };
            return Err(Fault::new(
                format!(
                    "`{text}` has the tag {tag} and the digest of the image {}",
                    image.label()
                ),
                &hint,
            ));
        }
        let Some(image) = tagged.or(same.first()) else {
            return Err(
                match self.images.iter().find(|image| image.digest == digest) {
                    Some(image) => {
                        self.mentioned.insert(&image.name);
                        let hint = format!(
                            "the lock has this digest as {}; at the destination it will be called \
                             that",
                            image.reference
                        );
                        Fault::new(
                            format!("`{text}` is of a repository that the lock does not have"),
                            &hint,
                        )
                    }
                    None => Fault::new(
                        format!("`{text}` is not in the lock"),
                        "name it under `images` in the manifest, then run `rune-bundle lock`",
                    ),
                },
            );
        };
        let one_platform = same.iter().find(|image| image.manifests.contains(&digest));
        if let Some(image) = one_platform {
            self.mentioned.insert(&image.name);
            let hint = format!(
                "the lock has {}, the digest of the image index, which holds for every platform",
                image.digest
            );
            return Err(Fault::new(
                format!("`{text}` is pinned to one platform"),
                &hint,
            ));
        }
        let message = format!("`{text}` has another digest than the lock");
        Err(match (tagged, same) {
            (Some(_), _) | (None, [_]) => {
                Fault::new(message, &format!("the lock has {}", image.digest))
            }
            (None, _) => Fault::new(message, &format!("the lock has {}", listed(same))),
        })
    }

    fn is_used(&mut self, image: &'i AvailableImage, profile: &str) {
        self.used.insert(&image.name);
        if let Some(component) = &image.left_out_with {
            let profile = if profile.is_empty() {
                "the charts need".to_owned()
            } else {
                format!("profile {profile} needs")
            };
            self.left_out.insert(format!(
                "{profile} the image {}, which was left out with the component {component}",
                image.name
            ));
        }
    }

    /// How often an image was named, what was left out on purpose, and which exceptions were made.
    pub(super) fn finish(self) -> Result<(usize, Vec<String>, Exceptions), Incomplete> {
        // While something could not be read, it might be what uses an image.
        let is_unused = |image: &&AvailableImage| {
            let is_named = self.used.contains(image.name.as_str())
                || self.mentioned.contains(image.name.as_str());
            !self.has_unread && !image.extra && !is_named
        };
        let unused = self.images.iter().filter(is_unused).map(
            |AvailableImage {
                 name, reference, ..
             }| CompletenessFinding {
                chart: None,
                image: Some(reference.to_string()),
                hint: Some(
                    "take it out of the manifest, or say `extra: true` if it is to be included \
                     all the same"
                        .to_owned(),
                ),
                ..CompletenessFinding::of_chart(
                    "",
                    format!(
                        "the image `{name}`, {reference}, is in the lock, and no chart uses it in \
                         any profile"
                    ),
                )
            },
        );
        let mut findings: Vec<CompletenessFinding> = unused.collect();
        findings.extend(
            self.findings
                .into_iter()
                .flat_map(|(finding, places)| places.findings(&finding)),
        );
        findings.sort();
        if findings.is_empty() {
            Ok((
                self.references,
                self.left_out.into_iter().collect(),
                self.exceptions,
            ))
        } else {
            Err(Incomplete { findings })
        }
    }
}

/// What is wrong with a text that is not a reference. Charts join values that nobody has set: `:`
/// of neither repository nor tag.
fn unusable(text: &str, error: &ReferenceError) -> Fault {
    let empty = empty_parts(text);
    if empty.is_empty() {
        return Fault::bare(error.to_string());
    }
    let message = format!(
        "`{text}` names no image: its {} {} empty",
        empty.join(" and its "),
        if empty.len() > 1 { "are" } else { "is" }
    );
    let hint = "set the values that it is made of in a profile, or switch off what has it; if it \
                is never used, ignore it under `images.ignore` in the policy";
    Fault {
        policy: vec![Declaration::Unusable(text.to_owned())],
        ..Fault::new(message, hint)
    }
}

/// The parts of a reference that are announced by a separator, or cannot be left out, and are
/// empty.
fn empty_parts(text: &str) -> Vec<&'static str> {
    let (named, digest) = text
        .split_once('@')
        .map_or((text, None), |(named, digest)| (named, Some(digest)));
    let (name, tag) = match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    };
    let has_no_name = name
        .split('/')
        .any(|component| matches!(component, "" | ":"));
    let digest_value = digest.map(|digest| digest.rsplit(':').next().unwrap_or_default());
    let parts = [
        (has_no_name, "repository"),
        (tag == Some(""), "tag"),
        (digest_value == Some(""), "digest"),
    ];
    parts
        .into_iter()
        .filter(|(is_empty, _)| *is_empty)
        .map(|(_, part)| part)
        .collect()
}

/// That a chart could not be rendered. A chart that needs what only a cluster or a site has can be
/// given it for the check.
fn unrendered(
    rendering: &Rendering,
    failure: &RenderFailure,
    fails_otherwise: bool,
) -> CompletenessFinding {
    let message = match rendering.render_mode {
        _ if fails_otherwise => failure.to_string(),
        RenderMode::Install => {
            format!("only as for an installation, not as for an upgrade: {failure}")
        }
        RenderMode::Upgrade => {
            format!("only as for an upgrade, not as for an installation: {failure}")
        }
    };
    let hint = "if it asks for a value that the site gives, such as a password, write one into a \
                file that the chart names under `checkValues` in the manifest: it is for this \
                check alone and not in the bundle";
    let hint = matches!(failure, RenderFailure::Refused(_)).then(|| hint.to_owned());
    CompletenessFinding {
        hint,
        ..CompletenessFinding::of_chart(&rendering.chart, message)
    }
}

fn listed(images: &[&AvailableImage]) -> String {
    images
        .iter()
        .map(|image| format!("{} for the image {}", image.digest, image.label()))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
