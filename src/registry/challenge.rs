//! What a registry wants to know about us: `WWW-Authenticate`.
//!
//! The grammar is that of RFC 9110, section 11.6.1: several challenges in one header or in several,
//! each a scheme and parameters, whose values are tokens or quoted strings. What cannot be read is
//! skipped, never guessed.

use std::collections::BTreeMap;

use http::{HeaderMap, header};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer {
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
        /// What the token has to be good for.
        scopes: Vec<String>,
    },
}

impl Challenge {
    /// The challenges of one header that this client knows.
    pub fn parse(header: &str) -> Vec<Self> {
        parse(header)
    }
}

pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .collect()
}

fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for item in items(text) {
        // `Scheme`, `Scheme name=value` or `name=value`; the last belongs to the scheme before it.
        let (scheme, parameter) = match item.split_once([' ', '\t']) {
            Some((scheme, rest)) if !scheme.contains('=') => (Some(scheme), rest.trim()),
            _ if item.contains('=') => (None, item),
            _ => (Some(item), ""),
        };
        if let Some(scheme) = scheme {
            found.push((scheme.to_ascii_lowercase(), BTreeMap::new()));
        }
        if let (Some((name, value)), Some((_, parameters))) =
            (parameter.split_once('='), found.last_mut())
        {
            parameters
                .entry(name.trim().to_ascii_lowercase())
                .or_insert_with(|| unquoted(value.trim()));
        }
    }
    found
        .into_iter()
        .filter_map(|(scheme, parameters)| challenge(&scheme, parameters))
        .collect()
}

fn challenge(scheme: &str, mut parameters: BTreeMap<String, String>) -> Option<Challenge> {
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scopes: parameters
                .remove("scope")
                .map(|text| text.split(' ').map(str::to_owned).collect())
                .unwrap_or_default(),
        }),
        _ => None,
    }
}

/// The parts between commas that are outside of quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(move |character| {
        let ends = character == ',' && !is_quoted;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        ends
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn unquoted(value: &str) -> String {
    let Some(quoted) = value.strip_prefix('"') else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::{Challenge, parse};

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes,
        }
    }

    #[test]
    fn reads_what_registries_say() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/postgres:pull""#;
        let scopes = ["repository:library/postgres:pull"];
        assert_eq!(
            parse(hub),
            [bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                &scopes
            )]
        );
        assert_eq!(parse(r#"basic realm="a, \"b\" c""#), [Challenge::Basic]);
        let comma = r#"BEARER Realm = "https://r/t" , scope="repository:a:pull,push repository:b:pull",error="x""#;
        assert_eq!(
            parse(comma),
            [bearer(
                "https://r/t",
                None,
                &["repository:a:pull,push", "repository:b:pull"]
            )]
        );
    }

    #[test]
    fn reads_several_challenges_and_skips_the_unknown() {
        let several = r#"Negotiate, Basic realm="x", Digest realm="y", nonce=abc, Bearer realm=https://r/t,service=s"#;
        assert_eq!(
            parse(several),
            [Challenge::Basic, bearer("https://r/t", Some("s"), &[])]
        );
        assert_eq!(parse("Bearer service=x"), []);
        assert_eq!(parse(""), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn reads_anything_without_panicking(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn gives_back_what_was_quoted(realm in "[ -~]{1,40}") {
            let quoted: String = realm.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect();
            assert_eq!(parse(&format!("Bearer realm=\"{quoted}\", service=\"s\"")), [bearer(&realm, Some("s"), &[])]);
        }
    }
}
