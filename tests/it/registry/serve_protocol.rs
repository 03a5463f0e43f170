//! What a client may ask of `serve`, and what it gets: pull and content discovery of the OCI
//! distribution specification.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::{Scratch, entries_of},
    registry::serve_support::{Reply, Serving, bundle, image, noise},
};

const SMALL: &str = "registry.example/team/small:1";
const LARGE: &str = "docker.io/library/large:2";

/// A served bundle with a small and a larger image; what the larger one's layer holds.
struct Sample {
    serving: Serving,
    bundle: PathBuf,
    layer: Vec<u8>,
    _scratch: Scratch,
}

impl Sample {
    fn new() -> Self {
        let scratch = Scratch::new();
        let layer = noise(1, 900_000);
        let file = bundle(
            &scratch,
            "sample",
            vec![
                image(SMALL, vec![noise(2, 1000)]),
                image(LARGE, vec![layer.clone()]),
            ],
        );
        Self {
            serving: Serving::start([file.as_path()], &[]),
            bundle: file,
            layer,
            _scratch: scratch,
        }
    }

    fn manifest(&self, repository: &str, tag: &str) -> Value {
        let index = self
            .serving
            .get(&format!("/v2/{repository}/manifests/{tag}"))
            .json();
        let child = index["manifests"][0]["digest"].as_str().unwrap();
        self.serving
            .get(&format!("/v2/{repository}/manifests/{child}"))
            .json()
    }

    /// The path of the only layer of an image.
    fn layer_path(&self, repository: &str, tag: &str) -> String {
        format!(
            "/v2/{repository}/blobs/{}",
            self.manifest(repository, tag)["layers"][0]["digest"]
                .as_str()
                .unwrap()
        )
    }
}

fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (status, code),
        "{reply:?}"
    );
}

#[test]
fn manifests_and_blobs_come_by_tag_and_digest_with_their_exact_bytes() {
    let sample = Sample::new();
    let serving = &sample.serving;
    let index = serving.digest("library/large:2");
    for reference in ["2", index.as_str()] {
        let path = format!("/v2/library/large/manifests/{reference}");
        let (got, asked) = (serving.get(&path), serving.head(&path));
        got.whole(&index);
        assert!(asked.body.is_empty() && asked.status == 200);
        for name in [
            "content-type",
            "content-length",
            "docker-content-digest",
            "etag",
            "docker-distribution-api-version",
        ] {
            assert_eq!(got.header(name), asked.header(name), "{name}");
        }
        assert_eq!(
            got.header("content-type"),
            Some("application/vnd.oci.image.index.v1+json")
        );
        assert_eq!(got.header("docker-content-digest"), Some(index.as_str()));
    }
    let manifest = sample.manifest("library/large", "2");
    let layer = &manifest["layers"][0];
    let path = sample.layer_path("library/large", "2");
    let (got, asked) = (serving.get(&path), serving.head(&path));
    assert_eq!(got.whole(layer["digest"].as_str().unwrap()), sample.layer);
    assert!(asked.body.is_empty());
    assert_eq!(asked.header("content-length"), Some("900000"));
    assert_eq!(
        (got.header("accept-ranges"), asked.header("accept-ranges")),
        (Some("bytes"), Some("bytes"))
    );
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    // What was right once is given away again without being hashed.
    assert_eq!(
        serving.get(&path).whole(layer["digest"].as_str().unwrap()),
        sample.layer
    );
}

#[test]
fn a_client_that_has_a_content_does_not_get_it_again() {
    let sample = Sample::new();
    for path in [
        "/v2/library/large/manifests/2".to_owned(),
        sample.layer_path("library/large", "2"),
    ] {
        let tag = sample
            .serving
            .head(&path)
            .header("etag")
            .unwrap()
            .to_owned();
        let reply = sample.serving.ask(
            "GET",
            &path,
            &format!("if-none-match: \"other\", {tag}\r\n"),
        );
        assert_eq!(
            (reply.status, reply.header("etag"), reply.body.len()),
            (304, Some(tag.as_str()), 0)
        );
        assert_eq!(
            sample
                .serving
                .ask("GET", &path, "if-none-match: \"other\"\r\n")
                .status,
            200
        );
    }
}

#[test]
fn a_part_of_a_blob_is_the_part_that_was_asked_for() {
    let sample = Sample::new();
    let path = sample.layer_path("library/large", "2");
    let part = |range: &str| {
        sample
            .serving
            .ask("GET", &path, &format!("range: bytes={range}\r\n"))
    };
    for (range, first, last) in [
        ("0-0", 0, 0),
        ("500-1499", 500, 1499),
        ("262144-899999", 262_144, 899_999),
        ("300000-", 300_000, 899_999),
        ("-1000", 899_000, 899_999),
        ("1-9999999", 1, 899_999),
    ] {
        let reply = part(range);
        assert_eq!((reply.status, reply.broken), (206, None), "{range}");
        assert_eq!(
            reply.header("content-range"),
            Some(format!("bytes {first}-{last}/900000").as_str())
        );
        assert!(reply.body == sample.layer[first..=last], "{range}");
    }
    for range in ["900000-", "5-4", "-0"] {
        let reply = part(range);
        refused(&reply, 416, "RANGE_INVALID");
        assert_eq!(reply.header("content-range"), Some("bytes */900000"));
    }
    for ignored in ["0-1,5-6", "x-"] {
        assert_eq!(part(ignored).body, sample.layer, "{ignored}");
    }
    let tag = sample
        .serving
        .head(&path)
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(
        sample
            .serving
            .ask(
                "GET",
                &path,
                &format!("range: bytes=0-0\r\nif-range: {tag}\r\n")
            )
            .status,
        206
    );
    assert_eq!(
        sample
            .serving
            .ask("GET", &path, "range: bytes=0-0\r\nif-range: \"other\"\r\n")
            .status,
        200
    );
}

