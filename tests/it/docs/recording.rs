//! `docs/images/recording.svg`: what the README shows is what the programs print.
//!
//! `RUNE_RECORD=1 cargo nextest run --all-features recording` writes the picture anew from a run.

use std::fs;

use super::sandbox::Sandbox;
use crate::bundle::{project::repository, small_bundle::ends_with};

const PICTURE: &str = "docs/images/recording.svg";

/// What is typed.
const COMMANDS: [&str; 4] = [
    "rune-bundle init --chart shop --name shop-bundle",
    "rune-bundle lock shop-bundle/bundle-manifests/shop-bundle.yaml",
    "rune-bundle build shop-bundle/bundle-manifests/shop-bundle.yaml --key release.key",
    "rune-bundle verify shop-bundle-1.2.0.bundle.tar --key release.pub",
];

const COLUMNS: usize = 100;
const ROW: usize = 19;
const MARGIN: usize = 16;
/// How long each step is in the light, in seconds.
const STEP: usize = 3;

/// What is typed and printed, step by step.
fn steps() -> Vec<Vec<String>> {
    let sandbox = Sandbox::clone().with_a_shop().with_a_chart_of_a_shop();
    let keygen = ["keygen", "--out", "release"];
    let made = sandbox.command("rune-bundle").args(keygen).output();
    ends_with(&made.unwrap(), 0);
    COMMANDS
        .iter()
        .map(|command| {
            let output = sandbox.command("sh").args(["-c", command]).output();
            let said = ends_with(&output.unwrap(), 0);
            let typed = format!("$ {command}");
            std::iter::once(typed.as_str())
                .chain(said.lines())
                .map(shown)
                .collect()
        })
        .collect()
}

/// A line in the width of the picture.
fn shown(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    let kept: String = line.chars().take(COLUMNS - 1).collect();
    format!("{kept}…")
}

/// The lines without what differs from run to run: digests, fingerprints and how long it took.
fn comparable(lines: &[String]) -> Vec<String> {
    let digits =
        regex::Regex::new(r"[0-9a-f]{8,}|[0-9a-f]*…$|[0-9]+(\.[0-9]+)?( ?(ms|s|[kM]?B/s))\b")
            .unwrap();
    lines
        .iter()
        .map(|line| digits.replace_all(line, "#").into_owned())
        .collect()
}

/// Every line is there without animation; one step after the other comes into the light.
fn picture(steps: &[Vec<String>]) -> String {
    let rows: usize = steps.iter().map(|step| step.len() + 1).sum::<usize>() - 1;
    let (width, height) = (COLUMNS * 8 + 2 * MARGIN, rows * ROW + 2 * MARGIN);
    let seconds = (steps.len() + 1) * STEP;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>A session: init, lock, build, verify</title>\n<style>\n\
         .paper {{ fill: #16191d; }}\n\
         text {{ fill: #d5dae0; font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; }}\n\
         .typed {{ fill: #7ee2b8; font-weight: 600; }}\n"
    );
    for number in 0..steps.len() {
        let (from, to) = (
            number * STEP * 100 / seconds,
            (number + 1) * STEP * 100 / seconds,
        );
        let last = steps.len() * STEP * 100 / seconds;
        let before = if from == 0 {
            String::new()
        } else {
            format!("0%, {}% {{ opacity: 0.55; }} ", from - 1)
        };
        let after = if to == last {
            String::new()
        } else {
            format!("{}%, {last}% {{ opacity: 0.55; }} ", to + 1)
        };
        text.push_str(&format!(
            "@keyframes step{number} {{ {before}{from}%, {to}% {{ opacity: 1; }} {after}{}%, 99% {{ opacity: 1; }} }}\n\
             .step{number} {{ animation: step{number} {seconds}s linear infinite; }}\n",
            last + 1,
        ));
    }
    text.push_str(
        "@media (prefers-reduced-motion: reduce) { g { animation: none !important; } }\n</style>\n",
    );
    text.push_str(&format!(
        "<rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n"
    ));
    let mut row = 0;
    for (number, step) in steps.iter().enumerate() {
        text.push_str(&format!("<g class=\"step{number}\">\n"));
        for line in step {
            let class = if line.starts_with("$ ") {
                " class=\"typed\""
            } else {
                ""
            };
            let y = MARGIN + row * ROW + 13;
            text.push_str(&format!(
                "<text{class} x=\"{MARGIN}\" y=\"{y}\">{}</text>\n",
                line.replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;")
            ));
            row += 1;
        }
        text.push_str("</g>\n");
        row += 1;
    }
    text.push_str("</svg>\n");
    text
}

/// The lines of text in a picture.
fn lines(picture: &str) -> Vec<String> {
    picture
        .lines()
        .filter(|line| line.starts_with("<text"))
        .map(|line| {
            let text = line
                .split_once('>')
                .unwrap()
                .1
                .strip_suffix("</text>")
                .unwrap();
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .collect()
}

#[test]
fn the_recording_of_the_readme_has_the_text_of_a_fresh_run() {
    let steps = steps();
    let path = repository().join(PICTURE);
    if std::env::var_os("RUNE_RECORD").is_some() {
        fs::write(&path, picture(&steps)).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap();
    assert_eq!(comparable(&lines(&kept)), comparable(&steps.concat()));
    assert!(kept.len() < 200_000, "{} bytes", kept.len());
}
