//! A registry that a bundle was pushed into says what it has of it, and is a base.

use std::{collections::BTreeSet, fs};

use rune_bundle::bundle::{ImageIngredient, Ingredients};
use rune_testkit::registry::{Fault, Registry};

use crate::bundle::{
    delta_support::{Pair, layer},
    foreign_support::Distribution,
    small_bundle::{entries_of, image_of, index_of, ingredients, sign_and_write},
};

#[test]
fn what_was_pushed_into_a_registry_is_left_out_of_a_delta_and_fetched_when_it_is_applied() {
    let pair = Pair::new(&[400_000, 30_000], 10_000);
    let registry = Distribution::start("plain");
    let destination = format!("{}/rune", registry.host());
    let receipts = pair.path("receipts");
    pair.run(
        &["push", "old.tar", &destination, "--receipts", &receipts],
        0,
    );
    let pushed = format!("oci://{destination}/bundles/small:1.2.3");
    pair.run_alone(&["have", &pushed, "-o", "site.json"], 0);
    let list: serde_json::Value = serde_json::from_slice(&pair.bytes("site.json")).unwrap();
    let listed = list["digests"].as_array().unwrap().iter();
    let listed: BTreeSet<&str> = listed.map(|digest| digest.as_str().unwrap()).collect();
    let index = index_of(&pair.file("old.tar"));
    let blobs = index
        .entries
        .iter()
        .filter_map(|entry| entry.path.as_str().strip_prefix("blobs/sha256/"));
    let blobs: Vec<String> = blobs.map(|hex| format!("sha256:{hex}")).collect();
    assert_eq!(listed, blobs.iter().map(String::as_str).collect());

    let delta = ["delta", "--have", "site.json", "new.tar", "-o", "delta.tar"];
    let said = pair.run(&delta, 0);
    assert!(
        said.contains(&format!("base           oci://{destination}")),
        "{said}"
    );
    let from = format!("oci://{destination}");
    let apply = ["apply", "delta.tar", "--from", &from, "-o", "out.tar"];
    let said = pair.run(&apply, 0);
    assert!(said.contains(&format!("of `{from}`")), "{said}");
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}

#[test]
fn what_a_registry_lacks_is_named_before_anything_is_written() {
    let pair = Pair::new(&[40_000, 30_000], 10_000);
    pair.delta();
    let registry = Registry::start();
    let from = format!("oci://{}/rune", registry.host());
    let said = pair.run(&["apply", "delta.tar", "--from", &from, "-o", "out.tar"], 4);
    assert!(
        said.contains("not found in the delta or `oci://") && said.contains("blobs/sha256/"),
        "{said}"
    );
    assert!(!pair.file("out.tar.partial").exists());
    let pushed = format!("{from}/bundles/small:1.2.3");
    let said = pair.run_alone(&["have", &pushed, "-o", "site.json"], 4);
    assert!(
        said.contains("is not the bundle index that `push` writes"),
        "{said}"
    );
    let said = pair.run_alone(&["have", &from, "-o", "site.json"], 2);
    assert!(said.contains("/bundles/NAME:VERSION"), "{said}");
}

