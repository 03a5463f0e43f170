//! Basic and token authentication, as far as a client can tell the difference.

use axum::http::{HeaderMap, header};
use base64ct::{Base64, Encoding as _};

/// How the registry wants to know who asks.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// User and password with each request.
    Basic(String, String),
    /// A bearer token from a token server. Without a realm, the registry is its own token server at
    /// `/token`, which gives tokens to this user and password and, when `anonymous_pull` is set, to
    /// everybody.
    Token {
        /// The user that `/token` knows.
        user: String,
        /// The password of the user.
        password: String,
        /// Whether `/token` gives tokens without credentials.
        anonymous_pull: bool,
        /// What the challenge says instead of the own `/token`.
        realm: Option<String>,
    },
}

/// What `/token` hands out, followed by the scopes it is good for. Readable, so that a test can
/// look for it.
pub(super) const TOKEN_PREFIX: &str = "testkit-token:";
/// The identity token that `/token` accepts in exchange for an access token.
pub const IDENTITY_TOKEN: &str = "testkit-identity";

impl Auth {
    /// Whether a request may pass; if not, what to answer in `WWW-Authenticate`.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        scope: &str,
        own_url: &str,
    ) -> Result<(), String> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match self {
            Self::None => Ok(()),
            Self::Basic(user, password) if given == basic(user, password) => Ok(()),
            Self::Basic(..) => Err("Basic realm=\"testkit, \\\"quoted\\\"\"".to_owned()),
            Self::Token { realm, .. } => {
                let token = given
                    .strip_prefix("Bearer ")
                    .and_then(|token| token.strip_prefix(TOKEN_PREFIX));
                let is_granted = token.is_some_and(|granted| {
                    scope.is_empty() || granted.split('|').any(|one| covers(one, scope))
                });
                let realm = realm.clone().unwrap_or_else(|| format!("{own_url}/token"));
                let scope = if scope.is_empty() {
                    String::new()
                } else {
                    format!(",scope=\"{scope}\"")
                };
                if is_granted {
                    Ok(())
                } else {
                    Err(format!(
                        "Bearer realm=\"{realm}\",service=\"testkit\"{scope}"
                    ))
                }
            }
        }
    }

    /// Answers `/token`: the access token, or nothing when the credentials are wrong.
    pub(super) fn token(&self, headers: &HeaderMap, query: &str, form: &str) -> Option<String> {
        let Self::Token {
            user,
            password,
            anonymous_pull,
            ..
        } = self
        else {
            return None;
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let identity = parameters(form)
            .find(|(name, _)| name == "refresh_token")
            .map(|(_, value)| value);
        let is_known = match (given, identity) {
            (Some(given), _) => given == basic(user, password),
            (None, Some(identity)) => identity == IDENTITY_TOKEN,
            (None, None) => *anonymous_pull,
        };
        let scopes: Vec<String> = parameters(query)
            .chain(parameters(form))
            .filter(|(name, _)| name == "scope")
            .map(|(_, value)| value)
            .collect();
        is_known.then(|| format!("{TOKEN_PREFIX}{}", scopes.join("|").replace(' ', "|")))
    }
}

fn covers(granted: &str, wanted: &str) -> bool {
    let (Some((granted, actions)), Some((name, wanted))) =
        (granted.rsplit_once(':'), wanted.rsplit_once(':'))
    else {
        return false;
    };
    granted == name
        && wanted
            .split(',')
            .all(|action| actions.split(',').any(|own| own == action))
}

fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        Base64::encode_string(format!("{user}:{password}").as_bytes())
    )
}

/// The parameters of a query or a form, decoded.
pub(super) fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                bytes.push(digits.unwrap_or(b'%'));
                rest = after;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
