//! The listener itself: opening the port, serving connections, and letting go of them in time.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::{AdminState, Error, Secret, ServerConfig, router};

/// How long one connection may last, longer than the longest profile. It ends clients that never read
/// their answer and would keep their place for ever.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long to wait after the system refused to hand over a connection, for instance for want of file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// An admin listener whose port is open and that does not serve yet.
///
/// Opening the port apart from serving lets a program find out that it is taken before it sets anything up.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeReport {
    /// How many connections still had a request under way at the deadline and were cut.
    pub connections_cut: usize,
}

/// Opens the port of the admin listener.
///
/// # Errors
///
/// [`Error::is_config`] when the settings are not usable, with all their problems at once, and
/// [`Error::is_address_in_use`] when another program has the port.
pub async fn bind(config: ServerConfig) -> Result<Bound, Error> {
    config.validate()?;
    if config.token.as_ref().is_some_and(Secret::is_short) {
        tracing::warn!(
            "the admin token is short and could be guessed: use at least 32 random characters"
        );
    }
    let failed = |source| Error::listen(config.listen, source);
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { listener, address, config })
}

impl Bound {
    /// Where the listener is; with port 0 configured, this names the port that was picked.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Shows `state` until `shutdown` completes, then takes no further connections and gives the requests under way
    /// [`ServerConfig::shutdown_grace`] to finish.
    pub async fn serve(
        self,
        state: AdminState,
        shutdown: impl Future<Output = ()> + Send,
    ) -> ServeReport {
        let router = router::router(&self.config, state);
        let (stop, stopped) = watch::channel(());
        let places = Arc::new(Semaphore::new(self.config.max_connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                (stream, peer, place) = accept(&self.listener, &places) => {
                    let service = router.clone();
                    let header_timeout = self.config.header_timeout;
                    let stopped = stopped.clone();
                    connections.spawn(async move {
                        serve_connection(stream, peer, service, header_timeout, stopped).await;
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        drop(stop);
        let finished = async { while connections.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(self.config.shutdown_grace, finished).await.is_ok();
        let connections_cut = if in_time { 0 } else { connections.len() };
        connections.shutdown().await;
        ServeReport { connections_cut }
    }
}

/// The next connection and a place for it, as soon as there are both.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        // OK because the semaphore is never closed.
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                // An answer in several pieces must not wait for the client to confirm the first one. A stream on
                // which this cannot be set is slower and works all the same.
                let _ = stream.set_nodelay(true);
                return (stream, peer, place);
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    header_timeout: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(64 * 1_024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let lifetime = tokio::time::sleep(CONNECTION_LIFETIME);
    // A connection that breaks is the client's affair; there is nobody left to tell.
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.changed() => {}
        () = lifetime => return,
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
