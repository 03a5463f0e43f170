//! Where something is to be written and a directory is, or `-` was typed: one answer of all verbs
//! of both programs.

use std::{fs, path::Path, process::Output};

use crate::{
    bundle::{project::Project, small_bundle::ends_with},
    disks::support::names_below,
};
use rune_testkit::rows::Source;
use rune_testkit::tool::{names_in, rune_db, sqlite_url};

/// A project with a bundle `x.tar` and a directory `mounted`.
fn project() -> Project {
    let project = Project::new();
    project.lock();
    project.build("x.tar");
    fs::create_dir(project.path("mounted")).unwrap();
    project
}

const KEY: [&str; 2] = ["--key", "release.pub"];

/// Every verb of `rune-bundle` that names what it writes, with that name last.
fn verbs() -> Vec<Vec<&'static str>> {
    let with_key =
        |arguments: &[&'static str], last: &'static str| [arguments, &KEY, &[last][..]].concat();
    vec![
        vec![
            "build",
            "--registry-config",
            "registries.yaml",
            "--key",
            "release.key",
            "--output",
        ],
        vec![
            "build",
            "--registry-config",
            "registries.yaml",
            "--key",
            "release.key",
            "-o",
        ],
        vec![
            "build",
            "--registry-config",
            "registries.yaml",
            "--dry-run",
            "-o",
        ],
        with_key(&["report", "x.tar"], "--output"),
        with_key(&["report", "x.tar"], "-o"),
        vec!["keygen", "--out"],
    ]
}

/// Verbs that write into a directory, or make one.
fn verbs_of_directories() -> Vec<Vec<&'static str>> {
    vec![
        vec!["unpack", "--key", "release.pub", "x.tar"],
        vec!["render", "--out"],
        vec!["render", "--lock", "--out"],
        vec![
            "mirror",
            "containerd",
            "x.tar",
            "registry.example:5000",
            "--key",
            "release.pub",
            "--out",
        ],
        vec![
            "load",
            "x.tar",
            "--key",
            "release.pub",
            "--platform",
            "linux/amd64",
            "--images-dir",
        ],
        vec![
            "push",
            "x.tar",
            "127.0.0.1:1",
            "--key",
            "release.pub",
            "--receipts",
        ],
    ]
}

fn run(project: &Project, verb: &[&str], output: &str) -> Output {
    project
        .command(&[verb, &[output]].concat())
        .env("COSIGN_PASSWORD", "of a test")
        .output()
        .unwrap()
}

fn says_that_it_is_a_directory(said: &str) {
    assert!(
        said.contains("directory") && said.contains("mounted/"),
        "{said}"
    );
    assert!(
        !said.contains("remove") && !said.contains("delete"),
        "{said}"
    );
}

#[test]
fn an_output_that_is_a_directory_is_said_to_be_one() {
    let project = project();
    let before = names_below(&project.path("."));
    for verb in verbs() {
        let output = run(&project, &verb, "mounted");
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(
            matches!(output.status.code(), Some(2 | 12)),
            "{verb:?}: {said}"
        );
        says_that_it_is_a_directory(&said);
    }
    says_that_it_is_a_directory(&ends_with(
        &run(
            &project,
            &["unpack", "--key", "release.pub", "x.tar"],
            "mounted",
        ),
        12,
    ));
    assert_eq!(names_below(&project.path(".")), before);
    let said = ends_with(
        &run(&project, &["build", "--key", "release.key", "-o"], "new/"),
        12,
    );
    assert!(said.contains("is the name of a directory"), "{said}");
}

#[test]
fn a_database_file_that_is_a_directory_is_said_to_be_one() {
    let (source, directory) = (Source::with_rows(), tempfile::tempdir().unwrap());
    let mounted = directory.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let path = mounted.to_str().unwrap();
    let said = rune_db(&["backup", "--output", path])
        .on(&source.url())
        .run();
    said.fails(12, &["directory", "mounted/"]);
    assert!(!said.stderr.contains("remove"), "{said:?}");
    let said = rune_db(&["restore", "--from", source.path().to_str().unwrap()])
        .on(&sqlite_url(&mounted))
        .run();
    said.fails(3, &["is a directory"]);
    assert_eq!(
        (names_in(directory.path()).len(), names_in(&mounted).len()),
        (1, 0)
    );
}

/// A hyphen names no file, and standard output is for the report.
fn is_refused(said: &str) {
    assert!(said.contains("standard output is for the report"), "{said}");
}

#[test]
fn a_hyphen_is_never_the_name_of_a_file() {
    let project = project();
    let before = names_below(&project.path("."));
    for verb in verbs().into_iter().chain(verbs_of_directories()) {
        is_refused(&ends_with(&run(&project, &verb, "-"), 2));
        ends_with(&run(&project, &verb, ""), 2);
    }
    assert_eq!(names_below(&project.path(".")), before);
    let (source, directory) = (Source::with_rows(), tempfile::tempdir().unwrap());
    for arguments in [
        &["backup", "--output", "-"][..],
        &["backup", "-o", "-"],
        &[
            "export-sqlite",
            "--source",
            "postgresql://rune@127.0.0.1:1/rune",
            "--output",
            "-",
        ],
        &["audit", "export", "1", "--output", "-"],
    ] {
        let said = rune_db(arguments)
            .on(&source.url())
            .within(directory.path())
            .run();
        said.fails(2, &["standard output is for the report"]);
    }
    assert_eq!(names_in(directory.path()).len(), 0);
    // A file of that name can still be meant.
    ends_with(
        &run(
            &project,
            &["report", "x.tar", "--key", "release.pub", "-o"],
            "./-",
        ),
        0,
    );
    assert!(Path::new(&project.path("-")).exists());
}

/// A disk that takes no more is no reason to doubt a bundle.
#[test]
fn unpacking_to_where_a_file_cannot_be_written_says_why_and_not_that_the_bundle_is_wrong() {
    let project = project();
    let before = names_below(&project.path("."));
    // No file may have more than a kilobyte, and whoever writes more is told so instead of being
    // killed.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_rune-bundle");
    let mut command = std::process::Command::new("bash");
    command.args([
        "-c",
        script,
        "bash",
        program,
        "unpack",
        "x.tar",
        "out",
        "--key",
        "release.pub",
    ]);
    let said = ends_with(
        &command.current_dir(project.path(".")).output().unwrap(),
        11,
    );
    assert!(
        said.contains("the content cannot be written:") && said.contains(": File too large"),
        "{said}"
    );
    assert!(
        said.contains("help: make room") && !said.contains("signed index"),
        "{said}"
    );
    assert_eq!(names_below(&project.path(".")), before);
}
