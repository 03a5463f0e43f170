//! `login` and `logout`: credentials of a registry, in the file that docker, podman, skopeo, crane
//! and Helm read too.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::{
    commands::registry_access::{AuthFile, ClientConfig, Login, Password},
    registry::{LoginProof, forget_login, store_login, try_login},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::Failure,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginReport {
    registry: String,
    username: String,
    authfile: Utf8PathBuf,
    verified: bool,
    /// Keys of the same file for repositories with credentials of their own.
    own: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogoutReport {
    registry: String,
    authfiles: Vec<Utf8PathBuf>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("no file for credentials is known: neither DOCKER_CONFIG nor HOME is set")]
#[failure(Usage: "name one with --authfile")]
struct NoFile;

impl Report for LoginReport {
    const VERB: &'static str = "login";

    fn text(&self) -> String {
        let Self {
            registry,
            username,
            authfile,
            verified,
            own,
        } = self;
        let mut text =
            format!("logged in to {registry} as {username}; the credentials are in `{authfile}`\n");
        if !verified {
            text.push_str(
                "note: the registry accepts anonymous requests too, so the password could not be \
                 verified\n",
            );
        }
        for key in own {
            text.push_str(&format!(
                "note: `{key}` has credentials of its own in this file\n"
            ));
        }
        text
    }
}

impl Report for LogoutReport {
    const VERB: &'static str = "logout";

    fn text(&self) -> String {
        self.authfiles
            .iter()
            .map(|file| {
                format!(
                    "removed the credentials of {} from `{file}`\n",
                    self.registry
                )
            })
            .collect()
    }
}

pub(crate) fn login(
    config: &ClientConfig,
    file: Option<&Utf8Path>,
) -> Result<LoginReport, CommandError> {
    let file = file.ok_or(NoFile)?;
    let Some(Login {
        registry,
        user,
        password: Password::Given(password),
    }) = &config.login
    else {
        return Err(NoFile.into());
    };
    let mut proof = LoginProof::NotAsked;
    let try_it = || -> Result<(), CommandError> {
        // Nobody else's credentials are shown, and no file is read for them.
        let alone = ClientConfig {
            auth_files: Vec::new(),
            run_credential_helpers: false,
            ..config.clone()
        };
        proof = block_on(try_login(alone))?;
        Ok(())
    };
    let stored = store_login(file, &config.auth_files, registry, (user, password), try_it)?;
    Ok(LoginReport {
        registry: registry.clone(),
        username: user.clone(),
        authfile: file.to_owned(),
        verified: proof == LoginProof::Accepted,
        own: stored.own,
    })
}

pub(crate) fn logout(files: &[AuthFile], registry: &str) -> Result<LogoutReport, CommandError> {
    Ok(LogoutReport {
        registry: registry.to_owned(),
        authfiles: forget_login(files, registry)?,
    })
}
