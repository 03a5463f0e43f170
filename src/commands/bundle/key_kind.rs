//! Files that are given as a key and are something else.

use camino::{Utf8Path, Utf8PathBuf};

use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WantedKey {
    Private,
    Public,
    TrustFile,
}

/// What a file is, as its first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    PrivateKey,
    PublicKey,
    Certificate,
    SshKey,
    OpenPgpKey,
    TrustFile,
}

#[derive(Debug, thiserror::Error)]
#[error("`{path}` is {}, and {} is needed", .found.name(), .wanted.name())]
pub(super) struct WrongKeyKind {
    path: Utf8PathBuf,
    found: FileKind,
    wanted: WantedKey,
}

impl WantedKey {
    const fn name(self) -> &'static str {
        match self {
            Self::Private => "a private key",
            Self::Public => "a public key",
            Self::TrustFile => "a trust file",
        }
    }

    /// Refuses a file that is recognised as something else; others are for the reader of keys.
    pub(super) fn check(self, path: &Utf8Path, content: &[u8]) -> Result<(), WrongKeyKind> {
        match FileKind::of(content) {
            Some(found) if !self.accepts(found) => Err(WrongKeyKind {
                path: path.to_owned(),
                found,
                wanted: self,
            }),
            _ => Ok(()),
        }
    }

    const fn accepts(self, found: FileKind) -> bool {
        matches!(
            (self, found),
            (Self::Private, FileKind::PrivateKey)
                | (Self::Public, FileKind::PublicKey)
                | (Self::TrustFile, FileKind::TrustFile)
        )
    }
}

impl FileKind {
    fn of(content: &[u8]) -> Option<Self> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let content = content.trim_ascii_start();
        let first = content.split(|byte| *byte == b'\n').next()?;
        let first = std::str::from_utf8(first).ok()?.trim_end();
        let label = first
            .strip_prefix("-----BEGIN ")
            .and_then(|label| label.strip_suffix("-----"));
        match label {
            Some("PUBLIC KEY") => Some(Self::PublicKey),
            Some("OPENSSH PRIVATE KEY") => Some(Self::SshKey),
            Some(label) if label.starts_with("PGP ") => Some(Self::OpenPgpKey),
            Some(label) if label.ends_with("CERTIFICATE") => Some(Self::Certificate),
            Some(label) if label.ends_with("PRIVATE KEY") => Some(Self::PrivateKey),
            None if first.starts_with("ssh-") || first.starts_with("ecdsa-sha2-") => {
                Some(Self::SshKey)
            }
            None if first.starts_with("apiVersion:") || first.starts_with("kind:") => {
                Some(Self::TrustFile)
            }
            Some(_) | None => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::PrivateKey => "a private key",
            Self::PublicKey => "a public key",
            Self::Certificate => "a certificate",
            Self::SshKey => "an SSH key",
            Self::OpenPgpKey => "an OpenPGP key",
            Self::TrustFile => "a YAML file",
        }
    }
}

impl Failure for WrongKeyKind {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn help(&self) -> Option<String> {
        let path = &self.path;
        Some(match (self.wanted, self.found) {
            (WantedKey::TrustFile, FileKind::PublicKey) => {
                format!("pass a public key with `--key {path}`")
            }
            (WantedKey::TrustFile, _) => {
                "name a YAML file that begins with `apiVersion: rune-bundle/v1` and `kind: Trust`"
                    .to_owned()
            }
            (WantedKey::Public, FileKind::PrivateKey) => format!(
                "pass the public key of the pair, such as `{}`",
                path.with_extension("pub")
            ),
            (WantedKey::Private, FileKind::PublicKey) => format!(
                "pass the private key of the pair, such as `{}`",
                path.with_extension("key")
            ),
            (WantedKey::Public, FileKind::TrustFile) => {
                format!("pass a trust file with `--trust {path}`")
            }
            (WantedKey::Public, FileKind::Certificate) => {
                format!("extract its public key: `openssl x509 -in {path} -noout -pubkey`")
            }
            _ => "generate a key pair with `rune-bundle keygen`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::WantedKey;
    use rune_core::failure::Failure as _;

    #[test]
    fn a_file_of_another_kind_is_refused_by_name_with_the_way_out() {
        for (half, path, content, message, help) in [
            (
                WantedKey::Public,
                "release.key",
                "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
                "`release.key` is a private key, and a public key is needed",
                "release.pub",
            ),
            (
                WantedKey::Private,
                "release.pub",
                "-----BEGIN PUBLIC KEY-----\n",
                "is a public key, and a private key is needed",
                "release.key",
            ),
            (
                WantedKey::Public,
                "trust.yaml",
                "apiVersion: rune-bundle/v1\nkind: TrustFile\n",
                "is a YAML file",
                "`--trust trust.yaml`",
            ),
            (
                WantedKey::Public,
                "tls.crt",
                "-----BEGIN CERTIFICATE-----\n",
                "is a certificate",
                "openssl x509 -in tls.crt",
            ),
            (
                WantedKey::TrustFile,
                "release.pub",
                "-----BEGIN PUBLIC KEY-----\n",
                "is a public key, and a trust file is needed",
                "`--key release.pub`",
            ),
            (
                WantedKey::Private,
                "id_ed25519",
                "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                "is an SSH key",
                "keygen",
            ),
        ] {
            let error = half.check(path.into(), content.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.help().unwrap().contains(help), "{:?}", error.help());
        }
        let own = [
            (WantedKey::Public, "-----BEGIN PUBLIC KEY-----\n"),
            (WantedKey::Private, "-----BEGIN EC PRIVATE KEY-----\n"),
            (WantedKey::Private, "rubbish"),
        ];
        for (half, content) in own {
            assert!(half.check("a".into(), content.as_bytes()).is_ok());
        }
    }
}
