//! The search through one object: containers, volumes, variables, options and fields first, then
//! everything else.

use std::collections::BTreeSet;

use super::{
    ImagePlace, Named, apart, entries, fields, inside::Budget, items, known, scalar, scan::Context,
    shown, text_of,
};
use crate::{
    oci::Reference,
    policy::{ImagePlaces, below_item, below_key},
};
use rune_core::yaml::{Node, Value};

const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// Groups of the kinds whose containers must have an image; elsewhere a container can be a patch of
/// one.
const OWN_GROUPS: [&str; 3] = ["", "apps", "batch"];
/// The annotation that makes an object a hook.
const HOOK: &str = "helm.sh/hook";

pub(super) struct Search<'s> {
    pub(super) file: &'s str,
    pub(super) object: String,
    pub(super) kind: String,
    pub(super) has_own_group: bool,
    pub(super) is_secret: bool,
    pub(super) places: &'s ImagePlaces,
    pub(super) container: Option<String>,
    pub(super) settled: BTreeSet<String>,
    pub(super) budget: &'s mut Budget,
    pub(super) found: &'s mut Vec<(ImagePlace, Named)>,
}

impl<'s> Search<'s> {
    pub(super) fn in_object(
        object: &Node,
        file: &'s str,
        places: &'s ImagePlaces,
        budget: &'s mut Budget,
        found: &'s mut Vec<(ImagePlace, Named)>,
    ) {
        let kind = text_of(object, "kind").unwrap_or_default();
        if kind.is_empty() {
            return;
        }
        let group = text_of(object, "apiVersion")
            .and_then(|version| version.split_once('/'))
            .map_or("", |(group, _)| group);
        let metadata = || {
            entries(object)
                .filter(|(key, _)| *key == "metadata")
                .map(|(_, metadata)| metadata)
        };
        let name = metadata().find_map(|metadata| {
            text_of(metadata, "name").or_else(|| text_of(metadata, "generateName"))
        });
        let mut search = Self {
            file,
            object: shown(&format!("{kind}/{}", name.unwrap_or("without a name"))),
            kind: if group.is_empty() {
                kind.to_owned()
            } else {
                format!("{kind}.{group}")
            },
            has_own_group: OWN_GROUPS.contains(&group),
            is_secret: kind == "Secret",
            places,
            container: None,
            settled: BTreeSet::new(),
            budget,
            found,
        };
        if kind == "CustomResourceDefinition" {
            // What a definition describes is not there yet, but for what it fills in.
            fields::search(&mut search, object, kind, group);
            search.definition(object, "");
            return;
        }
        let is_test = metadata()
            .flat_map(entries)
            .filter(|(key, _)| *key == "annotations")
            .any(|(_, annotations)| {
                text_of(annotations, HOOK).is_some_and(|hooks| {
                    hooks.split(',').any(|hook| hook.trim().starts_with("test"))
                })
            });
        if let Some(exception) = name
            .filter(|_| is_test)
            .and_then(|name| places.leaves_out_test(name))
        {
            search.add(
                "",
                Named::LeftOutTest(exception.pattern.clone(), exception.reason.clone()),
            );
            return;
        }
        search.walk(object, "");
        fields::search(&mut search, object, kind, group);
        if matches!(kind, "ConfigMap" | "Secret") {
            search.data(object);
        }
        search.scan(object, "", &Context::default());
    }

    fn walk(&mut self, node: &Node, path: &str) {
        for (key, value) in entries(node) {
            let path = below_key(path, key);
            if CONTAINER_LISTS.contains(&key) {
                items(value)
                    .for_each(|(number, item)| self.in_container(item, &below_item(&path, number)));
            }
            if key == "volumes" {
                items(value)
                    .for_each(|(number, item)| self.volume(item, &below_item(&path, number)));
            }
            self.walk(value, &path);
        }
        items(node).for_each(|(number, item)| self.walk(item, &below_item(path, number)));
    }

