//! The parts of a policy that are about the images of charts: where they are named, and which
//! exceptions there are.

use super::{PolicyProblem, Reader};
use crate::{
    oci::Reference,
    policy::{Apart, Exception, FieldForm, ImageField, ImagePlaces, TagPin, field_steps},
};
use rune_core::yaml::{Mapping, Node};

/// The only thing that an image can be pinned by instead of a digest.
const TAG: &str = "tag";

impl Reader<'_> {
    pub(super) fn image_places(&mut self, map: &Mapping<'_>) -> ImagePlaces {
        ImagePlaces {
            variables: self.list(map, "variables", |reader, node| {
                reader.word(node, "a variable")
            }),
            options: self.list(map, "options", |reader, node| {
                reader.word(node, "an option")
            }),
            fields: self.list(map, "fields", Self::field),
            ignored: self.list(map, "ignore", |reader, node| {
                reader.exception(node, "an ignored reference", "reference")
            }),
            left_out_tests: self.list(map, "leaveOutTests", |reader, node| {
                reader.exception(node, "a test that is left out", "name")
            }),
        }
    }

    fn field(&mut self, node: &Node) -> Option<ImageField> {
        let known = &[
            "kind",
            "path",
            "template",
            "registry",
            "repository",
            "image",
            "tag",
            "digest",
        ];
        let map = Mapping::open(node, "a field", known, self.findings)?;
        let (kind, path) = (self.required(&map, "kind"), self.required(&map, "path"));
        if let Some(path) = path.as_deref().filter(|path| field_steps(path).is_none()) {
            self.findings
                .add(node.place, &PolicyProblem::FieldPath(path));
            return None;
        }
        let [template, registry, repository, image, tag, digest] = [
            "template",
            "registry",
            "repository",
            "image",
            "tag",
            "digest",
        ]
        .map(|key| self.maybe(&map, key));
        let has_parts = [&registry, &image, &tag, &digest]
            .iter()
            .any(|part| part.is_some());
        let form = match (template, repository) {
            (Some(text), None) if !has_parts && text.contains("{}") => FieldForm::Template(text),
            (None, Some(repository)) if tag.is_some() || digest.is_some() => {
                FieldForm::Apart(Apart {
                    registry,
                    repository,
                    image,
                    tag,
                    digest,
                })
            }
            (None, None) if !has_parts => FieldForm::References,
            (template, _) => {
                let what = if template.is_some() {
                    "a template without {}, or with parts beside it"
                } else {
                    "parts of a reference alone"
                };
                self.findings
                    .add(node.place, &PolicyProblem::FieldForm(what));
                return None;
            }
        };
        Some(ImageField {
            kind: kind?,
            path: path?,
            form,
        })
    }

    fn exception(
        &mut self,
        node: &Node,
        owner: &'static str,
        key: &'static str,
    ) -> Option<Exception> {
        let known: &'static [&'static str] = if key == "name" {
            &["name", "reason"]
        } else {
            &["reference", "reason"]
        };
        let map = Mapping::open(node, owner, known, self.findings)?;
        let (pattern, reason) = (self.required(&map, key), self.required(&map, "reason"));
        Some(Exception {
            pattern: pattern?,
            reason: reason?,
        })
    }

    pub(super) fn tag_pin(&mut self, node: &Node) -> Option<TagPin> {
        let map = Mapping::open(node, "a pin", &["image", "pin", "reason"], self.findings)?;
        let (text, pin, reason) = (
            self.required(&map, "image"),
            self.required(&map, "pin"),
            self.required(&map, "reason"),
        );
        if let Some(found) = pin.as_deref().filter(|found| *found != TAG) {
            self.unknown(node.place, "way to pin an image", found, vec![TAG]);
            return None;
        }
        let text = text?;
        let Some(image) = Reference::parse_like_a_runtime(&text)
            .ok()
            .filter(|image| image.digest().is_none())
        else {
            self.findings.add(node.place, &PolicyProblem::Image(&text));
            return None;
        };
        let has_tag = text
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        pin.and(reason).map(|reason| TagPin {
            image,
            has_tag,
            reason,
        })
    }

    fn maybe(&mut self, map: &Mapping<'_>, key: &'static str) -> Option<String> {
        map.optional(key).and_then(|node| self.word(node, key))
    }
}
