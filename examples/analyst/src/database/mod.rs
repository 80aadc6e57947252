//! The embedded database: a bounded pool of reading connections that guard what a statement may do.

mod health;
mod load;
mod pool;
mod statement;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub use health::check_database;
pub use statement::{Executed, Query};

use crate::error::AnalystError;
use crate::questions::{Airport, Places};
use crate::telemetry::Telemetry;
use pool::Pool;

/// How the database is used.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// The database file; made from the embedded data when it does not exist.
    pub path: PathBuf,
    /// How many statements may run at once; default 4.
    pub connections: usize,
    /// How long a request waits for a free connection; default 1 s.
    pub acquire_timeout: Duration,
    /// How long a statement waits for another connection's lock; default 250 ms.
    pub busy_timeout: Duration,
    /// How long a statement may run; default 2 s.
    pub statement_timeout: Duration,
    /// The most rows that a statement may return; default 10,000.
    pub row_limit: usize,
    /// The most bytes of values that a statement may return; default 8 MiB.
    pub result_limit_bytes: usize,
}

impl DatabaseConfig {
    /// The defaults, for the database in that file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            connections: 4,
            acquire_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_millis(250),
            statement_timeout: Duration::from_secs(2),
            row_limit: 10_000,
            result_limit_bytes: 8 << 20,
        }
    }
}

/// The embedded database. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Arc<Pool>,
    config: Arc<DatabaseConfig>,
    telemetry: Telemetry,
}

impl Database {
    /// Opens the database, after making it from the embedded data when the file does not exist.
    ///
    /// # Errors
    ///
    /// The file cannot be made or read, is locked, or holds something else.
    pub fn open(config: DatabaseConfig, telemetry: Telemetry) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite { path: config.path.clone(), source };
        load::prepare(&config.path)?;
        let connections = (0..config.connections.max(1))
            .map(|_| statement::open(&config))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let health = health::open(&config.path).map_err(failed)?;
        let pool =
            Arc::new(Pool::new(connections, health, config.acquire_timeout, telemetry.clone()));
        Ok(Self { pool, config: Arc::new(config), telemetry })
    }

    /// How the database is used.
    #[must_use]
    pub fn config(&self) -> &DatabaseConfig {
        &self.config
    }

    /// Runs one reading statement.
    ///
    /// A statement whose future is dropped is interrupted.
    ///
    /// # Errors
    ///
    /// No connection becomes free in time, the statement is not accepted, exceeds a limit, or fails.
    pub async fn run(&self, query: Query) -> Result<Executed, AnalystError> {
        let started = Instant::now();
        let result = self.run_unrecorded(query).await;
        match &result {
            Ok(done) => self.telemetry.query_succeeded(done.elapsed, done.table.rows.len()),
            Err(error) => self.telemetry.query_failed(started.elapsed(), error),
        }
        result
    }

    async fn run_unrecorded(&self, query: Query) -> Result<Executed, AnalystError> {
        let lease = self.pool.acquire().await?;
        let config = self.config.clone();
        // The flag is set when this future is dropped, so that nobody's statement stops running.
        let abandoned = Abandoned::default();
        let flag = abandoned.0.clone();
        let work = move || {
            let mut lease = lease;
            statement::run(lease.connection(), &query, &config, flag)
        };
        let task = tokio::task::spawn_blocking(work);
        task.await.unwrap_or(Err(AnalystError::Stopped { work: "statement" }))
    }

    /// The airports that flights use, for questions to name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn places(&self) -> Result<Places, AnalystError> {
        let sql = "SELECT a.iata, a.city, (SELECT count(*) FROM flights f WHERE f.origin = a.iata) AS departures \
                   FROM airports a WHERE a.iata IN (SELECT origin FROM flights UNION SELECT destination FROM flights)";
        let table = self.run(Query::statement(sql)).await?.table;
        let airport = |row: Vec<crate::table::Value>| {
            use crate::table::Value::{Integer, Text};
            match row.as_slice() {
                [Text(code), Text(city), Integer(departures)] => Some(Airport {
                    code: code.clone(),
                    city: city.clone(),
                    departures: u32::try_from(*departures).unwrap_or(u32::MAX),
                }),
                _ => None,
            }
        };
        Ok(Places::new(table.rows.into_iter().filter_map(airport).collect()))
    }
}

/// Sets its flag when it is dropped.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite failed.
    #[error("the database {} could not be opened", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The file is not a database of this service.
    #[error("{} holds something else than this service's data: name a new file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The embedded data could not be read.
    #[error("the embedded {file} could not be read")]
    Data {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        source: csv::Error,
    },
}

/// A second connection that holds the whole database, as another program might.
///
/// The load client uses it to make real "database is locked" failures.
#[derive(Debug)]
pub struct ExclusiveLock(Connection);

impl ExclusiveLock {
    /// Waits up to `patience` for the statements that are running, and locks out all others.
    ///
    /// # Errors
    ///
    /// The statements did not end in time, or the file cannot be opened.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(patience)?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(Self(connection))
    }

    /// Lets the others in again.
    ///
    /// # Errors
    ///
    /// SQLite cannot end the transaction.
    pub fn release(self) -> Result<(), rusqlite::Error> {
        self.0.execute_batch("ROLLBACK")
    }
}

#[cfg(test)]
mod tests;
