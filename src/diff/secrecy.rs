//! What of a values file is not shown.
//!
//! A values file may hold a password although it should name a Secret. Rather too much is withheld
//! than too little: a key that is called like a secret hides everything below it, unless it is
//! called like the name of one; and a text that looks like a secret is hidden whatever its key is
//! called.

pub(super) const HIDDEN: &str = "(may be secret, not shown)";

/// Parts of a key behind which secrets stand; compared without case and separators.
const SECRET_PARTS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "connectionstring",
    "htpasswd",
    "cookie",
];
const SECRET_KEYS: [&str; 7] = [
    "pass",
    "pwd",
    "dsn",
    "pem",
    "jwt",
    "bearer",
    "dockerconfigjson",
];
/// Beginnings of keys that name a Secret of the cluster.
const NAMING_BEGINNINGS: [&str; 4] = ["existing", "imagepullsecret", "casecret", "pullsecret"];
const NAMING_ENDS: [&str; 3] = ["name", "ref", "names"];
const SECRET_TEXTS: [&str; 9] = [
    "-----begin",
    "password=",
    "passwd=",
    "pwd=",
    "token=",
    "secret=",
    "authorization:",
    "bearer ",
    "basic ",
];
/// Beginnings of texts that are tokens of well-known kinds.
const TOKEN_BEGINNINGS: [&str; 11] = [
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "eyJ",
    "sk-",
];

/// Random texts are at least as long as this.
const MIN_RANDOM_CHARACTERS: usize = 20;

/// Whether what stands behind a key may be secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let is_name = NAMING_BEGINNINGS
        .iter()
        .any(|start| plain.starts_with(start))
        || NAMING_ENDS.iter().any(|end| plain.ends_with(end));
    let is_secret = SECRET_KEYS.contains(&plain.as_str())
        || SECRET_PARTS.iter().any(|part| plain.contains(part));
    is_secret && !is_name
}

/// Whether a text looks like a secret or contains one.
pub(super) fn is_secret_text(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let has_login = lower.match_indices("://").any(|(at, separator)| {
        let rest = lower
            .get(at.saturating_add(separator.len())..)
            .unwrap_or_default();
        rest.split(['/', '?', '#', ' '])
            .next()
            .is_some_and(|authority| authority.contains('@'))
    });
    has_login
        || SECRET_TEXTS.iter().any(|piece| lower.contains(piece))
        || TOKEN_BEGINNINGS.iter().any(|start| text.starts_with(start))
        || is_random(text)
}

/// Capitals, small letters and digits without a space or a separator that names have.
fn is_random(text: &str) -> bool {
    let has = |of: fn(&char) -> bool| text.chars().any(|c| of(&c));
    text.len() >= MIN_RANDOM_CHARACTERS
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | '_' | '/'))
        && !text.starts_with('/')
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::{is_secret_key, is_secret_text};

    #[test]
    fn keys_of_secrets_are_told_from_keys_that_name_a_secret() {
        for key in [
            "password",
            "adminPassword",
            "RUNE_API_TOKENS",
            "client-secret",
            "secretAccessKey",
            "pwd",
            "token",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "existingSecret",
            "existingSecretKey",
            "caSecret",
            "secretName",
            "imagePullSecrets",
            "generate",
            "key",
            "auth",
            "authDisabled",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn texts_that_look_like_a_secret_are_found_whatever_their_key() {
        for text in [
            "postgresql://rune:hunter2@db/rune",
            "postgresql://rune@db/rune",
            "host=db password=hunter2",
            "-----BEGIN PRIVATE KEY-----\nx",
            "ghp_0123456789",
            "--token=abc",
            "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
        ] {
            assert!(is_secret_text(text), "{text}");
        }
        for text in [
            "https://registry.example/library",
            "docker.io/library/postgres:17-alpine",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "/var/lib/Postgres17/data",
            "rune-db-secret",
            "10Gi",
            "verify-full",
        ] {
            assert!(!is_secret_text(text), "{text}");
        }
    }
}
