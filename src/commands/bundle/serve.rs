//! `serve`: a read-only registry straight from bundles.

use std::{io, net::SocketAddr, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{open::BundleOptions, trust_source::TrustSource};
use crate::{
    bundle::{ImageSignatureChoice, OpenBundle},
    net::server_config,
    serve::{Catalog, Listener, Server, Users},
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    failure::Failure,
    fsx,
    progress::Progress,
};

const MAX_HTPASSWD_BYTES: u64 = 1 << 20;

const MOST_READING: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct ServeOptions {
    pub(crate) bundles: Vec<BundleOptions>,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<(Utf8PathBuf, Utf8PathBuf)>,
    pub(crate) htpasswd: Option<Utf8PathBuf>,
    /// Whether an address that other machines reach may be listened on without TLS.
    pub(crate) is_plain_http_allowed: bool,
    pub(crate) image_signatures: ImageSignatureChoice,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServeReport {
    address: SocketAddr,
    url: String,
    authenticated: bool,
    trust: Option<TrustSource>,
    bundles: Vec<BundleReport>,
    references: Vec<ReferenceReport>,
    /// What image signatures of the bundles are about that are not served.
    image_signatures_left_off: Vec<String>,
    #[serde(skip)]
    image_signatures: ImageSignatureChoice,
}

#[derive(Debug, Serialize)]
struct BundleReport {
    file: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
}

#[derive(Debug, Serialize)]
struct ReferenceReport {
    reference: String,
    digest: Digest,
    source: Option<String>,
    bundle: Digest,
}

impl Report for ServeReport {
    const VERB: &'static str = "serve";

    fn text(&self) -> String {
        let bundles: Vec<_> = self
            .bundles
            .iter()
            .map(|bundle| format!("{} {}", bundle.name, bundle.version))
            .collect();
        let trust = self
            .trust
            .as_ref()
            .map(|trust| format!(", trusted by {trust},"))
            .unwrap_or_default();
        let mut text = format!(
            "serving {} of {}{trust} at {}\n",
            counted(self.references.len(), "reference"),
            bundles.join(", "),
            self.url
        );
        for subject in &self.image_signatures_left_off {
            let reason = self.image_signatures.reason();
            text.push_str(&format!("left off: signature of {subject}{reason}\n"));
        }
        text
    }
}

#[derive(Debug, thiserror::Error, Failure)]
enum ServiceError {
    #[error("{0} can be reached from other machines, and there is no certificate to talk TLS with")]
    #[failure(Usage: "give `--tls-cert` and `--tls-key`, or say `--plain-http` if everybody \
        between here and the clients may read and change it")]
    PlainHttp(SocketAddr),
    #[error("cannot start the runtime")]
    #[failure(Internal)]
    Start(#[source] io::Error),
    #[error("stopped with Ctrl-C")]
    #[failure(Interrupted)]
    Interrupted,
}

/// Serves until the process is asked to end; `ready` gets the report when clients may come.
pub(crate) fn run(
    options: &ServeOptions,
    progress: &Arc<dyn Progress>,
    ready: impl FnOnce(&ServeReport) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let is_local = options.listen.ip().to_canonical().is_loopback();
    if !is_local && options.tls.is_none() {
        if !options.is_plain_http_allowed {
            return Err(ServiceError::PlainHttp(options.listen).into());
        }
        progress.announce(
            "note: without TLS, whoever is between this machine and its clients can read and \
             change what they pull",
        );
    }
    let named = |option: &str, path: &Utf8PathBuf| (option.to_owned(), path.clone());
    let tls = options.tls.as_ref().map(|(certificate, key)| {
        server_config(&[named("--tls-cert", certificate), named("--tls-key", key)])
    });
    let tls = tls.transpose()?;
    let users = options.htpasswd.as_deref().map(load_users).transpose()?;
    let bundles = options
        .bundles
        .iter()
        .map(BundleOptions::open_in_place)
        .collect::<Result<Vec<_>, _>>()?;
    let named = options
        .bundles
        .iter()
        .zip(&bundles)
        .map(|(options, bundle)| (format!("`{}`", options.bundle), Arc::clone(bundle)));
    let catalog = Catalog::new(named, options.image_signatures)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut report = ServeReport {
        address: options.listen,
        url: String::new(),
        authenticated: users.is_some(),
        // All are checked with the same.
        trust: options
            .bundles
            .first()
            .and_then(BundleOptions::trust_source),
        bundles: options
            .bundles
            .iter()
            .zip(&bundles)
            .map(|(options, bundle)| BundleReport::of(&options.bundle, bundle))
            .collect(),
        references: bundles
            .iter()
            .flat_map(|bundle| references(bundle, options.image_signatures))
            .collect(),
        image_signatures_left_off: bundles
            .iter()
            .flat_map(|bundle| left_off(bundle, options.image_signatures))
            .collect(),
        image_signatures: options.image_signatures,
    };
    let server = Arc::new(Server::new(catalog, users, tls));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .enable_all()
        .max_blocking_threads(MOST_READING)
        .build()
        .map_err(ServiceError::Start)?;
    let outcome = runtime.block_on(async {
        let mut asked = Asked::listen().map_err(ServiceError::Start)?;
        let listener = Listener::bind(options.listen).await?;
        report.address = listener.address();
        report.url = url(scheme, report.address);
        if let Some(note) = zone_note(scheme, report.address) {
            progress.announce(&note);
        }
        ready(&report)?;
        attend(server, listener, progress, &mut asked).await
    });
    runtime.shutdown_background();
    outcome
}

/// The URL of an address, as curl and containerd take it: the zone of a link-local address stands
/// behind `%25` there.
fn url(scheme: &str, address: SocketAddr) -> String {
    format!("{scheme}://{}", address.to_string().replacen('%', "%25", 1))
}

/// What to know of an address that has a zone: it is that of an interface of this machine, and
/// references of images have none.
fn zone_note(scheme: &str, address: SocketAddr) -> Option<String> {
    let SocketAddr::V6(v6) = address else {
        return None;
    };
    let (ip, port) = (v6.ip(), v6.port());
    (v6.scope_id() != 0).then(|| {
        format!(
            "note: `{ip}` is link-local: another machine writes the name of its own interface \
             behind it, `{scheme}://[{ip}%25INTERFACE]:{port}`, in URLs of mirrors and of curl. \
             References of images cannot have one: let a host name lead to this machine, or \
             listen on another address of it"
        )
    })
}

/// Serves until the process is asked to end, and then until responses that have begun are at their
/// end, or it is asked again.
async fn attend(
    server: Arc<Server>,
    listener: Listener,
    progress: &Arc<dyn Progress>,
    asked: &mut Asked,
) -> Result<(), CommandError> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let mut serving = std::pin::pin!(server.run(listener, Arc::clone(progress), stopped));
    let first = tokio::select! {
        () = &mut serving => return Ok(()),
        first = asked.next() => first,
    };
    let _ = stop.send(());
    progress.announce("stopping: what was begun is sent to its end; ask once more to stop at once");
    tokio::select! {
        () = serving => {}
        _ = asked.next() => {}
    }
    first.map_err(CommandError::from)
}

struct Asked {
    interrupt: Signal,
    terminate: Signal,
}

impl Asked {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one. Ctrl-C is told apart, because scripts do.
    async fn next(&mut self) -> Result<(), ServiceError> {
        tokio::select! {
            _ = self.interrupt.recv() => Err(ServiceError::Interrupted),
            _ = self.terminate.recv() => Ok(()),
        }
    }
}

fn load_users(path: &Utf8Path) -> Result<Arc<Users>, CommandError> {
    let text = zeroize::Zeroizing::new(fsx::read_to_string(path, MAX_HTPASSWD_BYTES)?);
    Users::parse(&text).map(Arc::new).map_err(|error| {
        CommandError::from(error).context(format!("cannot use the users in `{path}`"))
    })
}

fn left_off(bundle: &OpenBundle, choice: ImageSignatureChoice) -> impl Iterator<Item = String> {
    let left_off = bundle.publications().iter();
    left_off
        .filter(move |publication| !choice.admits(publication))
        .filter_map(|publication| {
            let subject = publication.kind.signed_subject()?;
            Some(format!("{}@{subject}", publication.repository))
        })
}

fn references(
    bundle: &OpenBundle,
    choice: ImageSignatureChoice,
) -> impl Iterator<Item = ReferenceReport> {
    let digest = bundle.head().digest();
    Catalog::names(bundle, choice).map(move |served| ReferenceReport {
        reference: served.name,
        digest: served.digest,
        source: served.source,
        bundle: digest,
    })
}

impl BundleReport {
    fn of(file: &Utf8Path, bundle: &OpenBundle) -> Self {
        let index = bundle.index();
        Self {
            file: file.to_owned(),
            name: index.name.clone(),
            version: index.version.clone(),
            digest: bundle.head().digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{url, zone_note};

    #[test]
    fn an_address_with_a_zone_is_announced_as_a_url_that_can_be_typed() {
        let address = "[fe80::1%2]:5000".parse().unwrap();
        assert_eq!(url("https", address), "https://[fe80::1%252]:5000");
        let note = zone_note("https", address).unwrap();
        assert!(
            note.contains("`https://[fe80::1%25INTERFACE]:5000`") && note.contains("host name"),
            "{note}"
        );
        for other in ["[fd00::1]:5000", "[::]:5000", "127.0.0.1:5000"] {
            let address = other.parse().unwrap();
            assert_eq!(
                (url("http", address), zone_note("http", address)),
                (format!("http://{other}"), None)
            );
        }
    }
}
