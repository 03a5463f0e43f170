//! The advisories of a manifest.

use super::{Reader, Role};
use crate::{
    evidence::AdvisoryKind,
    manifest::{Advisory, names, problem::ManifestProblem},
};
use rune_core::yaml::{self, Mapping, Node};

impl Reader {
    pub(super) fn advisory(&mut self, node: &Node) -> Option<Advisory> {
        let map = Mapping::open(node, "an advisory", &["source", "kind"], &mut self.findings)?;
        let source = map.required("source", &mut self.findings).and_then(|node| {
            let path = self.file(node, "`source`", Role::Advisory)?;
            let name = path.file_name().unwrap_or_default();
            let good = if names::is_binary_name(name) {
                Ok(path.clone())
            } else {
                Err(ManifestProblem::AdvisoryName(name.to_owned()))
            };
            self.parsed(node.place, good)
        });
        let kind = map.required("kind", &mut self.findings).and_then(|node| {
            let found = yaml::text(node, "`kind`", &mut self.findings)?;
            let known = AdvisoryKind::ALL
                .into_iter()
                .find(|kind| kind.name() == found);
            self.parsed(
                node.place,
                known.ok_or_else(|| ManifestProblem::AdvisoryKind(found.to_owned())),
            )
        });
        Some(Advisory {
            source: source?,
            kind: kind?,
        })
    }
}
