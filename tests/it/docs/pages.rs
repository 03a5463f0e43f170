//! The documentation as a site, in a real browser and without a server: every page fits a phone and
//! a desk, asks for nothing elsewhere, and the search leads to what was searched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rune_testkit::browser::{Browser, Screen};

use super::markdown::documents;
use crate::bundle::{project::repository, small_bundle::ends_with};

/// The built site.
struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// Builds it as `make docs` does, with the program that the tests have built anyway.
    fn built() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_rune-bundle"))
            .parent()
            .unwrap();
        let mut command = Command::new(repository().join("tools/docs"));
        command
            .arg(programs.join("examples/command-reference"))
            .env("CARGO_TARGET_DIR", directory.path());
        let said = ends_with(&command.output().unwrap(), 0);
        assert!(said.contains(" links\n"), "{said}");
        Self { directory }
    }

    fn path(&self, page: &str) -> PathBuf {
        self.directory.path().join("docs/site").join(page)
    }

    /// Every page, as its path in the site.
    fn pages(&self) -> Vec<String> {
        let mut pages = Vec::new();
        collect(&self.path(""), &self.path(""), &mut pages);
        pages
    }
}

fn collect(root: &Path, directory: &Path, pages: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, pages);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let page = path.strip_prefix(root).unwrap().to_str().unwrap();
            // Parts of other pages, and what a server shows for none.
            if !["toc.html", "404.html", "print.html"].contains(&page) {
                pages.push(page.to_owned());
            }
        }
    }
}

#[test]
fn every_page_of_the_documentation_is_in_the_site_and_its_navigation() {
    let site = Site::built();
    let pages = site.pages();
    let navigation = fs::read_to_string(site.path("toc.html")).unwrap();
    for document in documents() {
        let page = match document.path.as_str() {
            "README.md" => "index.html".to_owned(),
            "docs/SUMMARY.md" => continue,
            path => path
                .strip_prefix("docs/")
                .unwrap()
                .replace("README.md", "index.md")
                .replace(".md", ".html"),
        };
        assert!(pages.contains(&page), "no page {page}");
        assert!(navigation.contains(&format!("href=\"{page}\"")), "{page}");
    }
    for verb in [
        "rune-bundle-lock",
        "rune-bundle-receipts",
        "rune-db-migrate",
    ] {
        let page = fs::read_to_string(site.path(&format!("reference/commands/{verb}.html")));
        assert!(page.unwrap().contains("--"), "{verb}");
    }
}

#[test]
fn no_page_scrolls_sideways_or_asks_for_anything_elsewhere() {
    let site = Site::built();
    let mut browser = Browser::start();
    let mut wide = Vec::new();
    for page in site.pages() {
        // The pages of the verbs are all of one kind, which is narrow.
        let screens: &[Screen] = if page.starts_with("reference/commands/") {
            &[Screen::PHONE]
        } else {
            &[Screen::PHONE, Screen::DESKTOP]
        };
        for screen in screens {
            browser.show(&site.path(&page), *screen);
            let width = browser.evaluate("document.documentElement.scrollWidth");
            if width.as_u64().unwrap() > u64::from(screen.width) {
                wide.push(format!("{page} is {width} wide on {}", screen.width));
            }
            let elsewhere = browser
                .requests()
                .iter()
                .find(|address| !address.starts_with("file://") && !address.starts_with("data:"));
            assert_eq!(elsewhere, None, "{page}");
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// Types a word into the search, and gives the address of the first hit when there is one.
const SEARCH: &str = r"new Promise(resolve => {
  const results = document.querySelector('#mdbook-searchresults, #searchresults');
  const first = () => {
    const link = results.querySelector('a');
    if (link) resolve(link.href);
    return link;
  };
  new MutationObserver(first).observe(results, { childList: true, subtree: true });
  document.querySelector('#mdbook-search-toggle, #search-toggle').click();
  const bar = document.querySelector('#mdbook-searchbar, #searchbar');
  bar.value = 'WORD';
  bar.dispatchEvent(new Event('input', { bubbles: true }));
  bar.dispatchEvent(new KeyboardEvent('keyup', { bubbles: true }));
  first();
})";

#[test]
fn a_word_is_searched_and_its_first_hit_has_it_on_both_screens() {
    let site = Site::built();
    let mut browser = Browser::start();
    for screen in [Screen::PHONE, Screen::DESKTOP]
        .into_iter()
        .flat_map(|screen| [false, true].map(|is_dark| Screen { is_dark, ..screen }))
    {
        for word in ["threshold", "checkValues", "argocd-tls-certs-cm"] {
            browser.show(&site.path("index.html"), screen);
            let hit = browser.evaluate(&SEARCH.replace("WORD", word));
            let hit = hit.as_str().unwrap().to_owned();
            assert!(!hit.contains("index.html"), "{word}: {hit}");
            browser.open(&hit, screen);
            let text = browser.evaluate("document.querySelector('main').innerText");
            assert!(
                text.as_str()
                    .unwrap()
                    .to_lowercase()
                    .contains(&word.to_lowercase()),
                "{hit} lacks {word}"
            );
            let width = browser.evaluate("document.documentElement.scrollWidth");
            assert!(width.as_u64().unwrap() <= u64::from(screen.width), "{hit}");
        }
        let paper = browser.evaluate("getComputedStyle(document.documentElement).colorScheme");
        assert_eq!(paper == "dark", screen.is_dark, "{paper}");
    }
}
