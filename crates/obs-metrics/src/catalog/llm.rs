//! Requests to language models.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::{self, Outcome, PANIC, Run};

const TOKEN_BUCKETS: &[f64] = &[100.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0];
const DURATION_BUCKETS: &[f64] = &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Metrics of requests to language models; none of them is shown while no model is used:
///
/// | metric | |
/// |---|---|
/// | `llm_requests_total{model,agent,status}` | requests that ended |
/// | `llm_tokens_used{model,type}` | tokens of one request, `type` is `input` or `output` |
/// | `llm_request_duration_seconds{model,agent}` | how long requests took |
/// | `llm_errors_total{model,error_type}` | requests that failed, by type of error |
///
/// ```
/// use obs_metrics::{Outcome, Registry, catalog::{LlmCall, LlmMetrics}};
/// use std::time::Duration;
///
/// let registry = Registry::default();
/// let llm = LlmMetrics::new(&registry);
/// assert!(!registry.render_text().contains("llm_"));
/// llm.record(&LlmCall {
///     model: "small",
///     agent: "planner",
///     outcome: Outcome::Success,
///     duration: Duration::from_millis(900),
///     input_tokens: Some(1_200),
///     output_tokens: Some(80),
///     error_type: None,
/// });
/// let labels = [("model", "small"), ("type", "input")];
/// assert_eq!(registry.value("llm_tokens_used_sum", &labels), Some(1_200.0));
/// ```
#[derive(Clone)]
pub struct LlmMetrics(Arc<Handles>);

struct Handles {
    requests: Labelled<Counter, 3>,
    tokens: Labelled<Histogram, 2>,
    duration: Labelled<Histogram, 2>,
    errors: Labelled<Counter, 2>,
}

/// One request that ended.
#[derive(Clone, Copy, Debug)]
pub struct LlmCall<'a> {
    /// The model's name.
    pub model: &'a str,
    /// Which agent asked.
    pub agent: &'a str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    /// Tokens of the prompt, if known.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, if known.
    pub output_tokens: Option<u64>,
    /// What sort of error there was, if any.
    pub error_type: Option<&'a str>,
}

impl LlmMetrics {
    /// The language model metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            requests: Labelled::new(
                registry,
                "llm_requests_total",
                ["model", "agent", "status"],
                "Requests to language models that ended, by how they ended.",
                None,
            ),
            tokens: Labelled::new(
                registry,
                "llm_tokens_used",
                ["model", "type"],
                "Tokens of one request to a language model, by direction.",
                Some(TOKEN_BUCKETS),
            ),
            duration: Labelled::new(
                registry,
                "llm_request_duration_seconds",
                ["model", "agent"],
                "Duration of requests to language models.",
                Some(DURATION_BUCKETS),
            ),
            errors: Labelled::new(
                registry,
                "llm_errors_total",
                ["model", "error_type"],
                "Requests to language models that failed, by type of error.",
                None,
            ),
        }))
    }

    /// Records a whole request.
    pub fn record(&self, call: &LlmCall<'_>) {
        let handles = &*self.0;
        handles.requests.with([call.model, call.agent, call.outcome.as_str()]).increment(1);
        handles.duration.with([call.model, call.agent]).record(call.duration);
        self.record_tokens(call.model, call.input_tokens, call.output_tokens);
        if let Some(error_type) = call.error_type {
            self.record_error(call.model, error_type);
        }
    }

    /// Observes the tokens of one request.
    pub fn record_tokens(&self, model: &str, input: Option<u64>, output: Option<u64>) {
        for (direction, tokens) in [("input", input), ("output", output)] {
            if let Some(tokens) = tokens {
                self.0.tokens.with([model, direction]).record(tokens as f64);
            }
        }
    }

    /// Counts a failure.
    pub fn record_error(&self, model: &str, error_type: &str) {
        self.0.errors.with([model, error_type]).increment(1);
    }

    /// Runs `future` as a request from its first poll to its end: counts it and its error, and observes its
    /// duration. Its output is passed through untouched; tokens are recorded apart, where they are known.
    pub fn track<F, T, E>(
        &self,
        model: &str,
        agent: &str,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let (metrics, model, agent) =
            (self.clone(), Arc::<str>::from(model), Arc::<str>::from(agent));
        let begin =
            move || LlmRun { metrics: Some(metrics), model, agent, started: Instant::now() };
        track::tracked(future, begin, |_: &E| track::type_name_of::<E>())
    }

    /// Begins a request that is not a future. Dropping the guard counts it as cancelled, or as panicked.
    pub fn start(&self, model: &str, agent: &str) -> LlmRun {
        LlmRun {
            metrics: Some(self.clone()),
            model: Arc::from(model),
            agent: Arc::from(agent),
            started: Instant::now(),
        }
    }
}

/// A request that runs; see [`LlmMetrics::start`].
#[must_use = "dropping the run counts the request as cancelled"]
pub struct LlmRun {
    /// Present until the end is counted.
    metrics: Option<LlmMetrics>,
    model: Arc<str>,
    agent: Arc<str>,
    started: Instant,
}

impl LlmRun {
    /// Ends the request well, with the tokens it used.
    pub fn succeed(mut self, input_tokens: Option<u64>, output_tokens: Option<u64>) {
        if let Some(metrics) = &self.metrics {
            metrics.record_tokens(&self.model, input_tokens, output_tokens);
        }
        self.count(Outcome::Success, None);
    }

    /// Ends the request with an error of the given type.
    pub fn fail(mut self, error_type: &str) {
        self.count(Outcome::Error, Some(error_type));
    }

    fn count(&mut self, outcome: Outcome, error_type: Option<&str>) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.record(&LlmCall {
            model: &self.model,
            agent: &self.agent,
            outcome,
            duration: self.started.elapsed(),
            input_tokens: None,
            output_tokens: None,
            error_type,
        });
    }
}

impl Run for LlmRun {
    fn end(mut self, outcome: Outcome, error_type: &str) {
        let failed = matches!(outcome, Outcome::Error | Outcome::Panicked);
        self.count(outcome, failed.then_some(error_type));
    }
}

impl Drop for LlmRun {
    fn drop(&mut self) {
        let outcome = Outcome::of_dropped();
        self.count(outcome, (outcome == Outcome::Panicked).then_some(PANIC));
    }
}

impl fmt::Debug for LlmMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for LlmRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmRun").field("model", &self.model).finish_non_exhaustive()
    }
}
