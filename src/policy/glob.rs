//! Patterns over `registry/repository` paths.
//!
//! `*` stands for any characters within one component, `**` as a whole component for any number of
//! components, none included. There is no other special character and no escape.

use std::fmt;

/// A pattern such as `docker.io/library/*` or `**/bitnami*/**`, which matches
/// `docker.io/bitnamilegacy/postgresql` and not `docker.io/library/postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    pattern: String,
}

impl Glob {
    /// Takes a pattern. Every text is one; matching ignores the case of ASCII letters, as host
    /// names do.
    pub(crate) fn new(pattern: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.pattern.to_ascii_lowercase(), path.to_ascii_lowercase());
        let pattern: Vec<&str> = pattern.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        wildcard(
            &pattern,
            &path,
            |part| *part == "**",
            |part, component| component_matches(part, component),
        )
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.pattern)
    }
}

/// Whether a single component, without `/`, matches a pattern in which `*` stands for any
/// characters.
pub(super) fn component_matches(pattern: &str, component: &str) -> bool {
    wildcard(
        pattern.as_bytes(),
        component.as_bytes(),
        |byte| *byte == b'*',
        |a, b| a == b,
    )
}

/// Matches a sequence against a pattern in which some elements stand for any run of elements.
/// Remembers only the last such element, which is enough, and so needs no more than length times
/// length steps.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    is_any: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(element) = text.get(at_text) {
        match pattern.get(at_pattern) {
            Some(part) if is_any(part) => {
                retry = Some((at_pattern + 1, at_text));
                at_pattern += 1;
            }
            Some(part) if fits(part, element) => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((after, from)) = retry else {
                    return false;
                };
                retry = Some((after, from + 1));
                (at_pattern, at_text) = (after, from + 1);
            }
        }
    }
    pattern
        .get(at_pattern..)
        .is_some_and(|rest| rest.iter().all(is_any))
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_stay_within_a_component_and_double_stars_do_not() {
        let cases = [
            ("docker.io/library/*", "docker.io/library/postgres", true),
            ("docker.io/library/*", "docker.io/library/a/b", false),
            ("docker.io/library/*", "docker.io/library", false),
            ("**/bitnami*/**", "docker.io/bitnami/postgresql", true),
            ("**/bitnami*/**", "docker.io/bitnamilegacy/postgresql", true),
            ("**/bitnami*/**", "docker.io/library/postgres", false),
            (
                "**/bitnami*/**",
                "registry.local:5000/mirror/bitnamilegacy/a/b",
                true,
            ),
            ("**/bitnami*/**", "bitnami", true),
            ("**/bitnami*/**", "docker.io/not-bitnami/x", false),
            ("**/mysql", "docker.io/library/mysql", true),
            ("**/mysql", "docker.io/library/mysql-router", false),
            ("**", "anything/at/all", true),
            ("*", "one", true),
            ("*", "one/two", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("Docker.IO/x", "docker.io/X", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(
                Glob::new(pattern).matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let glob = Glob::new(&format!("{}x", "*a".repeat(200)));
        assert!(!glob.matches(&"a".repeat(5_000)));
        let glob = Glob::new(&format!("{}x", "**/a/".repeat(200)));
        assert!(!glob.matches(&"a/".repeat(2_000)));
    }
}
