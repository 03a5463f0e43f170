//! Images for the cluster: layouts that are there, and small ones made of another image and a few
//! programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An OCI layout with one image or index at its root.
#[derive(Debug)]
pub struct ImageLayout {
    folder: PathBuf,
    _scratch: Option<TempDir>,
}

/// A file that can be run.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its path in the image.
    pub path: &'a str,
    /// Its content.
    pub content: &'a [u8],
}

impl ImageLayout {
    /// The test image that stands in for `docker.io/library/postgres:17-alpine`.
    pub fn postgres() -> Self {
        let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
            || PathBuf::from("/var/cache/rune-bundle/tools"),
            PathBuf::from,
        );
        Self {
            folder: tools.join("images/postgres-17-alpine"),
            _scratch: None,
        }
    }

    /// A stand-in for RUNE's image, which cannot be had everywhere; the script says what it does.
    pub fn api_stand_in() -> Self {
        let script = Program {
            path: "/usr/local/bin/api-stand-in",
            content: include_bytes!("api-stand-in.sh"),
        };
        Self::postgres().with_programs(&[script])
    }

    /// A layout of blobs that are there; `root` is the descriptor of the image or index.
    pub fn of_blobs<'a>(root: &Value, blobs: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let scratch = tempfile::tempdir().expect("a directory can be made");
        let layout = Self {
            folder: scratch.path().to_owned(),
            _scratch: Some(scratch),
        };
        fs::create_dir_all(layout.folder.join("blobs/sha256")).expect("the directory is ours");
        for blob in blobs {
            layout.put(blob);
        }
        layout.finish(root);
        layout
    }

    /// The image of this layout for amd64 with one more layer of programs, the first of which it
    /// runs.
    #[must_use]
    pub fn with_programs(&self, programs: &[Program<'_>]) -> Self {
        self.with_layer(programs, |config| {
            config["Entrypoint"] = json!([programs[0].path]);
            config["Cmd"] = json!([]);
        })
    }

    /// The same software under another digest, as after a minor update.
    #[must_use]
    pub fn updated(&self) -> Self {
        self.with_layer(
            &[Program {
                path: "/etc/updated",
                content: b"",
            }],
            |_| {},
        )
    }

    fn with_layer(&self, files: &[Program<'_>], configure: impl FnOnce(&mut Value)) -> Self {
        let mut manifest = self.amd64();
        let mut config = self.blob(&manifest["config"]["digest"]);
        let tar = tar_of(files);
        let layer = gzip(&tar);

        configure(&mut config["config"]);
        config["rootfs"]["diff_ids"]
            .as_array_mut()
            .expect("a configuration names its layers")
            .push(json!(sha256(&tar)));
        if let Some(history) = config["history"].as_array_mut() {
            history.push(json!({"created_by": "test equipment"}));
        }
        let layers = manifest["layers"]
            .as_array_mut()
            .expect("a manifest has layers");
        let base: Vec<_> = layers
            .iter()
            .map(|layer| self.bytes(&layer["digest"]))
            .collect();
        layers.push(descriptor(LAYER, &layer));
        let config = serde_json::to_vec(&config).expect("it is JSON");
        manifest["config"] = descriptor(CONFIG, &config);
        let manifest = serde_json::to_vec(&manifest).expect("it is JSON");
        let blobs = base
            .iter()
            .map(Vec::as_slice)
            .chain([layer.as_slice(), &config, &manifest]);
        Self::of_blobs(&descriptor(MANIFEST, &manifest), blobs)
    }

    fn amd64(&self) -> Value {
        let root = self.blob(&self.root()["digest"]);
        let Some(manifests) = root["manifests"].as_array() else {
            return root;
        };
        let amd64 = manifests
            .iter()
            .find(|manifest| manifest["platform"]["architecture"] == "amd64")
            .expect("amd64 is there");
        self.blob(&amd64["digest"])
    }

    /// The digest of the image or index.
    pub fn digest(&self) -> String {
        self.root()["digest"]
            .as_str()
            .expect("a digest is a string")
            .to_owned()
    }

    /// Where skopeo finds it.
    pub(super) fn source(&self) -> String {
        format!("oci:{}", self.folder.display())
    }

    fn root(&self) -> Value {
        read(&self.folder.join("index.json"))["manifests"][0].clone()
    }

    fn blob(&self, digest: &Value) -> Value {
        serde_json::from_slice(&self.bytes(digest)).expect("the blob is JSON")
    }

    fn bytes(&self, digest: &Value) -> Vec<u8> {
        let digest = digest
            .as_str()
            .and_then(|digest| digest.strip_prefix("sha256:"))
            .expect("it is a digest");
        fs::read(self.folder.join("blobs/sha256").join(digest)).expect("the layout is whole")
    }

    fn put(&self, bytes: &[u8]) {
        let digest = sha256(bytes);
        fs::write(
            self.folder
                .join("blobs/sha256")
                .join(digest.trim_start_matches("sha256:")),
            bytes,
        )
        .expect("the directory is ours");
    }

    fn finish(&self, root: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": [root]});
        fs::write(self.folder.join("index.json"), index.to_string())
            .expect("the directory is ours");
        fs::write(
            self.folder.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("the directory is ours");
    }
}

fn read(path: &Path) -> Value {
    let text = fs::read(path)
        .unwrap_or_else(|error| panic!("`{}`: {error}; run tools/setup", path.display()));
    serde_json::from_slice(&text).expect("it is JSON")
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
}

fn tar_of(programs: &[Program<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for program in programs {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(program.content.len() as u64);
        archive
            .append_data(
                &mut header,
                program.path.trim_start_matches('/'),
                program.content,
            )
            .expect("memory has room");
    }
    archive.into_inner().expect("memory has room")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes)
        .and_then(|()| encoder.finish())
        .expect("memory has room")
}
