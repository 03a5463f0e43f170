//! `.helmignore`: which files stay out of a packaged chart, as Helm decides it.
//!
//! Patterns are shell patterns: `*`, `?`, `[a-z]`, `[^a-z]` and `\`. Without a `/` they are
//! compared with the last name of a path, else with the whole of it, below the chart; a trailing
//! `/` asks for a directory. A `!` does not cancel an earlier rule, as git's does: whatever the
//! pattern does not match stays out. `**` is an error to Helm too.

use camino::Utf8Path;

use super::ChartError;

/// Names that Helm never loads from `templates/`.
const HIDDEN_TEMPLATES: &str = "templates/.?*";

#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Vec<Token>,
    is_negated: bool,
    directory_only: bool,
    whole_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
    /// `[…]`: ranges, and whether they are what must not match.
    Class {
        ranges: Vec<(char, char)>,
        is_negated: bool,
    },
}

impl Rules {
    /// Reads the rules; a chart without a `.helmignore` has none of its own.
    pub(super) fn parse(text: &str) -> Result<Self, ChartError> {
        let mut rules = Vec::new();
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .chain([HIDDEN_TEMPLATES]);
        for (index, line) in lines.enumerate() {
            let pattern = line.trim();
            if pattern.is_empty() || pattern.starts_with('#') {
                continue;
            }
            let rule = if pattern.contains("**") {
                None
            } else {
                Rule::parse(pattern)
            };
            rules.push(rule.ok_or_else(|| ChartError::IgnorePattern {
                line: index.saturating_add(1),
                pattern: pattern.to_owned(),
            })?);
        }
        Ok(Self(rules))
    }

    /// Whether a file, or a directory with all that is in it, stays out.
    pub(super) fn ignores(&self, path: &Utf8Path, is_directory: bool) -> bool {
        self.0.iter().any(|rule| rule.ignores(path, is_directory))
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (text, is_negated) = text
            .strip_prefix('!')
            .map_or((text, false), |rest| (rest, true));
        let (text, directory_only) = text
            .strip_suffix('/')
            .map_or((text, false), |rest| (rest, true));
        let whole_path = text.contains('/');
        Some(Self {
            pattern: tokens(text.strip_prefix('/').unwrap_or(text))?,
            is_negated,
            directory_only,
            whole_path,
        })
    }

    fn ignores(&self, path: &Utf8Path, is_directory: bool) -> bool {
        let is_asked = is_directory || !self.directory_only;
        let text = if self.whole_path {
            path.as_str()
        } else {
            path.file_name().unwrap_or_default()
        };
        (is_asked && matches(&self.pattern, text)) != self.is_negated
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Literal(characters.next()?),
            '[' => {
                let is_negated = characters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || characters.next_if_eq(&']').is_none() {
                    let first = in_class(&mut characters)?;
                    let last = if characters.next_if_eq(&'-').is_some() {
                        in_class(&mut characters)?
                    } else {
                        first
                    };
                    ranges.push((first, last));
                }
                Token::Class { ranges, is_negated }
            }
            literal => Token::Literal(literal),
        });
    }
    Some(tokens)
}

/// A character of a class. A `-` or `]` in its place must be escaped, and something must follow.
fn in_class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let character = match characters.next()? {
        '-' | ']' => None,
        '\\' => characters.next(),
        character => Some(character),
    };
    characters.peek().and(character)
}

/// Whether a pattern matches a whole text. `*` and `?` never match a `/`; only the last `*` is ever
/// moved, which is enough because what stands before it was matched as early as can be. So it takes
/// at most pattern × text steps.
fn matches(pattern: &[Token], text: &str) -> bool {
    let mut rest = text.chars();
    let mut tokens = pattern.iter();
    let mut star: Option<(std::slice::Iter<'_, Token>, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        let is_step = match tokens.as_slice().first() {
            None if rest.as_str().is_empty() => return true,
            None => false,
            Some(Token::Many) => {
                let _ = tokens.next();
                star = Some((tokens.clone(), rest.clone()));
                continue;
            }
            Some(token) => ahead
                .next()
                .is_some_and(|character| token.matches(character)),
        };
        if is_step {
            let _ = tokens.next();
            rest = ahead;
            continue;
        }
        // The star takes one more character, if it may.
        let Some((after_star, from)) = &mut star else {
            return false;
        };
        match from.next() {
            None | Some('/') => return false,
            Some(_) => (tokens, rest) = (after_star.clone(), from.clone()),
        }
    }
}

impl Token {
    fn matches(&self, character: char) -> bool {
        match self {
            Self::Literal(expected) => *expected == character,
            Self::One | Self::Many => character != '/',
            Self::Class { ranges, is_negated } => {
                ranges
                    .iter()
                    .any(|(first, last)| (first..=last).contains(&&character))
                    != *is_negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Rules, matches, tokens};

    fn ignores(rules: &Rules, path: &str) -> bool {
        let path = Utf8Path::new(path);
        path.ancestors()
            .filter(|part| !part.as_str().is_empty())
            .any(|part| rules.ignores(part, part != path))
    }

    #[test]
    fn follows_the_rules_that_charts_use() {
        let rules =
            Rules::parse("\u{feff}# comment\n\n.git/\r\n*.bak\n/ci\ndocs/*.md\n*.py[cod]\n")
                .unwrap();
        for path in [
            ".git/config",
            "a.bak",
            "templates/x.bak",
            "ci/values.yaml",
            "ci",
            "docs/a.md",
            "templates/.swp",
            "a/b.pyc",
            "templates/.d/x",
        ] {
            assert!(ignores(&rules, path), "{path}");
        }
        for path in [
            ".git",
            ".helmignore",
            "Chart.yaml",
            "charts/x/ci/y",
            "docs/deep/a.md",
            "a.bakery",
            "b.pyx",
            "charts/a/templates/.x",
        ] {
            assert!(!ignores(&rules, path), "{path}");
        }
    }

    #[test]
    fn an_exclamation_mark_keeps_nothing_but_what_it_matches() {
        let rules = Rules::parse("!*.yaml\n").unwrap();
        assert!(ignores(&rules, "README.md") && ignores(&rules, "templates/a.yaml"));
        assert!(!ignores(&rules, "Chart.yaml"));
    }

    #[test]
    fn refuses_patterns_that_helm_refuses() {
        for pattern in ["a/**/b", "[ab", "[]a]", "[a-]", "[", "a\\", "[^]"] {
            assert!(Rules::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn patterns_match_as_in_a_shell_without_crossing_a_slash() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                matches(&tokens(pattern).unwrap(), text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_more_steps_than_pattern_times_name() {
        let pattern = tokens(&"a*".repeat(2_000)).unwrap();
        assert!(!matches(&pattern, &format!("{}/", "a".repeat(20_000))));
    }
}
