//! The verb that serves bundles.

use std::{
    net::{AddrParseError, SocketAddr},
    sync::Arc,
};

use camino::Utf8PathBuf;
use clap::Args;

use super::{receipts::now, trust::VerifiedBundleArgs};
use crate::{
    cli::{image_signature_args::ImageSignatureArgs, site::Site},
    commands::bundle::{BundleOptions, ServeOptions},
};
use rune_core::progress::Progress;

/// Serve bundles as a read-only registry for containerd, Helm and every OCI client.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    bundle: VerifiedBundleArgs,
    /// More bundles, verified with the same keys
    #[arg(value_name = "BUNDLE")]
    more: Vec<Utf8PathBuf>,
    /// Address to listen on; port 0 picks a free port
    #[arg(
        long,
        value_name = "IP:PORT",
        value_parser = listen_address,
        default_value = "127.0.0.1:5000",
        help_heading = "Server"
    )]
    listen: SocketAddr,
    /// Certificate chain of the server (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Server"
    )]
    tls_cert: Option<Utf8PathBuf>,
    /// Private key of the server (PEM, not encrypted)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Server"
    )]
    tls_key: Option<Utf8PathBuf>,
    /// Users who may pull: an htpasswd file with bcrypt hashes [default: everybody may]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    htpasswd: Option<Utf8PathBuf>,
    /// Use plain HTTP on an address that other machines reach
    #[arg(long, conflicts_with = "tls_cert", help_heading = "Server")]
    plain_http: bool,
    #[command(flatten)]
    image_signatures: ImageSignatureArgs,
}

pub(super) struct Log(pub(super) Arc<dyn Progress>);

impl Progress for Log {
    fn plan(&self, phases: usize) {
        self.0.plan(phases);
    }

    fn begin(&self, phase: &str, total_bytes: u64) {
        self.0.begin(phase, total_bytes);
    }

    fn begin_steps(&self, phase: &str, total: u64) {
        self.0.begin_steps(phase, total);
    }

    fn advance(&self, done: u64) {
        self.0.advance(done);
    }

    fn note(&self, text: &str) {
        self.0.note(text);
    }

    fn announce(&self, text: &str) {
        self.0.announce(&format!("{} {text}", now()));
    }

    fn end(&self) {
        self.0.end();
    }
}

/// An address to listen on; `:5000` is every address of this machine.
fn listen_address(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.strip_prefix(':') {
        Some(_) => format!("0.0.0.0{text}").parse(),
        None => text.parse(),
    }
}

impl Serve {
    pub(super) fn options(self, site: &Site) -> ServeOptions {
        let mut first = self.bundle.options(site);
        first.parts.are_shared = !self.more.is_empty();
        let more: Vec<_> = self
            .more
            .into_iter()
            .map(|bundle| BundleOptions {
                bundle,
                ..first.clone()
            })
            .collect();
        ServeOptions {
            bundles: std::iter::once(first).chain(more).collect(),
            listen: self.listen,
            tls: self.tls_cert.zip(self.tls_key),
            htpasswd: self.htpasswd,
            is_plain_http_allowed: self.plain_http,
            image_signatures: self.image_signatures.into(),
        }
    }
}
