//! Connections: who is let in, how they are talked to, how they end.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Catalog, ServeError,
    log::{Log, Reset},
    users::Users,
};
use rune_core::progress::Progress;

/// How many clients are talked to at the same time; more wait until they are accepted.
const MOST_CONNECTIONS: usize = 1024;

/// How long a client may take for a handshake, or for the head of its next request.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much of a head is read, and how much of a body waits for the socket before the next piece is
/// read, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// A pause after the system had no file descriptor or memory for another connection.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Server {
    pub(super) catalog: Catalog,
    pub(super) users: Option<Arc<Users>>,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// A connection that can be broken off: when it is dropped with the flag set, the client gets a
/// reset.
struct Resettable {
    stream: TcpStream,
    reset: Reset,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that was taken.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Server {
    /// A server of this stock, for these users if any, with TLS if configured.
    pub(crate) const fn new(
        catalog: Catalog,
        users: Option<Arc<Users>>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        Self {
            catalog,
            users,
            tls,
        }
    }

    /// Serves until `stop` is ready; then no connection is accepted any more, and responses that
    /// have begun are sent to their end.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: Listener,
        lines: Arc<dyn Progress>,
        stop: impl Future<Output = ()>,
    ) {
        let Listener { listener, .. } = listener;
        let (stopping, stopped) = watch::channel(false);
        let free = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener, &free) => accepted,
            };
            match accepted {
                Ok((stream, client, place)) => {
                    let (server, stopped) = (Arc::clone(&self), stopped.clone());
                    let log = Log {
                        lines: Arc::clone(&lines),
                        client: client.ip().to_canonical(),
                    };
                    connections.spawn(async move {
                        server.attend(stream, log, stopped).await;
                        drop(place);
                    });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
        drop(listener);
        let _ = stopping.send(true);
        while connections.join_next().await.is_some() {}
    }

    async fn attend(
        self: Arc<Self>,
        stream: TcpStream,
        log: Log,
        mut stopped: watch::Receiver<bool>,
    ) {
        let reset = Reset::default();
        let _ = stream.set_nodelay(true);
        let stream = Resettable {
            stream,
            reset: Arc::clone(&reset),
        };
        match &self.tls {
            None => self.converse(stream, log, reset, stopped).await,
            Some(config) => {
                let accepting = timeout(
                    PATIENCE,
                    TlsAcceptor::from(Arc::clone(config)).accept(stream),
                );
                let accepted = tokio::select! {
                    accepted = accepting => accepted,
                    () = asked_to_stop(&mut stopped) => return,
                };
                // Who cannot agree on TLS has been told so by it.
                if let Ok(Ok(stream)) = accepted {
                    self.converse(stream, log, reset, stopped).await;
                }
            }
        }
    }

    async fn converse<S>(
        self: Arc<Self>,
        stream: S,
        log: Log,
        reset: Reset,
        mut stopped: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let (server, log, reset) = (Arc::clone(&self), log.clone(), Arc::clone(&reset));
            // No request that is answered has a body.
            let (request, _) = request.into_parts();
            async move { Ok::<_, Infallible>(server.answer(&request, &log, &reset).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(BUFFER_BYTES);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // A connection ends when the client wants it or a response was cut off; the log has either.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = asked_to_stop(&mut stopped) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

/// The next connection, as soon as there is a place for it.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(free)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, client) = listener.accept().await?;
    Ok((stream, client, place))
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
