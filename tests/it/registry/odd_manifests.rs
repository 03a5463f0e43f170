//! Indexes and manifests as others write them: locked, built, verified, pushed and loaded.

use std::fs;

use rune_bundle::commands::bundle::push::IndexChoice;
use rune_testkit::{registry::Registry, sha256};
use serde_json::{Value, json};

use crate::{
    bundle::{project::Project, small_bundle::ends_with},
    registry::push_support::Shipped,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const SOCI: &str = "application/vnd.amazon.soci.index.v2+json";

const ONE: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: twins\nversion: 0.1.0\nplatforms: PLATFORMS\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

/// What it is, and what makes it.
type Case<'a> = (&'a str, &'a dyn Fn(&Odd<'_>) -> Value);
/// What is changed in a manifest.
type Changed<'a> = (&'a str, &'a dyn Fn(&mut Value));

/// Where odd things are put.
pub(crate) struct Odd<'a>(pub(crate) &'a Registry);

impl Odd<'_> {
    pub(crate) fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        self.0.put_blob("library/postgres", bytes);
        json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
    }

    /// Any document, and its descriptor.
    pub(crate) fn document(&self, media_type: &str, bytes: &[u8]) -> Value {
        self.0
            .put_manifest("library/postgres", Some("17-alpine"), media_type, bytes);
        json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
    }

    fn manifest(&self, config_type: &str, seed: &str, change: impl FnOnce(&mut Value)) -> Value {
        let config = json!({"os": "linux", "architecture": "amd64", "seed": seed, "rootfs": {"type": "layers", "diff_ids": []}});
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.blob(config_type, config.to_string().as_bytes()),
            "layers": [self.blob(LAYER, seed.as_bytes())],
        });
        change(&mut manifest);
        self.document(MANIFEST, manifest.to_string().as_bytes())
    }

    pub(crate) fn image(&self, platform: &str) -> Value {
        with_platform(self.manifest(CONFIG, platform, |_| {}), platform)
    }

    pub(crate) fn soci(&self, platform: &str) -> Value {
        let mut entry = with_platform(
            self.manifest(SOCI, &format!("soci{platform}"), |_| {}),
            platform,
        );
        entry["artifactType"] = json!(SOCI);
        entry
    }

    pub(crate) fn index(&self, entries: &[Value]) -> Value {
        self.document(
            INDEX,
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
                .to_string()
                .as_bytes(),
        )
    }
}

pub(crate) fn with_platform(mut entry: Value, platform: &str) -> Value {
    let mut parts = platform.split('/');
    let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
    entry["platform"] = json!({"os": os, "architecture": architecture});
    if let Some(variant) = parts.next() {
        entry["platform"]["variant"] = json!(variant);
    }
    entry
}

fn absent(platform: &str) -> Value {
    with_platform(
        json!({"mediaType": MANIFEST, "digest": sha256(platform.as_bytes()), "size": 7}),
        platform,
    )
}

