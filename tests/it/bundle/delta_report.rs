//! The HTML page about a delta, as Python's `html.parser` reads it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rune_bundle::bundle::Ingredients;
use rune_testkit::sha256;
use serde_json::{Value, json};

use crate::bundle::{
    delta_hostile::header,
    delta_support::Pair,
    diff_support,
    small_bundle::{ends_with, entries_of, index_of},
};

/// The rows of the table in each section, the text of each section, and all tags.
const READ_PAGE: &str = r#"
import html.parser, json, sys
class Page(html.parser.HTMLParser):
    VOID = {"meta", "br"}
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.section, self.tags = [], "", []
        self.rows, self.text = {}, {}
    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "section": self.section = dict(attributes)["aria-labelledby"]
        if tag == "tr": self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"): self.rows[self.section][-1].append("")
        if tag not in self.VOID: self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.open)
        if tag == "section": self.section = ""
    def handle_data(self, data):
        if "style" in self.open: return
        if "td" in self.open or "th" in self.open: self.rows[self.section][-1][-1] += data
        self.text[self.section] = self.text.get(self.section, "") + " " + data
page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
page.close()
assert not page.open, page.open
spaced = lambda text: " ".join(text.split())
rows = {name: [[spaced(cell) for cell in row] for row in rows] for name, rows in page.rows.items()}
text = {name: spaced(text) for name, text in page.text.items()}
print(json.dumps({"rows": rows, "text": text, "tags": page.tags}))
"#;

/// Names and sizes of the entries of a bundle whose contents a delta does not have.
const NEEDED: &str = r"
import hashlib, json, sys, tarfile
def entries(path):
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member).read()
            yield member.name, len(content), hashlib.sha256(content).hexdigest()
there = {digest for _, _, digest in entries(sys.argv[1])}
print(json.dumps([[n, s] for n, s, digest in entries(sys.argv[2]) if digest not in there]))
";

fn python(script: &str, arguments: &[&Path]) -> Value {
    let mut command = Command::new("python3");
    let output = command.args(["-c", script]).args(arguments).output();
    serde_json::from_str(&ends_with(&output.unwrap(), 0)).unwrap()
}

/// A page, as Python reads it.
struct Page(Value);

impl Page {
    fn read(path: &Path) -> Self {
        Self(python(READ_PAGE, &[path]))
    }

    fn text(&self, section: &str) -> &str {
        self.0["text"][section].as_str().unwrap()
    }

    /// What, name and size of each entry that is needed.
    fn needed(&self) -> Vec<[String; 3]> {
        let rows = self.0["rows"]["delta"].as_array().unwrap().iter().skip(1);
        rows.map(|row| serde_json::from_value(row.clone()).unwrap())
            .collect()
    }

    fn needed_names(&self) -> Vec<String> {
        self.needed().into_iter().map(|[_, name, _]| name).collect()
    }
}

fn report(pair: &Pair, delta: &str, output: &str) -> Page {
    let output = pair.file(output);
    let output = output.to_str().unwrap();
    pair.run(&["report", delta, "-o", output], 0);
    Page::read(Path::new(output))
}

fn pair() -> Pair {
    let pair = Pair::new(&[40_000, 30_000], 300_000);
    pair.delta();
    pair
}

#[test]
fn the_page_about_a_delta_has_each_needed_entry_and_what_it_is() {
    let pair = pair();
    let page = report(&pair, "delta.tar", "page.html");
    let needed = python(NEEDED, &[&pair.file("delta.tar"), &pair.file("new.tar")]);
    let needed: Vec<(String, u64)> = serde_json::from_value(needed).unwrap();
    let names: Vec<&String> = needed.iter().map(|(name, _)| name).collect();
    assert_eq!(page.needed_names().iter().collect::<Vec<_>>(), names);

    let index = index_of(&pair.file("new.tar"));
    let image = index.images[0].reference.to_string();
    let chart = &index.charts[0];
    let what = |wanted: &str| {
        let rows = page.needed();
        let found = rows.iter().find(|[_, name, _]| name == wanted);
        found.map(|[what, _, size]| format!("{what}, {size}"))
    };
    let named = |size: u64| &needed.iter().find(|entry| entry.1 == size).unwrap().0;
    let layer_of = |size: &str| Some(format!("layer of image {image}, {size}"));
    assert_eq!(what(named(40_000)), layer_of("40.0 kB"));
    assert_eq!(what(named(30_000)), layer_of("30.0 kB"));
    let size = needed.iter().find(|entry| entry.0 == chart.path.as_str());
    let packed = what(chart.path.as_str()).unwrap();
    assert!(size.is_some(), "{needed:?}");
    let beginning = format!("chart {} {}, ", chart.name, chart.version);
    assert!(packed.starts_with(&beginning), "{packed}");
    let entries = index.entries.iter();
    let mut packed = entries.filter(|entry| entry.path == chart.path);
    let blob = format!("blobs/sha256/{}", packed.next().unwrap().sha256.hex());
    assert!(what(&blob).unwrap().starts_with(&beginning));
    let manifest = format!("blobs/sha256/{}", chart.artifact.digest.hex());
    assert!(what(&manifest).unwrap().starts_with("manifest of chart "));
    assert!(
        what("values/lab.yaml")
            .unwrap()
            .starts_with("values of profile lab, ")
    );
    assert!(
        what("migrations/0001_x.sql")
            .unwrap()
            .starts_with("migration 1, ")
    );
}

