//! Ways to lose or to forge what proves something about an image: each is refused or reported.

use rune_bundle::{commands::bundle::LockMode, oci::media_type};
use rune_testkit::{registry::Fault, sha256};
use serde_json::{Value, json};

use crate::bundle::evidence_support::{BUNDLE, REPOSITORY, SIGN, SPDX, Shop};

/// What must come of it, with the policy that demands a signature of the image.
enum Outcome {
    /// The policy denies the image, for this reason.
    Denied(&'static str),
    /// Locking ends with this exit code and these words.
    Fails(u8, &'static str),
    /// It is locked, and what is not included is named with this reason.
    Named(&'static str),
}

struct Case {
    name: &'static str,
    make: fn(&Shop),
    outcome: Outcome,
}

const fn case(name: &'static str, make: fn(&Shop), outcome: Outcome) -> Case {
    Case {
        name,
        make,
        outcome,
    }
}

const OTHER_IMAGES: Outcome = Outcome::Denied("are of other images");
const NO_KEY: Outcome = Outcome::Denied("no signature is by a key of the policy");
const NONE: Outcome = Outcome::Denied("no signature of it is there");

/// Changes what lies under the tag of signatures, after it was signed.
fn changed(shop: &Shop, change: impl FnOnce(&mut Value)) {
    let mut manifest = shop.simple_signing(&shop.root(), &[&shop.key]);
    change(&mut manifest);
    shop.put(Some(&shop.tag("sig")), &manifest);
}

/// A Sigstore bundle about the image with another content.
fn bundled(shop: &Shop, predicate: &str, change: impl FnOnce(&mut Value)) {
    let statement = Shop::statement(&shop.root(), predicate, &shop.key);
    let mut content: Value = serde_json::from_slice(&statement).unwrap();
    change(&mut content);
    let manifest = shop.artifact(&shop.root(), BUNDLE, content.to_string().as_bytes());
    shop.put(None, &manifest);
}

/// A payload under the tag of signatures that the key has signed.
fn payload(shop: &Shop, change: impl FnOnce(&mut Value)) {
    use base64ct::{Base64, Encoding as _};
    let mut signed = json!({
        "critical": {
            "identity": {"docker-reference": ""},
            "image": {"docker-manifest-digest": shop.root()},
            "type": "cosign container image signature",
        },
    });
    change(&mut signed);
    let bytes = signed.to_string().into_bytes();
    shop.registry().put_blob(REPOSITORY, &bytes);
    changed(shop, |manifest| {
        let layer = &mut manifest["layers"][0];
        layer["digest"] = json!(sha256(&bytes));
        layer["size"] = json!(bytes.len());
        layer["annotations"]["dev.cosignproject.cosign/signature"] =
            json!(Base64::encode_string(&shop.key.sign(&bytes)));
    });
}

/// An entry that the registry lists under the fallback tag and that is something else.
fn listed(shop: &Shop, entry: &Value) {
    shop.sign_in_tag(&shop.key);
    shop.registry()
        .behave(|behaviour| behaviour.lists_referrers = false);
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [entry]});
    shop.put(Some(&shop.root().replace(':', "-")), &index);
}

fn failing(shop: &Shop, fault: Fault) {
    shop.sign_in_tag(&shop.key);
    shop.registry().fault(fault);
}

const LISTS: &str = "/v2/library/shop/referrers/*";

const CASES: &[Case] = &[
    case("nothing is signed", |_| {}, NONE),
    case(
        "a tag without a signature in it",
        |shop| changed(shop, |manifest| manifest["layers"] = json!([])),
        NONE,
    ),
    case(
        "a layer without the annotation that holds the signature",
        |shop| {
            changed(shop, |manifest| {
                manifest["layers"][0]["annotations"] = json!({});
            });
        },
        NONE,
    ),
    case(
        "a signature that is not base64",
        |shop| {
            changed(shop, |manifest| {
                manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"] =
                    json!("?");
            });
        },
        NONE,
    ),
    case(
        "a layer that says it is of another type",
        |shop| {
            changed(shop, |manifest| {
                manifest["layers"][0]["mediaType"] = json!("text/plain");
            });
        },
        NONE,
    ),
    case(
        "a signature by another key",
        |shop| {
            shop.sign_in_tag(&shop.other);
        },
        NO_KEY,
    ),
    case(
        "a signature of another image under the tag of this one",
        |shop| {
            let manifest = shop.simple_signing(&sha256(b"another"), &[&shop.key]);
            shop.put(Some(&shop.tag("sig")), &manifest);
        },
        OTHER_IMAGES,
    ),
    case(
        "the child is signed and the root is not",
        |shop| {
            let (child, tag) = (shop.child(), shop.child().replace(':', "-"));
            let manifest = shop.simple_signing(&child, &[&shop.key]);
            shop.put(Some(&format!("{tag}.sig")), &manifest);
        },
        NONE,
    ),
    case(
        "the signature of the child under the tag of the root",
        |shop| {
            let manifest = shop.simple_signing(&shop.child(), &[&shop.key]);
            shop.put(Some(&shop.tag("sig")), &manifest);
        },
        OTHER_IMAGES,
    ),
    case(
        "a payload that was changed after it was signed",
        |shop| {
            let other = json!({"critical": {"image": {"docker-manifest-digest": shop.root()},
                "type": "cosign container image signature", "identity": {}}, "optional": {"x": 1}});
            let bytes = other.to_string().into_bytes();
            shop.registry().put_blob(REPOSITORY, &bytes);
            changed(shop, |manifest| {
                manifest["layers"][0]["digest"] = json!(sha256(&bytes));
                manifest["layers"][0]["size"] = json!(bytes.len());
            });
        },
        NO_KEY,
    ),
    case(
        "a payload that says it is something else",
        |shop| payload(shop, |signed| signed["critical"]["type"] = json!("a blob")),
        NONE,
    ),
    case(
        "a payload without a digest",
        |shop| payload(shop, |signed| signed["critical"]["image"] = json!({})),
        NONE,
    ),
    case(
        "a payload with a digest of another algorithm",
        |shop| {
            payload(shop, |signed| {
                signed["critical"]["image"]["docker-manifest-digest"] = json!("sha512:00");
            });
        },
        NONE,
    ),
    case(
        "a payload that names the beginning of the digest",
        |shop| {
            let root = shop.root();
            payload(shop, |signed| {
                signed["critical"]["image"]["docker-manifest-digest"] = json!(root[..40]);
            });
        },
        NONE,
    ),
    case(
        "an SBOM that the key has signed",
        |shop| {
            let root = shop.root();
            shop.put(None, &shop.bundle(&root, SPDX, &shop.key));
        },
        NONE,
    ),
    case(
        "an SBOM whose manifest says that it is a signature",
        |shop| {
            let root = shop.root();
            let mut manifest = shop.bundle(&root, SPDX, &shop.key);
            manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": SIGN});
            shop.put(None, &manifest);
        },
        NONE,
    ),
    case(
        "a predicate type that begins like that of a signature",
        |shop| bundled(shop, &format!("{SIGN}/not"), |_| {}),
        NONE,
    ),
    case(
        "a predicate type that differs by its case",
        |shop| bundled(shop, &SIGN.to_uppercase(), |_| {}),
        NONE,
    ),
    case(
        "a bundle that says it is of a later version",
        |shop| {
            bundled(shop, SIGN, |bundle| {
                bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.9+json");
            });
        },
        NONE,
    ),
    case(
        "an envelope whose payload is of another type",
        |shop| {
            bundled(shop, SIGN, |bundle| {
                bundle["dsseEnvelope"]["payloadType"] = json!("application/json");
            });
        },
        NONE,
    ),
    case(
        "an envelope without signatures",
        |shop| {
            bundled(shop, SIGN, |bundle| {
                bundle["dsseEnvelope"]["signatures"] = json!([]);
            });
        },
        NONE,
    ),
    case(
        "an envelope with another payload",
        |shop| {
            let root = shop.root();
            let forged = Shop::statement(&root, SIGN, &shop.other);
            let forged: Value = serde_json::from_slice(&forged).unwrap();
            bundled(shop, SPDX, |bundle| {
                bundle["dsseEnvelope"]["payload"] = forged["dsseEnvelope"]["payload"].clone();
            });
        },
        NO_KEY,
    ),
    case(
        "a signature of a file in place of a statement",
        |shop| {
            bundled(shop, SIGN, |bundle| {
                let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].clone();
                bundle.as_object_mut().unwrap().remove("dsseEnvelope");
                bundle["messageSignature"] = json!({"signature": signature});
            });
        },
        NONE,
    ),
    case(
        "a statement about another image in a bundle about this one",
        |shop| {
            let statement = Shop::statement(&sha256(b"another"), SIGN, &shop.key);
            let manifest = shop.artifact(&shop.root(), BUNDLE, &statement);
            shop.put(None, &manifest);
        },
        OTHER_IMAGES,
    ),
    case(
        "a signature about the child alone, in a bundle",
        |shop| {
            let child = shop.child();
            shop.put(None, &shop.bundle(&child, SIGN, &shop.key));
        },
        NONE,
    ),
    case(
        "a signature that is about what is about the image",
        |shop| {
            let sbom = shop.put(None, &shop.artifact(&shop.root(), "text/spdx", b"{}"));
            shop.put(None, &shop.bundle(&sbom, SIGN, &shop.key));
        },
        NONE,
    ),
    case(
        "a bundle that is not JSON",
        |shop| {
            shop.put(None, &shop.artifact(&shop.root(), BUNDLE, b"MZ"));
        },
        NONE,
    ),
    case(
        "a list entry whose manifest is about another image",
        |shop| {
            let other = shop.artifact(&sha256(b"another"), "text/x", b"x");
            let digest = shop.put(None, &other);
            listed(
                shop,
                &json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1}),
            );
        },
        Outcome::Named("says that it is about"),
    ),
    case(
        "a list entry whose manifest is about nothing",
        |shop| {
            let digest = shop.child();
            listed(
                shop,
                &json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1}),
            );
        },
        Outcome::Named("does not say what it is about"),
    ),
    case(
        "a list entry that the registry has deleted",
        |shop| {
            let digest = sha256(b"deleted");
            listed(
                shop,
                &json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1}),
            );
        },
        Outcome::Named("lists it and does not have it"),
    ),
    case(
        "a list entry of a type of manifest that nobody knows",
        |shop| {
            let digest = sha256(b"unknown");
            listed(
                shop,
                &json!({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "digest": digest, "size": 1}),
            );
        },
        Outcome::Named("are not known"),
    ),
    case(
        "an image index about the image",
        |shop| {
            let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [],
                "subject": {"mediaType": media_type::INDEX, "digest": shop.root(), "size": 1}});
            let digest = shop.put(None, &index);
            listed(
                shop,
                &json!({"mediaType": media_type::INDEX, "digest": digest, "size": 1}),
            );
        },
        Outcome::Named("not supported as a referrer"),
    ),
    case(
        "a signature under the tag whose manifest is about another image",
        |shop| {
            shop.put(None, &shop.bundle(&shop.root(), SIGN, &shop.key));
            let mut manifest = shop.simple_signing(&shop.root(), &[&shop.key]);
            manifest["subject"] =
                json!({"mediaType": media_type::INDEX, "digest": sha256(b"another"), "size": 1});
            shop.put(Some(&shop.tag("sig")), &manifest);
        },
        Outcome::Named("says that it is about"),
    ),
    case(
        "a tag for the list that is an image",
        |shop| {
            shop.registry()
                .behave(|behaviour| behaviour.lists_referrers = false);
            let manifest = shop.artifact(&shop.root(), "text/x", b"x");
            shop.put(Some(&shop.root().replace(':', "-")), &manifest);
        },
        Outcome::Fails(6, "is not a list of referrers"),
    ),
    case(
        "a list that is a manifest",
        |shop| {
            let body = shop.simple_signing(&shop.root(), &[]).to_string();
            failing(shop, Fault::on("GET", LISTS).always().answer(200, &body));
        },
        Outcome::Fails(10, "something else than a list of referrers"),
    ),
    case(
        "a list that is a page for people",
        |shop| failing(shop, Fault::on("GET", LISTS).always().answer(200, "<html>")),
        Outcome::Fails(6, "something else than a manifest"),
    ),
    case(
        "a list that is cut",
        |shop| failing(shop, Fault::on("GET", LISTS).always().cut_at(20)),
        Outcome::Fails(10, "referrers"),
    ),
    case(
        "a list that was filtered although nobody asked for it",
        |shop| {
            let fault = Fault::on("GET", LISTS).always();
            failing(shop, fault.header("oci-filters-applied", "artifactType"));
        },
        Outcome::Fails(10, "filtered the list"),
    ),
    case(
        "a list whose next page leads nowhere",
        |shop| {
            let fault = Fault::on("GET", LISTS).always();
            failing(shop, fault.header("link", "<>; rel=\"next\""));
        },
        Outcome::Fails(10, "cannot be read"),
    ),
    case(
        "a list that never ends",
        |shop| {
            let fault = Fault::on("GET", LISTS).always();
            failing(shop, fault.header("link", "</v2/x?after=0>; rel=\"next\""));
        },
        Outcome::Fails(10, "does not end"),
    ),
    case(
        "a manifest of a signature whose bytes were changed",
        |shop| {
            let digest = shop.put(None, &shop.bundle(&shop.root(), SIGN, &shop.key));
            let place = format!("/v2/library/shop/manifests/{digest}");
            failing(shop, Fault::on("GET", &place).always().wrong_at(30));
        },
        Outcome::Fails(6, "digest"),
    ),
    case(
        "a payload whose bytes were changed on their way",
        |shop| {
            let manifest = shop.simple_signing(&shop.root(), &[&shop.key]);
            let digest = manifest["layers"][0]["digest"].as_str().unwrap();
            let place = format!("/v2/library/shop/blobs/{digest}");
            failing(shop, Fault::on("GET", &place).always().wrong_at(3));
        },
        Outcome::Fails(6, "digest"),
    ),
    case(
        "a payload that the registry has lost",
        |shop| {
            let manifest = shop.simple_signing(&shop.root(), &[&shop.key]);
            let digest = manifest["layers"][0]["digest"].as_str().unwrap();
            let place = format!("/v2/library/shop/blobs/{digest}");
            failing(shop, Fault::on("GET", &place).always().status(404));
        },
        Outcome::Fails(4, "no longer has"),
    ),
    case(
        "a registry that wants credentials for the list alone",
        |shop| failing(shop, Fault::on("GET", LISTS).always().status(403)),
        Outcome::Fails(9, "403"),
    ),
];

