//! The HTML page about a bundle: what is in it, what is said about trust, and that it stands alone.

use std::{fs, path::Path};

use rune_testkit::sample::Sample;
use serde_json::Value;

use crate::{
    bundle::diff_support::{Pair, Shelf},
    bundle::evidence_support::Shop,
    bundle::project::{Project, sha256},
    bundle::small_bundle::{ends_with, index_of, rune_bundle},
};

/// Makes the page.
pub(crate) fn page(bundle: &Path, output: &Path, options: &[&str]) -> String {
    let arguments = [
        "report".as_ref(),
        bundle.as_os_str(),
        "--output".as_ref(),
        output.as_os_str(),
    ];
    ends_with(
        &rune_bundle(
            arguments
                .into_iter()
                .chain(options.iter().map(AsRef::as_ref)),
        ),
        0,
    );
    fs::read_to_string(output).unwrap()
}

/// The text of the page, with single spaces.
fn text(html: &str) -> String {
    let body = html.split("<body>").nth(1).unwrap();
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
        text.push(' ');
    }
    let text = [
        ("&#x2f;", "/"),
        ("&#x27;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text, |text, (written, meant)| text.replace(written, meant));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_says_what_is_in_the_bundle() {
    let project = Project::new();
    project.lock();
    let bundle = project.build("rune.tar");
    let key = project.path("release.pub");
    let html = page(
        &bundle,
        &project.path("rune.html"),
        &["--key", key.to_str().unwrap()],
    );
    let (text, index) = (text(&html), index_of(&bundle));
    assert!(
        text.contains("Signature good. The bundle index is signed by"),
        "{text}"
    );
    for image in &index.images {
        assert!(
            text.contains(&image.reference.to_string())
                && text.contains(&image.target.digest.to_string()),
            "{image:?}: {text}"
        );
    }
    for chart in &index.charts {
        assert!(
            text.contains(&format!("{} {} {}", chart.name, chart.version, chart.path)),
            "{text}"
        );
    }
    for path in index
        .migrations
        .unwrap()
        .files
        .iter()
        .map(|file| &file.path)
    {
        assert!(text.contains(path.as_str()), "{text}");
    }
    for profile in &index.profiles {
        assert!(
            text.contains(&format!("{} {}", profile.name, profile.values[0])),
            "{text}"
        );
    }
    assert!(
        text.contains("linux/arm64/v8") && text.contains("bin/linux-amd64/rune-db"),
        "{text}"
    );
    assert!(
        text.contains("Which packages are inside is not known for postgres"),
        "{text}"
    );
    assert!(!text.contains("What changes"), "{text}");
}

#[test]
fn what_changes_is_on_the_page_when_there_is_something_to_compare_with() {
    let packages = |version| vec![("openssl", version)];
    let shelf = Shelf::new(&Sample {
        packages: packages("3.0.1"),
        ..Sample::default()
    });
    let old = shelf.build("old.tar");
    shelf.put(&Sample {
        packages: packages("3.0.2"),
        seed: "moved".to_owned(),
        ..Sample::default()
    });
    let new = shelf.build("new.tar");
    let html = page(
        &new,
        &shelf.project.path("new.html"),
        &["--against", old.to_str().unwrap()],
    );
    let text = text(&html);
    assert!(text.contains("openssl 3.0.1 3.0.2"), "{text}");
    assert!(
        text.contains("Layers: 6 new") && text.contains("linux/amd64 with package list"),
        "{text}"
    );
    let same = text_of_same(&shelf, &new);
    assert!(same.contains("Nothing. Both are the same bundle"), "{same}");
}

fn text_of_same(shelf: &Shelf, bundle: &Path) -> String {
    text(&page(
        bundle,
        &shelf.project.path("same.html"),
        &["--against", bundle.to_str().unwrap()],
    ))
}

#[test]
fn a_page_about_an_unverified_bundle_says_so_first() {
    let pair = Pair::new(|_| ());
    let html = page(&pair.new, &pair.scratch.path("page.html"), &[]);
    assert!(html.contains("<title>small 1.2.3 (unverified)"), "{html}");
    let text = text(&html);
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("Unverified.") < at("Bundle digest") && at("not checked; it only claims") > 0);
}

#[test]
fn without_a_key_the_page_says_what_is_missing_and_with_a_digest_that_no_signer_was_checked() {
    let pair = Pair::new(|_| ());
    let options =
        |name: &str, options: &[&str]| text(&page(&pair.new, &pair.scratch.path(name), options));
    let seen = options("none.html", &[]);
    assert!(
        seen.contains("The trust file or public key of the publisher is missing")
            && seen.contains("--trust FILE or --key FILE"),
        "{seen}"
    );
    let index = index_of(&pair.new).to_bytes().unwrap();
    let digest = rune_testkit::sha256(&index);
    let seen = options("digest.html", &["--bundle-digest", &digest]);
    assert!(seen.contains("Who signed it was not checked"), "{seen}");
}

