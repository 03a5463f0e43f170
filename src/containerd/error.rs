//! Why a containerd does not do what is asked of it.

use std::io;

use camino::Utf8PathBuf;

use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerdError {
    #[error("there is no containerd at {}", .0.join(" or "))]
    NoContainerd(Vec<String>),
    #[error("there is more than one containerd: {}", .0.join(", "))]
    SeveralContainerds(Vec<String>),
    #[error("cannot reach containerd at `{address}`")]
    Socket {
        address: Utf8PathBuf,
        source: io::Error,
    },
    #[error("cannot start `{program}`")]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("{doing} failed: `{program}` {ended}{}", shown(.said))]
    Client {
        doing: &'static str,
        program: Utf8PathBuf,
        ended: String,
        said: String,
    },
}

fn shown(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl Failure for ContainerdError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoContainerd(_) => FailureKind::NotFound,
            Self::SeveralContainerds(_) => FailureKind::Usage,
            Self::Socket { source, .. } | Self::Start { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => FailureKind::NotFound,
                io::ErrorKind::PermissionDenied => FailureKind::Access,
                _ => FailureKind::Network,
            },
            Self::Client { said, .. } => kind_of(said),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match (self, self.kind()) {
            (Self::SeveralContainerds(_), _) => "set --address to the one that the kubelet uses",
            (Self::NoContainerd(_), _) => {
                "run this on a node, or set --address to the socket of containerd"
            }
            (Self::Socket { .. }, FailureKind::NotFound) => {
                "start containerd, or set --address to its socket"
            }
            (_, FailureKind::Access) => "run this as root",
            (Self::Start { .. }, _) => {
                "name containerd's client with --ctr: ctr, or k3s on nodes of k3s"
            }
            (_, FailureKind::Space) => "make room and run the same command again",
            (_, FailureKind::Conflict) => {
                "wait until the other import has ended and run this again"
            }
            _ => "see what the log of containerd says, then run the same command again",
        };
        Some(help.to_owned())
    }
}

/// What kind of failure the last words of `ctr` mean; it has one exit code for all of them.
fn kind_of(said: &str) -> FailureKind {
    let says = |phrases: &[&str]| phrases.iter().any(|word| said.contains(word));
    if says(&["no space left on device", "disk quota exceeded"]) {
        FailureKind::Space
    } else if says(&["permission denied", "operation not permitted"]) {
        FailureKind::Access
    } else if says(&["locked for"]) {
        FailureKind::Conflict
    } else {
        FailureKind::Network
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;
    use rune_core::failure::FailureKind;

    #[test]
    fn the_words_of_ctr_decide_the_exit_code() {
        for (said, kind) in [
            (
                "ctr: failed to ingest \"blobs/sha256/ab\": write /var/lib/x: no space left on \
                 device: unknown",
                FailureKind::Space,
            ),
            (
                "ctr: failed to dial \"/run/x.sock\": connect: permission denied",
                FailureKind::Access,
            ),
            (
                "ctr: failed to ingest \"x\": ref tar-x locked for 1s (since now): unavailable",
                FailureKind::Conflict,
            ),
            (
                "ctr: error reading from server: EOF: unavailable",
                FailureKind::Network,
            ),
        ] {
            assert_eq!(kind_of(said), kind, "{said}");
        }
    }
}