/// A project of one image, put by `make`.
fn project(platforms: &str, make: impl FnOnce(&Odd<'_>)) -> Project {
    let project = Project::with_manifest(&ONE.replace("PLATFORMS", platforms));
    make(&Odd(&project.registry));
    project
}

/// Locks, builds, verifies and pushes; gives the digests of the manifests that the registry has
/// then.
fn through(platforms: &str, make: impl FnOnce(&Odd<'_>)) -> (Shipped, Registry) {
    let project = project(platforms, make);
    project.lock();
    let shipped = Shipped {
        bundle: project.build("x.tar"),
        project,
    };
    ends_with(
        &shipped
            .project
            .run(&["verify", "x.tar", "--key", "release.pub"]),
        0,
    );
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.takes_sparse = true);
    shipped.push(&registry).unwrap();
    (shipped, registry)
}

fn has(registry: &Registry, entry: &Value) -> bool {
    registry
        .manifest("library/postgres", entry["digest"].as_str().unwrap())
        .is_some()
}

#[test]
fn an_artifact_beside_the_images_travels_with_the_images_of_its_platform() {
    for (platforms, expected) in [
        ("all", [true, true, true, true]),
        ("[linux/amd64]", [true, false, true, false]),
    ] {
        let mut entries = Vec::new();
        let (_, registry) = through(platforms, |odd| {
            entries = vec![
                odd.image("linux/amd64"),
                odd.image("linux/arm64"),
                odd.soci("linux/amd64"),
                odd.soci("linux/arm64"),
            ];
            odd.index(&entries);
        });
        assert_eq!(
            entries
                .iter()
                .map(|entry| has(&registry, entry))
                .collect::<Vec<_>>(),
            expected,
            "{platforms}"
        );
    }
}

#[test]
fn an_artifact_that_only_its_configuration_gives_away_is_not_an_image() {
    for entry_type in [SOCI, "application/vnd.oci.empty.v1+json"] {
        let mut entries = Vec::new();
        let (_, registry) = through("[linux/amd64]", |odd| {
            let artifact = with_platform(odd.manifest(entry_type, "x", |_| {}), "linux/amd64");
            entries = vec![artifact, odd.image("linux/386")];
            odd.index(&entries);
        });
        assert!(
            has(&registry, &entries[1]),
            "the image is chosen, although the artifact says the very platform"
        );
    }
}

#[test]
fn what_is_not_included_never_stops_an_image() {
    let nested = |odd: &Odd<'_>| with_platform(odd.index(&[absent("linux/arm64")]), "linux/arm64");
    let sha512 = || {
        with_platform(
            json!({"mediaType": MANIFEST, "digest": format!("sha512:{}", "a".repeat(128)), "size": 1}),
            "linux/arm64",
        )
    };
    let foreign = |odd: &Odd<'_>| {
        let foreign = odd.manifest(CONFIG, "w", |manifest| {
            manifest["layers"][0]["mediaType"] =
                json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        });
        with_platform(foreign, "windows/amd64")
    };
    let other =
        || json!({"mediaType": "application/vnd.example+json", "digest": sha256(b"x"), "size": 1});
    let cases: [Case<'_>; 6] = [
        ("a manifest that is not there", &|_| absent("linux/arm64")),
        ("a nested index of another platform", &nested),
        ("a nested index that is not there", &|_| {
            with_platform(
                json!({"mediaType": INDEX, "digest": sha256(b"y"), "size": 3}),
                "linux/s390x",
            )
        }),
        ("a digest of another algorithm", &|_| sha512()),
        ("a layer that is not distributed", &foreign),
        ("a document of an unknown type", &|_| other()),
    ];
    for (what, entry) in cases {
        let mut image = Value::Null;
        let (_, registry) = through("[linux/amd64]", |odd| {
            image = odd.image("linux/amd64");
            let entry = entry(odd);
            odd.index(&[entry, image.clone()]);
        });
        assert!(has(&registry, &image), "{what}");
    }
}

