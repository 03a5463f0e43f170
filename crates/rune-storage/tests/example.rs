//! The example of the documentation runs.

use std::process::Command;

#[test]
fn the_example_makes_a_database_and_finishes_a_job_in_it() {
    // Tests lie in `deps`, examples beside it.
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/jobs");
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(example)
        .arg(directory.path().join("rune.db"))
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stderr}");
    assert!(
        stdout.starts_with("applied migrations [1, 2, 3, 4, 5, 6]\n"),
        "{stdout}"
    );
    assert!(stdout.ends_with(" of team-a is succeeded\n"), "{stdout}");
}
