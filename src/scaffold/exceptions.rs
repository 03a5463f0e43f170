//! What the policy of a project declares and lets through beyond licences and sources of images.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    oci::Reference,
    policy::{Declaration, Exception, ImagePlaces, Policy, TagPin},
};
use rune_core::yaml::quoted;

const NO_VALUE: &str = "no value of the chart takes its digest";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Given {
    places: ImagePlaces,
    tag_pins: Vec<TagPin>,
}

/// What the policy declares and lets through beyond licences and sources of images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exceptions {
    /// Where images are named besides the usual places.
    declarations: BTreeSet<Declaration>,
    /// Texts that are not images, with the reason.
    ignored: BTreeMap<String, String>,
    /// Images that charts name by their tag alone: repository and tag.
    tag_pins: BTreeSet<(String, String)>,
    given: Given,
    pub(super) sources: BTreeSet<String>,
}

impl Exceptions {
    pub(super) fn declare(&mut self, declaration: Declaration) {
        match declaration {
            Declaration::Unusable(text) => {
                self.ignore_text(&text, "no image: a part of the reference is empty");
            }
            Declaration::Pin(_) => {}
            other => _ = self.declarations.insert(other),
        }
    }

    /// In a policy `*` stands for any characters, and a text must not mean more than itself.
    pub(super) fn ignore_text(&mut self, text: &str, reason: &str) {
        if !text.contains('*') {
            self.ignored.insert(text.to_owned(), reason.to_owned());
        }
    }

    pub(super) fn ignore(&mut self, reference: &Reference, reason: &str) {
        let whole = reference.to_string();
        let mut short = whole.as_str();
        for beginning in ["docker.io/", "library/"] {
            self.ignore_text(short, reason);
            short = short.strip_prefix(beginning).unwrap_or(short);
        }
        self.ignore_text(short, reason);
        if let Some(name) = short.strip_suffix(":latest") {
            self.ignore_text(name, reason);
        }
    }

    pub(super) fn places(&self) -> ImagePlaces {
        let mut places = self.given.places.clone();
        for declaration in &self.declarations {
            match declaration {
                Declaration::Variable(name) => places.variables.push(name.clone()),
                Declaration::Option(name) => places.options.push(name.clone()),
                Declaration::Field(field) => places.fields.push(field.clone()),
                Declaration::Unusable(_) | Declaration::Pin(_) => {}
            }
        }
        let exception = |(pattern, reason): (&String, &String)| Exception {
            pattern: pattern.clone(),
            reason: reason.clone(),
        };
        places.ignored.extend(self.ignored.iter().map(exception));
        places
    }

    pub(super) fn of_policy(policy: &Policy) -> Self {
        let given = Given {
            places: policy.image_places.clone(),
            tag_pins: policy.tag_pins.clone(),
        };
        Self {
            given,
            ..Self::default()
        }
    }

    pub(super) fn pin_tag(&mut self, image: &Reference) {
        if let Some(tag) = image
            .tag()
            .filter(|_| !self.given.tag_pins.iter().any(|pin| pin.is_for(image)))
        {
            self.tag_pins.insert((image.name(), tag.to_owned()));
        }
    }

    /// Whether there is anything that a policy does not say yet.
    pub(super) fn has_entries(&self) -> bool {
        !(self.declarations.is_empty() && self.ignored.is_empty() && self.tag_pins.is_empty())
    }

    pub(super) fn tag_pins(&self) -> Vec<TagPin> {
        let pin = |(name, tag): &(String, String)| {
            let image = format!("{name}:{tag}").parse().ok()?;
            Some(TagPin {
                image,
                has_tag: true,
                reason: NO_VALUE.to_owned(),
            })
        };
        self.given
            .tag_pins
            .iter()
            .cloned()
            .chain(self.tag_pins.iter().filter_map(pin))
            .collect()
    }

    pub(super) fn pin_entries(&self) -> Vec<String> {
        let entry = |(name, tag): &(String, String)| {
            format!(
                "{{ image: {}, pin: tag, reason: \"{NO_VALUE}\" }}",
                quoted(&format!("{name}:{tag}"))
            )
        };
        self.tag_pins.iter().map(entry).collect()
    }

    /// The entries below `images`, each with its list.
    pub(super) fn place_entries(&self) -> Vec<(&'static str, String)> {
        let declared = self.declarations.iter().filter_map(|declaration| {
            let (_, list) = declaration.list().split_once('.')?;
            Some((list, declaration.to_string()))
        });
        let ignored = self.ignored.iter().map(|(reference, reason)| {
            (
                "ignore",
                format!(
                    "{{ reference: {}, reason: {} }}",
                    quoted(reference),
                    quoted(reason)
                ),
            )
        });
        declared.chain(ignored).collect()
    }
}