#[test]
fn with_a_trust_file_the_page_names_who_signed_who_did_not_and_how_many_must() {
    let shop = Shop::new(true);
    shop.project.lock();
    shop.project.build("shop.tar");
    let keys = "{ name: release-team, file: release.pub }, { name: security, file: signer.pub }";
    let seen = |keys: &str, name: &str| {
        let trust =
            format!("apiVersion: rune-bundle/v1\nkind: Trust\nthreshold: 1\nkeys: [{keys}]\n");
        fs::write(shop.project.path("trust.yaml"), trust).unwrap();
        let report = [
            "report",
            "shop.tar",
            "--trust",
            "trust.yaml",
            "--output",
            name,
        ];
        ends_with(&shop.project.run(&report), 0);
        text(&fs::read_to_string(shop.project.path(name)).unwrap())
    };
    let missing = shop.key.public_key().fingerprint().grouped();
    let two = seen(keys, "two.html");
    for part in [
        "The bundle index is signed by release-team sha256:".to_owned(),
        format!("1 of 2 trusted signers have signed, and 1 must. Missing: security {missing}"),
        format!("security {missing} trusted, and has not signed"),
    ] {
        assert!(two.contains(&part), "{part}: {two}");
    }
    let (one, _) = keys.split_once(", {").unwrap();
    let alone = seen(one, "one.html");
    assert!(!alone.contains("Missing:"), "{alone}");
}

#[test]
fn the_same_bundle_gives_the_same_page_wherever_it_lies() {
    let pair = Pair::new(|made| made.version = "2.0.0".parse().unwrap());
    let against = pair.old.to_str().unwrap();
    let first = page(
        &pair.new,
        &pair.scratch.path("first.html"),
        &["--against", against],
    );
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(&pair.new, elsewhere.path().join("b")).unwrap();
    let again = page(
        &elsewhere.path().join("b"),
        &elsewhere.path().join("page"),
        &["--against", against],
    );
    assert_eq!(first, again);
    assert!(
        !first.contains(elsewhere.path().to_str().unwrap())
            && !first.contains(pair.old.parent().unwrap().to_str().unwrap())
    );
}

#[test]
fn the_page_stands_alone() {
    let pair = Pair::new(|made| made.version = "2.0.0".parse().unwrap());
    let html = page(
        &pair.new,
        &pair.scratch.path("page.html"),
        &["--against", pair.old.to_str().unwrap()],
    );
    for outside in [
        "<script",
        "<link",
        "<img",
        "<iframe",
        "src=",
        "url(",
        "@import",
        "://",
        "javascript:",
        "style=",
        "onload",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    // Links lead to other places of the page.
    assert_eq!(
        html.matches("href=").count(),
        html.matches("href=\"#").count()
    );
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'"));
}

#[test]
fn a_file_that_exists_is_left_as_it_is() {
    let pair = Pair::new(|_| ());
    let before = sha256(&pair.new);
    for output in [&pair.new, &pair.old] {
        let arguments = [
            "report".as_ref(),
            pair.new.as_os_str(),
            "-o".as_ref(),
            output.as_os_str(),
        ];
        ends_with(&rune_bundle(arguments), 12);
    }
    assert_eq!(sha256(&pair.new), before);
}

#[test]
fn the_report_of_the_verb_names_the_page_and_what_it_is_about() {
    let pair = Pair::new(|made| made.version = "2.0.0".parse().unwrap());
    let output = pair.scratch.path("page.html");
    let arguments = [
        "report".as_ref(),
        pair.new.as_os_str(),
        "-o".as_ref(),
        output.as_os_str(),
        "--json".as_ref(),
    ];
    let said = rune_bundle(arguments);
    ends_with(&said, 0);
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["bytes"], fs::metadata(&output).unwrap().len());
    assert_eq!(
        (&report["version"], &report["verified"], &report["against"]),
        (&"2.0.0".into(), &false.into(), &Value::Null)
    );
}

#[test]
fn what_needs_attention_comes_first_and_leads_to_its_section() {
    let shop = Shop::new(true);
    shop.policy(
        "sboms: [{ match: '**' }]\nwaivers: [{ rule: sboms, match: '**', reason: asked for, until: 0.2.0 }]\n",
    );
    shop.project.lock();
    shop.project.build("shop.tar");
    let html = shop.project.report_page();
    let (seen, place) = (text(&html), |part: &str| html.find(part).unwrap());
    assert!(
        place("Needs your attention") < place("Bundle digest"),
        "{seen}"
    );
    for point in [
        "1 waiver of the policy",
        "1 image without an SBOM of every platform",
    ] {
        assert!(seen.contains(point), "{point}: {seen}");
    }
    let links: Vec<&str> = html
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0)
        .collect();
    assert!(
        links.contains(&"policy") && links.contains(&"images"),
        "{links:?}"
    );
    for link in links {
        assert!(html.contains(&format!("id=\"{link}\"")), "{link}");
    }
    assert!(seen.contains("image shop sboms asked for"), "{seen}");
    // On paper: which bundle each page is about, and room for the decision.
    assert!(
        html.contains(&format!("content: \"{}\"", index_digest(&shop))),
        "{html}"
    );
    assert!(
        seen.contains("Decision Decision Name Date Signature"),
        "{seen}"
    );
}

/// The digest of `bundle.json`, as tar and SHA-256 have it.
fn index_digest(shop: &Shop) -> String {
    rune_testkit::sha256(shop.entry("bundle.json").as_bytes())
}

#[test]
fn without_a_name_the_page_is_called_like_the_bundle_and_nothing_is_overwritten() {
    let shop = Shop::new(true);
    shop.project.lock();
    shop.project.build("shop.tar");
    let report = ["report", "shop.tar", "--key", "release.pub"];
    ends_with(&shop.project.run(&report), 0);
    assert!(shop.project.path("shop-0.1.0.html").is_file());
    ends_with(&shop.project.run(&report), 12);
}
