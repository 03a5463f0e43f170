//! Signatures by the test authority of sigstore-go, which shares nothing with the verifier here:
//! the same ones are accepted and refused by this program and by cosign.

use std::{fs, process::Output, time::SystemTime};

use serde_json::{Value, json};

use crate::bundle::{
    evidence_support::{SIGN, Shop, VERIFY},
    foreign_support::{Distribution, Foreign},
    small_bundle::ends_with,
};

const ISSUER: &str = "https://issuer.example";
const SUBJECT: &str = "dev@acme.example";
const LOCK: [&str; 3] = ["lock", "--registry-config", "registries.yaml"];

/// What an authority has signed of the image of each shop.
struct Authority(Foreign);

impl Authority {
    fn new() -> Self {
        let tools = Foreign::new();
        let digest = Shop::new(true).root();
        tools.run("virtual-sigstore", [".", &digest, SUBJECT, ISSUER]);
        Self(tools)
    }

    fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.0.path(name)).unwrap()).unwrap()
    }

    /// A shop whose policy trusts this authority, with a signature of its image.
    fn shop(&self, bundle: &Value) -> Shop {
        let shop = Shop::new(true);
        shop.attach_bundle(bundle, SIGN);
        fs::copy(
            self.0.path("trusted_root.json"),
            shop.project.path("root.json"),
        )
        .unwrap();
        shop.policy(&format!(
            "signatures: [{{ match: '**', identity: {{ issuer: '{ISSUER}', subject: '{SUBJECT}' }}, trustedRoot: root.json }}]\n"
        ));
        shop
    }

    /// What cosign says of the image at a host.
    fn cosign(&self, shop: &Shop, host: &str) -> Output {
        let image = format!("{host}/library/shop@{}", shop.root());
        let verify = [
            "verify",
            "--allow-http-registry",
            "--use-signed-timestamps",
            "--new-bundle-format=true",
            "--insecure-ignore-sct",
            "--trusted-root",
            "trusted_root.json",
            "--certificate-oidc-issuer",
            ISSUER,
            "--certificate-identity",
            SUBJECT,
            &image,
        ];
        self.0.command("cosign", verify).output().unwrap()
    }
}

#[test]
fn both_versions_of_the_log_are_accepted_by_cosign_and_here_before_and_after_a_push() {
    let authority = Authority::new();
    for name in ["rekor1.json", "rekor2.json"] {
        let shop = authority.shop(&authority.document(name));
        let expected = format!("signed by `{SUBJECT}` of `{ISSUER}` at ");
        let said = ends_with(&shop.project.run(&LOCK), 0);
        assert!(said.contains(&expected), "{name}: {said}");
        shop.project.build("shop.tar");
        let said = ends_with(&shop.project.run(&VERIFY), 0);
        assert!(said.contains(&expected), "{name}: {said}");
        let accepted = authority.cosign(&shop, &shop.registry().host());
        assert!(accepted.status.success(), "{name}: {accepted:?}");
        for program in ["distribution2", "crane"] {
            let destination = Distribution::start_program(program, "plain");
            shop.project.push(destination.host(), &[]);
            let accepted = authority.cosign(&shop, destination.host());
            assert!(accepted.status.success(), "{name}, {program}: {accepted:?}");
        }
    }
}

#[test]
fn the_time_of_a_tsa_is_not_compared_with_the_clock() {
    let authority = Authority::new();
    let shop = authority.shop(&authority.document("rekor2.json"));
    shop.project.lock();
    shop.project.build("shop.tar");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap();
    // The authority trusts its log from an hour before, and its CA from five hours before.
    for (seconds, code) in [(now - 1800, 0), (3_786_912_000, 0), (631_152_000, 3)] {
        ends_with(&shop.verify_at(seconds), code);
    }
}

/// A way to forge a signature: the document it begins with, what is changed in it with the help of
/// the authority and of another one, and what is said of it here.
type Forged = (
    &'static str,
    &'static str,
    fn(&mut Value, [&Authority; 2]),
    &'static str,
);

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

fn tokens(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
}

const FORGED: [Forged; 9] = [
    (
        "an entry whose time is before the certificate",
        "early.json",
        |_, _| {},
        "certificate",
    ),
    (
        "a signature by another authority",
        "rekor1.json",
        |bundle, [_, other]| *bundle = other.document("rekor1.json"),
        "RFC 3161",
    ),
    (
        "a timestamp of another signature",
        "rekor2.json",
        |bundle, [own, _]| {
            let mut first = own.document("rekor1.json");
            *tokens(bundle) = tokens(&mut first).take();
        },
        "timestamp",
    ),
    (
        "a timestamp by another authority",
        "rekor2.json",
        |bundle, [_, other]| {
            let mut first = other.document("rekor2.json");
            *tokens(bundle) = tokens(&mut first).take();
        },
        "timestamp",
    ),
    (
        "an entry of Rekor v2 without a timestamp",
        "rekor2.json",
        |bundle, _| *tokens(bundle) = json!([]),
        "timestamp",
    ),
    (
        "an entry of Rekor v2 about another signature by the same authority",
        "rekor2.json",
        |bundle, [own, _]| {
            let mut first = own.document("rekor1.json");
            *entry(bundle) = entry(&mut first).take();
        },
        "log entry",
    ),
    (
        "an entry in the log of another authority",
        "rekor2.json",
        |bundle, [_, other]| {
            let mut first = other.document("rekor2.json");
            *entry(bundle) = entry(&mut first).take();
        },
        "No matching Rekor key",
    ),
    (
        "a checkpoint of another log",
        "rekor2.json",
        |bundle, [_, other]| {
            let mut first = other.document("rekor2.json");
            let checkpoint = entry(&mut first)["inclusionProof"]["checkpoint"].take();
            entry(bundle)["inclusionProof"]["checkpoint"] = checkpoint;
        },
        "inclusion proof",
    ),
    (
        "the certificate of another signature by the same authority",
        "rekor1.json",
        |bundle, [own, _]| {
            let mut second = own.document("rekor2.json");
            bundle["verificationMaterial"]["certificate"] =
                second["verificationMaterial"]["certificate"].take();
        },
        "invalid signature",
    ),
];

#[test]
fn what_is_forged_is_refused_here_and_by_cosign() {
    let [own, other] = [Authority::new(), Authority::new()];
    let mut wrong = Vec::new();
    for (way, name, forge, expected) in FORGED {
        let mut bundle = own.document(name);
        forge(&mut bundle, [&own, &other]);
        let shop = own.shop(&bundle);
        let said = ends_with(&shop.project.run(&LOCK), 8);
        let names = ["image `shop`: rule `signatures`", &shop.root(), expected];
        if !names.iter().all(|name| said.contains(name)) {
            wrong.push(format!("{way}: {said}"));
        }
        let refused = own.cosign(&shop, &shop.registry().host());
        if refused.status.success() {
            wrong.push(format!("{way}: accepted by cosign"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