#[test]
fn the_page_about_a_delta_says_of_what_it_is_and_how_to_create_the_bundle() {
    let pair = pair();
    let page = report(&pair, "delta.tar", "page.html");
    let all = page.text("");
    assert!(
        all.contains("Delta report small 1.3.0 Signature good."),
        "{all}"
    );
    assert!(all.contains("A part of the bundle is elsewhere: "), "{all}");
    let found = &entries_of(&pair.file("new.tar"))[0];
    let at = usize::try_from(found.content).unwrap();
    let end = at + usize::try_from(found.size).unwrap();
    let digest = sha256(&pair.bytes("new.tar")[at..end]).replace("sha256:", "");
    let identity = page.text("identity").replace(' ', "");
    assert!(identity.contains(&format!("sha256:{digest}")), "{identity}");

    let delta = page.text("delta");
    let inspected = pair.run(&["inspect", "delta.tar"], 0);
    let lines: Vec<&str> = inspected.lines().collect();
    for (field, beginning) in [
        ("included", "Included "),
        ("needed", "Needed from elsewhere "),
    ] {
        let line = lines.iter().find(|line| line.starts_with(field)).unwrap();
        let tally = line[field.len()..]
            .trim()
            .trim_end_matches(", from elsewhere");
        assert!(
            delta.contains(&format!("{beginning}{tally}")),
            "{tally}: {delta}"
        );
    }
    let base = lines.iter().find(|line| line.starts_with("base ")).unwrap();
    let base = base["base".len()..]
        .trim()
        .trim_end_matches(", as the delta claims");
    assert!(
        delta.contains(&format!("Bases, as the delta claims: {base}")),
        "{delta}"
    );
    let command = "rune-bundle apply DELTA --from BASE --key KEY --output FILE";
    assert!(delta.contains(command), "{delta}");
    assert!(delta.contains("are left out below: the page about the whole bundle has them"));
    // What the bundle index says is on the page, as on the one about the bundle.
    let whole = report(&pair, "new.tar", "whole.html");
    for section in ["charts", "database", "policy"] {
        assert_eq!(page.text(section), whole.text(section));
    }
    assert!(whole.0["rows"]["delta"].is_null() && !whole.text("glance").contains("delta"));
}

#[test]
fn the_page_about_volumes_of_a_delta_has_the_same_entries_and_says_how_many_volumes() {
    let pair = pair();
    let head = entries_of(&pair.file("delta.tar"))[10].header;
    let size = (4096 + head + 64 * 1024).to_string();
    let delta = ["delta", "--base", "old.tar", "new.tar", "-o", "v.tar"];
    pair.run(&[&delta[..], &["--volume-size", &size]].concat(), 0);
    let names = pair.scratch.names();
    let volumes: Vec<&String> = names
        .iter()
        .filter(|name| name.contains(".volume-"))
        .collect();
    assert!(volumes.len() > 3, "{names:?}");
    let elsewhere = pair.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for volume in volumes.iter().skip(2) {
        fs::rename(pair.file(volume), Path::new(&elsewhere).join(volume)).unwrap();
    }
    let (volume, output) = (pair.path(volumes[1]), pair.path("volumes.html"));
    let said = pair.run(&["report", &volume, "-o", &output], 4);
    assert!(said.contains("are missing"), "{said}");
    assert!(!Path::new(&output).exists());
    pair.run(&["report", &volume, "--part", &elsewhere, "-o", &output], 0);
    let page = Page::read(Path::new(&output));
    let whole = report(&pair, "delta.tar", "page.html");
    assert_eq!(page.needed(), whole.needed());
    let (glance, count) = (page.text("glance"), volumes.len());
    assert!(
        glance.contains(&format!("Volumes of the delta {count}, of at most ")),
        "{glance}"
    );
    assert!(!whole.text("glance").contains("Volumes"));
}

#[test]
fn a_delta_cannot_be_compared_and_apply_is_named() {
    let pair = pair();
    let output = pair.path("page.html");
    for (bundle, against) in [("delta.tar", "old.tar"), ("new.tar", "delta.tar")] {
        let arguments = ["report", bundle, "--against", against, "-o", &output];
        let said = pair.run(&arguments, 2);
        assert!(
            said.contains("delta.tar` is a delta, and --against compares whole bundles")
                && said.contains("help: create the bundle with `rune-bundle apply DELTA --from"),
            "{said}"
        );
        assert!(!Path::new(&output).exists());
    }
}

