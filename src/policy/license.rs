//! SPDX licence expressions: `Apache-2.0 AND (MIT OR GPL-2.0-only WITH Classpath-exception-2.0)`.
//!
//! Follows annex D of the SPDX specification 2.3; the operators may also be written in lower case,
//! as SPDX 3 allows. Which identifiers exist is not known here: the policy lists those it allows,
//! and all others are not allowed.

use std::fmt;

use super::license_names;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseExpression {
    text: String,
    root: Term,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    License {
        id: String,
        exception: Option<String>,
    },
    /// All of them hold; never empty.
    All(Vec<Term>),
    /// One of them may be chosen; never empty.
    Any(Vec<Term>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    #[error("the licence expression `{0}` ends where a licence is expected")]
    End(String),
    #[error("`{token}` does not belong there in the licence expression `{expression}`")]
    Unexpected { expression: String, token: String },
    #[error("the parentheses of a licence expression are nested too deeply")]
    TooDeep,
}

impl LicenseError {
    pub(crate) fn meant(&self) -> Option<&'static str> {
        match self {
            Self::Unexpected { expression, .. } => license_names::meant(expression),
            Self::End(_) | Self::TooDeep => None,
        }
    }
}

const MAX_DEPTH: u32 = 64;

impl LicenseExpression {
    pub fn parse(text: &str) -> Result<Self, LicenseError> {
        let mut parser = Parser {
            text,
            tokens: tokens(text),
            position: 0,
        };
        let root = parser.either(0)?;
        match parser.next() {
            None => Ok(Self {
                text: text.to_owned(),
                root,
            }),
            Some(token) => Err(parser.unexpected(token)),
        }
    }

    /// Evaluates the expression: `evaluate` says what it thinks of one licence, written
    /// `GPL-2.0-only` or `GPL-2.0-only WITH Classpath-exception-2.0`. Of alternatives the best
    /// counts, of licences that hold together the worst; the order of `V` says which is which,
    /// smaller is better. Every expression holds at least one licence, so there is always a result.
    pub(super) fn evaluate<V: Ord>(
        &self,
        evaluate: &impl Fn(&str, Option<&str>) -> V,
    ) -> Option<V> {
        self.root.evaluate(evaluate)
    }

    /// Every licence that it names, as a policy allows it.
    pub(crate) fn licenses(&self) -> Vec<String> {
        let mut licenses = Vec::new();
        self.root.collect(&mut licenses);
        licenses
    }
}

impl fmt::Display for LicenseExpression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Term {
    fn collect(&self, licenses: &mut Vec<String>) {
        match self {
            Self::License {
                id,
                exception: None,
            } => licenses.push(id.clone()),
            Self::License {
                id,
                exception: Some(exception),
            } => licenses.push(format!("{id} WITH {exception}")),
            Self::All(terms) | Self::Any(terms) => {
                terms.iter().for_each(|term| term.collect(licenses));
            }
        }
    }

