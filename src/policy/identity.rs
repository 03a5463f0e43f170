//! Evaluating whether images are signed by somebody whom a certificate names.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, SystemTime},
};

use regex::Regex;

use crate::evidence::{ImageSignature, Signer, TrustedRoot};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityRule {
    /// The `OpenID` Connect issuer of the identity, exactly.
    pub(crate) issuer: String,
    pub(crate) subject: SubjectMatch,
    pub(crate) root: TrustedRoot,
    /// How long ago it must have been signed when an image is locked.
    pub(crate) min_age: Option<MinAge>,
}

#[derive(Debug, Clone)]
pub(crate) enum SubjectMatch {
    Exact(String),
    Pattern { text: String, regex: Regex },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MinAge {
    pub(crate) age: Duration,
    pub(crate) text: String,
}

impl SubjectMatch {
    /// A regular expression that has to match from the first to the last character.
    pub(crate) fn pattern(text: &str) -> Result<Self, regex::Error> {
        // Alone first: `a)|(b` would be one between the anchors only.
        Regex::new(text)?;
        let regex = Regex::new(&format!(r"\A(?:{text})\z"))?;
        let text = text.to_owned();
        Ok(Self::Pattern { text, regex })
    }

    fn is_met_by(&self, subject: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == subject,
            Self::Pattern { regex, .. } => regex.is_match(subject),
        }
    }
}

impl PartialEq for SubjectMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other))
            | (Self::Pattern { text: one, .. }, Self::Pattern { text: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl Eq for SubjectMatch {}

impl fmt::Display for SubjectMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) | Self::Pattern { text, .. } => write!(formatter, "`{text}`"),
        }
    }
}

impl IdentityRule {
    /// Who signed the image of this digest as the rule demands, or why no signature of it is enough.
    pub(super) fn evaluate(
        &self,
        signatures: &[&ImageSignature],
        digest: Digest,
        locked_at: Option<SystemTime>,
    ) -> Result<String, String> {
        let signers = signatures
            .iter()
            .filter_map(|signature| signature.signer(digest, &self.root));
        let mut reasons = BTreeSet::new();
        for signer in signers {
            match signer.and_then(|signer| self.accept(&signer, locked_at)) {
                Ok(accepted) => return Ok(accepted),
                Err(reason) => _ = reasons.insert(reason),
            }
        }
        if reasons.is_empty() {
            return Err("no signature of it has a certificate".to_owned());
        }
        Err(reasons.into_iter().collect::<Vec<_>>().join("; "))
    }

    fn accept(&self, signer: &Signer, locked_at: Option<SystemTime>) -> Result<String, String> {
        let Signer {
            issuer,
            subject,
            time,
            ..
        } = signer;
        if *issuer != self.issuer || !self.subject.is_met_by(subject) {
            return Err(format!(
                "it is signed by `{subject}` of `{issuer}`, and {} of `{}` is required",
                self.subject, self.issuer
            ));
        }
        if let (Some(min_age), Some(now)) = (&self.min_age, locked_at) {
            let signed = u64::try_from(signer.seconds).unwrap_or_default();
            let signed = SystemTime::UNIX_EPOCH + Duration::from_secs(signed);
            // One from the future is younger than anything.
            let age = now.duration_since(signed).unwrap_or_default();
            if age < min_age.age {
                return Err(format!(
                    "it was signed at {time}, which is less than {} ago",
                    min_age.text
                ));
            }
        }
        Ok(format!("signed by `{subject}` of `{issuer}` at {time}"))
    }
}

#[cfg(test)]
mod tests {
    use super::SubjectMatch;

    #[test]
    fn a_pattern_matches_the_whole_identity_and_nothing_beside() {
        let release =
            r"https://github\.com/acme/shop/\.github/workflows/release\.yml@refs/tags/v[0-9.]+";
        let pattern = SubjectMatch::pattern(release).unwrap();
        let signed = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1.2";
        assert!(pattern.is_met_by(signed));
        for other in [
            format!("{signed}\n"),
            format!("{signed}-evil"),
            format!("x{signed}"),
            format!("{signed}\nhttps://evil.example"),
            signed.replace("github.com", "githubXcom"),
            signed.replace("refs/tags/v1.2", "refs/heads/v1"),
        ] {
            assert!(!pattern.is_met_by(&other), "{other}");
        }
        let either = SubjectMatch::pattern("a@x|b@x").unwrap();
        assert!(either.is_met_by("a@x") && either.is_met_by("b@x"));
        assert!(!either.is_met_by("a@xy") && !either.is_met_by("zb@x"));
        assert!(SubjectMatch::pattern("a)|(b").is_err());
        assert!(SubjectMatch::pattern("(?x)a # b").is_err());
    }

    #[test]
    fn an_identity_matches_itself_alone() {
        let exact = SubjectMatch::Exact("dev@acme.example".to_owned());
        assert!(exact.is_met_by("dev@acme.example"));
        for other in [
            "dev@acme.example.evil.example",
            "xdev@acme.example",
            "dev@acme.exampl",
            "dev@acmeXexample",
            "DEV@acme.example",
            "dev@\u{430}cme.example",
            "dev@acme.example ",
        ] {
            assert!(!exact.is_met_by(other), "{other}");
        }
    }
}
