//! Receipts: whoever changes, removes, moves or cuts off one is found out, and many writers make
//! one chain.

use std::{fs, thread};

use rune_bundle::receipt::{Act, Appended, Chain, PushedReference, Statement, VerifiedBundle};
use rune_core::digest::Digest;
use serde_json::Value;

use crate::bundle::small_bundle::{Scratch, ends_with, rune_bundle};

/// A receipt of a push whose registry is `word`.
fn statement(word: &str) -> Statement {
    let digest = Digest::of(word.as_bytes());
    Statement {
        time: "2026-11-27T10:00:00Z".to_owned(),
        tool: "rune-bundle 0.1.0".to_owned(),
        bundle: VerifiedBundle {
            name: "rune".to_owned(),
            version: "0.1.0".parse().unwrap(),
            digest,
            signers: vec!["a key".to_owned()],
            verified_bytes: 12,
        },
        act: Act::Push {
            registry: word.to_owned(),
            references: vec![PushedReference {
                reference: format!("{word}/a:1"),
                source: digest,
                destination: digest,
            }],
            sent_bytes: 34,
        },
    }
}

/// A directory with receipts of pushes to these registries.
fn receipts(words: &[&str]) -> (Scratch, Vec<Appended>) {
    let scratch = Scratch::new();
    let chain = Chain::at(scratch.utf8("receipts"));
    let appended = words
        .iter()
        .map(|word| chain.append(&statement(word), None, || None).unwrap())
        .collect();
    (scratch, appended)
}

fn verify(scratch: &Scratch, options: &[&str], code: i32) -> String {
    let directory = scratch.path("receipts");
    let arguments = [
        "receipts",
        "verify",
        "--receipts",
        directory.to_str().unwrap(),
    ];
    ends_with(&rune_bundle([&arguments, options].concat()), code)
}

#[test]
fn receipts_are_canonical_json_named_by_number_and_digest_and_each_names_the_one_before() {
    let (scratch, appended) = receipts(&["one.example", "two.example"]);
    let mut previous = Value::Null;
    for (number, receipt) in (1..).zip(&appended) {
        let bytes = fs::read(&receipt.path).unwrap();
        assert_eq!(
            (receipt.number, receipt.digest),
            (number, Digest::of(&bytes))
        );
        assert_eq!(
            receipt.path.file_name().unwrap(),
            format!("{number:06}-{}.json", receipt.digest.hex())
        );
        let content: Value = rune_bundle::canonical_json::from_bytes(&bytes).unwrap();
        assert_eq!(
            (&content["number"], &content["previous"]),
            (&Value::from(number), &previous)
        );
        previous = receipt.digest.to_string().into();
    }
    let head = appended[1].digest.to_string();
    assert!(verify(&scratch, &[], 0).contains(&head));
    verify(&scratch, &["--head", &head], 0);
    let directory = scratch.path("receipts");
    let listed = ends_with(
        &rune_bundle([
            "receipts",
            "list",
            "--receipts",
            directory.to_str().unwrap(),
        ]),
        0,
    );
    let expected = "   1  2026-11-27T10:00:00Z  pushed rune 0.1.0 to one.example: 1 reference\n   2  2026-11-27T10:00:00Z  pushed rune 0.1.0 to two.example: 1 reference\n";
    assert_eq!(listed, expected);
}

#[test]
fn a_receipt_is_as_it_was_written_to_its_last_byte() {
    let (scratch, appended) = receipts(&["one.example", "two.example"]);
    let original = fs::read(&appended[0].path).unwrap();
    for position in 0..original.len() {
        let mut changed = original.clone();
        changed[position] ^= 1;
        fs::write(&appended[0].path, &changed).unwrap();
        let error = Chain::at(scratch.utf8("receipts"))
            .verify(None)
            .unwrap_err();
        assert!(
            error.to_string().starts_with("receipt 1 was changed"),
            "byte {position}: {error}"
        );
    }
    for changed in [
        &original[..original.len() - 1],
        &[original.as_slice(), b"\n"].concat(),
        b"",
    ] {
        fs::write(&appended[0].path, changed).unwrap();
        assert!(verify(&scratch, &[], 6).contains("receipt 1 was changed"));
    }
}

