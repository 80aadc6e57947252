//! Databases: connections and queries.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::{self, ActiveGuard, Outcome, PANIC, Run};

const QUERY_BUCKETS: &[f64] = &[0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0];
const ROW_BUCKETS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0];

/// Metrics of databases:
///
/// | metric | |
/// |---|---|
/// | `database_connections_active` | connections in use |
/// | `database_connections_limit` | the most that the pool may have, where that is said |
/// | `database_query_duration_seconds{operation}` | how long queries took |
/// | `database_query_result_rows` | how many rows they returned |
/// | `database_errors_total{error_type}` | what failed, by type of error |
///
/// ```
/// use obs_metrics::{Registry, catalog::DatabaseMetrics};
///
/// let registry = Registry::default();
/// let database = DatabaseMetrics::new(&registry);
/// let connection = database.connection();
/// database.record_query("select", std::time::Duration::from_millis(3));
/// database.record_rows(17);
/// assert_eq!(registry.value("database_connections_active", &[]), Some(1.0));
/// drop(connection);
/// assert_eq!(registry.value("database_connections_active", &[]), Some(0.0));
/// ```
#[derive(Clone)]
pub struct DatabaseMetrics(Arc<Handles>);

struct Handles {
    connections: Labelled<Gauge, 0>,
    connections_limit: Labelled<Gauge, 0>,
    query_duration: Labelled<Histogram, 1>,
    result_rows: Labelled<Histogram, 0>,
    errors: Labelled<Counter, 1>,
}

impl DatabaseMetrics {
    /// The database metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            connections: Labelled::new(
                registry,
                "database_connections_active",
                [],
                "Database connections in use.",
                None,
            ),
            connections_limit: Labelled::new(
                registry,
                "database_connections_limit",
                [],
                "Most connections that the database pool may have.",
                None,
            ),
            query_duration: Labelled::new(
                registry,
                "database_query_duration_seconds",
                ["operation"],
                "Duration of database queries, by operation.",
                Some(QUERY_BUCKETS),
            ),
            result_rows: Labelled::new(
                registry,
                "database_query_result_rows",
                [],
                "Rows that database queries returned.",
                Some(ROW_BUCKETS),
            ),
            errors: Labelled::new(
                registry,
                "database_errors_total",
                ["error_type"],
                "Database operations that failed, by type of error.",
                None,
            ),
        }))
    }

    /// Counts a connection as in use for as long as the guard lives.
    #[must_use]
    pub fn connection(&self) -> ActiveGuard {
        ActiveGuard::new(&self.0.connections.with([]))
    }

    /// Says how many connections are in use, where a pool knows; not to be mixed with guards.
    pub fn set_connections(&self, in_use: usize) {
        // OK because no pool has more connections than a float can count.
        self.0.connections.with([]).set(in_use as f64);
    }

    /// Says how many connections the pool may have at most, so that a rule can see it exhausted.
    pub fn set_connections_limit(&self, most: usize) {
        // OK because no pool has more connections than a float can count.
        self.0.connections_limit.with([]).set(most as f64);
    }

    /// Observes how long a query took.
    pub fn record_query(&self, operation: &str, duration: Duration) {
        self.0.query_duration.with([operation]).record(duration);
    }

    /// Observes how many rows a query returned.
    pub fn record_rows(&self, rows: u64) {
        self.0.result_rows.with([]).record(rows as f64);
    }

    /// Counts an operation that failed.
    pub fn record_error(&self, error_type: &str) {
        self.0.errors.with([error_type]).increment(1);
    }

    /// Runs `future` as a query from its first poll to its end: observes its duration, and counts an error by
    /// the name of its type. Its output is passed through untouched.
    pub fn track<F, T, E>(
        &self,
        operation: &str,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let (metrics, operation) = (self.clone(), Arc::<str>::from(operation));
        let begin = move || QueryRun { metrics: Some(metrics), operation, started: Instant::now() };
        track::tracked(future, begin, |_: &E| track::type_name_of::<E>())
    }

    /// Begins a query that is not a future. Dropping the guard observes its duration.
    pub fn start(&self, operation: &str) -> QueryRun {
        let operation = Arc::from(operation);
        QueryRun { metrics: Some(self.clone()), operation, started: Instant::now() }
    }
}

/// A query that runs; see [`DatabaseMetrics::start`].
#[must_use = "dropping the run ends the query"]
pub struct QueryRun {
    /// Present until the end is counted.
    metrics: Option<DatabaseMetrics>,
    operation: Arc<str>,
    started: Instant,
}

impl QueryRun {
    /// Ends the query well, with a number of rows.
    pub fn succeed(mut self, rows: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.record_rows(rows);
        }
        self.count(Outcome::Success, "");
    }

    /// Ends the query with an error of the given type.
    pub fn fail(mut self, error_type: &str) {
        self.count(Outcome::Error, error_type);
    }

    fn count(&mut self, outcome: Outcome, error_type: &str) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.record_query(&self.operation, self.started.elapsed());
        if matches!(outcome, Outcome::Error | Outcome::Panicked) {
            metrics.record_error(error_type);
        }
    }
}

impl Run for QueryRun {
    fn end(mut self, outcome: Outcome, error_type: &str) {
        self.count(outcome, error_type);
    }
}

impl Drop for QueryRun {
    fn drop(&mut self) {
        self.count(Outcome::of_dropped(), PANIC);
    }
}

impl fmt::Debug for DatabaseMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for QueryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryRun").field("operation", &self.operation).finish_non_exhaustive()
    }
}
