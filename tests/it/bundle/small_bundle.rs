//! A small signed bundle with one entry of every kind, made in memory; and ways to damage it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use rune_bundle::{
    bundle::{
        BinaryContent, BinaryIngredient, BundleIndex, Completeness, Draft, FileIngredient,
        FileOrigin, ImageIngredient, ImageSource, Ingredients, MigrationsIngredient, Plan,
        PolicyRecord, ProfileIngredient, materialise,
    },
    chart::{ChartTree, package},
    oci::{Descriptor, media_type},
    sign::PrivateKey,
};
use rune_core::{digest::Digest, progress::Silent};
use serde_json::json;

/// A key that is the same in every run, so that a failure can be repeated.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINnWpjeZOVksn4nmKdHq+VbEVhLdfUkZW57b7Q7PPhbH
-----END PRIVATE KEY-----
";

/// Files of one test.
pub(crate) struct Scratch {
    guard: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            guard: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.guard.path().join(name)
    }

    pub(crate) fn utf8(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.path(name)).unwrap()
    }

    /// The names in the directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.guard.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn private_key() -> PrivateKey {
    PrivateKey::load::<rune_bundle::sign::SignError>(KEY.as_bytes(), || {
        panic!("the key is not encrypted")
    })
    .unwrap()
}

/// One entry of every kind.
pub(crate) fn ingredients(scratch: &Scratch) -> Ingredients {
    let extra = b"carried as it is\n";
    fs::write(scratch.path("extra"), extra).unwrap();
    let mut chart = BTreeMap::new();
    chart.insert(
        "Chart.yaml".into(),
        b"apiVersion: v2\nname: small\nversion: 0.1.0\n".to_vec(),
    );
    chart.insert(
        "templates/map.yaml".into(),
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: small}\n".to_vec(),
    );
    Ingredients {
        name: "small".to_owned(),
        version: "1.2.3".parse().unwrap(),
        predecessor: None,
        images: vec![image()],
        artifacts: Vec::new(),
        charts: vec![package("small", &ChartTree::new(chart)).unwrap()],
        profiles: vec![ProfileIngredient {
            name: "lab".to_owned(),
            charts: Vec::new(),
            values: vec![("values/lab.yaml".to_owned(), "{}\n".to_owned())],
        }],
        releases: Vec::new(),
        namespaces: Vec::new(),
        migrations: Some(MigrationsIngredient {
            schema_version: 1,
            files: vec![(1, "0001_x.sql".to_owned(), b"SELECT 1;\n".to_vec())],
        }),
        binaries: vec![BinaryIngredient {
            name: "rune-db".to_owned(),
            platform: "linux/amd64".parse().unwrap(),
            content: BinaryContent::Bytes(Arc::from(vec![7; 700])),
        }],
        files: vec![FileIngredient {
            path: "extra.txt".to_owned(),
            source: FileOrigin::Path(scratch.utf8("extra")),
            size: extra.len() as u64,
            digest: Digest::of(extra),
        }],
        advisories: Vec::new(),
        origins: BTreeMap::new(),
        install: "# Install\n".to_owned(),
        policy: PolicyRecord {
            sha256: Digest::of(b"policy"),
            waived: Vec::new(),
        },
        completeness: Completeness::default(),
        image_signer: None,
    }
}

fn image() -> ImageIngredient {
    let layer = (0..9000_u32).flat_map(u32::to_le_bytes).collect();
    image_of(vec![layer])
}

/// An image of one platform with these layers.
pub(crate) fn image_of(layers: Vec<Vec<u8>>) -> ImageIngredient {
    let blob = |media_type: &str, bytes: Vec<u8>| (Descriptor::of(media_type, &bytes), bytes);
    let config = blob(
        media_type::CONFIG,
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#
            .to_vec(),
    );
    let layers: Vec<_> = layers
        .into_iter()
        .map(|bytes| blob(media_type::LAYER_GZIP, bytes))
        .collect();
    let listed: Vec<_> = layers.iter().map(|(layer, _)| layer).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config.0, "layers": listed});
    let manifest = blob(media_type::MANIFEST, serde_json::to_vec(&manifest).unwrap());
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [manifest.0]});
    let index = blob(media_type::INDEX, serde_json::to_vec(&index).unwrap());
    ImageIngredient {
        name: "small".to_owned(),
        reference: "registry.example/small:1".parse().unwrap(),
        component: None,
        license: Some("Apache-2.0".to_owned()),
        sboms: Vec::new(),
        source: ImageSource::Built {
            target: index.0.clone(),
            manifests: vec![("linux/amd64".parse().unwrap(), manifest.0.digest)],
            blobs: layers
                .into_iter()
                .chain([config, manifest, index])
                .collect(),
        },
    }
}

/// Writes a plan that needs no registry.
pub(crate) fn write(plan: &Plan, path: &Utf8Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let progress: Arc<dyn rune_core::progress::Progress> = Arc::new(Silent);
    runtime
        .block_on(materialise(plan, None, &path.into(), 2, &progress))
        .unwrap();
}

/// Writes `small.bundle.tar`, signed, with the public key beside it as `key.pub`.
pub(crate) fn signed(scratch: &Scratch) -> PathBuf {
    let draft = ingredients(scratch).compose().unwrap();
    sign_and_write(scratch, draft)
}

/// Signs a draft and writes it as `small.bundle.tar`.
pub(crate) fn sign_and_write(scratch: &Scratch, draft: Draft) -> PathBuf {
    let key = private_key();
    fs::write(scratch.path("key.pub"), key.public_key().to_pem()).unwrap();
    write(
        &draft.sign(&[key]).unwrap(),
        &scratch.utf8("small.bundle.tar"),
    );
    scratch.path("small.bundle.tar")
}

/// The index as it stands in a bundle.
pub(crate) fn index_of(bundle: &Path) -> BundleIndex {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    serde_json::from_reader(entry).unwrap()
}

/// One entry as it stands in a bundle.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) header: u64,
    pub(crate) content: u64,
    pub(crate) size: u64,
}

/// Every entry of a bundle, as the `tar` crate finds them.
pub(crate) fn entries_of(bundle: &Path) -> Vec<Found> {
    let mut archive = tar::Archive::new(fs::File::open(bundle).unwrap());
    let found = |entry: tar::Entry<'_, fs::File>| Found {
        name: entry.path().unwrap().to_str().unwrap().to_owned(),
        header: entry.raw_header_position(),
        content: entry.raw_file_position(),
        size: entry.size(),
    };
    archive
        .entries()
        .unwrap()
        .map(|entry| found(entry.unwrap()))
        .collect()
}

/// Runs `rune-bundle`.
pub(crate) fn rune_bundle<I: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = I>,
) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rune-bundle"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Asserts how a command ended and returns what it said.
pub(crate) fn ends_with(output: &Output, code: i32) -> String {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}
