//! A person pressed Ctrl-C, or whoever started the program wants it to end.
//!
//! Helm must not be cut off in the middle: it is told, ends what it does and leaves a state that it
//! knows. A server with a database is told as well, and cancels its statement. So nobody is dropped
//! when the signal comes; who waits for something long looks here too.

use tokio::sync::watch;

#[derive(Debug, Clone)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
}

impl Interrupt {
    /// Begins to listen for SIGINT and SIGTERM, within a runtime.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (ask, asked) = watch::channel(false);
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let _ = ask.send(true);
            // Until the program ends, the channel stays open.
            std::future::pending::<()>().await;
        });
        Ok(Self { asked })
    }

    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
