//! The verbs about credentials: `login`, `logout`.

use std::io::{self, Read as _};

use clap::Args;
use zeroize::Zeroizing;

use super::registry;
use crate::{
    cli::{
        passphrase,
        registry_args::{NamedRegistryArgs, login_file},
        site::Site,
    },
    commands::{
        bundle::{
            login::{self, LoginReport, LogoutReport},
            push::Destination,
        },
        registry_access::{ClientConfig, Password, is_docker_hub},
    },
};
use rune_core::{command::CommandError, failure::Failure, secret::Secret};

const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Log in to a registry: try a password, and store it where docker, podman, skopeo, crane and Helm
/// read it.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// Registry [env: RUNE_BUNDLE_REGISTRY]
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
    /// User at the registry
    #[arg(long, short, value_name = "NAME")]
    username: String,
    /// Read the password from standard input instead of the terminal
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    access: NamedRegistryArgs,
}

/// Remove the stored credentials of a registry.
#[derive(Debug, Args)]
pub(super) struct Logout {
    /// Registry [env: RUNE_BUNDLE_REGISTRY]
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
    #[command(flatten)]
    access: NamedRegistryArgs,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage: "write the password, and nothing else, to standard input: `--password-stdin < \
    FILE`")]
enum PasswordError {
    #[error("cannot read the password from standard input")]
    Read(#[source] io::Error),
    #[error(
        "what came from standard input is not a password: it is not UTF-8 text of at most \
         {MAX_PASSWORD_BYTES} bytes"
    )]
    Form,
}

impl Login {
    pub(super) fn run(self, site: &Site) -> Result<LoginReport, CommandError> {
        let registry = host(site.registry(self.registry))?;
        let file = login_file(site, self.access.authfile());
        let config = self.access.into_online_config(site, &registry);
        let password = if self.password_stdin {
            from_standard_input()?
        } else {
            passphrase::of_user(&self.username, &registry)?
        };
        let user = crate::commands::registry_access::Login {
            registry,
            user: self.username,
            password: Password::Given(password),
        };
        login::login(
            &ClientConfig {
                login: Some(user),
                ..config
            },
            file.as_deref(),
        )
    }
}

impl Logout {
    pub(super) fn run(self, site: &Site) -> Result<LogoutReport, CommandError> {
        let registry = host(site.registry(self.registry))?;
        let config = self.access.into_online_config(site, &registry);
        login::logout(&config.auth_files, &registry)
    }
}

/// The host of a registry; people also write it as a URL, or with the prefix that they push to.
fn host(text: Option<String>) -> Result<String, CommandError> {
    let bare = text.map(|text| {
        text.strip_prefix("https://")
            .unwrap_or(&text)
            .trim_end_matches('/')
            .to_owned()
    });
    if let Some(hub) = bare.as_deref().filter(|host| is_docker_hub(host)) {
        return Ok(hub.to_owned());
    }
    let destination: Destination = registry::required(bare)?;
    Ok(destination.registry().to_owned())
}

fn from_standard_input() -> Result<Secret, PasswordError> {
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin()
        .lock()
        .take(MAX_PASSWORD_BYTES + 1)
        .read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(PasswordError::Form),
        Err(error) => Err(PasswordError::Read(error)),
        Ok(length) if length as u64 > MAX_PASSWORD_BYTES => Err(PasswordError::Form),
        Ok(_) => Ok(Secret::from_line(&text)),
    }
}
