//! Every `console` block is typed into a shell, block after block of a page in one directory.
//!
//! A line that begins with `$ ` is a command, `> ` continues it, what follows is what it prints;
//! `[..]` stands for the rest of a line, a line `...` for any lines, `? 5` at the end for an exit
//! code other than 0.

use std::fs;

use snapbox::{Data, filter::NormalizeToExpected};

use super::{
    markdown::{Block, Document, document, documents},
    sandbox::{DockerFormat, Sandbox},
};
use crate::bundle::project::repository;

/// Commands that are stages of `tools/test` of their own, with the stage; `make test` is
/// `tools/test` itself.
const RUN_ELSEWHERE: [(&str, &str); 4] = [
    ("make demo", "demo"),
    ("make release", "release"),
    (
        "make release PLATFORMS=\"linux/amd64 linux/arm64\"",
        "release",
    ),
    ("make test", "tests"),
];

/// Pages that begin where a clone ends; the others have a key, a lock and a bundle.
const FROM_A_CLONE: [&str; 2] = ["README.md", RUNE];

/// The page that goes from a clone to a bundle of RUNE and to its database.
const RUNE: &str = "docs/tutorial/rune.md";

/// Pages that have a PostgreSQL server, see `server.rs`: those whose path begins like this.
const WITH_A_DATABASE_SERVER: [&str; 2] =
    ["docs/operations/", "docs/reference/connection-strings.md"];

/// The page about a chart of one's own, whose images the registry has.
const OWN_CHART: &str = "docs/tutorial/own-chart.md";

/// Pages that have a registry to push to, see [`Sandbox::with_a_distribution`].
const WITH_A_DISTRIBUTION: &str = "docs/airgap/";

/// The page about signatures of images, which has a registry to push to as well.
const IMAGE_SIGNATURES: &str = "docs/operations/image-signatures.md";

/// The page about signatures by the builder, which has one too.
const CLUSTER_SIGNATURES: &str = "docs/operations/cluster-signatures.md";

/// The page about artifacts, which has one too.
const ARTIFACTS: &str = "docs/operations/artifacts.md";

/// The page about vulnerabilities, which has an image with one and a scanner that knows it.
const SCAN: &str = "docs/airgap/scan.md";

/// The page about provenance and evidence, which has one too.
const PROVENANCE: &str = "docs/operations/provenance.md";

/// Pages below the paths with a database server that are not about databases.
const ABOUT_BUNDLES: [&str; 8] = [
    ARTIFACTS,
    PROVENANCE,
    CLUSTER_SIGNATURES,
    "docs/operations/signing.md",
    IMAGE_SIGNATURES,
    WITH_SOURCES,
    RELEASE,
    super::ci::PAGE,
];

/// The page about the checksums of the programs.
const RELEASE: &str = "docs/operations/release.md";

/// The page that has servers with charts and files, see [`Sandbox::with_sources`].
const WITH_SOURCES: &str = "docs/operations/charts-and-files.md";

struct Step {
    place: String,
    command: String,
    expected: String,
    code: i32,
}

fn steps(document: &Document, block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in block.text.lines().enumerate() {
        let place = format!("{}:{}", document.path, block.line + number);
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                place,
                command: command.to_owned(),
                expected: String::new(),
                code: 0,
            });
            continue;
        }
        let step = steps
            .last_mut()
            .unwrap_or_else(|| panic!("{place}: a console block begins with `$ `"));
        assert_eq!(step.code, 0, "{place}: something follows the exit code");
        if let Some(more) = line.strip_prefix("> ").filter(|_| step.expected.is_empty()) {
            step.command.push_str(&format!("\n{more}"));
        } else if let Some(code) = line.strip_prefix("? ") {
            step.code = code
                .parse()
                .unwrap_or_else(|_| panic!("{place}: `{code}` is no exit code"));
        } else {
            step.expected.push_str(&format!("{line}\n"));
        }
    }
    assert!(
        !steps.is_empty(),
        "{}:{}: a console block without a command",
        document.path,
        block.line
    );
    steps
}

/// The command without the comment behind it.
fn bare(command: &str) -> &str {
    command.split(" #").next().unwrap_or_default().trim()
}

fn is_run_elsewhere(step: &Step) -> bool {
    let is_known = RUN_ELSEWHERE
        .iter()
        .any(|(command, _)| *command == bare(&step.command));
    assert!(
        !is_known || step.expected.is_empty(),
        "{}: nobody checks what `{}` prints",
        step.place,
        step.command
    );
    is_known
}

