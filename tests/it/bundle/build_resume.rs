//! A build that was killed goes on where it was, and ends with the same bytes.

use std::{collections::BTreeSet, fs, process::Stdio, time::Duration};

use rune_testkit::{poll::wait_until, registry::Fault, sample::Sample};

use crate::{
    bundle::project::{Project, sha256},
    bundle::small_bundle::ends_with,
};

/// Large enough for a mark in the middle of a blob.
const LARGE_LAYER: usize = 150 << 20;

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

fn project(layers: Vec<usize>) -> Project {
    let project = Project::with_manifest(MANIFEST);
    project.put(
        "library/postgres",
        "17-alpine",
        &Sample {
            layer_bytes: layers,
            ..Sample::default()
        },
    );
    project.lock();
    project
}

/// How long anything may take that a build does here.
const LIMIT: Duration = Duration::from_secs(40);

/// Starts a build and kills it with SIGKILL when `wait` returns.
fn killed(project: &Project, output: &str, wait: impl FnOnce()) {
    let mut build = project
        .command(&project.build_arguments(output))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait();
    build.kill().unwrap();
    build.wait().unwrap();
}

/// Kills a build when the registry has been asked for so many blobs, of which it does not send the
/// last.
fn killed_at_request(project: &Project, output: &str, requests: usize) {
    const BLOBS: &str = "/v2/*/blobs/*";
    project.registry.forget_requests();
    project.registry.hold_from(BLOBS, requests);
    killed(project, output, || {
        project.registry.wait_for_requests(BLOBS, requests);
    });
    project.registry.end_hold();
}

/// The path of the largest content of the image. Which one a build asks for first is not said
/// anywhere.
fn largest_blob(project: &Project) -> String {
    let lock = fs::read_to_string(project.path("bundle-manifests/rune.lock")).unwrap();
    let blobs = lock.split("digest: ").skip(1).filter_map(|text| {
        let mut lines = text.lines();
        Some((
            lines.next()?,
            lines
                .next()?
                .trim_start()
                .strip_prefix("size: ")?
                .parse::<u64>()
                .ok()?,
        ))
    });
    let (digest, _) = blobs.max_by_key(|(_, size)| *size).unwrap();
    format!("/v2/library/postgres/blobs/{digest}")
}

/// The digests of the contents that the journal of a killed build has as done.
fn recorded(project: &Project, output: &str) -> BTreeSet<String> {
    let Ok(journal) = fs::read_to_string(project.path(format!("{output}.journal"))) else {
        return BTreeSet::new();
    };
    let bundle = project.path(format!("{output}.partial"));
    let entries = crate::bundle::small_bundle::entries_of(&bundle);
    let done = journal
        .lines()
        .filter_map(|line| line.strip_prefix("done ")?.parse::<usize>().ok());
    done.map(|position| {
        entries[position]
            .name
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    })
    .collect()
}

#[test]
fn a_build_killed_at_ten_moments_ends_with_the_same_bytes_and_fetches_nothing_twice() {
    let project = project(vec![300_000, 200_000, 100_000, 50_000, 20_000]);
    let expected = sha256(&project.build("whole.tar"));
    for moment in 1..=10 {
        let output = format!("{moment}.tar");
        killed_at_request(&project, &output, moment);
        assert!(
            !project.path(&output).exists(),
            "it had ended before blob {moment} was sent"
        );
        let done = recorded(&project, &output);
        project.registry.forget_requests();
        ends_with(&project.run(&project.build_arguments(&output)), 0);
        let asked = project.registry.requests();
        for hex in &done {
            assert!(
                !asked.iter().any(|request| request.path.ends_with(hex)),
                "{hex} was recorded as done and fetched again"
            );
        }
        assert_eq!(
            sha256(&project.path(&output)),
            expected,
            "killed after {moment} requests"
        );
        assert!(
            !project.path(format!("{output}.partial")).exists()
                && !project.path(format!("{output}.journal")).exists()
        );
    }
}

#[test]
fn what_was_recorded_as_done_is_not_fetched_again() {
    let project = project(vec![300_000, 200_000]);
    // The largest blob never ends, so everything else is done when the build is killed.
    project
        .registry
        .fault(Fault::on("GET", &largest_blob(&project)).stall_at(1000));
    let blobs = fs::read_to_string(project.path("bundle-manifests/rune.lock"))
        .unwrap()
        .matches("digest: sha256:")
        .count();
    let journal = project.path("x.tar.journal");
    let done = || {
        fs::read_to_string(&journal)
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("done "))
            .count()
    };
    // The lock names some digests twice; half of them is safely below the number of distinct ones.
    killed(&project, "x.tar", || {
        wait_until("half of the blobs are recorded", LIMIT, || {
            done() >= blobs / 2
        });
    });
    let done = recorded(&project, "x.tar");
    assert!(done.len() >= blobs / 2);
    project.registry.forget_requests();
    let said = ends_with(&project.run(&project.build_arguments("x.tar")), 0);
    assert!(
        said.contains(&format!(
            "{} blobs were there from an earlier run",
            done.len()
        )),
        "{said}"
    );
    let asked = project.registry.requests();
    assert!(
        asked
            .iter()
            .all(|request| !done.iter().any(|hex| request.path.ends_with(hex)))
    );
}