#[test]
fn a_password_in_the_name_of_a_registry_is_not_repeated() {
    let pair = Pair::new(&[4_000], 1_000);
    pair.delta();
    let from = "oci://alice:secret@registry.example/rune";
    let said = pair.run(&["apply", "delta.tar", "--from", from, "-o", "out.tar"], 2);
    assert!(
        said.contains("rune-bundle login") && !said.contains("secret"),
        "{said}"
    );
    let said = pair.run_alone(&["have", from, "-o", "site.json"], 2);
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn a_delta_is_pushed_where_the_rest_is_and_the_registry_then_has_what_the_bundle_would_bring() {
    let pair = Pair::new(&[400_000, 30_000], 10_000);
    pair.delta();
    let registry = Distribution::start("plain");
    let destination = format!("{}/rune", registry.host());
    let receipts = pair.path("receipts");
    let push = |bundle: &str, code: i32, options: &[&str]| {
        let push = ["push", bundle, &destination, "--receipts", &receipts];
        pair.run(&[&push[..], options].concat(), code)
    };
    // Nothing is there: said with names, and nothing is sent.
    let said = push("delta.tar", 4, &[]);
    assert!(
        said.contains("blobs/sha256/")
            && said.contains(&format!("not found in the delta or `{destination}`"))
            && said.contains("rune-bundle apply DELTA --from"),
        "{said}"
    );
    push("old.tar", 0, &[]);
    let said = push("delta.tar", 0, &["--overwrite-tags"]);
    assert!(
        said.contains("is a delta, and all 6 others (") && said.contains("are at `"),
        "{said}"
    );
    // The bundle has nothing more to bring.
    let said = push("new.tar", 0, &[]);
    assert!(said.contains("blobs      0 sent (0 bytes)"), "{said}");
}

/// `old.tar` and `new.tar` in which a second image has the layers of the first; of the second image
/// the old bundle has nothing.
fn with_second_image() -> Pair {
    let pair = Pair::new(&[400_000, 30_000], 10_000);
    let shared = || vec![layer(1, 400_000), layer(2, 30_000)];
    let first = image_of(shared());
    let second = ImageIngredient {
        name: "second".to_owned(),
        reference: "registry.example/second:1".parse().unwrap(),
        ..image_of([shared(), vec![layer(7, 5000)]].concat())
    };
    let draft = Ingredients {
        version: "1.3.0".parse().unwrap(),
        images: vec![first, second],
        ..ingredients(&pair.scratch)
    }
    .compose();
    fs::remove_file(pair.file("new.tar")).unwrap();
    let written = sign_and_write(&pair.scratch, draft.unwrap());
    fs::rename(written, pair.file("new.tar")).unwrap();
    pair.delta();
    pair
}

#[test]
fn what_only_another_repository_has_is_mounted_and_named_where_the_registry_mounts_nothing() {
    let pair = with_second_image();
    let receipts = pair.path("receipts");
    let push = |bundle: &str, host: &str, code: i32| {
        let push = ["push", bundle, host, "--receipts", &receipts];
        pair.run(&[&push[..], &["--overwrite-tags"]].concat(), code)
    };
    let registry = Distribution::start("plain");
    push("old.tar", registry.host(), 0);
    let said = push("delta.tar", registry.host(), 0);
    assert!(said.contains(", 3 mounted, "), "{said}");
    let said = push("new.tar", registry.host(), 0);
    assert!(said.contains("blobs      0 sent (0 bytes)"), "{said}");

    let registry = Registry::start();
    push("old.tar", &registry.host(), 0);
    registry.behave(|behaviour| behaviour.mounts = false);
    let said = push("delta.tar", &registry.host(), 4);
    assert!(
        said.contains("the registry did not mount what the delta lacks:")
            && said.contains("/second`")
            && said.contains("rune-bundle apply DELTA --from BASE"),
        "{said}"
    );
}

#[test]
fn a_small_blob_that_a_registry_says_it_has_and_gives_wrong_is_named_and_nothing_is_sent() {
    let pair = Pair::new(&[400_000, 30_000], 10_000);
    pair.delta();
    let registry = Registry::start();
    let receipts = pair.path("receipts");
    let host = registry.host();
    let push = |bundle: &str, code: i32| {
        let push = ["push", bundle, &host, "--receipts", &receipts];
        pair.run(&[&push[..], &["--overwrite-tags"]].concat(), code)
    };
    push("old.tar", 0);
    // The configuration of the image is the same in both.
    let new = pair.bytes("new.tar");
    let in_delta = entries_of(&pair.file("delta.tar"));
    let config = entries_of(&pair.file("new.tar")).into_iter().find(|entry| {
        let at = usize::try_from(entry.content).unwrap();
        new[at..].starts_with(br#"{"architecture""#)
    });
    let name = config.unwrap().name;
    assert!(in_delta.iter().all(|entry| entry.name != name));
    let hex = name.rsplit('/').next().unwrap();
    let blob = format!("/v2/small/blobs/sha256:{hex}");
    registry.fault(Fault::on("GET", &blob).wrong_at(10).always());
    registry.forget_requests();
    let said = push("delta.tar", 4);
    let named: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("blobs/sha256/"))
        .collect();
    assert!(
        named.len() == 1 && named[0].contains(hex) && said.contains("rune-bundle apply DELTA"),
        "{said}"
    );
    // It was asked, and said that it has it.
    let asked = registry.requests_to(&blob);
    assert!(
        asked.iter().any(|request| request.method == "HEAD"),
        "{asked:?}"
    );
    let sent = registry.requests().into_iter();
    let sent: Vec<_> = sent
        .filter(|request| !["GET", "HEAD"].contains(&request.method.as_str()))
        .collect();
    assert!(sent.is_empty(), "{sent:?}");
    registry.end_faults();
    push("delta.tar", 0);
}
