//! What leaves no site: passwords, tokens, keys. Rather too much is redacted than too little.

use std::collections::BTreeSet;

use regex::{Captures, Regex};
use serde_json::Value;

const REDACTED: &str = "[redacted]";

/// Keys behind which secrets stand, with what may stand around these words in one key.
const KEY: &str = r"(?i-u:[a-z0-9_.-]*(?:passw|pwd|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|account[_-]?key|connection[_-]?string|cookie|authorization|session[_-]?id|dsn|jwt|pgpass)[a-z0-9_.-]*|\b(?:[a-z0-9]+[_-])*pass\b)";

/// The shortest value of an environment variable that is looked for elsewhere.
const MIN_VALUE_BYTES: usize = 6;

#[derive(Debug)]
pub(super) struct Redaction {
    /// The values of environment variables, the longest first.
    values: Vec<String>,
    /// What is found, and what of it stays: the group `keep`.
    rules: Vec<Regex>,
    /// The end of a private key whose beginning is in what was cut off.
    key_end: Regex,
    key_begin: Regex,
    random: Regex,
}

impl Redaction {
    /// `values` are those of environment variables.
    pub(super) fn new(values: BTreeSet<String>) -> Result<Self, regex::Error> {
        let mut values: Vec<String> = values
            .into_iter()
            .filter(|value| value.len() >= MIN_VALUE_BYTES)
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let patterns = [
            // Private keys, whole or to the end.
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\z)"
                .to_owned(),
            // User and password of a URL, with unescaped characters in them.
            r#"(?P<keep>://)[^\s"'<>`]*@"#.to_owned(),
            // A whole header.
            r#"(?P<keep>(?i-u:authorization|cookie)["'\\]*\s*[:=]\s*)[^\r\n]+"#.to_owned(),
            // Quoted values, also within a text that is quoted itself.
            format!(r#"(?P<keep>{KEY}\\?["']?\s*(?:[:=]|=>)\s*)(?:\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"#),
            // As in YAML and in sentences: to the end of the line.
            format!(r#"(?P<keep>{KEY}["']?\s*:[ \t]+)[^\s"'\[][^\r\n]*"#),
            // As in shells and connection strings: one word.
            format!(r#"(?P<keep>{KEY}\\?["']?(?:[:=]|=>|%3[dD])\s*)[^\s"'\[]\S*"#),
            // An option and its value.
            format!(r"(?P<keep>--{KEY}\s+)[^\s\[]\S*"),
            r"(?P<keep>\b(?i-u:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{6,}".to_owned(),
            // Tokens of known kinds.
            r"\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|sk-|hvs\.|AKIA|ASIA|eyJ)[A-Za-z0-9_.+/=-]{6,}"
                .to_owned(),
        ];
        let rules: Result<Vec<Regex>, regex::Error> =
            patterns.iter().map(|pattern| Regex::new(pattern)).collect();
        Ok(Self {
            values,
            rules: rules?,
            key_end: Regex::new("-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----")?,
            key_begin: Regex::new("-----BEGIN [A-Z0-9 ]*PRIVATE KEY")?,
            random: Regex::new("[A-Za-z0-9+/_=-]{32,}")?,
        })
    }

    /// The text without its secrets, and how many places were redacted.
    pub(super) fn text(&self, text: &str) -> (String, usize) {
        let mut count: usize = 0;
        let mut text = text.to_owned();
        if let Some(end) = self.key_end.find(&text) {
            let begin = self.key_begin.find(&text);
            if begin.is_none_or(|begin| begin.start() > end.start()) {
                text.replace_range(..end.end(), REDACTED);
                count = count.saturating_add(1);
            }
        }
        for rule in &self.rules {
            let replaced = rule.replace_all(&text, |found: &Captures<'_>| {
                count = count.saturating_add(1);
                let keep = found.name("keep").map_or("", |keep| keep.as_str());
                let at = if keep == "://" { "@" } else { "" };
                format!("{keep}{REDACTED}{at}")
            });
            text = replaced.into_owned();
        }
        let replaced = self.random.replace_all(&text, |found: &Captures<'_>| {
            let word = found.get(0).map_or("", |word| word.as_str());
            if is_random(word) {
                count = count.saturating_add(1);
                REDACTED.to_owned()
            } else {
                word.to_owned()
            }
        });
        text = replaced.into_owned();
        for value in &self.values {
            let found = text.matches(value.as_str()).count();
            if found > 0 {
                count = count.saturating_add(found);
                text = text.replace(value.as_str(), REDACTED);
            }
        }
        (text, count)
    }