#[test]
fn a_nested_index_travels_whole_and_leads_to_the_image_everywhere() {
    for platforms in ["all", "[linux/amd64]"] {
        let (mut inner, mut images) = (Value::Null, Vec::new());
        let (shipped, registry) = through(platforms, |odd| {
            images = vec![odd.image("linux/amd64"), odd.image("linux/arm64")];
            inner = odd.index(&images);
            // Twice, and once deeper: each digest is visited once.
            let outer = odd.index(&[inner.clone()]);
            odd.index(&[inner.clone(), outer, inner.clone()]);
        });
        assert!(has(&registry, &inner) && has(&registry, &images[0]));
        assert_eq!(has(&registry, &images[1]), platforms == "all");
        let directory = shipped.project.path("images");
        fs::create_dir(&directory).unwrap();
        let output = shipped.project.run(&[
            "load",
            "x.tar",
            "--key",
            "release.pub",
            "--platform",
            "linux/amd64",
            "--images-dir",
            "images",
        ]);
        ends_with(&output, 0);
        let archive = fs::read_dir(&directory)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let names = std::process::Command::new("tar")
            .arg("tf")
            .arg(archive)
            .output()
            .unwrap();
        let names = String::from_utf8(names.stdout).unwrap();
        for entry in [&inner, &images[0]] {
            assert!(
                names.contains(
                    entry["digest"]
                        .as_str()
                        .unwrap()
                        .trim_start_matches("sha256:")
                ),
                "{names}"
            );
        }
        assert!(
            !names.contains(
                images[1]["digest"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("sha256:")
            ),
            "{names}"
        );
    }
}

#[test]
fn where_a_nested_index_with_gaps_is_refused_the_reduced_index_is_pushed() {
    let (mut inner, mut image) = (Value::Null, Value::Null);
    let (shipped, _) = through("[linux/amd64]", |odd| {
        image = odd.image("linux/amd64");
        inner = odd.index(&[image.clone(), odd.image("linux/arm64")]);
        odd.index(&[odd.index(&[inner.clone()])]);
    });
    let strict = Registry::start();
    let report = shipped.push(&strict).unwrap();
    assert_eq!(report["references"][0]["index"], "reduced", "{report:#}");
    assert!(has(&strict, &image) && !has(&strict, &inner));
    assert_eq!(strict.tags("library/postgres"), ["17-alpine"]);
    let said = shipped
        .push_with(&Registry::start(), |options| {
            options.settings.index = IndexChoice::Sparse;
        })
        .unwrap_err();
    assert!(said.contains("--index reduced"), "{said}");
}

fn lock(platforms: &str, make: impl FnOnce(&Odd<'_>)) -> (Option<i32>, String) {
    let project = project(platforms, make);
    let output = project.run(&[
        "lock",
        "--registry-config",
        "registries.yaml",
        "--no-chart-check",
        "bundle-manifests/rune.yaml",
    ]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        format!("{}{}", text(&output.stdout), text(&output.stderr)),
    )
}

#[test]
fn indexes_within_indexes_have_limits() {
    let (code, said) = lock("all", |odd| {
        (0..12).fold(odd.image("linux/amd64"), |below, _| odd.index(&[below]));
    });
    assert!(
        code == Some(6) && said.contains("nests them more than 8 deep"),
        "{said}"
    );
    let (code, said) = lock("all", |odd| {
        let many: Vec<Value> = (0..120)
            .map(|number| odd.index(&[odd.image(&format!("linux/amd64/v{number}"))]))
            .collect();
        odd.index(&many);
    });
    assert!(
        code == Some(6) && said.contains("more than 100 nested indexes"),
        "{said}"
    );
}

#[test]
fn the_best_variant_is_chosen_as_containerd_does_and_another_architecture_is_said() {
    for (wanted, offered, chosen, warns) in [
        (
            "linux/arm/v7",
            &["linux/arm/v5", "linux/arm/v6", "linux/amd64"][..],
            "linux/arm/v6",
            false,
        ),
        (
            "linux/arm/v7",
            &["linux/arm/v6", "linux/arm"],
            "linux/arm",
            false,
        ),
        (
            "linux/arm64",
            &["linux/arm/v7", "linux/arm64/v8"],
            "linux/arm64/v8",
            false,
        ),
        (
            "linux/arm64",
            &["linux/arm/v7", "linux/amd64"],
            "linux/arm/v7",
            true,
        ),
        (
            "linux/amd64",
            &["linux/386", "linux/arm64"],
            "linux/386",
            true,
        ),
        (
            "linux/amd64",
            &["linux/386", "linux/amd64/v1", "linux/amd64/v2"],
            "linux/amd64/v1",
            false,
        ),
        (
            "linux/amd64",
            &["linux/x86_64", "linux/arm64"],
            "linux/amd64",
            false,
        ),
    ] {
        let (code, said) = lock(&format!("[{wanted}]"), |odd| {
            let entries: Vec<Value> = offered.iter().map(|platform| odd.image(platform)).collect();
            odd.index(&entries);
        });
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains(&format!("            {chosen}, 0 attestations")),
            "{wanted} of {offered:?}: {said}"
        );
        assert_eq!(said.contains("warning: "), warns, "{said}");
    }
    let (code, said) = lock("[linux/arm/v6]", |odd| {
        let entry = odd.image("linux/arm/v7");
        odd.index(&[entry]);
    });
    assert!(
        code == Some(3) && said.contains("has none of the chosen platforms"),
        "{said}"
    );
}

#[test]
fn a_platform_that_decides_nothing_is_not_a_condition() {
    for platform in [
        json!({}),
        json!({"os": ""}),
        json!({"os": "linux"}),
        json!({"os": "linux", "architecture": ""}),
        Value::Null,
        json!({"os": "Linux/..", "architecture": "x"}),
    ] {
        let mut image = Value::Null;
        let (_, registry) = through("[linux/amd64]", |odd| {
            image = odd.image("linux/amd64");
            image["platform"] = platform.clone();
            odd.index(&[image.clone()]);
        });
        assert!(has(&registry, &image), "{platform}");
    }
}

#[test]
fn documents_in_the_spelling_of_others_are_taken() {
    let manifests: [Changed<'_>; 4] = [
        ("layers: null", &|manifest| manifest["layers"] = Value::Null),
        ("annotations: null", &|manifest| {
            manifest["config"]["annotations"] = Value::Null;
        }),
        ("an empty list of the other kind", &|manifest| {
            manifest["manifests"] = json!([]);
        }),
        ("no media type of its own", &|manifest| {
            drop(manifest.as_object_mut().unwrap().remove("mediaType"));
        }),
    ];
    for (what, change) in manifests {
        let (_, registry) = through("all", |odd| {
            let entry = with_platform(odd.manifest(CONFIG, "x", change), "linux/amd64");
            odd.index(&[entry]);
        });
        assert_eq!(registry.tags("library/postgres"), ["17-alpine"], "{what}");
    }
    let (code, said) = lock("all", |odd| {
        odd.manifest(CONFIG, "x", |manifest| {
            let layers = manifest["layers"].clone();
            manifest["Layers"] = layers;
        });
    });
    assert!(code == Some(6) && said.contains("is there twice"), "{said}");
    let (code, said) = lock("all", |odd| {
        odd.manifest(CONFIG, "x", |manifest| {
            manifest["manifests"] = manifest["layers"].clone();
        });
    });
    assert!(
        code == Some(6) && said.contains("both `manifests` and `config`"),
        "{said}"
    );
}

#[test]
fn what_is_not_a_manifest_is_described() {
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>".as_slice();
    for (media_type, bytes, parts) in [
        (
            "text/html; charset=utf-8",
            page,
            &[
                "200 OK, Content-Type `text/html; charset=utf-8`, which is an HTML page",
                "line 1 column 1",
                "login",
            ][..],
        ),
        (
            MANIFEST,
            b"\xef\xbb\xbf{}",
            &["byte order mark", "line 1 column 1"],
        ),
        (MANIFEST, b"", &["which is empty"]),
        (
            "application/json",
            b"{}",
            &[
                "Content-Type `application/json`",
                "neither `manifests` nor `config`",
            ],
        ),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            br#"{"schemaVersion": 1, "fsLayers": []}"#,
            &["schema version 1 is not supported", "push the image again"],
        ),
    ] {
        let (code, said) = lock("all", |odd| drop(odd.document(media_type, bytes)));
        assert!(
            code == Some(6) && parts.iter().all(|part| said.contains(part)),
            "{said}"
        );
    }
}