#[test]
fn a_receipt_that_is_changed_and_renamed_is_missed_by_the_next_one() {
    let (scratch, appended) = receipts(&["one.example", "two.example", "three.example"]);
    let text = fs::read_to_string(&appended[1].path)
        .unwrap()
        .replace("two.example", "other.example");
    fs::remove_file(&appended[1].path).unwrap();
    let name = format!("receipts/000002-{}.json", Digest::of(text.as_bytes()).hex());
    fs::write(scratch.path(&name), text).unwrap();
    assert!(verify(&scratch, &[], 6).contains("receipt 2 was replaced"));
}

#[test]
fn the_first_receipt_that_is_gone_is_named() {
    for gone in [0, 1] {
        let (scratch, appended) = receipts(&["one.example", "two.example", "three.example"]);
        fs::remove_file(&appended[gone].path).unwrap();
        let said = verify(&scratch, &[], 6);
        assert!(
            said.contains(&format!("receipt {} is missing", gone + 1)),
            "{said}"
        );
    }
}

#[test]
fn receipts_that_changed_places_are_found() {
    let (scratch, appended) = receipts(&["one.example", "two.example", "three.example"]);
    let place = |number: u64, receipt: &Appended| {
        scratch.path(&format!(
            "receipts/{number:06}-{}.json",
            receipt.digest.hex()
        ))
    };
    fs::rename(&appended[1].path, place(3, &appended[1])).unwrap();
    fs::rename(&appended[2].path, place(2, &appended[2])).unwrap();
    let said = verify(&scratch, &[], 6);
    assert!(
        said.contains("is not a valid receipt 2") && said.contains("it says that it is receipt 3"),
        "{said}"
    );
}

#[test]
fn a_second_receipt_with_a_number_is_found() {
    let (scratch, appended) = receipts(&["one.example", "two.example"]);
    let (other, forged) = receipts(&["forged.example"]);
    fs::copy(
        &forged[0].path,
        scratch
            .path("receipts")
            .join(forged[0].path.file_name().unwrap()),
    )
    .unwrap();
    assert!(verify(&scratch, &[], 6).contains("two receipts with the number 1"));
    drop((other, appended));
}

#[test]
fn an_end_that_was_cut_off_is_found_with_the_digest_of_the_last_receipt_only() {
    let (scratch, appended) = receipts(&["one.example", "two.example", "three.example"]);
    let head = appended[2].digest.to_string();
    fs::remove_file(&appended[2].path).unwrap();
    verify(&scratch, &[], 0);
    let said = verify(&scratch, &["--head", &head], 6);
    assert!(said.contains("the chain ends with receipt 2"), "{said}");
    let said = verify(&scratch, &["--head", &appended[0].digest.to_string()], 6);
    assert!(
        said.contains("is that of receipt 1, and the chain ends with receipt 2"),
        "{said}"
    );
    for receipt in &appended[..2] {
        fs::remove_file(&receipt.path).unwrap();
    }
    verify(&scratch, &[], 4);
    assert!(verify(&scratch, &["--head", &head], 6).contains("there are no receipts"));
}

#[test]
fn nothing_is_added_to_a_chain_that_was_changed() {
    let (scratch, appended) = receipts(&["one.example", "two.example"]);
    fs::write(&appended[0].path, "{}").unwrap();
    let chain = Chain::at(scratch.utf8("receipts"));
    chain
        .append(&statement("three.example"), None, || None)
        .unwrap_err();
    chain.prepare().unwrap_err();
    let names = fs::read_dir(scratch.path("receipts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(
        names
            .filter(|name| std::path::Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json"))
            .count(),
        2
    );
}

#[test]
fn many_writers_make_one_chain() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 12;
    let scratch = Scratch::new();
    let directory = scratch.utf8("receipts");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let directory = directory.clone();
            scope.spawn(move || {
                let chain = Chain::at(directory);
                (0..EACH).for_each(|number| {
                    drop(
                        chain
                            .append(
                                &statement(&format!("{writer}-{number}.example")),
                                None,
                                || None,
                            )
                            .unwrap(),
                    );
                });
            });
        }
    });
    let chain = Chain::at(directory).verify(None).unwrap();
    assert_eq!(chain.len() as u64, WRITERS * EACH);
}
