//! An open session with a PostgreSQL server, and how it ends.
//!
//! A session that is given up while a statement runs asks the server to cancel it: otherwise the
//! server would notice only when it next writes, and hold its locks until then.

use std::{thread, time::Duration};

use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, NoTls};

use super::{
    postgres_url::Liveness,
    server_error::ServerError,
    tls::{ServerCertificate, Tls},
    wire::{Address, Wire},
};

/// How long taking leave may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long it may take to reach the server once more, and how long to wait for what comes of it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

/// The traffic of a session. What the server said when it ended the session, if no statement was
/// there to hear it.
pub(super) type Traffic = JoinHandle<Option<ServerError>>;

pub(super) struct OpenSession {
    pub(super) client: Client,
    /// Does the session's traffic; ends when the client is dropped.
    pub(super) traffic: Traffic,
    /// The certificate that the server showed; without TLS there is none.
    pub(super) certificate: Option<ServerCertificate>,
    pub(super) canceller: Canceller,
}

/// Asks the server to cancel what a session is doing: over a connection of its own, which proves as
/// much as the session's.
#[derive(Clone)]
pub(super) struct Canceller {
    pub(super) token: CancelToken,
    pub(super) address: Address,
    /// The name in the server's certificate, and what checks it.
    pub(super) tls: Option<(Tls, String)>,
    pub(super) liveness: Liveness,
}

impl Canceller {
    /// Sends the request; what comes of it, only the session itself learns.
    pub(super) async fn send(&self) {
        let sending = async {
            let wire = Wire::connect(&self.address, &self.liveness)
                .await
                .map_err(|error| error.to_string())?;
            let outcome = match &self.tls {
                None => self.token.cancel_query_raw(wire, NoTls).await,
                Some((tls, host)) => {
                    let connector = tls.connector(host).map_err(|error| error.to_string())?;
                    self.token.cancel_query_raw(wire, connector).await
                }
            };
            outcome.map_err(|error| ServerError::from(error).to_string())
        };
        match tokio::time::timeout(CANCEL_TIMEOUT, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error, "the statement cannot be cancelled"),
            Err(_) => tracing::debug!("the statement cannot be cancelled in time"),
        }
    }
}

impl OpenSession {
    /// Takes leave of the server: a session that just breaks off leaves a line in its log.
    pub(super) async fn close(self) {
        drop(self.client);
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, self.traffic).await;
    }
}

/// What remains of a session when its client is gone. Whoever drops it before [`AtWork::done`]
/// gives the session up.
pub(super) struct AtWork(Option<(Traffic, Canceller)>);

impl AtWork {
    pub(super) const fn new(traffic: Traffic, canceller: Canceller) -> Self {
        Self(Some((traffic, canceller)))
    }

    /// Waits until leave is taken; the client must be gone. Gives what the server said that nobody
    /// heard.
    pub(super) async fn done(mut self) -> Option<ServerError> {
        let (traffic, _) = self.0.take()?;
        tokio::time::timeout(GOODBYE_TIMEOUT, traffic)
            .await
            .ok()?
            .ok()?
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let Some((traffic, canceller)) = self.0.take() else {
            return;
        };
        let cancel = async move {
            canceller.send().await;
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, traffic).await;
        };
        // On a thread and a runtime of its own: whoever drops this may be about to end theirs, and
        // must not do so before.
        let cancelling = thread::Builder::new()
            .name("cancel".to_owned())
            .spawn(move || {
                if let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                {
                    runtime.block_on(cancel);
                }
            });
        let _ = cancelling.map(thread::JoinHandle::join);
    }
}
