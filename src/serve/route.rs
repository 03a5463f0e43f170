//! What a request asks for, as a value.
//!
//! One pure function reads path and query. What comes out of it is a repository and a tag of the
//! registry's grammar, a digest, a number; the text itself goes no further, so nothing that a
//! request says can lead to a file.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use rune_core::digest::{Digest, DigestError};

/// How many characters the name of a repository may have.
///
/// Source: OCI distribution specification 1.1, "Pulling manifests": many clients have this limit
/// for host and name together.
const MAX_REPOSITORY_LENGTH: usize = 255;

/// How many characters a tag may have.
const MAX_TAG_LENGTH: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Base,
    Catalog(Page),
    Tags(Repository, Page),
    Manifest(Repository, Target),
    Blob(Repository, Digest),
    /// The manifests that say something about another one.
    Referrers {
        repository: Repository,
        subject: Digest,
        artifact_type: Option<String>,
    },
}

/// A repository, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub name: String,
    /// The registry that the client believes to talk to, when this server is its mirror (`ns`). It
    /// is compared, never used.
    pub(crate) registry: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Tag(String),
    Digest(Digest),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("there is no such endpoint")]
    Endpoint,
    #[error("this is not the name of a repository")]
    Name,
    #[error("there is no manifest of that name")]
    Manifest,
    #[error("there is no blob with a digest other than sha256")]
    Blob,
    #[error("this is not a digest")]
    Digest,
    #[error("`n` must be a number")]
    Limit,
    #[error("the address is not UTF-8")]
    Encoding,
}

/// Reads what a request asks for from its path and its query, without the question mark.
pub fn route(path: &str, query: &str) -> Result<Route, RouteError> {
    let path = decode(path)?;
    let path = match path.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Route::Base),
        Some(rest) => rest.strip_prefix('/').ok_or(RouteError::Endpoint)?,
        None => return Err(RouteError::Endpoint),
    };
    if path == "_catalog" {
        return Ok(Route::Catalog(page(query)?));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Ok(Route::Tags(repository(name, query)?, page(query)?));
    }
    let (front, last) = path.rsplit_once('/').ok_or(RouteError::Endpoint)?;
    let (name, kind) = front.rsplit_once('/').ok_or(RouteError::Endpoint)?;
    match kind {
        "manifests" => Ok(Route::Manifest(repository(name, query)?, target(last)?)),
        "blobs" => Ok(Route::Blob(
            repository(name, query)?,
            digest(last, RouteError::Blob)?,
        )),
        "referrers" => Ok(Route::Referrers {
            repository: repository(name, query)?,
            subject: digest(last, RouteError::Manifest)?,
            artifact_type: parameter(query, "artifactType")?,
        }),
        _ => Err(RouteError::Endpoint),
    }
}

fn repository(name: &str, query: &str) -> Result<Repository, RouteError> {
    if name.len() > MAX_REPOSITORY_LENGTH || !name.split('/').all(is_component) {
        return Err(RouteError::Name);
    }
    Ok(Repository {
        name: name.to_owned(),
        registry: parameter(query, "ns")?,
    })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_separator)
}

fn target(text: &str) -> Result<Target, RouteError> {
    if text.contains(':') {
        return digest(text, RouteError::Manifest).map(Target::Digest);
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_tag = text.len() <= MAX_TAG_LENGTH
        && text
            .bytes()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    let begins_well = text.bytes().next().is_some_and(is_word);
    if is_tag && begins_well {
        Ok(Target::Tag(text.to_owned()))
    } else {
        Err(RouteError::Manifest)
    }
}

fn digest(text: &str, other_algorithm: RouteError) -> Result<Digest, RouteError> {
    text.parse().map_err(|error| match error {
        DigestError::Algorithm(text) if text.contains(':') => other_algorithm,
        DigestError::Algorithm(_) | DigestError::Form(_) => RouteError::Digest,
    })
}

fn page(query: &str) -> Result<Page, RouteError> {
    let limit = parameter(query, "n")?
        .map(|text| text.parse::<u32>().map_err(|_| RouteError::Limit))
        .transpose()?;
    Ok(Page {
        limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        after: parameter(query, "last")?,
    })
}

/// The first parameter of that name. A `+` stays one: none of the parameters has a space in it, and
/// types such as `application/spdx+json` come unencoded from some clients.
fn parameter(query: &str, name: &str) -> Result<Option<String>, RouteError> {
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decode(value).map(Cow::into_owned))
        .transpose()
}

