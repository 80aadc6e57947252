//! Metrics from the events that sqlx writes about its queries.

use std::fmt;
use std::time::Duration;

use metrics::SharedString;
use tracing_core::field::Visit;
use tracing_core::{Event, Field};

use super::query::{TARGET, record};
use super::statement::operation_of;
use crate::spans::{SpanKey, SpanTable};

/// The target of sqlx's events about queries.
pub(crate) const SQLX_TARGET: &str = "sqlx::query";

/// Records the query that `event` tells of, unless it belongs to one that is recorded anyway.
pub(crate) fn observe(event: &Event<'_>, within: Option<SpanKey>, spans: &SpanTable) {
    let mut next = within;
    while let Some(key) = next {
        let looked = spans.with(key, |state| {
            (state.metadata.is_some_and(|place| place.target() == TARGET), state.parent)
        });
        match looked {
            Some((true, _)) => return,
            Some((false, parent)) => next = parent,
            None => break,
        }
    }
    let mut told = Told::default();
    event.record(&mut told);
    // OK because an event without a duration is not about a query that ended.
    let Some(seconds) = told.seconds else { return };
    let Ok(took) = Duration::try_from_secs_f64(seconds) else { return };
    let operation = told.operation.unwrap_or("other");
    // A statement that returns no rows by its nature is none that returned few.
    let rows = told.rows.filter(|rows| *rows > 0 || matches!(operation, "select" | "with"));
    record(SharedString::const_str(operation), took, rows);
}

/// What sqlx says about a query.
#[derive(Default)]
struct Told {
    operation: Option<&'static str>,
    seconds: Option<f64>,
    rows: Option<u64>,
}

impl Told {
    /// The whole statement comes second, and is empty where the summary says it all.
    fn statement(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.operation = Some(operation_of(text));
        }
    }
}

impl Visit for Told {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = Some(value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" if self.operation.is_none() => self.statement(value),
            "db.statement" => self.statement(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
