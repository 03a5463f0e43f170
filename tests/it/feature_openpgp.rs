//! A program that was built without OpenPGP, as releases are, says what it lacks.

use std::{fs, process::Command};

use crate::{
    bundle::project::Project, bundle::small_bundle::ends_with, cluster::support::static_program,
};

#[test]
fn a_program_without_openpgp_says_how_to_get_one_and_builds_nothing() {
    let project = Project::new();
    project.lock();
    fs::write(project.path("charts.asc"), "whatever it holds").unwrap();
    let mut build = Command::new(static_program("rune-bundle"));
    build
        .current_dir(project.path(""))
        .args(project.build_arguments("x.tar"))
        .args(["--chart-key", "charts.asc", "--no-chart-check"]);
    let said = ends_with(&build.output().unwrap(), 2);
    assert!(
        said.contains("--features openpgp") && said.contains("leave --chart-key out"),
        "{said}"
    );
    assert!(!project.path("x.tar").exists() && !project.path("x.tar.partial").exists());
}
