//! `init` writes one new directory, and never over anything.

use std::{fs, os::unix::fs::symlink};

use super::support::Place;

#[test]
fn whatever_has_the_name_of_the_project_stays_as_it_is() {
    let place = Place::new();
    place.write_chart(&["docker.io/acme/a:1.0.0"], "{}\n");
    fs::create_dir(place.path("elsewhere")).unwrap();
    place.write("file", "mine\n");
    fs::create_dir(place.path("directory")).unwrap();
    symlink("elsewhere", place.path("link")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    for name in ["file", "directory", "link", "dangling"] {
        let said = place.run(12, &["init", "--chart", "chart", "--name", name]);
        assert!(
            said.contains(&format!("`{name}` already exists")) && said.contains("--name"),
            "{said}"
        );
    }
    assert_eq!(place.read("file"), "mine\n");
    assert!(place.files_of("elsewhere").is_empty() && place.files_of("directory").is_empty());
    assert!(!place.path("nowhere").exists());
    // What a killed run left is not followed either.
    symlink("elsewhere", place.path("shop.partial")).unwrap();
    let output = place.tool(&["init", "--chart", "chart"]);
    assert!(!output.status.success() && !place.path("shop").exists());
    assert!(place.files_of("elsewhere").is_empty());
}

#[test]
fn an_invalid_name_and_an_invalid_place_are_refused_in_plain_words() {
    let place = Place::new();
    place.write_chart(&["docker.io/acme/a:1.0.0"], "{}\n");
    for name in ["../x", "A", "a/b", ""] {
        place.run(2, &["init", "--chart", "chart", "--name", name]);
    }
    for chart in [
        "oci://",
        "ftp://charts.example/shop-1.0.0.tgz",
        "https://charts.example/stable",
    ] {
        let said = place.run(2, &["init", "--chart", chart]);
        assert!(
            said.contains(chart) && said.contains("oci://host/path/chart:VERSION"),
            "{said}"
        );
    }
    let said = place.run(2, &["init"]);
    assert!(
        said.contains("--chart") && said.contains("--image"),
        "{said}"
    );
}
