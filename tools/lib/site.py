"""Lays out the pages of the documentation for mdBook, and checks the links of the built site.

Usage: site.py stage REPOSITORY PAGES     copies the pages; paths of the repository become paths of the site
       site.py check SITE                 every link of every page leads to a page and a heading

The README is the first page, and the other documents of the repository's root are pages as well. A link to a file that is no page, such
as a source file, becomes its name. The pages of the verbs are already in PAGES/reference/commands/ and are added to the navigation.
"""

import html.parser
import pathlib
import posixpath
import re
import sys
import urllib.parse

# Pages outside docs/, and what they are called in the site.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "tools/README.md": "test-tools.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~)")


def page_of(path):
    """The name in the site of a file of the repository; None if it is no part of the site."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    if path.startswith("schemas/"):
        return f"reference/{path}"
    if not path.startswith("docs/"):
        return None
    # mdBook calls a README index.html and leaves links to it alone.
    return re.sub(r"(^|/)README\.md$", r"\1index.md", path.removeprefix("docs/"))


def relinked(text, source, page, repository):
    def link(match):
        mark, label, target = match.groups()
        if "://" in target or target.startswith(("#", "mailto:")):
            return match.group(0)
        path, _, anchor = target.partition("#")
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not (repository / found).exists():
            sys.exit(f"{source}: nothing at `{target}`")
        there = page_of(found)
        if there is None or not (repository / found).is_file():
            return label
        there = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{mark}[{label}]({there}{'#' + anchor if anchor else ''})"

    lines, code = [], False
    for line in text.split("\n"):
        code ^= bool(FENCE.match(line))
        lines.append(line if code else LINK.sub(link, line))
    return "\n".join(lines)


def stage(repository, pages):
    found = [path for folder in ("docs", "schemas") for path in sorted((repository / folder).rglob("*")) if path.is_file()]
    sources = [str(path.relative_to(repository)) for path in found]
    for source in [*OUTSIDE, *sources]:
        if source in ("docs/book.toml", "docs/site.css"):
            continue
        page = page_of(source)
        target = pages / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if not source.endswith(".md"):
            target.write_bytes((repository / source).read_bytes())
            continue
        text = relinked((repository / source).read_text(encoding="utf-8"), source, page, repository)
        if page == "SUMMARY.md":
            text = with_commands(text, pages)
        target.write_text(text, encoding="utf-8")


def with_commands(summary, pages):
    """Adds the generated pages below the page about commands."""
    entry = "- [Commands](reference/commands.md)\n"
    if entry not in summary:
        sys.exit(f"docs/SUMMARY.md has no line `{entry.strip()}`")
    below = ""
    for tool in ("rune-bundle", "rune-db"):
        below += f"  - [{tool}](reference/commands/{tool}.md)\n"
        for path in sorted((pages / "reference/commands").glob(f"{tool}-*.md")):
            below += f"    - [{path.stem.removeprefix(tool + '-')}](reference/commands/{path.name})\n"
    return summary.replace(entry, entry + below)


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.targets = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src") and value and not (tag == "link" and ("rel", "preconnect") in attributes):
                self.targets.append(value)


def check(site):
    paths = [path for path in sorted(site.rglob("*.html")) if path.name not in ("toc.html", "print.html", "404.html")]
    pages = {path: Page(path) for path in paths}
    wrong, links = [], 0
    for path, page in pages.items():
        for target in page.targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            links += 1
            found = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchor = urllib.parse.unquote(parts.fragment)
            if not found.is_file():
                wrong.append(f"{path.relative_to(site)}: nothing at `{target}`")
            elif anchor and found in pages and anchor not in pages[found].ids:
                wrong.append(f"{path.relative_to(site)}: no heading for `{target}`")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(pages)} pages, {links} links")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stage", repository, pages]:
            stage(pathlib.Path(repository).resolve(), pathlib.Path(pages))
        case ["check", site]:
            check(pathlib.Path(site).resolve())
        case _:
            sys.exit(__doc__)
