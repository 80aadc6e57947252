//! Tools that an agent or a workflow calls.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, Histogram};

use super::in_namespace;
use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::{self, Outcome, PANIC, Run};

const BUCKETS: &[f64] = &[0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Metrics of tool calls, in a namespace:
///
/// | metric | |
/// |---|---|
/// | `{ns}_tool_executions_total{tool_name,status}` | calls that ended |
/// | `{ns}_tool_duration_seconds{tool_name}` | how long they took |
/// | `{ns}_tool_errors_total{tool_name,error_type}` | calls that failed, by the name of the error's type; `panic` for those that panicked |
///
/// ```
/// use obs_metrics::{Registry, catalog::ToolMetrics};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::default();
/// let tools = ToolMetrics::new(&registry, "analyst");
/// let result = tools.track("search", async { Err::<(), _>(std::fmt::Error) }).await;
/// assert!(result.is_err());
/// let labels = [("tool_name", "search"), ("error_type", "fmt::Error")];
/// assert_eq!(registry.value("analyst_tool_errors_total", &labels), Some(1.0));
/// # });
/// ```
#[derive(Clone)]
pub struct ToolMetrics(Arc<Handles>);

struct Handles {
    executions: Labelled<Counter, 2>,
    duration: Labelled<Histogram, 1>,
    errors: Labelled<Counter, 2>,
}

impl ToolMetrics {
    /// The tool metrics of `registry`, in `namespace` (`analyst` gives `analyst_tool_…`).
    #[must_use]
    pub fn new(registry: &Registry, namespace: &str) -> Self {
        Self(Arc::new(Handles {
            executions: Labelled::new(
                registry,
                in_namespace(namespace, "tool_executions_total"),
                ["tool_name", "status"],
                "Tool calls that ended, by how they ended.",
                None,
            ),
            duration: Labelled::new(
                registry,
                in_namespace(namespace, "tool_duration_seconds"),
                ["tool_name"],
                "Duration of tool calls.",
                Some(BUCKETS),
            ),
            errors: Labelled::new(
                registry,
                in_namespace(namespace, "tool_errors_total"),
                ["tool_name", "error_type"],
                "Tool calls that failed, by type of error.",
                None,
            ),
        }))
    }

    /// Runs `future` as a tool call from its first poll to its end. Its output is passed through untouched.
    ///
    /// `error_type` is the name of `E` without its module path: `ToolError`; a type called just `Error` keeps
    /// one module: `io::Error`.
    pub fn track<F, T, E>(
        &self,
        tool_name: &str,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.track_classified(tool_name, future, |_: &E| track::type_name_of::<E>())
    }

    /// As [`ToolMetrics::track`], for errors whose type says too little, such as a boxed one: `classify` gives
    /// the `error_type`. It should give one of a small set of names.
    pub fn track_classified<F, T, E, C>(
        &self,
        tool_name: &str,
        future: F,
        classify: C,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E, C>
    where
        F: Future<Output = Result<T, E>>,
        C: Fn(&E) -> Cow<'static, str>,
    {
        let (metrics, tool_name) = (self.clone(), Arc::<str>::from(tool_name));
        let begin = move || ToolRun { metrics: Some(metrics), tool_name, started: Instant::now() };
        track::tracked(future, begin, classify)
    }

    /// Begins a tool call that is not a future. Dropping the guard counts it as cancelled, or as panicked.
    pub fn start(&self, tool_name: &str) -> ToolRun {
        let tool_name = Arc::from(tool_name);
        ToolRun { metrics: Some(self.clone()), tool_name, started: Instant::now() }
    }
}

/// A tool call that runs; see [`ToolMetrics::start`].
#[must_use = "dropping the run counts the call as cancelled"]
pub struct ToolRun {
    /// Present until the end is counted.
    metrics: Option<ToolMetrics>,
    tool_name: Arc<str>,
    started: Instant,
}

impl ToolRun {
    /// Ends the call well.
    pub fn succeed(mut self) {
        self.count(Outcome::Success, "");
    }

    /// Ends the call with an error of the given type.
    pub fn fail(mut self, error_type: &str) {
        self.count(Outcome::Error, error_type);
    }

    fn count(&mut self, outcome: Outcome, error_type: &str) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.0.executions.with([&self.tool_name, outcome.as_str()]).increment(1);
        metrics.0.duration.with([&self.tool_name]).record(self.started.elapsed());
        if matches!(outcome, Outcome::Error | Outcome::Panicked) {
            metrics.0.errors.with([&self.tool_name, error_type]).increment(1);
        }
    }
}

impl Run for ToolRun {
    fn end(mut self, outcome: Outcome, error_type: &str) {
        self.count(outcome, error_type);
    }
}

impl Drop for ToolRun {
    fn drop(&mut self) {
        self.count(Outcome::of_dropped(), PANIC);
    }
}

impl fmt::Debug for ToolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolRun").field("tool_name", &self.tool_name).finish_non_exhaustive()
    }
}
