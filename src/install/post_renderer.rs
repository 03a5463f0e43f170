//! Mapping images in rendered objects through Helm's own post-renderer: this program, which Helm
//! starts with the objects on standard input and whose output it applies.
//!
//! Helm 3 is given a program, Helm 4 a plugin in the one directory that `HELM_PLUGINS` names. The
//! map is a file that only this user can read, in a directory that goes with the value.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read, Write},
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::InstallError;
use crate::{
    chart::{self, Obstacle},
    policy::ImagePlaces,
};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError, ScratchDirectory},
};

/// What stands before the map in the arguments that Helm starts this program with.
pub const POST_RENDERER: &str = "helm-post-renderer";

const PLUGIN: &str = "rune-bundle";

/// The most that is read of what Helm rendered, in bytes.
const MAX_RENDERED_BYTES: u64 = 256 << 20;

const MAX_MAP_BYTES: u64 = 16 << 20;

/// Which images are replaced in rendered objects, and where images stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageMap {
    /// References as the objects have them, and what stands there instead.
    pub images: BTreeMap<String, String>,
    pub places: ImagePlaces,
}

#[derive(Debug)]
pub(crate) struct PostRenderer {
    arguments: Vec<String>,
    plugins: Option<Utf8PathBuf>,
    _scratch: ScratchDirectory,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Internal)]