/// Types the commands of a page and says what differs.
fn differences(sandbox: &Sandbox, steps: &[Step]) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let file = |number: usize, kind: &str| scratch.path().join(format!("{number}.{kind}"));
    let mut script = String::new();
    for (number, step) in steps.iter().enumerate() {
        fs::write(file(number, "command"), &step.command).unwrap();
        let [command, output, code] =
            ["command", "output", "code"].map(|kind| file(number, kind).display().to_string());
        script.push_str(&format!(
            "eval \"$(cat {command})\" >{output} 2>&1 </dev/null\necho $? >{code}\n"
        ));
    }
    // Where the shell gives up, the files of the commands behind that are missing.
    sandbox
        .command("timeout")
        .args(["50", "sh", "-c", &script])
        .output()
        .unwrap();
    let mut differences = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let actual = fs::read_to_string(file(number, "output")).unwrap_or_default();
        let code =
            fs::read_to_string(file(number, "code")).unwrap_or_else(|_| "nothing".to_owned());
        let expected = Data::text(&step.expected).raw();
        let normalized = NormalizeToExpected::new()
            .redact()
            .normalize(Data::text(&actual), &expected)
            .to_string();
        if normalized != step.expected || code.trim() != step.code.to_string() {
            let Step {
                place,
                command,
                expected,
                code: expected_code,
            } = step;
            differences.push(format!(
                "{place}: $ {command}\n--- expected, exit code {expected_code}\n{expected}--- printed, exit code {code}{actual}"
            ));
        }
    }
    differences
}

fn check(document: &Document) -> usize {
    let blocks = document.blocks();
    let consoles: Vec<_> = blocks
        .iter()
        .filter(|block| block.language == "console")
        .collect();
    let steps: Vec<Step> = consoles
        .iter()
        .flat_map(|block| steps(document, block))
        .collect();
    let (elsewhere, here): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_run_elsewhere);
    if !here.is_empty() {
        let from_a_clone = FROM_A_CLONE.contains(&document.path.as_str());
        let has_server = WITH_A_DATABASE_SERVER
            .iter()
            .any(|start| document.path.starts_with(start))
            && !ABOUT_BUNDLES.contains(&document.path.as_str());
        let sandbox = match (has_server, from_a_clone) {
            (true, _) => Sandbox::clone().with_a_database_server(),
            (false, true) if document.path == RUNE => Sandbox::clone(),
            (false, true) => Sandbox::clone().with_a_shop().with_a_chart_of_a_shop(),
            (false, false) if document.path == SCAN => Sandbox::clone()
                .with_a_vulnerable_image()
                .with_a_bundle()
                .with_a_vulnerability_database(),
            (false, false)
                if document.path.starts_with(WITH_A_DISTRIBUTION)
                    || [ARTIFACTS, PROVENANCE, IMAGE_SIGNATURES, CLUSTER_SIGNATURES]
                        .contains(&document.path.as_str()) =>
            {
                Sandbox::after_a_build().with_a_distribution()
            }
            (false, false) if document.path == WITH_SOURCES => {
                Sandbox::after_a_build().with_sources()
            }
            (false, false) if document.path == RELEASE => Sandbox::after_a_build().with_programs(),
            (false, false) if document.path == super::ci::PAGE => {
                Sandbox::after_a_build().with_helm()
            }
            (false, false) if document.path == OWN_CHART => Sandbox::after_a_build().with_a_shop(),
            (false, false) => Sandbox::after_a_build(),
        };
        let differences = differences(&sandbox, &here);
        assert!(
            differences.is_empty(),
            "{} commands do not do what the page says\n\n{}",
            differences.len(),
            differences.join("\n")
        );
    }
    elsewhere.len() + here.len()
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    assert!(check(&document("README.md")) >= 10);
}

/// Pages, or directories of pages, that have a test of their own, because each page takes a while.
const GROUPS: [&str; 3] = [AIRGAP, OPERATIONS, COMPARING];

const AIRGAP: &str = WITH_A_DISTRIBUTION;
const OPERATIONS: &str = "docs/operations/";
const COMPARING: &str = "docs/reference/diff-and-report.md";

/// Pages about operations that have a test of their own.
const ALONE: [&str; 5] = [
    ARTIFACTS,
    PROVENANCE,
    WITH_SOURCES,
    IMAGE_SIGNATURES,
    CLUSTER_SIGNATURES,
];

/// Types the commands of all pages that `is_meant`.
fn check_all(is_meant: impl Fn(&str) -> bool) {
    let pages: Vec<_> = documents()
        .into_iter()
        .filter(|document| is_meant(&document.path))
        .collect();
    assert!(!pages.is_empty());
    let checked: usize = pages.iter().map(check).sum();
    // The prompts as they stand in the files, so that no command is lost on the way.
    let prompts: usize = pages
        .iter()
        .map(|document| document.text.matches("\n$ ").count())
        .sum();
    assert_eq!(checked, prompts);
}

#[test]
fn the_commands_of_the_way_to_a_running_release_do_what_they_say() {
    check_all(|path| path == "docs/airgap/README.md" || path == "docs/airgap/by-hand.md");
}

