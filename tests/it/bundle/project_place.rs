//! Where a project is found: from any directory of it, and by the name of its directory.

use std::{fs, path::Path, process::Command};

use crate::{bundle::small_bundle::Scratch, bundle::small_bundle::ends_with};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: shop\nversion: 1.0.0\nplatforms: all\n";

/// A project in `shop`, with a directory that is none beside it.
fn project() -> Scratch {
    let scratch = Scratch::new();
    for directory in ["shop/bundle-manifests", "shop/charts/inner", "elsewhere"] {
        fs::create_dir_all(scratch.path(directory)).unwrap();
    }
    fs::write(scratch.path("shop/bundle-manifests/shop.yaml"), MANIFEST).unwrap();
    scratch
}

/// What `policy` says there: it reads the manifest and nothing else.
fn policy(directory: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command.arg("policy").args(arguments).current_dir(directory);
    ends_with(&command.output().unwrap(), code)
}

#[test]
fn the_only_manifest_of_a_project_is_found_from_any_directory_of_it() {
    let scratch = project();
    for directory in ["shop", "shop/bundle-manifests", "shop/charts/inner"] {
        let said = policy(&scratch.path(directory), &[], 0);
        assert!(said.contains("0 denied"), "{directory}: {said}");
    }
}

#[test]
fn a_directory_is_named_in_place_of_its_manifest() {
    let scratch = project();
    for arguments in [&["../shop"][..], &["--project", "../shop"]] {
        let said = policy(&scratch.path("elsewhere"), arguments, 0);
        assert!(said.contains("0 denied"), "{said}");
    }
}

#[test]
fn where_there_is_no_project_the_way_to_one_is_said_and_the_fact_once() {
    let scratch = project();
    let said = policy(&scratch.path("elsewhere"), &[], 4);
    assert!(
        said.contains("no bundle manifest in `bundle-manifests/`")
            && said.contains("`rune-bundle init`"),
        "{said}"
    );
    let said = policy(&scratch.path("elsewhere"), &["nowhere.yaml"], 4);
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn of_several_manifests_one_has_to_be_named() {
    let scratch = project();
    fs::write(scratch.path("shop/bundle-manifests/other.yaml"), MANIFEST).unwrap();
    let said = policy(&scratch.path("shop"), &[], 2);
    assert!(
        said.contains("`bundle-manifests/other.yaml`, `bundle-manifests/shop.yaml`"),
        "{said}"
    );
}
