//! The connection to a server below TLS, which ends when the path to the server is gone.
//!
//! Two things are watched, and a server that works on a long statement fails neither, because its
//! operating system answers for it. Where nothing is on its way, the kernel probes the connection
//! (keepalive). Where something was sent and nothing is acknowledged, the kernel would go on for a
//! quarter of an hour; its own limit for that, `TCP_USER_TIMEOUT`, also ends a connection whose
//! server acknowledges everything and only does not read for a while, as in a `COPY` that waits for
//! a lock. So the kernel's count of unanswered attempts is read instead.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Interval, MissedTickBehavior},
};

use super::postgres_url::Liveness;
use rune_core::fsx;

/// How often the kernel is asked within the time limit.
const LOOKS: u32 = 9;
const MAX_TABLE_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub(super) enum Address {
    /// On an address of a network.
    Tcp(SocketAddr),
    /// On a Unix socket.
    Socket(Utf8PathBuf),
}

#[derive(Debug, thiserror::Error)]
#[error("the server did not acknowledge anything for {} s", .0.as_secs_f32())]
struct Unacknowledged(Duration);

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

pub(super) struct Wire {
    stream: Pin<Box<dyn Duplex>>,
    watch: Option<Watch>,
}

impl Wire {
    pub(super) async fn connect(address: &Address, liveness: &Liveness) -> io::Result<Self> {
        let address = match address {
            Address::Tcp(address) => address,
            Address::Socket(path) => {
                return Ok(Self {
                    stream: Box::pin(UnixStream::connect(path.as_std_path()).await?),
                    watch: None,
                });
            }
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if let Some(keepalive) = liveness.keepalive {
            sockopt::set_socket_keepalive(&stream, true)?;
            keepalive
                .idle
                .map(|idle| sockopt::set_tcp_keepidle(&stream, idle))
                .transpose()?;
            keepalive
                .interval
                .map(|interval| sockopt::set_tcp_keepintvl(&stream, interval))
                .transpose()?;
            keepalive
                .count
                .map(|count| sockopt::set_tcp_keepcnt(&stream, count))
                .transpose()?;
        }
        let watch = liveness
            .unacknowledged
            .map(|limit| Watch::new(&stream, address, limit))
            .transpose()?;
        Ok(Self {
            stream: Box::pin(stream),
            watch,
        })
    }

    /// Whoever waits for the server is also woken to check the path.
    fn pending<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self
            .watch
            .as_mut()
            .map_or(Ok(()), |watch| watch.look(context))
        {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

struct Watch {
    ticks: Interval,
    limit: Duration,
    /// The kernel's table that the connection stands in.
    table: &'static Utf8Path,
    inode: String,
    /// How often in a row nothing had been answered.
    unanswered: u32,
}

impl Watch {
    fn new(stream: &TcpStream, address: &SocketAddr, limit: Duration) -> io::Result<Self> {
        let table = Utf8Path::new(if address.is_ipv4() {
            "/proc/self/net/tcp"
        } else {
            "/proc/self/net/tcp6"
        });
        let mut ticks = tokio::time::interval((limit / LOOKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            ticks,
            limit,
            table,
            inode: rustix::fs::fstat(stream)?.st_ino.to_string(),
            unanswered: 0,
        })
    }

    fn look(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.ticks.poll_tick(context).is_ready() {
            // Where there is no such table, the kernel alone decides.
            let table = fsx::read_to_string(self.table, MAX_TABLE_BYTES).unwrap_or_default();
            self.unanswered = if is_unanswered(&table, &self.inode) {
                self.unanswered.saturating_add(1)
            } else {
                0
            };
            if self.unanswered > LOOKS {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    Unacknowledged(self.limit),
                ));
            }
        }
        Ok(())
    }
}

/// Whether the kernel has sent something to the peer again, or probed its closed window twice, and
/// got no answer since (`tr`, `retrnsmt` and `timeout` in the kernel's documentation,
/// `networking/proc_net_tcp`). One probe may stay without an answer on a path that is well: Linux
/// answers those that come within half a second of each other once.
fn is_unanswered(table: &str, inode: &str) -> bool {
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(fields) = lines.find(|fields| fields.get(9) == Some(&inode)) else {
        return false;
    };
    let count = |field: usize, radix| {
        fields
            .get(field)
            .and_then(|text| u32::from_str_radix(text, radix).ok())
            .unwrap_or(0)
    };
    match fields.get(5).and_then(|timer| timer.split(':').next()) {
        Some("01") => count(6, 16) >= 1,
        Some("04") => count(8, 10) >= 2,
        _ => false,
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.stream.as_mut().poll_read(context, buffer) {
            Poll::Pending => self.pending(context),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.stream.as_mut().poll_write(context, bytes) {
            Poll::Pending => self.pending(context),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.stream.as_mut().poll_write_vectored(context, pieces) {
            Poll::Pending => self.pending(context),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::is_unanswered;

    #[test]
    fn what_the_kernel_sends_again_or_probes_in_vain_is_unanswered() {
        let table = |timer: &str, again: &str, probes: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                 uid  timeout inode\n   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 \
                 00:00000000 00000000     0        0 11 1 0\n   1: 0100007F:8FD4 0100007F:1538 01 \
                 0000002A:00000000 {timer}:00000019 {again}     0        {probes} 22 2 0\n"
            )
        };
        for (timer, again, probes, expected) in [
            ("01", "00000003", "0", true),
            ("01", "00000000", "0", false),
            ("04", "00000000", "2", true),
            ("04", "00000000", "1", false),
            ("02", "00000000", "2", false),
        ] {
            assert_eq!(
                is_unanswered(&table(timer, again, probes), "22"),
                expected,
                "{timer} {again} {probes}"
            );
        }
        assert!(!is_unanswered(&table("01", "00000003", "0"), "11"));
    }
}
