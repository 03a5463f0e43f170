//! What proves who we are, and its form in a request.

use base64ct::{Base64, Encoding as _};
use http::HeaderValue;

use rune_core::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Basic {
        user: String,
        password: Secret,
    },
    IdentityToken(Secret),
    /// A bearer token, ready to use.
    RegistryToken(Secret),
}

impl Credentials {
    pub(super) fn user(&self) -> String {
        match self {
            Self::Basic { user, .. } => user.clone(),
            Self::IdentityToken(_) | Self::RegistryToken(_) => "<token>".to_owned(),
        }
    }
}

/// What to put into `Authorization`, and whose it is. The value is marked as sensitive: it does not
/// print itself.
#[derive(Debug, Clone)]
pub(super) struct Authorization {
    pub(super) value: HeaderValue,
    pub(super) user: Option<String>,
    pub(super) place: Option<String>,
}

/// The credentials in the base64 form of `user:password`.
pub(super) fn decoded(auth: &str) -> Option<Credentials> {
    let text = String::from_utf8(Base64::decode_vec(auth.trim()).ok()?).ok()?;
    let (user, password) = text.trim_end_matches('\0').split_once(':')?;
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}

/// `Authorization` of the basic scheme.
pub(super) fn basic_value(user: &str, password: &Secret) -> HeaderValue {
    let encoded = Base64::encode_string(format!("{user}:{}", password.expose()).as_bytes());
    // Base64 is always a valid header value.
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// `Authorization` of the bearer scheme; nothing if the token has characters that no header has.
pub(super) fn bearer_value(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
