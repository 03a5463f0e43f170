//! Images with signatures and other artifacts about them, in a registry that can be made to lose
//! or to forge them.

use std::{fs, process::Command, time::SystemTime};

use base64ct::{Base64, Encoding as _};
use camino::Utf8PathBuf;
use rune_bundle::{
    commands::bundle::{
        ChartCheck, ManifestChoice, ProjectOptions,
        lock::{self, LockMode, LockOptions},
    },
    oci::media_type,
    sign::PrivateKey,
};
use rune_core::progress::Silent;
use rune_testkit::{
    process::succeeded,
    registry::Registry,
    sample::{Image, Sample},
    sha256,
};
use serde_json::{Value, json};

use crate::{bundle::project::Project, registry::support::quick};

pub(crate) const REPOSITORY: &str = "library/shop";
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// Verifies the bundle of the shop with a policy.
pub(crate) const VERIFY: [&str; 6] = [
    "verify",
    "shop.tar",
    "--key",
    "release.pub",
    "--policy",
    "policy.yaml",
];
pub(crate) const SPDX: &str = "https://spdx.dev/Document";
pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: shop, reference: 'HOST/library/shop:1', license: MIT }\npolicy: policy.yaml\n";
pub(crate) const POLICY: &str = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [MIT] }\nsources: { allow: ['**'] }\n";

/// A project with one image of one platform, and keys that may sign it.
pub(crate) struct Shop {
    pub(crate) project: Project,
    pub(crate) image: Image,
    /// The key in `signer.pub`.
    pub(crate) key: PrivateKey,
    /// The key in `other.pub`.
    pub(crate) other: PrivateKey,
    /// The time by the clock of whoever locks.
    pub(crate) now: SystemTime,
}

impl Shop {
    /// An entry of the bundle `shop.tar`, read by tar.
    pub(crate) fn entry(&self, name: &str) -> String {
        let mut command = Command::new("tar");
        command
            .args(["--occurrence=1", "-xOf"])
            .arg(self.project.path("shop.tar"))
            .arg(name);
        succeeded(&mut command)
    }

    /// In a registry that keeps lists of referrers itself, or does not.
    pub(crate) fn new(lists_referrers: bool) -> Self {
        let project = Project::with_manifest(MANIFEST);
        let manifest = MANIFEST.replace("HOST", &project.registry.host());
        fs::write(project.path("bundle-manifests/rune.yaml"), manifest).unwrap();
        project
            .registry
            .behave(|behaviour| behaviour.lists_referrers = lists_referrers);
        let sample = Sample {
            platforms: vec![("linux", "amd64", None)],
            attestations: false,
            layer_bytes: vec![3000],
            ..Sample::default()
        };
        let image = project.put(REPOSITORY, "1", &sample);
        let [key, other] = ["signer.pub", "other.pub"].map(|name| {
            let key = PrivateKey::generate().unwrap();
            fs::write(project.path(name), key.public_key().to_pem()).unwrap();
            key
        });
        let shop = Self {
            project,
            image,
            key,
            other,
            now: SystemTime::UNIX_EPOCH,
        };
        shop.policy("");
        shop
    }

    /// Adds rules to the policy.
    pub(crate) fn policy(&self, rules: &str) {
        fs::write(self.project.path("policy.yaml"), format!("{POLICY}{rules}")).unwrap();
    }

    /// Demands signatures by the key in `signer.pub`.
    pub(crate) fn demand_signatures(&self) {
        self.policy("signatures: [{ match: '*/library/*', keys: [signer.pub] }]\n");
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.project.registry
    }

    /// The digest of the index.
    pub(crate) fn root(&self) -> String {
        self.image.index.digest()
    }

    /// The digest of the manifest of the one platform.
    pub(crate) fn child(&self) -> String {
        self.image.manifests[0].digest()
    }

    /// What cosign signs of a digest in tags.
    pub(crate) fn simple_signing_payload(digest: &str) -> Vec<u8> {
        let payload = json!({
            "critical": {
                "identity": {"docker-reference": "docker.io/library/shop"},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        payload.to_string().into_bytes()
    }

    /// Signs a digest as cosign does in tags: gives the manifest.
    pub(crate) fn simple_signing(&self, digest: &str, keys: &[&PrivateKey]) -> Value {
        let payload = Self::simple_signing_payload(digest);
        let layers: Vec<Value> = keys
            .iter()
            .map(|key| {
                let signature = Base64::encode_string(&key.sign(&payload));
                let mut layer = self.blob(SIMPLE_SIGNING, &payload);
                layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
                layer
            })
            .collect();
        json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": self.blob(media_type::CONFIG, b"{\"architecture\":\"\",\"os\":\"\"}"),
            "layers": layers,
        })
    }

    /// An envelope with a statement about a digest; `sign` gives the signature of what is signed.
    pub(crate) fn envelope(
        digest: &str,
        predicate: &str,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Value {
        let (_, hex) = digest.split_once(':').unwrap();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": hex}}],
            "predicateType": predicate,
            "predicate": {},
        });
        let (kind, payload) = ("application/vnd.in-toto+json", statement.to_string());
        let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        json!({
            "payload": Base64::encode_string(payload.as_bytes()),
            "payloadType": kind,
            "signatures": [{"sig": Base64::encode_string(&sign(message.as_bytes()))}],
        })
    }

