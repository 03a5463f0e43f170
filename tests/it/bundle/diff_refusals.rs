//! What `diff` and `report` do with bundles that nobody vouches for, that are damaged, or that want
//! to deceive.

use std::{fs, path::Path, process::Stdio};

use rune_bundle::bundle::Ingredients;

use crate::{
    bundle::diff_support::Pair,
    bundle::hostile_bundle::write_head,
    bundle::small_bundle::{ends_with, entries_of, index_of, rune_bundle},
};

/// Texts that want to be something else than text.
fn deceive(made: &mut Ingredients) {
    made.name = String::from("evil\u{1b}[2J\u{202e}name");
    made.images[0].license = Some("</td><script>alert(1)</script>\u{202e}".to_owned());
    made.policy
        .waived
        .push("<img src=x onerror=alert(1)> {{ 7 * 7 }}".to_owned());
    made.completeness
        .left_out
        .push("line\r\nbreak\u{2066}".to_owned());
    made.profiles[0].name = String::from("lab\u{7}");
}

fn flip(path: &Path, entry: &str) {
    let found = entries_of(path)
        .into_iter()
        .find(|found| found.name.starts_with(entry))
        .unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(found.content + found.size / 2).unwrap()] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn without_a_key_everything_is_said_to_be_unverified() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let key = pair.key();
    assert!(pair.said().starts_with("UNVERIFIED: "));
    let said = ends_with(&pair.run(&["--key", key.as_str()]), 0);
    assert!(!said.contains("UNVERIFIED"), "{said}");
}

#[test]
fn a_key_must_have_signed_both() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let key = pair.key();
    for (unsigned, other) in [(&pair.old, &pair.new), (&pair.new, &pair.old)] {
        let bytes = fs::read(unsigned).unwrap();
        let slot = entries_of(unsigned)
            .into_iter()
            .find(|found| found.name.starts_with("signatures/0"))
            .unwrap();
        let mut blank = bytes.clone();
        let (start, end) = (
            usize::try_from(slot.content).unwrap(),
            usize::try_from(slot.content + slot.size).unwrap(),
        );
        blank[start..end].fill(b' ');
        fs::write(unsigned, blank).unwrap();
        let said = ends_with(&pair.run(&["--key", key.as_str()]), 7);
        assert!(
            said.contains(unsigned.to_str().unwrap()) && !said.contains(other.to_str().unwrap()),
            "{said}"
        );
        fs::write(unsigned, bytes).unwrap();
    }
}

#[test]
fn digests_that_are_known_from_elsewhere_authenticate_in_any_order() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let digest = |path: &Path| rune_testkit::sha256(&index_of(path).to_bytes().unwrap());
    let (old, new) = (digest(&pair.old), digest(&pair.new));
    for (one, two) in [(&old, &new), (&new, &old)] {
        let said = ends_with(
            &pair.run(&["--bundle-digest", one, "--bundle-digest", two]),
            0,
        );
        assert!(!said.contains("UNVERIFIED"), "{said}");
    }
    let said = ends_with(&pair.run(&["--bundle-digest", &new]), 7);
    assert!(said.contains(&old) && said.contains("old.tar"), "{said}");
}

#[test]
fn what_a_bundle_says_cannot_act_on_the_terminal() {
    let pair = Pair::new(deceive);
    let said = pair.said();
    assert!(
        said.contains(r"name: small -> evil\u{1b}[2J\u{202e}name"),
        "{said}"
    );
    assert!(
        said.chars()
            .all(|c| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c))),
        "{said:?}"
    );
}

#[test]
fn a_reason_to_refuse_cannot_act_on_the_terminal_either() {
    let pair = Pair::new(|_| ());
    let mut index = serde_json::to_value(index_of(&pair.new)).unwrap();
    index["requires"] = serde_json::json!(["\u{1b}[2J\u{202e}"]);
    write_head(
        &pair.scratch,
        &pair.new,
        &rune_bundle::canonical_json::to_bytes(&index).unwrap(),
    );
    let said = ends_with(&pair.run(&[]), 3);
    assert!(said.contains(r"requires `\u{1b}[2J\u{202e}`"), "{said:?}");
}

#[test]
fn a_damaged_document_or_chart_is_refused_and_named() {
    for entry in [
        "charts/",
        "index.json",
        "artifacts/index.json",
        "values/lab.yaml",
    ] {
        let pair = Pair::new(|made| {
            // What is the same by its digest need not be read.
            made.charts[0].metadata.description = "other".to_owned();
            made.profiles[0].values[0].1 = "{a: 1}\n".to_owned();
        });
        flip(&pair.old, entry);
        let said = ends_with(&pair.run(&[]), 6);
        assert!(
            said.contains(entry) && said.contains("copy it again"),
            "{entry}: {said}"
        );
    }
}

#[test]
fn a_bundle_that_is_cut_off_or_has_more_is_refused() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let whole = fs::read(&pair.new).unwrap();
    for bytes in [&whole[..whole.len() - 1], &[&whole[..], &[0; 512]].concat()] {
        fs::write(&pair.new, bytes).unwrap();
        ends_with(&pair.run(&[]), 6);
    }
    fs::write(&pair.new, &whole[..4096]).unwrap();
    ends_with(&pair.run(&[]), 3);
    fs::write(&pair.new, b"no bundle").unwrap();
    ends_with(&pair.run(&[]), 3);
    fs::remove_file(&pair.new).unwrap();
    ends_with(&pair.run(&[]), 4);
}

#[test]
fn a_pipe_cannot_be_read_in_place() {
    let pair = Pair::new(|_| ());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command
        .args(["diff", "-"])
        .arg(&pair.new)
        .stdin(Stdio::from(fs::File::open(&pair.old).unwrap()));
    assert!(ends_with(&command.output().unwrap(), 2).contains("save the bundle as a file"));
}

#[test]
fn neither_diff_nor_report_opens_a_socket() {
    let pair = Pair::new(|made| made.version = "1.2.4".parse().unwrap());
    let (log, page) = (pair.scratch.path("calls"), pair.scratch.path("page.html"));
    let verbs: [&[&std::ffi::OsStr]; 2] = [
        &["diff".as_ref(), pair.old.as_ref(), pair.new.as_ref()],
        &[
            "report".as_ref(),
            pair.new.as_ref(),
            "--against".as_ref(),
            pair.old.as_ref(),
            "--output".as_ref(),
            page.as_ref(),
        ],
    ];
    for arguments in verbs {
        let mut command = std::process::Command::new("strace");
        command
            .args(["-f", "-qq", "-e", "trace=%network", "-o"])
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_rune-bundle"));
        ends_with(&command.args(arguments).output().unwrap(), 0);
        let calls = fs::read_to_string(&log).unwrap();
        assert!(!calls.contains("socket("), "{calls}");
    }
}

#[test]
fn a_page_shows_deceiving_texts_as_texts() {
    let pair = Pair::new(deceive);
    let page = pair.scratch.path("page.html");
    let arguments = [
        "report".as_ref(),
        pair.new.as_os_str(),
        "--against".as_ref(),
        pair.old.as_os_str(),
        "-o".as_ref(),
        page.as_os_str(),
    ];
    ends_with(&rune_bundle(arguments), 0);
    let html = fs::read_to_string(page).unwrap();
    for bad in [
        "<script", "<img", "\u{202e}", "\u{2066}", "\u{1b}", "\u{7}", "\r",
    ] {
        assert!(!html.contains(bad), "{bad:?}");
    }
    assert!(html.contains("{{ 7 * 7 }}"), "{html}");
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;\\u{202e}"),
        "{html}"
    );
}
