//! The HTML page in a real browser: it asks for nothing, fits a phone, can be read in both colour
//! schemes, and prints.

use rune_testkit::{
    browser::{Browser, Screen},
    sample::Sample,
};
use serde_json::Value;

use crate::{bundle::delta_support, bundle::diff_support::Shelf, bundle::report_page::page};

/// What can be seen of every text: the contrast of its colour with what is behind it, by the
/// formula of WCAG 2.2.
const POOR_CONTRASTS: &str = r"(() => {
  const channels = color => color.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const linear = [red, green, blue].map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim()) continue;
    const element = node.parentElement;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) poor.push(`${contrast.toFixed(2)} ${element.tagName}.${element.className} ${node.textContent.trim().slice(0, 30)}`);
  }
  return poor;
})()";

/// What is wrong with the structure that people who do not see the page rely on.
const POOR_STRUCTURE: &str = r"(() => {
  const wrong = [];
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) wrong.push(`${heading.textContent} jumps to level ${own}`);
    level = own;
  }
  if (document.querySelectorAll('h1').length !== 1 || document.querySelectorAll('main').length !== 1) wrong.push('one h1 and one main');
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption || !table.caption.textContent.trim()) wrong.push('a table without a caption');
    for (const head of table.querySelectorAll('th')) if (!head.scope) wrong.push(`th ${head.textContent} without a scope`);
  }
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id twice');
  for (const element of document.querySelectorAll('[aria-labelledby]'))
    if (!document.getElementById(element.getAttribute('aria-labelledby'))) wrong.push('a label that leads nowhere');
  return wrong;
})()";

/// A page with everything on it: two bundles that differ in many things.
fn full_page(shelf: &Shelf) -> std::path::PathBuf {
    let old = shelf.build("old.tar");
    shelf.put(&Sample {
        packages: vec![
            ("openssl", "3.0.2"),
            ("a-package-with-a-long-name", "1.2.3-r4"),
        ],
        seed: "moved".to_owned(),
        ..Sample::default()
    });
    shelf.project.put(
        "library/more",
        "2.0",
        &Sample {
            seed: "more".to_owned(),
            ..Sample::default()
        },
    );
    shelf.write_manifest(
        "[linux/amd64, linux/arm64]",
        "  - { name: more, reference: 'docker.io/library/more:2.0', license: MIT }\n",
    );
    let new = shelf.build("new.tar");
    let output = shelf.project.path("page.html");
    let key = shelf.project.path("release.pub");
    page(
        &new,
        &output,
        &[
            "--key",
            key.to_str().unwrap(),
            "--against",
            old.to_str().unwrap(),
        ],
    );
    output
}

#[test]
fn the_page_can_be_read_on_a_phone_and_a_desk_by_day_and_by_night() {
    let shelf = Shelf::new(&Sample {
        packages: vec![("openssl", "3.0.1")],
        ..Sample::default()
    });
    let file = full_page(&shelf);
    let mut browser = Browser::start();
    for screen in [Screen::PHONE, Screen::DESKTOP]
        .into_iter()
        .flat_map(|screen| [false, true].map(|is_dark| Screen { is_dark, ..screen }))
    {
        browser.show(&file, screen);
        let width = browser
            .evaluate("document.documentElement.scrollWidth")
            .as_u64()
            .unwrap();
        assert!(
            width <= screen.width.into(),
            "{screen:?}: the page is {width} wide"
        );
        let text = browser.evaluate("document.body.innerText");
        let text = text.as_str().unwrap();
        for part in [
            "shelf 0.1.0",
            "Signature good.",
            "What is not proven",
            "openssl",
            "docker.io/library/more:2.0",
            "linux/arm/v7",
        ] {
            assert!(text.contains(part), "{screen:?}: {part}: {text}");
        }
        assert_eq!(
            browser.evaluate(POOR_CONTRASTS),
            Value::Array(Vec::new()),
            "{screen:?}"
        );
        assert_eq!(browser.evaluate(POOR_STRUCTURE), Value::Array(Vec::new()));
        assert_eq!(
            browser.requests(),
            [format!("file://{}", file.display())],
            "the page asked for something"
        );
        let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(paper == "rgb(253, 252, 250)", !screen.is_dark, "{paper}");
    }
    // Whole digests, in one piece, so that they can be copied.
    let digest = browser.evaluate("document.querySelector('.big code').textContent");
    assert_eq!(digest.as_str().unwrap().len(), "sha256:".len() + 64);
    let printed = browser.print();
    assert!(printed.starts_with("JVBERi"), "no PDF");
}

#[test]
fn the_page_about_a_delta_can_be_read_on_a_phone_and_a_desk() {
    let pair = delta_support::Pair::new(&[40_000, 30_000], 300_000);
    pair.delta();
    let (delta, file) = (pair.file("delta.tar"), pair.file("page.html"));
    page(&delta, &file, &[]);
    let mut browser = Browser::start();
    for screen in [Screen::PHONE, Screen::DESKTOP] {
        browser.show(&file, screen);
        let width = browser.evaluate("document.documentElement.scrollWidth");
        assert!(width.as_u64().unwrap() <= screen.width.into(), "{width}");
        assert_eq!(
            browser.evaluate(POOR_CONTRASTS),
            Value::Array(Vec::new()),
            "{screen:?}"
        );
        assert_eq!(browser.evaluate(POOR_STRUCTURE), Value::Array(Vec::new()));
        let own = [format!("file://{}", file.display())];
        assert_eq!(browser.requests(), own, "the page asked for something");
    }
}