    fn evaluate<V: Ord>(&self, evaluate: &impl Fn(&str, Option<&str>) -> V) -> Option<V> {
        match self {
            Self::License { id, exception } => Some(evaluate(id, exception.as_deref())),
            Self::All(terms) => terms
                .iter()
                .filter_map(|term| term.evaluate(evaluate))
                .max(),
            Self::Any(terms) => terms
                .iter()
                .filter_map(|term| term.evaluate(evaluate))
                .min(),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<&'t str>,
    position: usize,
}

impl<'t> Parser<'t> {
    fn either(&mut self, depth: u32) -> Result<Term, LicenseError> {
        let mut terms = vec![self.both(depth)?];
        while self.take("OR") {
            terms.push(self.both(depth)?);
        }
        Ok(Term::Any(terms))
    }

    fn both(&mut self, depth: u32) -> Result<Term, LicenseError> {
        let mut terms = vec![self.one(depth)?];
        while self.take("AND") {
            terms.push(self.one(depth)?);
        }
        Ok(Term::All(terms))
    }

    fn one(&mut self, depth: u32) -> Result<Term, LicenseError> {
        if depth > MAX_DEPTH {
            return Err(LicenseError::TooDeep);
        }
        let token = self
            .next()
            .ok_or_else(|| LicenseError::End(self.text.to_owned()))?;
        if token == "(" {
            let term = self.either(depth + 1)?;
            return match self.next() {
                Some(")") => Ok(term),
                Some(token) => Err(self.unexpected(token)),
                None => Err(LicenseError::End(self.text.to_owned())),
            };
        }
        let id = self.identifier(token, true)?;
        let exception = if self.take("WITH") {
            let token = self
                .next()
                .ok_or_else(|| LicenseError::End(self.text.to_owned()))?;
            Some(self.identifier(token, false)?)
        } else {
            None
        };
        Ok(Term::License { id, exception })
    }

    fn identifier(&self, token: &str, may_have_plus: bool) -> Result<String, LicenseError> {
        let is_operator = ["AND", "OR", "WITH", "and", "or", "with"].contains(&token);
        let bare = if may_have_plus {
            token.strip_suffix('+').unwrap_or(token)
        } else {
            token
        };
        let is_id = !bare.is_empty()
            && bare
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'));
        if is_operator || !is_id {
            Err(self.unexpected(token))
        } else {
            Ok(token.to_owned())
        }
    }

    fn next(&mut self) -> Option<&'t str> {
        let token = self.tokens.get(self.position).copied();
        self.position += 1;
        token
    }

    fn take(&mut self, operator: &str) -> bool {
        let is_there = self
            .tokens
            .get(self.position)
            .is_some_and(|token| *token == operator || *token == operator.to_ascii_lowercase());
        self.position += usize::from(is_there);
        is_there
    }

    fn unexpected(&self, token: &str) -> LicenseError {
        LicenseError::Unexpected {
            expression: self.text.to_owned(),
            token: token.to_owned(),
        }
    }
}

/// Splits at white space and around parentheses.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for part in text.split_whitespace() {
        let mut rest = part;
        while let Some(position) = rest.find(['(', ')']) {
            let (before, from) = rest.split_at(position);
            let (parenthesis, after) = from.split_at(1);
            tokens.extend(
                [before, parenthesis]
                    .into_iter()
                    .filter(|token| !token.is_empty()),
            );
            rest = after;
        }
        if !rest.is_empty() {
            tokens.push(rest);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::{LicenseError, LicenseExpression};

    /// Good licences are 0, unknown ones 1, bad ones 2.
    fn evaluate(text: &str) -> u8 {
        LicenseExpression::parse(text)
            .unwrap()
            .evaluate(&|id: &str, exception: Option<&str>| match (id, exception) {
                ("MIT" | "Apache-2.0", None)
                | ("GPL-2.0-only", Some("Classpath-exception-2.0")) => 0,
                ("GPL-2.0-only" | "AGPL-3.0-only", _) => 2,
                _ => 1,
            })
            .unwrap()
    }

    #[test]
    fn of_alternatives_the_best_counts_of_conjunctions_the_worst() {
        assert_eq!(evaluate("MIT"), 0);
        assert_eq!(evaluate("MIT OR AGPL-3.0-only"), 0);
        assert_eq!(evaluate("MIT AND AGPL-3.0-only"), 2);
        assert_eq!(evaluate("MIT AND ISC"), 1);
        assert_eq!(evaluate("GPL-2.0-only WITH Classpath-exception-2.0"), 0);
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert_eq!(evaluate("AGPL-3.0-only OR MIT AND Apache-2.0"), 0);
        assert_eq!(evaluate("(AGPL-3.0-only OR MIT) AND AGPL-3.0-only"), 2);
        assert_eq!(evaluate("MIT and (Apache-2.0 or AGPL-3.0-only)"), 0);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in [
            "",
            "  ",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT Apache-2.0",
            "AND MIT",
            "MIT WITH",
            "MIT/Apache-2.0",
            "GPL-2.0 WITH x+",
            "()",
            "+",
        ] {
            assert!(LicenseExpression::parse(bad).is_err(), "{bad}");
        }
        let deep = format!("{}MIT{}", "(".repeat(1000), ")".repeat(1000));
        assert_eq!(LicenseExpression::parse(&deep), Err(LicenseError::TooDeep));
    }

    #[test]
    fn a_long_chain_of_licences_is_fine() {
        assert_eq!(evaluate(&vec!["MIT"; 100_000].join(" AND ")), 0);
    }
}
