//! Binds, serves, and stops without dropping what is under way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// How long requests that are under way may take to end when the service stops.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Why the service cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened at.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Serving failed.
    #[error("serving failed")]
    Serve(#[source] io::Error),
}

/// Takes the address; port 0 takes a free one.
///
/// # Errors
///
/// The address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `stop` is done, and then until the requests that are under way have ended, but no longer than
/// [`DRAIN`].
///
/// # Errors
///
/// Connections cannot be accepted any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    // A connection without delay sends small answers at once.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let signal = async move {
        stop.await;
        // The receiver lives as long as this function's future, in which the signal is awaited.
        let _ = stopping.send(true);
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(signal).into_future();
    let overdue = async move {
        if stopped.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        result = serving => result.map_err(ServeError::Serve),
        () = overdue => {
            tracing::warn!(seconds = DRAIN.as_secs(), "requests that are still under way are dropped");
            Ok(())
        }
    }
}

/// Takes over Ctrl-C and the signal by which a supervisor asks a process to end; what it returns completes with the name of
/// the one that comes, also if it came before anybody waited.
///
/// # Errors
///
/// The system does not let the process wait for signals.
#[cfg(unix)]
pub fn stop_signal() -> io::Result<impl Future<Output = io::Result<&'static str>> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Ok("SIGTERM"),
            _ = interrupt.recv() => Ok("SIGINT"),
        }
    })
}

/// Waits for Ctrl-C.
///
/// # Errors
///
/// The future's: the system does not let the process wait for it.
#[cfg(not(unix))]
pub fn stop_signal() -> io::Result<impl Future<Output = io::Result<&'static str>> + Send> {
    Ok(async { tokio::signal::ctrl_c().await.map(|()| "Ctrl-C") })
}
