//! What is the same for every bundle at a site: option, then environment, then site file, then
//! default.
//!
//! The names of the variables stand in the help, their values nowhere.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where environment and clock are read"
)]

use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use crate::commands::bundle::{Origin, RECEIPTS_BEFORE, SiteFile, VerifiedFiles};
use rune_core::command::CommandError;

/// Where the site file is when nobody says otherwise.
const USUAL_PLACE: &str = "/etc/rune-bundle/site.yaml";

/// The site file.
#[derive(Debug, Clone, Args)]
pub(super) struct SiteArgs {
    /// Site file: trust file, registry, CA certificate and other defaults [env: RUNE_BUNDLE_SITE]
    /// [default: /etc/rune-bundle/site.yaml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Site")]
    site: Option<Utf8PathBuf>,
}

#[derive(Debug, Default)]
pub(super) struct Site {
    path: Utf8PathBuf,
    file: SiteFile,
}

/// A directory of receipts, and how it was found.
pub(super) struct ReceiptDirectory {
    pub(super) directory: Option<Utf8PathBuf>,
    /// Where earlier versions kept receipts, when nobody named a directory for this run.
    pub(super) before: Option<Utf8PathBuf>,
}

impl Site {
    pub(super) fn load(args: &SiteArgs) -> Result<Self, CommandError> {
        let path = args.site.clone().or_else(|| path_in("RUNE_BUNDLE_SITE"));
        let path = match path {
            Some(path) => path,
            None if std::fs::symlink_metadata(USUAL_PLACE).is_ok() => USUAL_PLACE.into(),
            None => return Ok(Self::default()),
        };
        Ok(Self {
            file: SiteFile::read(&path)?,
            path,
        })
    }

    pub(super) fn trust(&self) -> (Option<Utf8PathBuf>, Origin) {
        const VARIABLE: &str = "RUNE_BUNDLE_TRUST";
        match (path_in(VARIABLE), &self.file.trust) {
            (Some(path), _) => (Some(path), Origin::Variable(VARIABLE)),
            (None, Some(path)) => (Some(path.clone()), Origin::Site(self.path.clone())),
            (None, None) => (None, Origin::Options),
        }
    }

    pub(super) fn registry(&self, option: Option<String>) -> Option<String> {
        option
            .or_else(|| variable("RUNE_BUNDLE_REGISTRY"))
            .or_else(|| self.file.registry.clone())
    }

    pub(super) fn ca_files(&self, options: Vec<Utf8PathBuf>) -> Vec<Utf8PathBuf> {
        if !options.is_empty() {
            return options;
        }
        path_in("RUNE_BUNDLE_CA_FILE")
            .or_else(|| self.file.ca_file.clone())
            .into_iter()
            .collect()
    }

    pub(super) fn authfile(&self, option: Option<Utf8PathBuf>) -> Option<Utf8PathBuf> {
        option
            .or_else(|| path_in("RUNE_BUNDLE_AUTHFILE"))
            .or_else(|| self.file.authfile.clone())
    }

    pub(super) fn namespace(&self, option: Option<String>) -> Option<String> {
        option
            .or_else(|| variable("RUNE_BUNDLE_NAMESPACE"))
            .or_else(|| self.file.namespace.clone())
    }

    /// The directory of receipts: by default one that is the same wherever the program is started.
    pub(super) fn receipts(&self, option: Option<Utf8PathBuf>) -> ReceiptDirectory {
        if let Some(named) = option.or_else(|| path_in("RUNE_BUNDLE_RECEIPTS")) {
            return ReceiptDirectory {
                directory: Some(named),
                before: None,
            };
        }
        let directory = self.file.receipts.clone().or_else(usual_receipts);
        let before = camino::absolute_utf8(Utf8Path::new(RECEIPTS_BEFORE)).ok();
        ReceiptDirectory { directory, before }
    }
}

/// Where it is on record which files were verified. Unlike receipts, records are of use to nobody
/// after the next start of the machine.
pub(super) fn verified_files() -> Option<VerifiedFiles> {
    let named = state_home().map(|state| state.join("rune-bundle"));
    Some(VerifiedFiles {
        directory: named.or_else(state_directory)?.join("verified"),
        start: now(),
    })
}

/// Where another program keeps what it can get again: in the directory that its own variable names,
/// or in the usual place.
pub(super) fn cache_directory(variable: &str, name: &str) -> Option<Utf8PathBuf> {
    let home = || path_in("HOME").map(|home| home.join(".cache"));
    let caches = path_in("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let usual = || caches.or_else(home).map(|caches| caches.join(name));
    path_in(variable).or_else(usual)
}

pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

fn usual_receipts() -> Option<Utf8PathBuf> {
    Some(state_directory()?.join("receipts"))
}

fn state_directory() -> Option<Utf8PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/rune-bundle".into());
    }
    let home = || path_in("HOME").map(|home| home.join(".local/state"));
    Some(state_home().or_else(home)?.join("rune-bundle"))
}

fn state_home() -> Option<Utf8PathBuf> {
    // A relative path means nothing there (XDG base directory specification).
    path_in("XDG_STATE_HOME").filter(|path| path.is_absolute())
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn path_in(name: &str) -> Option<Utf8PathBuf> {
    variable(name).map(Utf8PathBuf::from)
}
