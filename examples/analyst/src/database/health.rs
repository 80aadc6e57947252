//! Whether the database answers.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::Database;
use super::statement::explain;
use crate::error::AnalystError;

/// How long a health check waits for another connection's lock: long enough for a commit, short for a probe.
const PATIENCE: Duration = Duration::from_millis(50);

/// Opens the connection that is kept apart for health checks, so that a full pool does not look like a broken file.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Reads one row of the flights table and says how long that took.
///
/// # Errors
///
/// [`AnalystError::DatabaseLocked`] while another connection holds the database for longer than 50 ms, and
/// [`AnalystError::Database`] when the file cannot be read or the table is empty.
pub async fn check_database(database: &Database) -> Result<Duration, AnalystError> {
    let pool = database.pool.clone();
    let config = database.config.clone();
    let work = move || {
        let started = Instant::now();
        let connection = pool.health();
        connection
            .prepare_cached("SELECT id FROM flights LIMIT 1")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map_err(|error| explain(error, &config))?;
        Ok(started.elapsed())
    };
    let task = tokio::task::spawn_blocking(work);
    task.await.unwrap_or(Err(AnalystError::Stopped { work: "health check" }))
}
