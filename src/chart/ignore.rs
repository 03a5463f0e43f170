//! `.helmignore`: which files stay out of a packaged chart.
//!
//! The part of Helm's rules that charts use: names, `*` and `?`, a leading or inner `/` for a path from the root, a trailing `/` for a
//! directory, comments. Helm's negation does not mean what git's does, and `**` it refuses itself; both are refused here.

use camino::Utf8Path;

use super::ChartError;

/// The rules of one chart.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: String,
    directory_only: bool,
    from_root: bool,
}

impl Rules {
    /// Reads the rules.
    ///
    /// # Errors
    /// When a pattern is of a kind that is not supported.
    pub(super) fn parse(text: &str) -> Result<Self, ChartError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let pattern = line.trim();
            if pattern.is_empty() || pattern.starts_with('#') {
                continue;
            }
            if pattern.starts_with('!') || pattern.contains("**") || pattern.contains(['[', '\\']) {
                return Err(ChartError::IgnorePattern { line: index + 1, pattern: pattern.to_owned() });
            }
            let trimmed = pattern.trim_end_matches('/');
            rules.push(Rule {
                directory_only: trimmed.len() < pattern.len(),
                from_root: trimmed.contains('/'),
                pattern: trimmed.trim_start_matches('/').to_owned(),
            });
        }
        Ok(Self(rules))
    }

    /// Whether a file stays out: it, or a directory above it, is matched; hidden files in `templates/` always stay out, as in Helm.
    pub(super) fn ignores(&self, path: &Utf8Path) -> bool {
        let hidden_template =
            path.parent().is_some_and(|parent| parent == "templates") && path.file_name().is_some_and(|name| name.starts_with('.'));
        hidden_template
            || path
                .ancestors()
                .filter(|part| !part.as_str().is_empty())
                .any(|part| self.0.iter().any(|rule| rule.matches(part, part != path)))
    }
}

impl Rule {
    fn matches(&self, path: &Utf8Path, is_directory: bool) -> bool {
        let text = if self.from_root { Some(path.as_str()) } else { path.file_name() };
        (is_directory || !self.directory_only) && text.is_some_and(|text| matches_glob(self.pattern.as_bytes(), text.as_bytes()))
    }
}

/// Shell matching within one path: `*` and `?` do not cross a `/`.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            matches_glob(rest, text) || text.split_first().is_some_and(|(first, tail)| *first != b'/' && matches_glob(pattern, tail))
        }
        (Some((b'?', rest)), Some((first, tail))) => *first != b'/' && matches_glob(rest, tail),
        (Some((expected, rest)), Some((first, tail))) => expected == first && matches_glob(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::Rules;

    #[test]
    fn follows_the_rules_that_charts_use() {
        let rules = Rules::parse("# comment\n\n.git/\n*.bak\n/ci\ndocs/*.md\n").unwrap();
        for path in [".git/config", "a.bak", "templates/x.bak", "ci/values.yaml", "ci", "docs/a.md", "templates/.swp"] {
            assert!(rules.ignores(Utf8Path::new(path)), "{path}");
        }
        for path in [".git", ".helmignore", "Chart.yaml", "charts/x/ci/y", "docs/deep/a.md", "a.bakery"] {
            assert!(!rules.ignores(Utf8Path::new(path)), "{path}");
        }
    }

    #[test]
    fn refuses_patterns_that_it_does_not_know() {
        for pattern in ["!keep", "a/**/b", "[ab]"] {
            assert!(Rules::parse(pattern).is_err(), "{pattern}");
        }
    }
}
