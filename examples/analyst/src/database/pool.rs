//! A few connections for many requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::AnalystError;
use crate::telemetry::{ActiveConnection, Telemetry};

/// The connections. Those that are in use are with their leases.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    health: Mutex<Connection>,
    permits: Arc<Semaphore>,
    size: usize,
    patience: Duration,
    telemetry: Telemetry,
}

impl Pool {
    pub(super) fn new(
        connections: Vec<Connection>,
        health: Connection,
        patience: Duration,
        telemetry: Telemetry,
    ) -> Self {
        let size = connections.len();
        telemetry.connections_limit(size);
        Self {
            idle: Mutex::new(connections),
            health: Mutex::new(health),
            permits: Arc::new(Semaphore::new(size)),
            size,
            patience,
            telemetry,
        }
    }

    /// Waits for a free connection, first come, first served.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, AnalystError> {
        let exhausted = || AnalystError::PoolExhausted { size: self.size, waited: self.patience };
        let waiting = self.permits.clone().acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.patience, waiting).await else {
            return Err(exhausted());
        };
        let connection = lock(&self.idle).pop().ok_or_else(exhausted)?;
        let active = self.telemetry.connection();
        Ok(Lease {
            connection: Some(connection),
            pool: self.clone(),
            _active: active,
            _permit: permit,
        })
    }

    /// The connection that is kept apart for health checks.
    pub(super) fn health(&self) -> MutexGuard<'_, Connection> {
        lock(&self.health)
    }
}

/// A connection in use. It returns to the pool when the lease is dropped, even by a panic.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _active: ActiveConnection,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// # Panics
    ///
    /// Never: only dropping the lease takes the connection out.
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The connection is back before the permit is, so that a permit always finds one.
        if let Some(connection) = self.connection.take() {
            lock(&self.pool.idle).push(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // OK because a push, a pop or a finished statement leaves nothing half done behind a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
