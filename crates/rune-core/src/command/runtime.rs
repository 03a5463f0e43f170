//! The asynchronous runtime of one command, and Ctrl-C or SIGTERM.

use std::future::Future;

use super::CommandError;
use crate::{failure::Failure, interrupt::Interrupt};

#[derive(Debug, thiserror::Error, Failure)]
enum RuntimeError {
    #[error("interrupted")]
    #[failure(Interrupted: "run the same command again; what was finished is kept")]
    Interrupted,
    #[error("cannot start the runtime")]
    #[failure(Internal)]
    Start(#[source] std::io::Error),
    #[error("cannot listen for signals")]
    #[failure(Internal)]
    Signals(#[source] std::io::Error),
}

/// Runs a future to its end, or drops it when the program is asked to end. What the future holds
/// may take leave then: a session with a server cancels its statement.
pub fn block_on<T, E: Into<CommandError>>(
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RuntimeError::Start)?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen().map_err(RuntimeError::Signals)?;
        tokio::select! {
            result = future => result.map_err(Into::into),
            () = interrupt.asked() => Err(RuntimeError::Interrupted.into()),
        }
    });
    runtime.shutdown_background();
    result
}

/// The same for what listens for signals itself, because it must not be cut off.
pub fn block_on_to_the_end<T, E: Into<CommandError>>(
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RuntimeError::Start)?;
    let result = runtime.block_on(future).map_err(Into::into);
    runtime.shutdown_background();
    result
}