    fn in_container(&mut self, node: &Node, path: &str) {
        if !matches!(node.value, Value::Mapping(_)) {
            return;
        }
        self.container = text_of(node, "name").map(shown);
        let mut has_image = false;
        for (key, value) in entries(node) {
            let path = below_key(path, key);
            match key {
                "image" => {
                    has_image |= scalar(value).is_some();
                    self.image(&path, value);
                }
                "env" => {
                    let parts = apart::places(value, &path);
                    items(value).for_each(|(number, item)| {
                        self.variable(item, &below_item(&path, number), &parts);
                    });
                }
                "args" | "command" => self.options(value, &path),
                _ => {}
            }
        }
        if !has_image && self.has_own_group {
            self.add(&format!("{path}.image"), Named::Nothing);
        }
        self.container = None;
    }

    fn volume(&mut self, node: &Node, path: &str) {
        for (_, image) in entries(node).filter(|(key, _)| *key == "image") {
            for (_, reference) in entries(image).filter(|(key, _)| *key == "reference") {
                self.image(&format!("{path}.image.reference"), reference);
            }
        }
    }

    /// `parts` are the places of what is one part of a reference only.
    fn variable(&mut self, node: &Node, path: &str, parts: &BTreeSet<String>) {
        let Some(name) = text_of(node, "name") else {
            return;
        };
        let is_declared = self.places.has_variable(name);
        if !is_declared && (!known::is_variable(name) || parts.contains(&below_key(path, "value")))
        {
            return;
        }
        for (key, value) in entries(node) {
            match key {
                "value" => self.declared(&format!("{path}.value"), value, is_declared),
                // A name that only looks like that of an image can have its value from anywhere.
                "valueFrom" if is_declared => {
                    self.add(&format!("{path}.valueFrom"), Named::Elsewhere);
                }
                _ => {}
            }
        }
    }

    /// `--option=image`, or the item behind `--option`.
    fn options(&mut self, node: &Node, path: &str) {
        let mut next = None;
        for (number, item) in items(node) {
            let Some(text) = scalar(item) else { continue };
            let path = below_item(path, number);
            if let Some(is_declared) = std::mem::take(&mut next) {
                self.declared(&path, item, is_declared);
                continue;
            }
            let of_option = |name: &str| {
                let is_declared = self.places.has_option(name);
                (is_declared || known::is_option(name)).then_some(is_declared)
            };
            match text.split_once('=') {
                Some((name, image)) if !image.is_empty() => {
                    if let Some(is_declared) = of_option(name) {
                        self.declared_text(&path, image, is_declared);
                    }
                }
                Some(_) => {}
                None => next = of_option(text),
            }
        }
    }

    /// The keys of a `ConfigMap` or Secret that become variables.
    fn data(&mut self, object: &Node) {
        for (section, data) in
            entries(object).filter(|(key, _)| matches!(*key, "data" | "stringData"))
        {
            let parts = apart::places(data, section);
            for (key, value) in entries(data) {
                let (path, is_declared) = (below_key(section, key), self.places.has_variable(key));
                if is_declared || (known::is_variable(key) && !parts.contains(&path)) {
                    self.declared(&path, value, is_declared);
                }
            }
        }
    }

    /// The image of a container or volume, unless there is no value. A container needs its image,
    /// whatever the policy ignores, but for what no runtime can pull.
    fn image(&mut self, path: &str, value: &Node) {
        let Some(text) = scalar(value) else { return };
        self.settled.insert(path.to_owned());
        if self.has_own_group && Reference::parse_like_a_runtime(text).is_ok() {
            self.add(path, Named::Image(shown(text)));
        } else if self.has_own_group {
            self.add_image(path, text);
        } else if !text.contains(['*', '?', '!', '|']) {
            // Policies have patterns where pods have images.
            self.add_image(path, text);
        }
    }

    pub(super) fn add(&mut self, path: &str, named: Named) {
        let (file, object) = (self.file.to_owned(), self.object.clone());
        self.found.push((
            ImagePlace {
                file,
                object,
                container: self.container.clone(),
                path: shown(path),
            },
            named,
        ));
    }

    /// Whether the strings at a path are base64 by the definition of the object.
    pub(super) fn is_encoded(&self, path: &str) -> bool {
        is_encoded(self.is_secret, path)
    }
}

/// Whether the strings at a path are base64 by the definition of the object.
pub(super) fn is_encoded(is_secret: bool, path: &str) -> bool {
    let is_below = |section: &str| {
        path.strip_prefix(section)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    (is_secret && is_below("data")) || is_below("binaryData")
}