#[test]
fn repositories_and_tags_are_listed_page_by_page() {
    let sample = Sample::new();
    let all = [
        "bundles/sample",
        "charts/small",
        "library/large",
        "team/small",
    ];
    assert_eq!(
        sample.serving.get("/v2/_catalog").json(),
        json!({"repositories": all})
    );
    let mut path = "/v2/_catalog?n=3".to_owned();
    let mut found = Vec::new();
    loop {
        let reply = sample.serving.get(&path);
        found.extend(
            reply.json()["repositories"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned()),
        );
        let Some(link) = reply.header("link") else {
            break;
        };
        link.strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .unwrap()
            .clone_into(&mut path);
    }
    assert_eq!(found, all);
    assert_eq!(
        sample.serving.get("/v2/team/small/tags/list").json(),
        json!({"name": "team/small", "tags": ["1"]})
    );
    assert_eq!(
        sample.serving.get("/v2/team/small/tags/list?last=1").json(),
        json!({"name": "team/small", "tags": []})
    );
    assert_eq!(
        sample.serving.get("/v2/team/small/tags/list?n=0").json(),
        json!({"name": "team/small", "tags": []})
    );
    refused(
        &sample.serving.get("/v2/_catalog?n=many"),
        400,
        "PAGINATION_NUMBER_INVALID",
    );
}

#[test]
fn the_signed_index_of_the_bundle_is_an_artifact_and_its_signatures_are_referrers_of_it() {
    let sample = Sample::new();
    let serving = &sample.serving;
    let statement = serving.digest("bundles/sample:1.2.3");
    let manifest = serving
        .get(&format!("/v2/bundles/sample/manifests/{statement}"))
        .json();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let entries = entries_of(&sample.bundle);
    let bytes = fs::read(&sample.bundle).unwrap();
    let entry = |name: &str| {
        let found = entries.iter().find(|entry| entry.name == name).unwrap();
        let content = usize::try_from(found.content).unwrap();
        &bytes[content..content + usize::try_from(found.size).unwrap()]
    };
    assert_eq!(
        serving
            .get(&format!("/v2/bundles/sample/blobs/{layer}"))
            .whole(layer),
        entry("bundle.json")
    );

    let path = format!("/v2/bundles/sample/referrers/{statement}");
    let reply = serving.get(&path);
    assert_eq!(
        reply.header("content-type"),
        Some("application/vnd.oci.image.index.v1+json")
    );
    assert_eq!(reply.header("oci-filters-applied"), None);
    let referrers = reply.json()["manifests"].as_array().unwrap().clone();
    assert_eq!(referrers.len(), 1);
    let artifact_type = referrers[0]["artifactType"].as_str().unwrap();
    let signature = serving
        .get(&format!(
            "/v2/bundles/sample/manifests/{}",
            referrers[0]["digest"].as_str().unwrap()
        ))
        .json();
    assert_eq!(signature["subject"]["digest"], json!(statement));
    let blob = signature["layers"][0]["digest"].as_str().unwrap();
    let slots = entries
        .iter()
        .filter(|entry| entry.name.contains("sigstore"))
        .map(|found| entry(&found.name).trim_ascii_end());
    assert!(slots.filter(|slot| !slot.is_empty()).any(|slot| {
        slot == serving
            .get(&format!("/v2/bundles/sample/blobs/{blob}"))
            .whole(blob)
    }));

    for (wanted, count) in [(artifact_type, 1), ("application/other", 0)] {
        let reply = serving.get(&format!(
            "{path}?artifactType={}",
            wanted.replace('+', "%2B")
        ));
        assert_eq!(reply.header("oci-filters-applied"), Some("artifactType"));
        assert_eq!(
            reply.json()["manifests"].as_array().unwrap().len(),
            count,
            "{wanted}"
        );
    }
    let nobody = serving.get(&format!(
        "/v2/bundles/sample/referrers/sha256:{}",
        "0".repeat(64)
    ));
    assert_eq!(
        (nobody.status, nobody.json()["manifests"].clone()),
        (200, json!([]))
    );
}

