//! What the port does with evidence.

use rune_core::failure::FailureKind::{Content, Input};
use rune_storage::port::{ARTIFACT_KINDS, NewArtifact, StoreError};

use crate::store_support::{Bench, Case};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn keep(bench: &Bench, job_id: &str, name: &str, content: &[u8]) -> String {
    bench
        .store
        .record_audit_artifact(&NewArtifact {
            job_id,
            kind: "sbom",
            name,
            content,
        })
        .unwrap()
}

fn refuse(bench: &Bench, artifact: NewArtifact<'_>, words: &str) {
    bench.fails(bench.store.record_audit_artifact(&artifact), Input, words);
}

const PLAIN: NewArtifact<'_> = NewArtifact {
    job_id: "j",
    kind: "sbom",
    name: "sbom.json",
    content: b"{}",
};

fn comes_back(bench: &Bench, content: &[u8]) {
    let id = keep(bench, "j", "n", content);
    let (info, found) = bench.store.get_audit_artifact("j", &id).unwrap().unwrap();
    assert!(found == content, "the content differs");
    bench.sees(usize::try_from(info.size_bytes).unwrap(), content.len());
}

/// Changes an artifact behind the port's back, where another program can, and says what reading it
/// gives.
fn damaged(bench: &Bench, change: &str, words: &str) {
    let id = keep(bench, "j", "n", b"evidence");
    if bench
        .sql(&format!("UPDATE audit_artifact SET {change}"))
        .is_some()
    {
        let error: StoreError = bench.store.get_audit_artifact("j", &id).unwrap_err();
        assert_eq!(rune_core::failure::Failure::kind(&error), Content);
        assert!(error.to_string().contains(words), "{error}");
    }
    bench.sees(0, 0);
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "evidence_comes_back_as_it_went_in",
        run: |bench| {
            let id = keep(bench, "j", "a b/é.json", b"{}\0\xff");
            let (info, content) = bench.store.get_audit_artifact("j", &id).unwrap().unwrap();
            bench.sees(
                (info.name.as_str(), info.kind.as_str(), info.job_id.as_str()),
                ("a b/é.json", "sbom", "j"),
            );
            bench.sees(
                (info.size_bytes, info.created_at, content),
                (4, 1000.5, b"{}\0\xff".to_vec()),
            );
        },
    },
    Case {
        name: "every_kind_of_rune_is_known",
        run: |bench| {
            for kind in ARTIFACT_KINDS {
                bench
                    .store
                    .record_audit_artifact(&NewArtifact { kind, ..PLAIN })
                    .unwrap();
            }
            bench.sees(bench.store.list_audit_artifacts("j").unwrap().len(), 8);
        },
    },
    Case {
        name: "another_kind_is_refused",
        run: |bench| {
            refuse(
                bench,
                NewArtifact {
                    kind: "photo",
                    ..PLAIN
                },
                "unknown audit artifact kind `photo`",
            );
        },
    },
    Case {
        name: "a_kind_in_capitals_is_another",
        run: |bench| {
            refuse(
                bench,
                NewArtifact {
                    kind: "SBOM",
                    ..PLAIN
                },
                "unknown audit artifact kind",
            );
        },
    },
    Case {
        name: "evidence_without_name_is_refused",
        run: |bench| refuse(bench, NewArtifact { name: "", ..PLAIN }, "`name` is empty"),
    },
    Case {
        name: "s09_a_name_with_nul_is_refused",
        run: |bench| {
            refuse(
                bench,
                NewArtifact {
                    name: "a\0",
                    ..PLAIN
                },
                "`name` contains U+0000",
            );
        },
    },
    Case {
        name: "evidence_of_no_job_is_refused",
        run: |bench| {
            refuse(
                bench,
                NewArtifact {
                    job_id: "",
                    ..PLAIN
                },
                "`job_id` is empty",
            );
        },
    },
    Case {
        name: "a_job_id_of_65_letters_is_refused",
        run: |bench| {
            refuse(
                bench,
                NewArtifact {
                    job_id: &"x".repeat(65),
                    ..PLAIN
                },
                "`job_id` has more than 64 characters",
            );
        },
    },
    Case {
        name: "no_content_has_the_hash_of_nothing",
        run: |bench| {
            let id = keep(bench, "j", "n", b"");
            let (info, content) = bench.store.get_audit_artifact("j", &id).unwrap().unwrap();
            bench.sees(
                (info.size_bytes, info.sha256.as_str(), content.len()),
                (0, EMPTY_SHA256, 0),
            );
        },
    },
    Case {
        name: "s12_the_hash_is_that_of_the_content",
        run: |bench| {
            keep(bench, "j", "n", b"abc");
            let found = bench
                .store
                .list_audit_artifacts("j")
                .unwrap()
                .remove(0)
                .sha256;
            bench.sees(
                found,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            );
        },
    },
    Case {
        name: "a_piece_and_a_byte_come_back",
        run: |bench| comes_back(bench, &vec![7; (1 << 20) + 1]),
    },
    Case {
        name: "exactly_four_pieces_come_back",
        run: |bench| comes_back(bench, &vec![0; 4 << 20]),
    },
    Case {
        name: "nine_megabytes_come_back",
        run: |bench| {
            comes_back(
                bench,
                &(0..9_000_000_u32)
                    .map(|index| u8::try_from(index % 251).unwrap())
                    .collect::<Vec<_>>(),
            );
        },
    },
    Case {
        name: "s12_content_comes_in_pieces",
        run: |bench| {
            let id = keep(bench, "j", "n", &vec![1; 9 << 20]);
            let (mut largest, mut total) = (0, 0);
            let mut sink = |piece: &[u8]| {
                (largest, total) = (piece.len().max(largest), total + piece.len());
                Ok(())
            };
            bench
                .store
                .read_audit_artifact("j", &id, &mut sink)
                .unwrap();
            bench.sees((total, largest <= 4 << 20), (9 << 20, true));
        },
    },
    Case {
        name: "reading_ends_when_nobody_takes_the_content",
        run: |bench| {
            let id = keep(bench, "j", "n", b"abc");
            let outcome = bench
                .store
                .read_audit_artifact("j", &id, &mut |_| Err(StoreError::Closed));
            bench.sees(outcome.unwrap_err().to_string(), "the store is closed");
            bench.sees(
                bench.store.get_audit_artifact("j", &id).unwrap().is_some(),
                true,
            );
        },
    },
    Case {
        name: "s12_content_of_another_size_is_noticed",
        run: |bench| damaged(bench, "size_bytes = size_bytes + 1", "its size is another"),
    },
    Case {
        name: "s12_content_of_another_hash_is_noticed",
        run: |bench| {
            damaged(
                bench,
                "sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'",
                "its sha256 is another",
            );
        },
    },
    Case {
        name: "unknown_evidence_is_none",
        run: |bench| {
            bench.sees(
                bench.store.get_audit_artifact("j", "nothing").unwrap(),
                None,
            );
        },
    },
    Case {
        name: "evidence_of_another_job_is_none",
        run: |bench| {
            let id = keep(bench, "a", "n", b"x");
            bench.sees(bench.store.get_audit_artifact("b", &id).unwrap(), None);
        },
    },
    Case {
        name: "a_job_without_evidence_has_none",
        run: |bench| bench.sees(bench.store.list_audit_artifacts("j").unwrap(), vec![]),
    },
    Case {
        name: "evidence_is_listed_oldest_first",
        run: |bench| {
            for (time, name) in [(30.0, "c"), (10.0, "a"), (20.0, "b")] {
                bench.at(time);
                keep(bench, "j", name, b"x");
            }
            keep(bench, "other", "d", b"x");
            let names: Vec<_> = bench
                .store
                .list_audit_artifacts("j")
                .unwrap()
                .into_iter()
                .map(|info| info.name)
                .collect();
            bench.sees(names, vec!["a", "b", "c"]);
        },
    },
    Case {
        name: "evidence_of_one_moment_is_listed_by_id",
        run: |bench| {
            let mut ids: Vec<_> = (0..5).map(|_| keep(bench, "j", "n", b"x")).collect();
            ids.sort();
            let listed: Vec<_> = bench
                .store
                .list_audit_artifacts("j")
                .unwrap()
                .into_iter()
                .map(|info| info.artifact_id)
                .collect();
            assert_eq!(listed, ids);
            bench.sees(listed.len(), 5);
        },
    },
    Case {
        name: "evidence_needs_no_job",
        run: |bench| {
            keep(bench, "nobody", "n", b"x");
            bench.sees(bench.store.get_job("nobody", None).unwrap(), None);
        },
    },
];