#[test]
fn a_half_blob_is_continued_with_a_range_after_its_beginning_was_hashed_again() {
    let project = project(vec![LARGE_LAYER]);
    let expected = sha256(&project.build("whole.tar"));
    project
        .registry
        .fault(Fault::on("GET", &largest_blob(&project)).stall_at(100 << 20));
    let journal = project.path("x.tar.journal");
    let is_marked = || {
        fs::read_to_string(&journal)
            .unwrap_or_default()
            .contains("\nbytes ")
    };
    killed(&project, "x.tar", || {
        wait_until("a mark in the middle of the blob", LIMIT, is_marked);
    });
    project.registry.forget_requests();
    ends_with(&project.run(&project.build_arguments("x.tar")), 0);
    let continued = project
        .registry
        .requests()
        .iter()
        .any(|request| request.header("range").is_some());
    assert!(continued, "nothing was continued in the middle");
    assert_eq!(sha256(&project.path("x.tar")), expected);
}

#[test]
fn a_half_blob_that_was_damaged_meanwhile_is_fetched_again_as_a_whole() {
    use std::os::unix::fs::FileExt as _;
    let project = project(vec![LARGE_LAYER]);
    project
        .registry
        .fault(Fault::on("GET", &largest_blob(&project)).stall_at(100 << 20));
    let journal = project.path("x.tar.journal");
    let mark = || {
        fs::read_to_string(&journal)
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                Some(
                    line.strip_prefix("bytes ")?
                        .split_once(' ')?
                        .0
                        .parse::<usize>()
                        .unwrap(),
                )
            })
    };
    killed(&project, "x.tar", || {
        wait_until("a mark in the middle of the blob", LIMIT, || {
            mark().is_some()
        });
    });
    let partial = project.path("x.tar.partial");
    let entry = &crate::bundle::small_bundle::entries_of(&partial)[mark().unwrap()];
    fs::OpenOptions::new()
        .write(true)
        .open(&partial)
        .unwrap()
        .write_all_at(b"damaged", entry.content + 5000)
        .unwrap();
    ends_with(&project.run(&project.build_arguments("x.tar")), 0);
    ends_with(
        &project.run(&["verify", "x.tar", "--key", "release.pub"]),
        0,
    );
}

#[test]
fn a_second_build_into_the_same_file_is_refused_while_the_first_is_running() {
    let project = project(vec![300_000]);
    project
        .registry
        .fault(Fault::on("GET", &largest_blob(&project)).stall_at(1000));
    let mut build = project
        .command(&project.build_arguments("x.tar"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    project
        .registry
        .wait_for_requests(&largest_blob(&project), 1);
    let said = ends_with(&project.run(&project.build_arguments("x.tar")), 12);
    assert!(said.contains("another process"), "{said}");
    build.kill().unwrap();
    build.wait().unwrap();
    ends_with(&project.run(&project.build_arguments("x.tar")), 0);
}

#[test]
fn a_run_that_was_killed_after_the_rename_counts_as_finished() {
    let project = project(vec![300_000]);
    project.build("x.tar");
    let expected = sha256(&project.path("x.tar"));
    // What the disk looks like between the rename and the removal of the journal.
    let entries = crate::bundle::small_bundle::entries_of(&project.path("x.tar"));
    let digest = rune_testkit::sha256(&serde_json_bytes(&project));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let done: String = (0..entries.len())
        .map(|position| format!("done {position}\n"))
        .collect();
    fs::write(
        project.path("x.tar.journal"),
        format!("rune-bundle journal 1 {digest}\n{boot}{done}"),
    )
    .unwrap();
    ends_with(&project.run(&project.build_arguments("x.tar")), 0);
    assert_eq!(sha256(&project.path("x.tar")), expected);
    assert!(!project.path("x.tar.journal").exists());
    ends_with(&project.run(&project.build_arguments("x.tar")), 12);
}

/// The bytes of `bundle.json` in `x.tar`.
fn serde_json_bytes(project: &Project) -> Vec<u8> {
    let first = &crate::bundle::small_bundle::entries_of(&project.path("x.tar"))[0];
    let (start, size) = (
        usize::try_from(first.content).unwrap(),
        usize::try_from(first.size).unwrap(),
    );
    fs::read(project.path("x.tar")).unwrap()[start..start + size].to_vec()
}