#[test]
fn what_is_not_there_is_said_in_the_words_of_the_specification() {
    let sample = Sample::new();
    let none = format!("sha256:{}", "0".repeat(64));
    for (path, status, code) in [
        ("/v2/nothing/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        (format!("/v2/nothing/referrers/{none}"), 404, "NAME_UNKNOWN"),
        (
            "/v2/team/small/manifests/9".to_owned(),
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            format!("/v2/team/small/manifests/{none}"),
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "/v2/team/small/manifests/.bad".to_owned(),
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "/v2/team/small/manifests/sha256:bad".to_owned(),
            400,
            "DIGEST_INVALID",
        ),
        (format!("/v2/team/small/blobs/{none}"), 404, "BLOB_UNKNOWN"),
        (
            "/v2/team/small/blobs/sha256:bad".to_owned(),
            400,
            "DIGEST_INVALID",
        ),
        ("/v2/Team/small/manifests/1".to_owned(), 400, "NAME_INVALID"),
        (
            "/v2/../../../etc/passwd/manifests/1".to_owned(),
            400,
            "NAME_INVALID",
        ),
        (
            "/v2/%2e%2e/%2e%2e/blobs/sha256:%2e%2e".to_owned(),
            400,
            "NAME_INVALID",
        ),
        ("/v2/team/small/blobs/uploads/".to_owned(), 404, "NOT_FOUND"),
        ("/".to_owned(), 404, "NOT_FOUND"),
        ("/v1/".to_owned(), 404, "NOT_FOUND"),
    ] {
        refused(&sample.serving.get(&path), status, code);
        let asked = sample.serving.head(&path);
        assert_eq!((asked.status, asked.body.len()), (status, 0), "{path}");
    }
}

#[test]
fn a_blob_is_given_away_by_the_repositories_that_refer_to_it_alone() {
    let sample = Sample::new();
    let path = sample.layer_path("library/large", "2");
    assert_eq!(sample.serving.head(&path).status, 200);
    refused(
        &sample
            .serving
            .get(&path.replace("library/large", "team/small")),
        404,
        "BLOB_UNKNOWN",
    );
    let manifest = sample.serving.digest("library/large:2");
    refused(
        &sample
            .serving
            .get(&format!("/v2/team/small/manifests/{manifest}")),
        404,
        "MANIFEST_UNKNOWN",
    );
    // A file of the bundle that is no blob of an image is not there at all.
    let extra = rune_core::digest::Digest::of(b"carried as it is\n");
    refused(
        &sample.serving.get(&format!("/v2/team/small/blobs/{extra}")),
        404,
        "BLOB_UNKNOWN",
    );
}

#[test]
fn nothing_can_be_written() {
    let sample = Sample::new();
    for (method, path) in [
        ("POST", "/v2/team/small/blobs/uploads/"),
        ("PATCH", "/v2/team/small/blobs/uploads/1"),
        ("PUT", "/v2/team/small/blobs/uploads/1?digest=sha256:x"),
        ("PUT", "/v2/team/small/manifests/1"),
        ("DELETE", "/v2/team/small/manifests/1"),
        ("DELETE", "/v2/team/small/tags/1"),
        ("OPTIONS", "/v2/"),
        ("NONSENSE", "/v2/"),
    ] {
        let reply = sample.serving.ask(method, path, "content-length: 2\r\n");
        refused(&reply, 405, "UNSUPPORTED");
        assert_eq!(reply.header("allow"), Some("GET, HEAD"));
    }
}

#[test]
fn a_mirror_gives_away_what_comes_from_the_registry_that_is_meant() {
    let sample = Sample::new();
    let blob = sample.layer_path("library/large", "2");
    for (path, registry, status) in [
        ("/v2/library/large/manifests/2", "docker.io", 200),
        ("/v2/library/large/manifests/2", "registry.example", 404),
        ("/v2/team/small/manifests/1", "registry.example", 200),
        ("/v2/team/small/manifests/1", "docker.io", 404),
        ("/v2/charts/small/manifests/0.1.0", "docker.io", 404),
        (blob.as_str(), "docker.io", 200),
        (blob.as_str(), "ghcr.io", 404),
    ] {
        assert_eq!(
            sample.serving.head(&format!("{path}?ns={registry}")).status,
            status,
            "{path} of {registry}"
        );
        assert_eq!(sample.serving.head(path).status, 200, "{path}");
    }
}

#[test]
fn several_requests_go_over_one_connection_and_each_leaves_one_line_in_the_log() {
    use std::io::{Read as _, Write as _};
    let sample = Sample::new();
    let mut stream = std::net::TcpStream::connect(sample.serving.address()).unwrap();
    let request = |path: &str, end: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{end}\r\n");
    let path = sample.layer_path("library/large", "2");
    let last = request("/v2/nothing/tags/list?x=%1b%5b2J", "connection: close\r\n");
    stream
        .write_all(
            [request("/v2/", ""), request(&path, ""), last]
                .concat()
                .as_bytes(),
        )
        .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(
        bytes
            .windows(9)
            .filter(|window| window == b"HTTP/1.1 ")
            .count(),
        3
    );
    sample.serving.says(&["GET /v2/ 200 2 bytes "]);
    sample
        .serving
        .says(&[&format!("GET {path} 200 900000 bytes ")]);
    sample
        .serving
        .says(&["GET /v2/nothing/tags/list?x=%1b%5b2J 404 "]);
}
