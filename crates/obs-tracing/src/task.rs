//! Work that keeps its context, and operations that are traced.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Instant;

use obs_model::{FieldValue, WithContext};
use tokio::task::JoinHandle;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::fields::keys::Key;
use crate::spans::ids::with_state;

/// Spawns a task that keeps the context and the span of its spawner, on the current tokio runtime.
///
/// # Panics
///
/// There is no current tokio runtime, as with `tokio::spawn`.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.in_current_context().in_current_span())
}

/// Runs an operation in a span of its own, which nests in the current one.
///
/// The span is called `name` where it is exported and carries the `attributes`, as does every line logged
/// within. When the operation ends, an event tells how long it took (`duration_ms`): at level DEBUG, or, when it
/// failed, at level ERROR with the error.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let rows = obs_tracing::trace_async(
///     "load_orders",
///     async { Ok::<_, std::io::Error>(3) },
///     [("table", "orders".into()), ("limit", 100_u64.into())],
/// )
/// .await?;
/// assert_eq!(rows, 3);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
///
/// # Errors
///
/// Those of the operation, unchanged.
pub async fn trace_async<T, E>(
    name: &str,
    operation: impl Future<Output = Result<T, E>>,
    attributes: impl IntoIterator<Item = (&str, FieldValue)>,
) -> Result<T, E>
where
    E: StdError + 'static,
{
    let span = tracing::info_span!(
        target: "obskit::operation",
        "operation",
        operation = name,
        otel.name = name,
        otel.status_code = Empty,
        duration_ms = Empty,
    );
    for (key, value) in attributes {
        set_attribute(&span, key, value);
    }
    let started = Instant::now();
    let result = operation.instrument(span.clone()).await;
    let duration_ms = started.elapsed().as_secs_f64() * 1_000.0;
    span.record("duration_ms", duration_ms);
    span.in_scope(|| match &result {
        Ok(_) => {
            tracing::debug!(target: "obskit::operation", duration_ms, "operation finished");
        }
        Err(error) => {
            Span::current().record("otel.status_code", "ERROR");
            let error: &(dyn StdError + 'static) = error;
            tracing::error!(target: "obskit::operation", duration_ms, error, "operation failed");
        }
    });
    result
}

/// Adds a field whose name is only known at run time, which `tracing` itself cannot.
fn set_attribute(span: &Span, key: &str, value: FieldValue) {
    with_state(span, |pipeline, state| {
        let rules = pipeline.field_rules();
        state.fields(rules).put_value(Key::new(key, &rules.redactor), &value, rules);
    });
    #[cfg(feature = "otlp")]
    crate::otlp::set_attribute(span, key, value);
}
