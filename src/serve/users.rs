//! Who may pull: users and bcrypt hashes out of an htpasswd file.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use base64ct::{Base64, Encoding as _};
use tokio::sync::Semaphore;

use rune_core::{
    digest::{Digest, Sha256},
    failure::Failure,
    secret::Secret,
};

/// How many passwords are hashed at the same time. A hash takes its time by design, and who guesses
/// must not take all cores.
const MOST_HASHING: usize = 1;

pub(crate) struct Users {
    hashes: BTreeMap<String, String>,
    /// What was right before, as digests under a key of this process: a client sends its password
    /// with every request.
    known: Mutex<HashSet<Digest>>,
    key: [u8; 32],
    turns: Semaphore,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub(crate) enum UsersError {
    #[error("line {line} is not `user:hash` with a bcrypt hash")]
    #[failure(help: "make it with `htpasswd -B -c FILE USER`")]
    Line { line: usize },
    #[error("line {line} has a user that an earlier line has too")]
    #[failure(help: "leave one line for each user")]
    Twice { line: usize },
    #[error("there is no user in it")]
    #[failure(help: "make it with `htpasswd -B -c FILE USER`")]
    Empty,
    #[error("the system gives no random numbers")]
    #[failure(Internal)]
    Random,
}

impl Users {
    /// Reads the lines of an htpasswd file. Empty lines and those that begin with `#` say nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, UsersError> {
        let mut hashes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number.saturating_add(1), line.trim_end());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line
                .split_once(':')
                .filter(|(user, hash)| !user.is_empty() && is_bcrypt(hash))
                .ok_or(UsersError::Line { line: number })?;
            if hashes.insert(user.to_owned(), hash.to_owned()).is_some() {
                return Err(UsersError::Twice { line: number });
            }
        }
        if hashes.is_empty() {
            return Err(UsersError::Empty);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| UsersError::Random)?;
        Ok(Self {
            hashes,
            known: Mutex::default(),
            key,
            turns: Semaphore::new(MOST_HASHING),
        })
    }

    /// Whether somebody with this `Authorization` header may pull.
    pub(super) async fn admits(self: &Arc<Self>, authorization: Option<&str>) -> bool {
        let Some((user, password)) = authorization.and_then(credentials) else {
            return false;
        };
        let proof = self.proof(&user, &password);
        if self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&proof)
        {
            return true;
        }
        let Ok(_turn) = self.turns.acquire().await else {
            return false;
        };
        let users = Arc::clone(self);
        tokio::task::spawn_blocking(move || users.verifies(&user, &password, proof))
            .await
            .unwrap_or(false)
    }

    /// Hashes the password. For an unknown user somebody else's hash is compared, so that it takes
    /// as long.
    fn verifies(&self, user: &str, password: &Secret, proof: Digest) -> bool {
        let Some(hash) = self
            .hashes
            .get(user)
            .or_else(|| self.hashes.values().next())
        else {
            return false;
        };
        let is_right = bcrypt::verify(password.expose(), hash).unwrap_or(false)
            && self.hashes.contains_key(user);
        if is_right {
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(proof);
        }
        is_right
    }

    fn proof(&self, user: &str, password: &Secret) -> Digest {
        let mut hasher = Sha256::new();
        for part in [
            self.key.as_slice(),
            &(user.len() as u64).to_be_bytes(),
            user.as_bytes(),
            password.expose().as_bytes(),
        ] {
            hasher.update(part);
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Users")
            .field("names", &self.hashes.keys())
            .finish_non_exhaustive()
    }
}

/// `$2y$10$` and 53 characters of bcrypt's alphabet.
fn is_bcrypt(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    let ["", "2a" | "2b" | "2y", cost, rest] = parts.as_slice() else {
        return false;
    };
    let is_cost = cost.len() == 2
        && cost
            .parse::<u8>()
            .is_ok_and(|cost| (4..=31).contains(&cost));
    is_cost
        && rest.len() == 53
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

fn credentials(authorization: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded = Base64::decode_vec(encoded.trim())
        .ok()
        .filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = zeroize::Zeroizing::new(String::from_utf8(decoded).ok()?);
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64ct::{Base64, Encoding as _};

    use super::{Users, UsersError};

    fn alice() -> String {
        format!("alice:{}\n", bcrypt::hash("wonderland", 4).unwrap())
    }

    fn admits(users: &Arc<Users>, authorization: Option<&str>) -> bool {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(users.admits(authorization))
    }

    #[test]
    fn only_the_right_password_of_a_known_user_admits() {
        let users = Arc::new(Users::parse(&format!("# who may pull\n\n{}", alice())).unwrap());
        let basic = |text: &str| format!("Basic {}", Base64::encode_string(text.as_bytes()));
        for (given, expected) in [
            (basic("alice:wonderland"), true),
            (basic("alice:wonderland").replace("Basic", "basic"), true),
            (basic("alice:looking-glass"), false),
            (basic("bob:wonderland"), false),
            (basic("alice"), false),
            (basic("alice:"), false),
            (basic("alice:wonderland").replace("Basic", "Bearer"), false),
            ("Basic ????".to_owned(), false),
            (String::new(), false),
        ] {
            // The second time it may be remembered.
            for _ in 0..2 {
                assert_eq!(admits(&users, Some(&given)), expected, "{given}");
            }
        }
        assert!(!admits(&users, None));
    }

    #[test]
    fn only_lines_with_bcrypt_are_users() {
        for bad in [
            "alice",
            "alice:",
            ":$2y$05$x",
            "alice:{SHA}x",
            "alice:$apr1$x$y",
            &alice().replace("$2b$", "$2z$"),
            &alice()[..20],
        ] {
            assert!(
                matches!(Users::parse(bad), Err(UsersError::Line { line: 1 })),
                "{bad}"
            );
        }
        assert!(matches!(Users::parse("# nobody\n"), Err(UsersError::Empty)));
        assert!(matches!(
            Users::parse(&alice().repeat(2)),
            Err(UsersError::Twice { line: 2 })
        ));
    }

    #[test]
    fn debug_output_does_not_contain_hashes() {
        assert_eq!(
            format!("{:?}", Users::parse(&alice()).unwrap()),
            "Users { names: [\"alice\"], .. }"
        );
    }
}
