//! Every kind of real registry gives the same lock and the same bundle.

use std::fs;

use crate::{
    bundle::foreign_shipment::{Shipment, lock_and_build, write_project},
    bundle::foreign_support::Distribution,
    bundle::project::sha256,
    bundle::small_bundle::Scratch,
};

/// Locks and builds against another registry what was locked and built against a plain one.
fn gives_the_same_lock_and_bundle(mode: &str) {
    let plain = Shipment::whole();
    let registry = Distribution::start(mode);
    registry.stock();
    let scratch = Scratch::new();
    let project = scratch.path("project");
    write_project(&project, "platforms: all");
    for key in ["release.key", "second.key"] {
        fs::copy(plain.path(key), project.join(key)).unwrap();
    }
    lock_and_build(&project, &registry);
    let lock = "bundle-manifests/rune.lock";
    assert_eq!(
        fs::read_to_string(project.join(lock)).unwrap(),
        fs::read_to_string(plain.path(lock)).unwrap(),
        "the lock"
    );
    assert_eq!(
        sha256(&project.join("bundle.tar")),
        sha256(&plain.path("bundle.tar")),
        "the bundle"
    );
}

#[test]
fn a_private_ca_and_passwords_give_the_same_lock_and_bundle() {
    gives_the_same_lock_and_bundle("tls-basic");
}

#[test]
fn a_token_server_gives_the_same_lock_and_bundle() {
    gives_the_same_lock_and_bundle("token");
}

#[test]
fn a_token_server_under_a_private_ca_gives_the_same_lock_and_bundle() {
    gives_the_same_lock_and_bundle("tls-token");
}
