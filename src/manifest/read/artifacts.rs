//! The artifacts of a manifest: what is in registries and is not run.

use std::collections::BTreeMap;

use super::Reader;
use crate::{
    manifest::{Artifact, Component, Image, problem::ManifestProblem},
    policy::SubjectKind,
};
use rune_core::yaml::{Mapping, Node};

impl Reader {
    pub(super) fn artifact(
        &mut self,
        node: &Node,
        components: &BTreeMap<String, Component>,
        images: &[Image],
    ) -> Option<Artifact> {
        let known = &["name", "reference", "component", "license"];
        let map = Mapping::open(node, "an artifact", known, &mut self.findings)?;
        let name = map.required("name", &mut self.findings).and_then(|node| {
            let name = self.name(node, "an artifact")?;
            // `lock --update` takes either.
            let is_free = images.iter().all(|image| image.name != name);
            let free = is_free.then(|| name.clone());
            self.parsed(node.place, free.ok_or(ManifestProblem::ImageName(name)))
        });
        let label = SubjectKind::Artifact.label(name.as_deref().unwrap_or_default());
        let reference = map
            .required("reference", &mut self.findings)
            .and_then(|node| self.reference(node, &label));
        let component = map
            .optional("component")
            .and_then(|node| self.component(node, components));
        let license = map.optional("license").and_then(|node| self.license(node));
        Some(Artifact {
            name: name?,
            reference: reference?,
            component,
            license,
        })
    }
}