#[test]
fn each_way_to_lose_or_to_forge_evidence_is_refused_or_reported() {
    assert!(CASES.len() >= 40, "{}", CASES.len());
    let mut wrong = Vec::new();
    for Case {
        name,
        make,
        outcome,
    } in CASES
    {
        let shop = Shop::new(true);
        make(&shop);
        shop.demand_signatures();
        let locked = shop.lock(LockMode::Write);
        let is_right = match (&locked, outcome) {
            (Err(said), Outcome::Denied(reason)) => {
                said.contains("image `shop`: rule `signatures`")
                    && said.contains(&shop.root())
                    && said.contains(reason)
                    && said.ends_with("exit: 8")
            }
            (Err(said), Outcome::Fails(exit, words)) => {
                said.contains(words) && said.ends_with(&format!("exit: {exit}"))
            }
            (Ok(report), Outcome::Named(reason)) => {
                let referrers = report["images"][0]["referrers"].as_array().unwrap();
                referrers.iter().any(|referrer| {
                    referrer["omitted"]
                        .as_str()
                        .is_some_and(|why| why.contains(reason))
                })
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {locked:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_key_under_two_names_counts_once() {
    let shop = Shop::new(true);
    let twice = shop.simple_signing(&shop.root(), &[&shop.key, &shop.key]);
    shop.put(Some(&shop.tag("sig")), &twice);
    std::fs::copy(
        shop.project.path("signer.pub"),
        shop.project.path("again.pub"),
    )
    .unwrap();
    shop.policy("signatures: [{ match: '**', keys: [signer.pub, again.pub], threshold: 2 }]\n");
    let said = shop.lock(LockMode::Write).unwrap_err();
    assert!(
        said.contains("it is signed with `signer.pub` alone, and 2 different keys are required")
            && said.contains(&shop.root())
            && said.ends_with("exit: 8"),
        "{said}"
    );
}