    /// The same for every text within a value.
    pub(super) fn value(&self, value: &mut Value) -> usize {
        match value {
            Value::String(text) => {
                let (redacted, count) = self.text(text);
                *text = redacted;
                count
            }
            Value::Array(items) => items.iter_mut().map(|item| self.value(item)).sum(),
            Value::Object(fields) => fields.values_mut().map(|field| self.value(field)).sum(),
            _ => 0,
        }
    }
}

/// Capitals, small letters and digits, and no path.
fn is_random(word: &str) -> bool {
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    !word.starts_with('/')
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::Redaction;
    use std::collections::BTreeSet;

    fn redaction() -> Redaction {
        Redaction::new(BTreeSet::from([
            "value of env".to_owned(),
            "debug".to_owned(),
        ]))
        .unwrap()
    }

    #[test]
    fn no_form_of_a_secret_is_left() {
        for text in [
            "connecting to postgres://user:MARK@db:5432/rune",
            "postgres://user:p@MARK/x@db/rune failed",
            "amqp://MARK@host",
            "host=db password=MARK user=x",
            "host=db password='MARK x' user=x",
            "PGPASSWORD=MARK psql",
            "DB_PASS=MARK",
            "password: MARK and more",
            "{\"password\":\"MARK\"}",
            "{\"password\": \"MARK \\\" x\"}",
            "{\"msg\":\"{\\\"dbPassword\\\":\\\"MARK\\\"}\"}",
            "{'client_secret': 'MARK'}",
            "GET /x?token=MARK&y=1",
            "GET /x?access_token%3DMARK",
            "rune --db-password MARK --verbose",
            "--token=MARK",
            "Authorization: Bearer MARK",
            "\"authorization\":[\"Basic MARK\"]",
            "sent bearer MARKMARK",
            "Set-Cookie: id=MARK; Path=/",
            "{:password=>\"MARK\"}",
            "apiKey=MARK",
            "AccountKey=MARK;x",
            "ghp_MARKMARKMARK",
            "eyJhbGciOiJIUzI1NiJ9.MARK.MARK",
            "-----BEGIN RSA PRIVATE KEY-----\nMARK\nMARK\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMARK\nto the end MARK",
            "MARK\nMARK\n-----END EC PRIVATE KEY-----\nafter",
            "key: \"-----BEGIN PRIVATE KEY-----\\nMARK\\n-----END PRIVATE KEY-----\\n\"",
            "it is value of env",
            "raw MARKabcdefghij0123456789ABCDEFGHIJabcd end",
        ] {
            let (redacted, count) = redaction().text(text);
            assert!(!redacted.contains("MARK"), "{text}\n{redacted}");
            assert!(!redacted.contains("value of env"), "{redacted}");
            assert!(count > 0, "{text}");
        }
    }

    #[test]
    fn what_helps_to_find_a_mistake_stays() {
        for text in [
            "secret \"rune-db-secret\" not found",
            "Back-off restarting failed container main in pod rune-api-5d9c8b7f6-x2x4z",
            "Failed to pull \
             image \"ghcr.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
            "dial tcp 10.0.0.1:5432: connect: connection refused",
            "FATAL: role \"rune\" does not exist, log level debug",
            "GET https://registry.example:5000/v2/ 404",
            "open /var/lib/Postgres17/data/very/long/path/Of/A/Database: permission denied",
        ] {
            assert_eq!(redaction().text(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn what_stands_around_a_secret_stays() {
        let (redacted, count) = redaction().text("a postgres://u:p@db/x b\npassword=x y\nz");
        let expected = "a postgres://[redacted]@db/x b\npassword=[redacted] y\nz";
        assert_eq!((redacted.as_str(), count), (expected, 2));
    }
}
