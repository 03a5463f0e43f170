//! Credential helpers: programs that know a password and tell it to whoever runs them.
//!
//! The protocol is docker's: `docker-credential-NAME get`, the server on standard input, JSON on
//! standard output. What a helper prints is never shown, not even when it fails: it may be a
//! secret.

use std::process::Stdio;

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use super::credentials::Credentials;
use rune_core::{failure::Failure, secret::Secret};

const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// What helpers say, with exit code 1, when they have nothing.
const NOT_FOUND: &str = "credentials not found";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Access)]
pub(crate) enum HelperError {
    #[error("`{0}` is not the name of a credential helper")]
    #[failure(help: "correct credHelpers or credsStore in the docker config.json")]
    Name(String),
    #[error("cannot run the credential helper `{program}`")]
    #[failure(help: "install `{program}`, or remove it from the docker config.json")]
    Run {
        program: String,
        source: std::io::Error,
    },
    #[error("the credential helper `{program}` failed for `{server}` ({status})")]
    #[failure(help: "see what `echo {server} | {program} get` says")]
    Failed {
        program: String,
        server: String,
        status: std::process::ExitStatus,
    },
    #[error("the credential helper `{program}` gave an answer for `{server}` that cannot be read")]
    #[failure(help: "see what `echo {server} | {program} get` says")]
    Output { program: String, server: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    #[serde(default)]
    username: String,
    secret: String,
}

pub(super) async fn send(helper: &str, server: &str) -> Result<Option<Credentials>, HelperError> {
    let is_name = !helper.is_empty()
        && helper
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !is_name {
        return Err(HelperError::Name(helper.to_owned()));
    }
    let program = format!("docker-credential-{helper}");
    let (status, output) = run(&program, server)
        .await
        .map_err(|source| HelperError::Run {
            program: program.clone(),
            source,
        })?;
    if !status.success() {
        let is_nothing = String::from_utf8_lossy(&output).contains(NOT_FOUND);
        return if is_nothing {
            Ok(None)
        } else {
            Err(HelperError::Failed {
                program,
                server: server.to_owned(),
                status,
            })
        };
    }
    let answer: Result<HelperOutput, _> = serde_json::from_slice(&output);
    let Ok(HelperOutput { username, secret }) = answer else {
        return Err(HelperError::Output {
            program,
            server: server.to_owned(),
        });
    };
    let secret = Secret::new(secret);
    // This user name means that the secret is an identity token.
    Ok(Some(if username == "<token>" {
        Credentials::IdentityToken(secret)
    } else {
        Credentials::Basic {
            user: username,
            password: secret,
        }
    }))
}

async fn run(program: &str, server: &str) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
    let mut command = Command::new(program);
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(server.as_bytes()).await {
            // A helper may answer without reading.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MAX_ANSWER_BYTES)
            .read_to_end(&mut output)
            .await?;
    }
    Ok((child.wait().await?, output))
}