fn decode(text: &str) -> Result<Cow<'_, str>, RouteError> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| RouteError::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Page, Repository, Route, RouteError, Target, route};
    use rune_core::digest::Digest;

    fn repository(name: &str) -> Repository {
        Repository {
            name: name.to_owned(),
            registry: None,
        }
    }

    #[test]
    fn every_endpoint_is_recognised() {
        let digest = Digest::of(b"x");
        assert_eq!(route("/v2", ""), Ok(Route::Base));
        assert_eq!(route("/v2/", ""), Ok(Route::Base));
        let page = Page {
            limit: Some(3),
            after: Some("b".to_owned()),
        };
        assert_eq!(
            route("/v2/_catalog", "n=3&last=b"),
            Ok(Route::Catalog(page.clone()))
        );
        assert_eq!(
            route("/v2/a/b/tags/list", "last=b&n=3"),
            Ok(Route::Tags(repository("a/b"), page))
        );
        let tag = Target::Tag("17-alpine".to_owned());
        assert_eq!(
            route("/v2/library/postgres/manifests/17-alpine", ""),
            Ok(Route::Manifest(repository("library/postgres"), tag))
        );
        assert_eq!(
            route(&format!("/v2/a/manifests/{digest}"), ""),
            Ok(Route::Manifest(repository("a"), Target::Digest(digest)))
        );
        assert_eq!(
            route(&format!("/v2/a/blobs/{digest}"), ""),
            Ok(Route::Blob(repository("a"), digest))
        );
        let encoded = digest.to_string().replace(':', "%3A");
        assert_eq!(
            route(&format!("/v2/a/blobs/{encoded}"), ""),
            Ok(Route::Blob(repository("a"), digest))
        );
        let referrers = |artifact_type| Route::Referrers {
            repository: repository("a"),
            subject: digest,
            artifact_type,
        };
        assert_eq!(
            route(&format!("/v2/a/referrers/{digest}"), ""),
            Ok(referrers(None))
        );
        let wanted = Some("application/spdx+json".to_owned());
        assert_eq!(
            route(
                &format!("/v2/a/referrers/{digest}"),
                "artifactType=application%2Fspdx%2Bjson"
            ),
            Ok(referrers(wanted.clone()))
        );
        assert_eq!(
            route(
                &format!("/v2/a/referrers/{digest}"),
                "artifactType=application/spdx+json"
            ),
            Ok(referrers(wanted))
        );
    }

    #[test]
    fn words_of_the_protocol_may_be_parts_of_a_name() {
        let tag = || Target::Tag("list".to_owned());
        assert_eq!(
            route("/v2/tags/manifests/list", ""),
            Ok(Route::Manifest(repository("tags"), tag()))
        );
        assert_eq!(
            route("/v2/a/manifests/blobs/manifests/list", ""),
            Ok(Route::Manifest(repository("a/manifests/blobs"), tag()))
        );
    }

    #[test]
    fn a_mirror_says_which_registry_is_meant() {
        let from = Repository {
            name: "a".to_owned(),
            registry: Some("registry.example:5000".to_owned()),
        };
        assert_eq!(
            route("/v2/a/manifests/1", "ns=registry.example%3A5000"),
            Ok(Route::Manifest(from, Target::Tag("1".to_owned())))
        );
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        let digest = Digest::of(b"x");
        for name in [
            "", "A", "a//b", "/a", "a/", "..", "../a", "a/../b", ".a", "a.", "a..b", "a___b",
            "a_.b", "-a", "a-", "ä", "a b", "a\0b",
        ] {
            assert_eq!(
                route(&format!("/v2/{name}/blobs/{digest}"), ""),
                Err(RouteError::Name),
                "{name:?}"
            );
        }
        assert_eq!(
            route(&format!("/v2/{}/tags/list", "a".repeat(256)), ""),
            Err(RouteError::Name)
        );
        for tag in ["", ".a", "-a", "..", "a b", "ä", "a%2Fb", &"a".repeat(129)] {
            assert!(
                route(&format!("/v2/a/manifests/{tag}"), "").is_err(),
                "{tag:?}"
            );
        }
        let sha512 = format!("sha512:{}", "a".repeat(128));
        assert_eq!(
            route(&format!("/v2/a/manifests/{sha512}"), ""),
            Err(RouteError::Manifest)
        );
        assert_eq!(
            route(&format!("/v2/a/blobs/{sha512}"), ""),
            Err(RouteError::Blob)
        );
        for text in [
            "x",
            "sha256:",
            "sha256:../../etc/passwd",
            &digest.to_string().to_uppercase().replace("SHA", "sha"),
        ] {
            assert!(
                route(&format!("/v2/a/blobs/{text}"), "").is_err(),
                "{text:?}"
            );
        }
        for path in [
            "",
            "/",
            "/v1/",
            "/v2a",
            "/v2//",
            "/v2/a",
            "/v2/a/b",
            "/v2/a/tags",
            "/v2/a/blobs/uploads/",
            "/v2/a/blobs/uploads/1",
            "/etc/passwd",
        ] {
            assert!(route(path, "").is_err(), "{path:?}");
        }
        for limit in ["-1", "x", "", "1e3", "99999999999"] {
            assert_eq!(
                route("/v2/_catalog", &format!("n={limit}")),
                Err(RouteError::Limit),
                "{limit:?}"
            );
        }
        assert_eq!(route("/v2/a/manifests/%ff", ""), Err(RouteError::Encoding));
    }

    proptest! {
        #[test]
        fn a_name_that_passes_is_of_the_grammar(path in "(/v2)?(/[a-zA-Z0-9._%:\\-]{0,9}|/manifests|/blobs|/tags/list|/\\.\\.|//|%2[eEfF]){0,8}", query in ".{0,20}") {
            let name = regex::Regex::new(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$").unwrap();
            let tag = regex::Regex::new(r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap();
            match route(&path, &query) {
                Ok(Route::Manifest(repository, target)) => {
                    prop_assert!(name.is_match(&repository.name));
                    if let Target::Tag(text) = target {
                        prop_assert!(tag.is_match(&text));
                    }
                }
                Ok(Route::Tags(repository, _) | Route::Blob(repository, _) | Route::Referrers { repository, .. }) => {
                    prop_assert!(name.is_match(&repository.name));
                }
                Ok(Route::Base | Route::Catalog(_)) | Err(_) => {}
            }
        }

        #[test]
        fn every_name_of_the_grammar_passes(name in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}){0,3}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(route(&format!("/v2/{name}/manifests/{tag}"), ""), Ok(Route::Manifest(repository(&name), Target::Tag(tag))));
        }

        #[test]
        fn nothing_makes_it_panic(path in ".*", query in ".*") {
            let _ = route(&path, &query);
        }
    }
}