pub(crate) enum MapError {
    #[error(transparent)]
    #[failure(inner: None)]
    File(#[from] PathError),
    #[error("the image map is invalid")]
    Map(#[source] serde_json::Error),
    #[error("cannot read the rendered objects")]
    Read(#[source] std::io::Error),
    #[error("cannot write the mapped objects")]
    Write(#[source] std::io::Error),
    #[error("the rendered objects are larger than {} MiB", MAX_RENDERED_BYTES >> 20)]
    #[failure(Space)]
    TooLarge,
    #[error("images cannot be mapped, so nothing is applied:{}", lines(.0))]
    #[failure(Policy)]
    Obstacles(BTreeSet<Obstacle>),
}

/// Places and reasons: what stands there can be secret.
fn lines(obstacles: &BTreeSet<Obstacle>) -> String {
    let line = |Obstacle { place, reason, .. }: &Obstacle| format!("\n  {place}: {reason}");
    obstacles.iter().map(line).collect()
}

impl ImageMap {
    /// Writes the map, and tells how Helm starts this program with it.
    pub(crate) fn post_renderer(&self, is_helm_3: bool) -> Result<PostRenderer, InstallError> {
        let program = own_program()?;
        let scratch = ScratchDirectory::create()?;
        let bytes = json!(self).to_string().into_bytes();
        let map = scratch.write("map.json", &bytes)?;
        let given = [POST_RENDERER, map.as_str()];
        let mut arguments = vec!["--post-renderer".to_owned()];
        let mut plugins = None;
        if is_helm_3 {
            arguments.push(program.to_string());
            for argument in given {
                arguments.extend(["--post-renderer-args".to_owned(), argument.to_owned()]);
            }
        } else {
            let plugin = json!({
                "apiVersion": "v1",
                "type": "postrenderer/v1",
                "name": PLUGIN,
                "version": "1.0.0",
                "runtime": "subprocess",
                "runtimeConfig": {"platformCommand": [{"command": program, "args": given}]},
            });
            let file = format!("plugins/{PLUGIN}/plugin.yaml");
            scratch.write(&file, plugin.to_string().as_bytes())?;
            plugins = Some(scratch.path().join("plugins"));
            arguments.push(PLUGIN.to_owned());
        }
        Ok(PostRenderer {
            arguments,
            plugins,
            _scratch: scratch,
        })
    }
}

fn own_program() -> Result<Utf8PathBuf, InstallError> {
    let path = std::env::current_exe().and_then(|path| {
        Utf8PathBuf::from_path_buf(path).map_err(|_| ErrorKind::InvalidFilename.into())
    });
    path.map_err(|source| InstallError::Run {
        program: PLUGIN.into(),
        source,
    })
}

impl PostRenderer {
    pub(super) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The only directory in which Helm looks for plugins.
    pub(super) fn plugins(&self) -> Option<&Utf8Path> {
        self.plugins.as_deref()
    }
}

/// What Helm's post-renderer does: reads objects, and writes them with the images of the map. When
/// one image cannot be replaced nothing is written, and Helm applies nothing.
pub(crate) fn map_rendered(
    map: &Utf8Path,
    input: impl Read,
    mut output: impl Write,
) -> Result<(), MapError> {
    let bytes = fsx::read(map, MAX_MAP_BYTES)?;
    let map: ImageMap = serde_json::from_slice(&bytes).map_err(MapError::Map)?;
    let mut rendered = String::new();
    let mut input = input.take(MAX_RENDERED_BYTES + 1);
    input
        .read_to_string(&mut rendered)
        .map_err(MapError::Read)?;
    if rendered.len() as u64 > MAX_RENDERED_BYTES {
        return Err(MapError::TooLarge);
    }
    let replaced = chart::replace_images(&rendered, &map.places, &map.images);
    if !replaced.obstacles.is_empty() {
        return Err(MapError::Obstacles(
            replaced.obstacles.into_iter().collect(),
        ));
    }
    output
        .write_all(replaced.text.as_bytes())
        .map_err(MapError::Write)?;
    output.flush().map_err(MapError::Write)
}

#[cfg(test)]
#[expect(
    clippy::used_underscore_binding,
    clippy::disallowed_methods,
    reason = "tests read what is kept for its end alone, and the rest directly"
)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use camino::Utf8PathBuf;

    use super::{ImageMap, MapError, map_rendered};

    const POD: &str = "kind: Pod\napiVersion: v1\nmetadata: {name: p}\nspec: \
                       {containers: [{name: c, image: 'private.test/secret:1'}]}\n";

    fn map(images: &[(&str, &str)]) -> ImageMap {
        let images = images
            .iter()
            .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
        ImageMap {
            images: images.collect(),
            ..ImageMap::default()
        }
    }

    #[test]
    fn only_this_user_reads_the_map_and_it_goes_with_the_post_renderer() {
        for (is_helm_3, files) in [
            (true, vec!["map.json"]),
            (false, vec!["map.json", "plugins/rune-bundle/plugin.yaml"]),
        ] {
            let renderer = map(&[]).post_renderer(is_helm_3).unwrap();
            let directory = renderer._scratch.path().to_owned();
            let mode =
                |path: Utf8PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(directory.clone()), 0o700);
            for file in files {
                assert_eq!(mode(directory.join(file)), 0o600, "{file}");
            }
            assert_eq!(
                renderer.plugins(),
                (!is_helm_3).then(|| directory.join("plugins")).as_deref()
            );
            drop(renderer);
            assert!(!directory.exists());
        }
    }

    #[test]
    fn one_image_that_is_not_in_the_map_leaves_nothing_to_apply_and_is_not_shown() {
        let run = |map: &ImageMap, text: &str| {
            let renderer = map.post_renderer(true).unwrap();
            let mut output = Vec::new();
            let ended = map_rendered(
                &renderer._scratch.path().join("map.json"),
                text.as_bytes(),
                &mut output,
            );
            (ended, String::from_utf8(output).unwrap())
        };
        let (ended, output) = run(&map(&[("private.test/secret:1", "r.test/s@sha256:0")]), POD);
        ended.unwrap();
        assert_eq!(
            output,
            POD.replace("private.test/secret:1", "r.test/s@sha256:0")
        );
        let (ended, output) = run(&map(&[]), POD);
        let said = ended.unwrap_err().to_string();
        assert!(
            output.is_empty() && said.contains("Pod/p") && said.contains("container c"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
        let (ended, output) = run(&map(&[]), "kind: 'Pod\n");
        assert!(matches!(ended, Err(MapError::Obstacles(_))) && output.is_empty());
    }
}
