//! Programs and other files of a manifest, and where each comes from: the project, or a URL with
//! its digest.

use super::{Reader, Role};
use crate::{
    manifest::{Binary, Download, ExtraFile, FileSource, names, problem::ManifestProblem},
    registry::WebUrl,
};
use rune_core::{
    digest::Digest,
    yaml::{self, Mapping, Node},
};

impl Reader {
    pub(super) fn binary(&mut self, node: &Node) -> Option<Binary> {
        let map = Mapping::open(
            node,
            "a program",
            &["name", "platform", "path", "url", "sha256"],
            &mut self.findings,
        )?;
        let name = map.required("name", &mut self.findings).and_then(|node| {
            let name = yaml::text(node, "`name`", &mut self.findings)?;
            let good = if names::is_binary_name(name) {
                Ok(name.to_owned())
            } else {
                Err(ManifestProblem::BinaryName(name.to_owned()))
            };
            self.parsed(node.place, good)
        });
        let platform = map
            .required("platform", &mut self.findings)
            .and_then(|node| {
                let text = yaml::text(node, "`platform`", &mut self.findings)?;
                self.platform(node.place, text)
            });
        let source = self.file_source(&map, "a program", "path", Role::Binary);
        Some(Binary {
            name: name?,
            platform: platform?,
            source: source?,
        })
    }

    pub(super) fn extra_file(&mut self, node: &Node) -> Option<ExtraFile> {
        let map = Mapping::open(
            node,
            "a file",
            &["source", "url", "sha256", "path"],
            &mut self.findings,
        )?;
        let source = self.file_source(&map, "a file", "source", Role::Extra);
        let path = map.required("path", &mut self.findings).and_then(|node| {
            let text = yaml::text(node, "`path`", &mut self.findings)?;
            let good = if names::is_extra_path(text) {
                Ok(text.into())
            } else {
                Err(ManifestProblem::BundlePath(text.to_owned()))
            };
            self.parsed(node.place, good)
        });
        Some(ExtraFile {
            source: source?,
            path: path?,
        })
    }

    /// Where a file comes from; `local` is the key for one of the project.
    fn file_source(
        &mut self,
        map: &Mapping<'_>,
        what: &'static str,
        local: &'static str,
        role: Role,
    ) -> Option<FileSource> {
        match (map.optional(local), map.optional("url")) {
            (Some(node), None) => {
                if let Some(node) = map.optional("sha256") {
                    self.add(
                        node.place,
                        &ManifestProblem::KeyOfOtherSource {
                            key: "sha256",
                            belongs: "`url`",
                        },
                    );
                }
                self.file(node, &format!("`{local}`"), role)
                    .map(FileSource::Path)
            }
            (None, Some(node)) => {
                let url = self.url(node, "`url`");
                let sha256 = map
                    .required("sha256", &mut self.findings)
                    .and_then(|node| self.sha256(node));
                Some(FileSource::Url(Download {
                    url: url?,
                    sha256: sha256?,
                }))
            }
            (Some(_), Some(node)) => {
                self.add(
                    node.place,
                    &ManifestProblem::Both {
                        what,
                        one: local,
                        other: "url",
                    },
                );
                None
            }
            (None, None) => {
                self.add(
                    map.place(),
                    &ManifestProblem::Neither {
                        what,
                        one: local,
                        other: "url",
                    },
                );
                None
            }
        }
    }

    /// An address on the web. A mistake in it does not repeat it: it may hold a password.
    pub(super) fn url(&mut self, node: &Node, what: &'static str) -> Option<WebUrl> {
        let text = yaml::text(node, what, &mut self.findings)?;
        self.parsed(
            node.place,
            text.parse()
                .map_err(|problem| ManifestProblem::Url { what, problem }),
        )
    }

    fn sha256(&mut self, node: &Node) -> Option<Digest> {
        let text = yaml::text(node, "`sha256`", &mut self.findings)?;
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        self.parsed(
            node.place,
            Digest::from_hex(hex).map_err(|_| ManifestProblem::Sha256(text.to_owned())),
        )
    }
}