#[test]
fn without_a_key_the_page_about_a_delta_is_unverified_and_with_another_there_is_none() {
    let pair = pair();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command
        .args(["report", "delta.tar"])
        .current_dir(pair.file("."));
    let said = ends_with(&command.output().unwrap(), 0);
    assert!(
        said.starts_with("UNVERIFIED: ")
            && said
                .contains("wrote the page about the delta of small 1.3.0 to `small-1.3.0.delta."),
        "{said}"
    );
    let page = Page::read(&pair.file("small-1.3.0.delta.html"));
    let all = page.text("");
    assert!(
        all.contains("small 1.3.0 (unverified) – delta report")
            && all.contains("Delta report small 1.3.0 Unverified."),
        "{all}"
    );
    let output = pair.path("other.html");
    let arguments = [
        "report",
        "delta.tar",
        "--bundle-digest",
        OTHER_DIGEST,
        "-o",
        &output,
    ];
    pair.run_alone(&arguments, 7);
    assert!(!Path::new(&output).exists());
}

const OTHER_DIGEST: &str =
    "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn the_report_of_the_verb_has_what_a_delta_needs() {
    let pair = pair();
    let output = pair.path("page.html");
    let said = pair.run(&["report", "delta.tar", "-o", &output, "--json"], 0);
    let report: Value = serde_json::from_str(&said).unwrap();
    let needed = python(NEEDED, &[&pair.file("delta.tar"), &pair.file("new.tar")]);
    let needed: Vec<(String, u64)> = serde_json::from_value(needed).unwrap();
    let bytes: u64 = needed.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(
        report["needed"],
        json!({"count": needed.len(), "bytes": bytes})
    );
    assert_eq!(
        (&report["verified"], &report["against"]),
        (&true.into(), &Value::Null)
    );
}

#[test]
fn a_delta_that_has_everything_says_so() {
    let pair = Pair::new(&[4000], 3000);
    let nothing = r#"{"bases":[],"digests":[],"format":1}"#;
    fs::write(pair.file("have.json"), nothing).unwrap();
    let delta = ["delta", "--have", "have.json", "new.tar", "-o", "delta.tar"];
    pair.run(&delta, 0);
    let page = report(&pair, "delta.tar", "page.html");
    let delta = page.text("delta");
    assert!(
        delta.contains("The delta has every entry.") && !delta.contains("--from"),
        "{delta}"
    );
    assert!(page.0["rows"]["delta"].is_null());
}

/// Texts that want to be something else than text.
fn deceive(made: &mut Ingredients) {
    made.name = String::from("../evil\u{202e}");
    made.profiles[0].name = String::from("</th><script>alert(1)</script>\u{202e}");
}

/// A delta without an entry of a bundle, made for this base.
fn forged(bundle: &Path, base: &str) -> Vec<u8> {
    let (bytes, found) = (fs::read(bundle).unwrap(), entries_of(bundle));
    let at = |position: u64| usize::try_from(position).unwrap();
    let index = &bytes[at(found[0].content)..at(found[0].content + found[0].size)];
    let digest = sha256(index).replace("sha256:", "");
    let record = json!({
        "format": 1, "bundle": format!("sha256:{digest}"), "bases": [{"name": base}], "entries": [],
    });
    let text = record.to_string();
    let mut delta = header("delta.json", text.len()).to_vec();
    delta.extend(text.as_bytes());
    delta.resize(512 + text.len().next_multiple_of(512), 0);
    delta.extend(&bytes[..at(found[9].header)]);
    delta.extend([0; 1024]);
    delta
}

#[test]
fn hostile_names_in_a_delta_are_shown_as_texts_and_lead_to_no_other_directory() {
    let made = diff_support::Pair::new(deceive);
    let base = "<img src=x onerror=alert(1)>\u{1b}[2J\u{2066} {{ 7 * 7 }}";
    let directory: PathBuf = made.scratch.path("here");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("delta.tar"), forged(&made.new, base)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    command
        .args(["report", "delta.tar"])
        .current_dir(&directory);
    ends_with(&command.output().unwrap(), 0);
    let written = fs::read_dir(&directory).unwrap();
    let pages: Vec<PathBuf> = written
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "html")
        })
        .collect();
    let [path] = pages.as_slice() else {
        panic!("{pages:?}");
    };
    let html = fs::read_to_string(path).unwrap();
    for bad in ["<script", "<img", "\u{202e}", "\u{2066}", "\u{1b}"] {
        assert!(!html.contains(bad), "{bad:?}");
    }
    let page = Page::read(path);
    let tags = page.0["tags"].as_array().unwrap();
    assert!(tags.iter().all(|tag| tag != "script" && tag != "img"));
    let delta = page.text("delta");
    assert!(
        delta.contains(r"<img src=x onerror=alert(1)>\u{1b}[2J\u{2066} {{ 7 * 7 }}")
            && delta.contains(r"values of profile </th><script>alert(1)</script>\u{202e}"),
        "{delta}"
    );
    let names: Vec<String> = index_of(&made.new)
        .entries
        .iter()
        .map(|entry| entry.path.to_string())
        .collect();
    assert_eq!(page.needed_names(), names);
}