    /// A statement about a digest in a Sigstore bundle, signed by a key.
    pub(crate) fn statement(digest: &str, predicate: &str, key: &PrivateKey) -> Vec<u8> {
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "any"}, "tlogEntries": []},
            "dsseEnvelope": Self::envelope(digest, predicate, |message| key.sign(message)),
        });
        bundle.to_string().into_bytes()
    }

    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        self.registry().put_blob(REPOSITORY, bytes);
        json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
    }

    /// The manifest of an artifact about a digest.
    pub(crate) fn artifact(&self, subject: &str, artifact_type: &str, content: &[u8]) -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "artifactType": artifact_type,
            "config": self.blob(EMPTY, b"{}"),
            "layers": [self.blob(artifact_type, content)],
            "subject": {"mediaType": media_type::INDEX, "digest": subject, "size": 1},
        })
    }

    /// The manifest of a Sigstore bundle about a digest, as cosign 3 writes it.
    pub(crate) fn bundle(&self, subject: &str, predicate: &str, key: &PrivateKey) -> Value {
        let statement = Self::statement(subject, predicate, key);
        let mut manifest = self.artifact(subject, BUNDLE, &statement);
        manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": predicate});
        manifest
    }

    /// Stores a manifest and gives its digest.
    pub(crate) fn put(&self, tag: Option<&str>, manifest: &Value) -> String {
        let media_type = manifest["mediaType"].as_str().unwrap();
        self.registry()
            .put_manifest(REPOSITORY, tag, media_type, manifest.to_string().as_bytes())
    }

    /// Stores an artifact; where the registry keeps no lists, adds it to that under the tag.
    pub(crate) fn attach(&self, subject: &str, manifest: &Value) -> String {
        let digest = self.put(None, manifest);
        self.list(subject, &digest, manifest["mediaType"].as_str().unwrap());
        digest
    }

    /// Adds an entry to the list under the tag that stands in for the lists of a registry.
    pub(crate) fn list(&self, subject: &str, digest: &str, media_type: &str) {
        let tag = subject.replace(':', "-");
        let stored = self.registry().manifest(REPOSITORY, &tag);
        let mut index = stored.map_or_else(
            || json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []}),
            |(_, bytes)| serde_json::from_slice(&bytes).unwrap(),
        );
        let size = self
            .registry()
            .manifest(REPOSITORY, digest)
            .map_or(7, |(_, bytes)| bytes.len());
        let entry = json!({"mediaType": media_type, "digest": digest, "size": size});
        index["manifests"].as_array_mut().unwrap().push(entry);
        self.put(Some(&tag), &index);
    }

    /// Signs the image under cosign's tag.
    pub(crate) fn sign_in_tag(&self, key: &PrivateKey) -> String {
        let manifest = self.simple_signing(&self.root(), &[key]);
        self.put(Some(&self.tag("sig")), &manifest)
    }

    /// The tag of cosign for the image.
    pub(crate) fn tag(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.root().replace(':', "-"))
    }

    /// Locks with retries that nobody notices; gives the report, or what a person sees and the exit
    /// code.
    pub(crate) fn lock(&self, mode: LockMode) -> Result<Value, String> {
        let path = |name: &str| Utf8PathBuf::from_path_buf(self.project.path(name)).unwrap();
        let options = LockOptions {
            project: ProjectOptions {
                manifest: ManifestChoice::Path(path("bundle-manifests/rune.yaml")),
                directory: None,
            },
            mode,
            chart_check: ChartCheck::LeftOut,
            is_strict: false,
            syft: None,
            dry_run: false,
            registry: quick(),
            now: self.now,
        };
        lock::run(&options, &Silent)
            .map(|report| serde_json::to_value(&report).unwrap())
            .map_err(|error| crate::registry::push_support::words(&error))
    }

    /// The artifacts of the image, as a report of `lock` lists them.
    pub(crate) fn locked(&self) -> Vec<Value> {
        let report = self.lock(LockMode::Write).unwrap();
        let referrers = &report["images"][0]["referrers"];
        referrers.as_array().cloned().unwrap_or_default()
    }
}
