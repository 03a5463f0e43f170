//! Blocks of `sh`: commands for a cluster. Tests with a cluster type them; which ones, and why
//! others are not typed, is said here.

use super::markdown::{Block, document, documents};

/// Commands that a test types, by the page and how they begin.
const TYPED: [(&str, &str); 15] = [
    (
        "docs/operations/backup-restore.md",
        "kubectl -n rune create job",
    ),
    ("docs/operations/backup-restore.md", "helm upgrade rune "),
    (
        "docs/operations/from-another-chart.md",
        "kubectl -n rune exec old-postgresql-0",
    ),
    (
        "docs/operations/from-another-chart.md",
        "kubectl -n rune wait --for=condition=Ready pod/old-data",
    ),
    ("docs/operations/ci.md", "docker run "),
    (
        "docs/operations/from-published-chart.md",
        "kubectl -n rune-new exec -i bring-a-dump",
    ),
    (
        "docs/operations/install.md",
        "kubectl create namespace rune",
    ),
    ("docs/operations/install.md", "helm upgrade --install rune "),
    ("docs/operations/install.md", "kubectl -n rune create job"),
    ("docs/operations/install.md", "kubectl -n rune delete pvc"),
    (
        "docs/operations/monitoring.md",
        "kubectl -n rune exec -i statefulset/rune-postgres",
    ),
    (
        "docs/operations/rotation.md",
        "kubectl -n rune delete secret",
    ),
    ("docs/operations/rotation.md", "kubectl -n rune exec "),
    ("docs/tutorial/first-release.md", "rune-bundle init"),
    ("docs/tutorial/first-release.md", "rune-bundle verify"),
];

/// Commands that no test types, and why.
const NOT_TYPED: [(&str, &str, &str); 5] = [
    (
        "docs/operations/from-published-chart.md",
        "kubectl -n rune scale deployment/rune --replicas=0\nkubectl -n rune annotate",
        PUBLISHED,
    ),
    (
        "docs/operations/from-published-chart.md",
        "kubectl -n rune scale deployment/rune --replicas=0\nkubectl -n rune exec",
        PUBLISHED,
    ),
    (
        "docs/operations/high-availability.md",
        "kubectl -n rune wait --for=condition=Ready cluster/rune-db",
        "the operator's images are not to be had",
    ),
    (
        "docs/operations/major-upgrade.md",
        "kubectl -n rune scale deployment/rune-api",
        NO_18,
    ),
    (
        "docs/operations/major-upgrade.md",
        "helm upgrade rune ",
        NO_18,
    ),
];
const PUBLISHED: &str = "they are about the chart of somebody else";
const NO_18: &str = "there is no image of PostgreSQL 18 to test with";

fn blocks(page: &str, language: &str) -> Vec<Block> {
    document(page)
        .blocks()
        .into_iter()
        .filter(|block| block.language == language)
        .collect()
}

/// The commands of a page that begin like this.
pub(crate) fn commands(page: &str, start: &str) -> String {
    assert!(
        TYPED.contains(&(page, start)),
        "{page}: `{start}` is not among those that are typed"
    );
    let found = blocks(page, "sh")
        .into_iter()
        .find(|block| block.text.starts_with(start));
    found
        .unwrap_or_else(|| panic!("{page}: no commands `{start}`"))
        .text
}

/// The only values or manifest of a page with these words.
pub(crate) fn yaml(page: &str, words: &[&str]) -> String {
    let mut found: Vec<_> = blocks(page, "yaml")
        .into_iter()
        .filter(|block| words.iter().all(|word| block.text.contains(word)))
        .collect();
    assert_eq!(
        found.len(),
        1,
        "{page}: {words:?} are in {} blocks",
        found.len()
    );
    found.remove(0).text
}

#[test]
fn every_command_for_a_cluster_is_typed_or_has_a_reason() {
    let known = TYPED
        .iter()
        .copied()
        .chain(NOT_TYPED.iter().map(|(page, start, _)| (*page, *start)));
    let mut known: Vec<_> = known.collect();
    for page in documents() {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            let at = known
                .iter()
                .position(|(path, start)| page.path == *path && block.text.starts_with(start));
            let at =
                at.unwrap_or_else(|| panic!("{}:{}: nobody types this", page.path, block.line));
            known.remove(at);
        }
    }
    assert!(known.is_empty(), "no longer there: {known:?}");
    let tests: String = [
        "../docs/ci_image.rs",
        "backup.rs",
        "first_release.rs",
        "move_to_postgres.rs",
        "release.rs",
        "scripts.rs",
        "volumes.rs",
    ]
    .map(source)
    .concat();
    for (page, start) in TYPED {
        let name = page.rsplit('/').next().unwrap();
        assert!(
            tests.contains(start) && tests.contains(name),
            "{page}: no test types `{start}`"
        );
    }
}

fn source(name: &str) -> String {
    std::fs::read_to_string(
        crate::bundle::project::repository()
            .join("tests/it/cluster")
            .join(name),
    )
    .unwrap()
}