#[test]
fn the_way_by_hand_is_the_same_for_images_with_dockers_media_types() {
    for page in ["docs/airgap/by-hand.md", "docs/bundle-format.md"] {
        for format in [DockerFormat::List, DockerFormat::Manifest] {
            let document = document(page);
            let blocks = document.blocks();
            let consoles = blocks.iter().filter(|block| block.language == "console");
            let steps: Vec<Step> = consoles.flat_map(|block| steps(&document, block)).collect();
            let sandbox = Sandbox::clone()
                .with_an_image_of(format)
                .with_a_bundle()
                .with_a_distribution();
            let differences = differences(&sandbox, &steps);
            assert!(
                differences.is_empty(),
                "{page}, {format:?}\n\n{}",
                differences.join("\n")
            );
        }
    }
}

#[test]
fn the_commands_of_the_page_about_signatures_of_images_do_what_they_say() {
    check_all(|path| path == IMAGE_SIGNATURES);
}

#[test]
fn the_commands_of_the_page_about_vulnerabilities_do_what_they_say() {
    check_all(|path| path == SCAN);
}

#[test]
fn the_commands_of_the_page_about_provenance_do_what_they_say() {
    check_all(|path| path == PROVENANCE);
}

#[test]
fn the_commands_of_the_page_about_artifacts_do_what_they_say() {
    check_all(|path| path == ARTIFACTS);
}

#[test]
fn the_commands_of_the_page_about_signatures_for_clusters_do_what_they_say() {
    check_all(|path| path == CLUSTER_SIGNATURES);
}

#[test]
fn the_commands_of_the_pages_about_registries_do_what_they_say() {
    check_all(|path| {
        path.starts_with("docs/airgap/push") || path.starts_with("docs/airgap/registries")
    });
}

#[test]
fn the_commands_of_the_other_pages_about_the_air_gapped_side_do_what_they_say() {
    let elsewhere = ["README", "by-hand", "push", "registries", "scan"];
    check_all(|path| {
        path.strip_prefix(AIRGAP)
            .is_some_and(|name| elsewhere.iter().all(|start| !name.starts_with(start)))
    });
}

#[test]
fn the_commands_of_the_pages_about_operations_do_what_they_say() {
    check_all(|path| path.starts_with(OPERATIONS) && !ALONE.contains(&path));
}

#[test]
fn the_commands_of_the_page_about_charts_and_files_do_what_they_say() {
    check_all(|path| path == WITH_SOURCES);
}

#[test]
fn the_commands_of_the_page_about_comparing_do_what_it_says() {
    check_all(|path| path == COMPARING);
}

#[test]
fn the_commands_of_every_other_page_do_what_it_says() {
    check_all(|path| path != "README.md" && GROUPS.iter().all(|group| !path.starts_with(group)));
}

#[test]
fn commands_that_run_elsewhere_do_run_there() {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    let stages = fs::read_to_string(repository().join("tools/test")).unwrap();
    let stages = stages
        .lines()
        .find_map(|line| line.strip_prefix("all_stages=("))
        .unwrap()
        .trim_end_matches(')');
    for (command, stage) in RUN_ELSEWHERE {
        let target = command.split(' ').nth(1).unwrap();
        assert!(
            makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}: "))),
            "the Makefile has no `{target}`"
        );
        assert!(
            stages.split(' ').any(|known| known == stage),
            "tools/test has no stage `{stage}`"
        );
    }
    assert!(
        makefile.contains("\ntest: ") && makefile.contains("\n\t@tools/test\n"),
        "`make test` is not tools/test"
    );
}

#[test]
fn a_command_that_does_otherwise_is_noticed() {
    let page = |text: &str| {
        let document = Document {
            path: "page".to_owned(),
            text: format!("```console\n{text}```\n"),
        };
        let blocks = document.blocks();
        blocks
            .iter()
            .flat_map(|block| steps(&document, block))
            .collect::<Vec<_>>()
    };
    let sandbox = Sandbox::clone();
    let right = "$ echo one two; echo three\none [..]\nthree\n$ cd charts\n$ ls\n...\nrune\n$ sh -c 'exit 5'\n? 5\n$ cat <<'END'\n> x\n> END\nx\n";
    assert_eq!(differences(&sandbox, &page(right)), Vec::<String>::new());
    for wrong in [
        "$ echo one\ntwo\n",
        "$ echo one\n",
        "$ true\none\n",
        "$ false\n",
        "$ true\n? 1\n",
        "$ no-such-program\n",
        "$ 'unclosed\n",
        "$ exit 0\n",
    ] {
        assert_eq!(differences(&sandbox, &page(wrong)).len(), 1, "{wrong}");
    }
}
