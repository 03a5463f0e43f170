//! Advisories as a scanner can apply them.
//!
//! A vendor calls an image by the registry that it is published in. The scanner sees it at a
//! loopback address, and by the digest of one manifest. In the copy of an advisory that it gets,
//! products that are this image have that digest and no address; all else stays as it is.
//!
//! Source: the definition of the type `oci` of package URLs.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Subject;
use crate::{
    evidence::{AdvisoryKind, advisory_document},
    oci::Reference,
};
use rune_core::digest::Digest;

const TYPE: &str = "pkg:oci/";

#[derive(Debug, Clone)]
pub(crate) struct Advisory {
    pub(crate) path: String,
    pub(crate) kind: AdvisoryKind,
    pub(crate) bytes: Vec<u8>,
}

impl Advisory {
    pub(super) fn about(&self, subject: &Subject<'_>) -> Result<Vec<u8>, serde_json::Error> {
        let mut document = advisory_document(&self.bytes)?;
        translate(&mut document, subject);
        serde_json::to_vec(&document)
    }
}

fn translate(value: &mut Value, subject: &Subject<'_>) {
    match value {
        Value::String(text) if subject.is_called(text) => *text = subject.package_url(),
        Value::Array(items) => items.iter_mut().for_each(|item| translate(item, subject)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| translate(member, subject)),
        _ => {}
    }
}

impl Subject<'_> {
    fn package_url(&self) -> String {
        let digest = self.manifest.to_string().replace(':', "%3A");
        format!("{TYPE}{}@{digest}", base_name(&self.reference.name()))
    }

    fn is_called(&self, product: &str) -> bool {
        match product.strip_prefix(TYPE) {
            Some(url) => self.is_package_url(url),
            None => product
                .parse()
                .is_ok_and(|reference| self.is_reference(&reference)),
        }
    }

    fn is_reference(&self, reference: &Reference) -> bool {
        let is_digest = reference.digest().is_none_or(|digest| self.has(digest));
        let is_tag = reference.tag().is_none_or(|tag| self.is_tag(tag));
        self.is_repository(&reference.name()) && is_digest && is_tag
    }

    /// What stands behind the type: name, version, qualifiers. Of what is not said, any is meant.
    fn is_package_url(&self, url: &str) -> bool {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (name, qualifiers) = url.split_once('?').unwrap_or((url, ""));
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (name, None),
        };
        let is_name = decoded(name)
            .is_some_and(|name| name.eq_ignore_ascii_case(base_name(&self.reference.name())));
        let is_version = version.is_none_or(|version| {
            decoded(version).is_some_and(|text| text.parse().is_ok_and(|digest| self.has(digest)))
        });
        let mut qualifiers = qualifiers.split('&').filter(|text| !text.is_empty());
        is_name && is_version && qualifiers.all(|qualifier| self.is_qualified(qualifier))
    }

    fn is_qualified(&self, qualifier: &str) -> bool {
        let Some((key, value)) = qualifier.split_once('=') else {
            return false;
        };
        let Some(value) = decoded(value) else {
            return false;
        };
        match (key, self.platform) {
            ("repository_url", _) => self.is_repository(&value),
            ("tag", _) => self.is_tag(&value),
            ("arch", Some(platform)) => platform.architecture == value,
            ("os", Some(platform)) => platform.os == value,
            _ => false,
        }
    }

    fn has(&self, digest: Digest) -> bool {
        [self.root, self.manifest].contains(&digest)
    }

    fn is_tag(&self, tag: &str) -> bool {
        self.reference.tag() == Some(tag)
    }

    /// Whether this is its repository, in one of the ways that Docker Hub is written.
    fn is_repository(&self, name: &str) -> bool {
        let like_a_runtime =
            |name: &str| Reference::parse_like_a_runtime(name).map(|reference| usual(&reference));
        like_a_runtime(name)
            .ok()
            .zip(like_a_runtime(&self.reference.name()).ok())
            .is_some_and(|(name, own)| name == own)
    }
}

/// The repository with its registry in lower case, Docker Hub by its usual name.
fn usual(reference: &Reference) -> String {
    let registry = reference.registry().to_ascii_lowercase();
    let registry = match registry.as_str() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        registry => registry,
    };
    let repository = match (registry, reference.repository()) {
        ("docker.io", name) if !name.contains('/') => format!("library/{name}"),
        (_, repository) => repository.to_owned(),
    };
    format!("{registry}/{repository}")
}

fn base_name(repository: &str) -> &str {
    repository
        .rsplit_once('/')
        .map_or(repository, |(_, name)| name)
}

fn decoded(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Advisory, Subject};
    use crate::{evidence::AdvisoryKind, oci::Platform};
    use rune_core::digest::Digest;

    /// What becomes of a product of an advisory, for the amd64 manifest of an index.
    fn translated(product: &str) -> String {
        let reference = "docker.io/library/demo:1".parse().unwrap();
        let platform: Platform = "linux/amd64".parse().unwrap();
        let subject = Subject {
            host: "127.0.0.1:1",
            reference: &reference,
            root: Digest::of(b"index"),
            manifest: Digest::of(b"amd64"),
            platform: Some(&platform),
            packed_bytes: 0,
        };
        let document = json!({"statements": [{"products": [{"@id": product, "note": "demo"}]}]});
        let advisory = Advisory {
            path: "advisories/demo.json".to_owned(),
            kind: AdvisoryKind::OpenVex,
            bytes: document.to_string().into_bytes(),
        };
        let document: Value = serde_json::from_slice(&advisory.about(&subject).unwrap()).unwrap();
        let product = &document["statements"][0]["products"][0];
        assert_eq!(product["note"], "demo");
        product["@id"].as_str().unwrap().to_owned()
    }

    fn encoded(content: &[u8]) -> String {
        Digest::of(content).to_string().replace(':', "%3A")
    }

    #[test]
    fn the_image_by_any_of_its_names_becomes_the_manifest() {
        let expected = format!("pkg:oci/demo@{}", encoded(b"amd64"));
        let (index, amd64) = (encoded(b"index"), encoded(b"amd64"));
        let digest = Digest::of(b"index");
        for product in [
            "pkg:oci/demo",
            &format!("pkg:oci/demo@{index}"),
            &format!("pkg:oci/demo@{amd64}"),
            &format!("pkg:oci/demo@{digest}"),
            "pkg:oci/demo?repository_url=docker.io/library/demo",
            "pkg:oci/Demo?repository_url=index.docker.io%2Flibrary%2Fdemo",
            "pkg:oci/demo?repository_url=docker.io/demo&tag=1",
            &format!("pkg:oci/demo@{index}?arch=amd64&os=linux#usr/bin"),
            "docker.io/library/demo:1",
            &format!("docker.io/library/demo@{digest}"),
        ] {
            assert_eq!(translated(product), expected, "{product}");
        }
    }

    #[test]
    fn another_product_stays_as_it_is() {
        let arm64 = encoded(b"arm64");
        for product in [
            "pkg:oci/demonstration",
            &format!("pkg:oci/demo@{arm64}"),
            "pkg:oci/demo?arch=arm64",
            "pkg:oci/demo?repository_url=docker.io/other/demo",
            "pkg:oci/demo?repository_url=ghcr.io/library/demo",
            "pkg:oci/demo?tag=2",
            "pkg:oci/demo?build=7",
            "pkg:oci/demo@1.0",
            "pkg:apk/alpine/demo@1.2.3-r0",
            "docker.io/library/demo:2",
            "demo",
        ] {
            assert_eq!(translated(product), product);
        }
    }
}
