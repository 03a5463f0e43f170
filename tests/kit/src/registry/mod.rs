//! An OCI distribution registry in memory, on a loopback port, that fails on request.
//!
//! Pull and push as the distribution specification has them, optional basic or token
//! authentication, and a list of [`Fault`]s to play. Every request is recorded, so that a test can
//! tell what was asked, how often, and with which credentials. It runs on its own thread and ends
//! when it is dropped.

mod auth;
mod behaviour;
mod fault;
mod server;
mod store;
mod tls;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;

pub use auth::{Auth, IDENTITY_TOKEN};
pub use behaviour::Behaviour;
pub use fault::Fault;
pub use store::Request;

use crate::sample::Image;
use store::Store;
use tls::Identity;

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    state: Arc<State>,
    pem: Option<(String, (String, String))>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    auth: Auth,
    url: String,
    store: Mutex<Store>,
    faults: Mutex<Vec<Fault>>,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    /// Told after each request.
    arrived: Condvar,
    hold: Mutex<Option<Hold>>,
}

/// From which request on none is answered: the `count`-th that fits.
#[derive(Debug)]
struct Hold {
    pattern: String,
    count: usize,
}

/// The lock, also after a panic elsewhere: the test that panicked has failed already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Registry {
    /// Starts an empty registry that asks for no credentials.
    pub fn start() -> Self {
        Self::start_with(Auth::None)
    }

    /// Starts an empty registry.
    pub fn start_with(auth: Auth) -> Self {
        Self::start_server(auth, None)
    }

    /// Starts an empty registry that speaks TLS; [`Self::ca_pem`] is the authority that vouches for
    /// it.
    pub fn start_tls(auth: Auth) -> Self {
        Self::start_server(auth, Some(Identity::new(false)))
    }

    /// Starts an empty registry that speaks TLS and wants to see the certificate of
    /// [`Self::client_pem`].
    pub fn start_mutual_tls(auth: Auth) -> Self {
        Self::start_server(auth, Some(Identity::new(true)))
    }

    /// Starts an empty registry that speaks TLS with this certificate and key, both in PEM form.
    pub fn start_tls_as(certificate: &str, key: &str) -> Self {
        Self::start_server(Auth::None, Some(Identity::of(certificate, key)))
    }

    fn start_server(auth: Auth, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        listener.set_nonblocking(true).expect("the socket is ours");
        let address = listener.local_addr().expect("the socket is bound");
        let url = format!(
            "{}://{address}",
            if identity.is_some() { "https" } else { "http" }
        );
        let state = Arc::new(State {
            auth,
            url,
            store: Mutex::default(),
            faults: Mutex::default(),
            behaviour: Mutex::default(),
            requests: Mutex::default(),
            arrived: Condvar::new(),
            hold: Mutex::default(),
        });
        let pem = identity
            .as_ref()
            .map(|identity| (identity.ca_pem.clone(), identity.client_pem.clone()));
        let (stop, stopped) = oneshot::channel();
        let server = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(async {
                tokio::select! {
                    () = server::serve(listener, identity, server) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            pem,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The certificate of the authority that vouches for the server, in PEM form.
    ///
    /// # Panics
    /// When the registry does not speak TLS.
    pub fn ca_pem(&self) -> &str {
        &self
            .pem
            .as_ref()
            .expect("the registry was started with TLS")
            .0
    }

    /// Certificate and private key of a client that the authority vouches for, in PEM form.
    ///
    /// # Panics
    /// When the registry does not speak TLS.
    pub fn client_pem(&self) -> (&str, &str) {
        let (certificate, key) = &self
            .pem
            .as_ref()
            .expect("the registry was started with TLS")
            .1;
        (certificate, key)
    }

    /// Host and port, as they stand in a reference.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Stores a blob in a repository and gives its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        locked(&self.state.store).put_blob(repository, bytes.to_vec().into())
    }

    /// Stores a manifest under its digest and, if given, a tag. Nothing is checked. Gives its
    /// digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        locked(&self.state.store).put_manifest(repository, tag, media_type, bytes.to_vec().into())
    }

    /// Stores a whole image under a tag and gives the digest of its index.
    pub fn put_image(&self, repository: &str, tag: &str, image: &Image) -> String {
        for blob in &image.blobs {
            self.put_blob(repository, blob);
        }
        for manifest in &image.manifests {
            self.put_manifest(repository, None, manifest.media_type, &manifest.bytes);
        }
        self.put_manifest(
            repository,
            Some(tag),
            image.index.media_type,
            &image.index.bytes,
        )
    }

    /// Deletes a manifest and the tags that lead to it.
    pub fn delete_manifest(&self, repository: &str, digest: &str) {
        locked(&self.state.store).delete_manifest(repository, digest);
    }

    /// The media type and bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        locked(&self.state.store)
            .manifest(repository, reference)
            .map(|(media_type, bytes, _)| (media_type, bytes.to_vec()))
    }

    /// The bytes of a blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        locked(&self.state.store)
            .blob(repository, digest)
            .map(|bytes| bytes.to_vec())
    }

    /// Adds a fault. The oldest that fits a request and has not been played often enough is played.
    pub fn fault(&self, fault: Fault) {
        locked(&self.state.faults).push(fault);
    }

    /// Plays no fault any more.
    pub fn end_faults(&self) {
        locked(&self.state.faults).clear();
    }

    /// Changes what it is like.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut locked(&self.state.behaviour));
    }

    /// Begins an upload, as if somebody had asked for it, and gives its path.
    pub fn begin_upload(&self, repository: &str) -> String {
        let id = locked(&self.state.store).begin_upload();
        format!("/v2/{repository}/blobs/uploads/{id}")
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        locked(&self.state.store).tags(repository)
    }

    /// How many bytes of blobs it was sent.
    pub fn received_bytes(&self) -> u64 {
        self.requests_to("/v2/*/blobs/uploads/*")
            .iter()
            .map(Request::body_bytes)
            .sum()
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.state.requests).clone()
    }

    /// The requests whose path fits a pattern in which `*` stands for anything.
    pub fn requests_to(&self, pattern: &str) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| fault::fits(pattern, &request.path))
            .collect()
    }

    /// Answers nothing any more from the `count`-th request on whose path fits a pattern, whatever
    /// is asked then. So what a client can have done by the time of [`Self::wait_for_requests`] is
    /// settled, and it has not ended.
    pub fn hold_from(&self, pattern: &str, count: usize) {
        *locked(&self.state.hold) = Some(Hold {
            pattern: pattern.to_owned(),
            count,
        });
    }

    /// Answers again. What was asked meanwhile never gets an answer.
    pub fn end_hold(&self) {
        *locked(&self.state.hold) = None;
    }

    /// Waits until so many requests with a fitting path have come.
    ///
    /// # Panics
    /// When they do not come within 40 s.
    pub fn wait_for_requests(&self, pattern: &str, count: usize) {
        const LIMIT: Duration = Duration::from_secs(40);
        let are_missing = |requests: &mut Vec<Request>| fitting(requests, pattern) < count;
        let waited =
            self.state
                .arrived
                .wait_timeout_while(locked(&self.state.requests), LIMIT, are_missing);
        let (requests, outcome) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(
            !outcome.timed_out(),
            "{} of {count} requests to {pattern} after {LIMIT:?}",
            fitting(&requests, pattern)
        );
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        locked(&self.state.requests).clear();
    }
}

/// How many requests have a path that fits.
fn fitting(requests: &[Request], pattern: &str) -> usize {
    requests
        .iter()
        .filter(|request| fault::fits(pattern, &request.path))
        .count()
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
