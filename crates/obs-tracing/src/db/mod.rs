//! Queries to databases: a span and metrics for each, from a wrapper or from sqlx's own events.
//!
//! ```
//! use obs_tracing::db;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # async fn fetch(_: &str) -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
//! // The shortest form: what it does, and the future that does it.
//! db::query("select", fetch("SELECT id FROM orders")).await?;
//!
//! // With what else is known.
//! let sql = "SELECT id FROM orders WHERE customer = 'ada'";
//! let rows = db::Query::new("select")
//!     .system("postgresql")
//!     .collection("orders")
//!     .statement(sql)
//!     .rows(|rows: &Vec<u32>| rows.len() as u64)
//!     .run(fetch(sql))
//!     .await?;
//! assert_eq!(rows, [1, 2]);
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```
//!
//! Each query, once:
//!
//! - runs in a span `db.query` of kind client, named `{operation} {collection}`, with `db.operation`, and where they are
//!   known `db.system`, `db.namespace`, `db.collection.name`, `db.statement` ([without its values](sanitized)),
//!   `db.statement.fingerprint`, `db.response.returned_rows`, and `error.type`;
//! - takes its time in `database_query_duration_seconds{operation}`, also when it fails or is dropped; its rows, where
//!   they are known, are in `database_query_result_rows`; a failure counts in `database_errors_total{error_type}` by the
//!   name of the error's type, or as `panic`;
//! - writes a line at DEBUG when it has ended, or at WARN when it failed.
//!
//! These are the families of `obs_metrics::catalog::DatabaseMetrics`: a query that is tracked there should not be
//! wrapped here too. The first 100 operations are labels, in lower case; further ones are `other`.
//!
//! [`record_pool`] says how many connections are in use.
//!
//! # Queries of sqlx
//!
//! sqlx tells of each of its queries in an event of its own, with target `sqlx::query`. With
//! [`LogConfig::sqlx_metrics`](crate::LogConfig) the pipeline takes duration and rows from there, into the same families,
//! whether such lines are written or not, so that nothing has to be wrapped. Queries inside of a [`query`] count once.
//! sqlx's event does not say whether the query failed: errors are only known to a wrapper. Its lines show the statement as
//! it was written: bind values, so that none stand in it.

mod pool;
mod query;
pub(crate) mod sqlx;
mod statement;

pub use pool::record_pool;
pub use query::{CountRows, NoRows, Query, query};
pub use statement::{fingerprint, sanitized};
