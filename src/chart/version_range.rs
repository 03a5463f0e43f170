//! Ranges of versions, as Helm reads them under `dependencies` and in `kubeVersion`.
//!
//! The grammar is that of Masterminds/semver 3, with its corners: a comparison with `x` or a
//! missing part is a range of its own, a space or a comma means "and", `||` means "or", and a
//! pre-release fits only where one of the comparisons beside it names one. A test compares this
//! file with the library itself.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::version::ChartVersion;

const MAX_BYTES: usize = 512;
const MAX_ALTERNATIVES: usize = 32;

const SPACE: &str = r"[\t\n\f\r ]";
const OPERATOR: &str = "=|!=|>=|=>|<=|=<|>|<|~>|~|\\^|";
/// A version in which any part may be missing or a placeholder.
const VERSION: &str = r"v?[0-9|xX*]+(?:\.[0-9|xX*]+){0,2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?";

static GRAMMAR: LazyLock<Option<Grammar>> = LazyLock::new(Grammar::new);

struct Grammar {
    hyphen: Regex,
    alternative: Regex,
    comparison: Regex,
    parts: Regex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    alternatives: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a range of versions such as `^1.2`, `>=1.2.0 <2.0.0` or `1.x || 2.x`")]
pub struct NotARange;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: ChartVersion,
    open: Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// The first part that is missing or a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Patch,
    Minor,
    Major,
}

impl Grammar {
    fn new() -> Option<Self> {
        let regex = |pattern: String| Regex::new(&pattern).ok();
        Some(Self {
            hyphen: regex(format!(
                "{SPACE}*({VERSION}){SPACE}+-{SPACE}+({VERSION}){SPACE}*"
            ))?,
            alternative: regex(format!(
                "^{SPACE}*(?:{OPERATOR}){SPACE}*{VERSION}{SPACE}*(?:(?:{SPACE}+|,{SPACE}*)(?:{OPERATOR}){SPACE}*{VERSION}{SPACE}*)*$"
            ))?,
            comparison: regex(format!("({OPERATOR}){SPACE}*({VERSION})"))?,
            parts: regex(
                r"^v?([0-9|xX*]+)(?:\.([0-9|xX*]+))?(?:\.([0-9|xX*]+))?(-[^+]+)?".to_owned(),
            )?,
        })
    }
}

impl VersionRange {
    pub fn contains(&self, version: &ChartVersion) -> bool {
        self.alternatives.iter().any(|comparisons| {
            let is_considered = version.prerelease.is_empty()
                || comparisons
                    .iter()
                    .any(|comparison| !comparison.version.prerelease.is_empty());
            is_considered
                && comparisons
                    .iter()
                    .all(|comparison| comparison.holds(version))
        })
    }

    /// The versions that the range names, whatever it says of them.
    pub(super) fn named(&self) -> impl Iterator<Item = &ChartVersion> {
        self.alternatives
            .iter()
            .flatten()
            .map(|comparison| &comparison.version)
    }
}

impl std::str::FromStr for VersionRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let grammar = GRAMMAR.as_ref().ok_or(NotARange)?;
        if text.len() > MAX_BYTES {
            return Err(NotARange);
        }
        // Hyphens come first, even across `||`, as in Helm.
        let mut rewritten = text.to_owned();
        for found in grammar.hyphen.captures_iter(text) {
            let [Some(whole), Some(from), Some(to)] =
                [0, 1, 2].map(|group| found.get(group).map(|part| part.as_str()))
            else {
                continue;
            };
            rewritten = rewritten.replacen(whole, &format!(">= {from}, <= {to} "), 1);
        }
        let alternatives: Vec<&str> = rewritten.split("||").collect();
        if alternatives.len() > MAX_ALTERNATIVES {
            return Err(NotARange);
        }
        let alternative = |text: &&str| {
            if !grammar.alternative.is_match(text) {
                return Err(NotARange);
            }
            grammar
                .comparison
                .captures_iter(text)
                .map(|found| Comparison::of(grammar, &found))
                .collect()
        };
        Ok(Self {
            alternatives: alternatives
                .iter()
                .map(alternative)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Comparison {
    fn of(grammar: &Grammar, found: &Captures<'_>) -> Result<Self, NotARange> {
        let group = |group: usize| found.get(group).map_or("", |part| part.as_str());
        let operator = match group(1) {
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            ">=" | "=>" => Operator::GreaterOrEqual,
            "<" => Operator::Less,
            "<=" | "=<" => Operator::LessOrEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => Operator::Equal,
        };
        let text = group(2);
        let parts = grammar.parts.captures(text).ok_or(NotARange)?;
        let part = |group: usize| parts.get(group).map_or("", |part| part.as_str());
        let is_open = |group: usize| matches!(part(group), "" | "x" | "X" | "*");
        let prerelease = part(4);
        let (open, text) = if is_open(1) {
            (Open::Major, format!("0.0.0{prerelease}"))
        } else if is_open(2) {
            (Open::Minor, format!("{}.0.0{prerelease}", part(1)))
        } else if is_open(3) {
            (
                Open::Patch,
                format!("{}.{}.0{prerelease}", part(1), part(2)),
            )
        } else {
            (Open::Nothing, text.to_owned())
        };
        Ok(Self {
            operator,
            version: text.parse().map_err(|_| NotARange)?,
            open,
        })
    }

    /// Whether it holds for a version that is not a pre-release, or beside a comparison that names
    /// one.
    fn holds(&self, version: &ChartVersion) -> bool {
        let order = version.precedence(&self.version);
        let ([major, minor, patch], [wanted_major, wanted_minor, wanted_patch]) =
            (version.numbers, self.version.numbers);
        match self.operator {
            Operator::Equal if self.open == Open::Nothing => order.is_eq(),
            Operator::Equal | Operator::Tilde => {
                // Zero alone bounds nothing.
                let is_zero = self.version.numbers == [0; 3]
                    && matches!(self.open, Open::Nothing | Open::Major);
                order.is_ge()
                    && (is_zero
                        || (major == wanted_major
                            && (minor == wanted_minor || self.open == Open::Minor)))
            }
            Operator::NotEqual => match self.open {
                Open::Nothing | Open::Major => order.is_ne(),
                Open::Minor => major != wanted_major,
                Open::Patch => {
                    (major, minor) != (wanted_major, wanted_minor)
                        || version
                            .prerelease
                            .precedence(&self.version.prerelease)
                            .is_ne()
                }
            },
            Operator::Greater => match self.open {
                Open::Nothing | Open::Major => order.is_gt(),
                Open::Minor => major > wanted_major,
                Open::Patch => (major, minor) > (wanted_major, wanted_minor),
            },
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => match self.open {
                Open::Nothing => order.is_le(),
                Open::Minor => major <= wanted_major,
                Open::Patch | Open::Major => (major, minor) <= (wanted_major, wanted_minor),
            },
            Operator::Caret => {
                let is_close = if wanted_major > 0 || self.open == Open::Minor {
                    major == wanted_major
                } else if wanted_minor > 0 || self.open == Open::Patch {
                    (major, minor) == (0, wanted_minor)
                } else {
                    (major, minor, patch) == (0, 0, wanted_patch)
                };
                order.is_ge() && is_close
            }
        }
    }
}
