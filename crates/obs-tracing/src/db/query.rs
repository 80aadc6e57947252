//! The wrapper around one query.

use std::fmt;
use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use metrics::SharedString;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::statement::{fingerprint_of, sanitized};
use crate::duration::milliseconds;
use crate::names::NameCap;
use crate::operation::{Ended, Observer, watch};

/// The target of the spans of queries.
pub(crate) const TARGET: &str = "obskit::db";

/// How many operations have a label of their own.
const OPERATIONS: usize = 100;

static NAMES: LazyLock<NameCap> = LazyLock::new(|| NameCap::new(OPERATIONS));

/// Runs `future` as a query; see the [module documentation](super).
///
/// # Errors
///
/// Those of the query, unchanged.
pub fn query<F, T, E>(
    operation: &str,
    future: F,
) -> impl Future<Output = Result<T, E>> + use<'_, F, T, E>
where
    F: Future<Output = Result<T, E>>,
    E: fmt::Display,
{
    Query::new(operation).run(future)
}

/// What is known of a query before it runs.
#[derive(Clone, Copy)]
#[must_use = "nothing is recorded until it runs"]
pub struct Query<'a, R = NoRows> {
    operation: &'a str,
    system: Option<&'a str>,
    namespace: Option<&'a str>,
    collection: Option<&'a str>,
    statement: Option<&'a str>,
    rows: R,
}

/// How many rows a result has.
pub trait CountRows<T> {
    /// The number of rows, where it is known.
    fn count(&self, result: &T) -> Option<u64>;
}

/// Says that the number of rows is not known.
#[derive(Clone, Copy, Debug)]
pub struct NoRows;

impl<T> CountRows<T> for NoRows {
    fn count(&self, _: &T) -> Option<u64> {
        None
    }
}

impl<T, F: Fn(&T) -> u64> CountRows<T> for F {
    fn count(&self, result: &T) -> Option<u64> {
        Some(self(result))
    }
}

impl<'a> Query<'a> {
    /// A query that does `operation`, such as `select`.
    pub const fn new(operation: &'a str) -> Self {
        Self {
            operation,
            system: None,
            namespace: None,
            collection: None,
            statement: None,
            rows: NoRows,
        }
    }

    /// With a function that says how many rows a result has.
    pub fn rows<T, F: Fn(&T) -> u64>(self, rows: F) -> Query<'a, F> {
        let Self { operation, system, namespace, collection, statement, rows: NoRows } = self;
        Query { operation, system, namespace, collection, statement, rows }
    }
}

impl<'a, R> Query<'a, R> {
    /// To a database of this kind: `postgresql`, `mysql`, `sqlite`, as OpenTelemetry's semantic conventions name it.
    pub const fn system(mut self, name: &'a str) -> Self {
        self.system = Some(name);
        self
    }

    /// In the database of this name.
    pub const fn namespace(mut self, name: &'a str) -> Self {
        self.namespace = Some(name);
        self
    }

    /// On this table or collection.
    pub const fn collection(mut self, name: &'a str) -> Self {
        self.collection = Some(name);
        self
    }

    /// By this statement, which is shown [without its values](super::sanitized).
    pub const fn statement(mut self, sql: &'a str) -> Self {
        self.statement = Some(sql);
        self
    }

    /// Runs `future` as this query, from its first poll to its end.
    ///
    /// # Errors
    ///
    /// Those of the query, unchanged.
    pub async fn run<F, T, E>(self, future: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: fmt::Display,
        R: CountRows<T>,
    {
        let span = self.open();
        let operation = operation_label(self.operation);
        let run = Run { span: span.clone(), operation, rows: self.rows, started: Instant::now() };
        watch(run, future.instrument(span)).await
    }

    fn open(&self) -> Span {
        let (separator, collection) =
            self.collection.map_or(("", ""), |collection| (" ", collection));
        let span = tracing::info_span!(
            target: TARGET,
            "db.query",
            otel.name = format_args!("{}{separator}{collection}", self.operation),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system = self.system,
            db.namespace = self.namespace,
            db.operation = self.operation,
            db.collection.name = self.collection,
            db.statement = Empty,
            db.statement.fingerprint = Empty,
            db.response.returned_rows = Empty,
            error.type = Empty,
        );
        if span.is_disabled() {
            return span;
        }
        if let Some(statement) = self.statement {
            let shown = sanitized(statement, self.system.unwrap_or_default());
            span.record("db.statement.fingerprint", &*fingerprint_of(&shown));
            span.record("db.statement", &*shown);
        }
        span
    }
}

impl<R> fmt::Debug for Query<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// The label of an operation.
fn operation_label(operation: &str) -> SharedString {
    if operation.bytes().any(|byte| byte.is_ascii_uppercase()) {
        NAMES.label(&operation.to_ascii_lowercase())
    } else {
        NAMES.label(operation)
    }
}

/// Records a query that ended, by the names of the catalog of database metrics.
pub(super) fn record(operation: SharedString, took: Duration, rows: Option<u64>) {
    metrics::histogram!("database_query_duration_seconds", "operation" => operation).record(took);
    if let Some(rows) = rows {
        metrics::histogram!("database_query_result_rows").record(rows as f64);
    }
}

/// A query that runs.
struct Run<R> {
    span: Span,
    operation: SharedString,
    rows: R,
    started: Instant,
}

impl<R: CountRows<T>, T, E: fmt::Display> Observer<T, E> for Run<R> {
    fn end(self, how: Ended<'_, T, E>) {
        let took = self.started.elapsed();
        let duration_ms = milliseconds(took);
        let rows = match &how {
            Ended::Done(result) => self.rows.count(result),
            _ => None,
        };
        record(self.operation, took, rows);
        let fail = |error_type: &str| {
            self.span.record("error.type", error_type);
            self.span.record("otel.status_code", "ERROR");
        };
        let count_error = |error_type| {
            metrics::counter!("database_errors_total", "error_type" => error_type).increment(1);
        };
        match how {
            Ended::Done(_) => {
                if let Some(rows) = rows {
                    self.span.record("db.response.returned_rows", rows);
                }
                self.span
                    .in_scope(|| tracing::debug!(target: TARGET, duration_ms, "query finished"));
            }
            Ended::Failed(error) => {
                let name = obs_model::type_name_of::<E>();
                fail(&name);
                self.span.in_scope(|| {
                    tracing::warn!(
                        target: TARGET,
                        duration_ms,
                        error.name = &*name,
                        error.message = %error,
                        "query failed"
                    );
                });
                count_error(name);
            }
            Ended::Cancelled => {
                self.span.record("error.type", "cancelled");
            }
            Ended::Panicked => {
                fail("panic");
                count_error("panic".into());
            }
        }
    }
}
