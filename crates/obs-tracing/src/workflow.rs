//! Workflows and their steps: a span each, with the kind of workflow, the id of its execution, and the step.
//!
//! ```
//! use obs_model::Context;
//! use obs_tracing::workflow::{self, Workflow};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let answer = Workflow::new("analysis").execution("run-42").run(async {
//!     let plan = workflow::step("plan", async { Ok::<_, std::io::Error>("select 1") }).await?;
//!     workflow::step("query", async {
//!         let context = Context::current();
//!         assert_eq!((context.execution(), context.step()), (Some("run-42"), Some("query")));
//!         Ok::<_, std::io::Error>(plan.len())
//!     })
//!     .await
//! });
//! assert_eq!(answer.await?, 8);
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```
//!
//! The span of an execution is called `workflow` (exported as `workflow {type}`), with `workflow` and `execution_id`, and that
//! of a step `workflow.step` (`{type} {step}`), with these and `step`. Steps nest in the execution, and in each other. All have
//! `status`, which is `success`, `error`, `cancelled` or `panicked`, and `error.type`; so has every line within them the first
//! three. They go along with the [`Context`], so that a step which is another task or handles a message, by
//! [`spawn`](crate::spawn) or [`channel`](crate::channel), still says which execution it is of.
//!
//! The end of a step is a line at DEBUG, or at WARN when it failed; that of an execution one at INFO, or at ERROR. Metrics of
//! workflows are those of `obs_metrics::catalog::WorkflowMetrics`, which wraps the same futures.

use std::fmt;
use std::future::Future;
use std::time::Instant;

use obs_model::{Context, CorrelationId, WithContext};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::duration::milliseconds;
use crate::operation::{Ended, Observer, watch};

const TARGET: &str = "obskit::workflow";

/// One execution of a workflow, before it runs.
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it runs"]
pub struct Workflow<'a> {
    kind: &'a str,
    execution: Option<&'a str>,
}

impl<'a> Workflow<'a> {
    /// An execution of a workflow of this type, such as `onboarding`. It gets an id of its own.
    pub const fn new(kind: &'a str) -> Self {
        Self { kind, execution: None }
    }

    /// With this id instead.
    pub const fn execution(mut self, id: &'a str) -> Self {
        self.execution = Some(id);
        self
    }

    /// Runs `future` as this execution.
    ///
    /// # Errors
    ///
    /// Those of the workflow, unchanged.
    pub async fn run<T, E>(self, future: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        E: fmt::Display,
    {
        let execution = match self.execution {
            Some(id) => id.to_owned(),
            None => CorrelationId::generate().to_string(),
        };
        let span = tracing::info_span!(
            target: TARGET,
            "workflow",
            otel.name = format_args!("workflow {}", self.kind),
            otel.status_code = Empty,
            workflow = self.kind,
            execution_id = execution,
            status = Empty,
            error.type = Empty,
        );
        let context = Context::current().with_workflow(self.kind).with_execution(execution);
        run(Part::Execution, span, context, future).await
    }
}

/// Runs `future` as a step of the workflow that the current context names.
///
/// # Errors
///
/// Those of the step, unchanged.
pub async fn step<T, E>(name: &str, future: impl Future<Output = Result<T, E>>) -> Result<T, E>
where
    E: fmt::Display,
{
    let context = Context::current().with_step(name);
    let span = tracing::info_span!(
        target: TARGET,
        "workflow.step",
        otel.name = format_args!("{} {name}", context.workflow().unwrap_or("workflow")),
        otel.status_code = Empty,
        workflow = context.workflow(),
        execution_id = context.execution(),
        step = name,
        status = Empty,
        error.type = Empty,
    );
    run(Part::Step, span, context, future).await
}

async fn run<T, E>(
    part: Part,
    span: Span,
    context: Context,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: fmt::Display,
{
    let run = Run { part, span: span.clone(), context: context.clone(), started: Instant::now() };
    watch(run, future.in_context(context).instrument(span)).await
}

/// What is being run.
#[derive(Clone, Copy)]
enum Part {
    Execution,
    Step,
}

struct Run {
    part: Part,
    span: Span,
    context: Context,
    started: Instant,
}

impl Run {
    fn fail(&self, error_type: &str) {
        self.span.record("error.type", error_type);
        self.span.record("otel.status_code", "ERROR");
    }
}

impl<T, E: fmt::Display> Observer<T, E> for Run {
    fn end(self, how: Ended<'_, T, E>) {
        let duration_ms = milliseconds(self.started.elapsed());
        self.span.record("status", how.status());
        let _entered = self.context.clone().enter();
        self.span.in_scope(|| match (&how, self.part) {
            (Ended::Done(_), Part::Execution) => {
                tracing::info!(target: TARGET, duration_ms, "workflow finished");
            }
            (Ended::Done(_), Part::Step) => {
                tracing::debug!(target: TARGET, duration_ms, "step finished");
            }
            (Ended::Failed(error), part) => {
                let name = obs_model::type_name_of::<E>();
                self.fail(&name);
                failed(part, duration_ms, &name, error);
            }
            (Ended::Cancelled, _) => {
                self.span.record("error.type", "cancelled");
            }
            (Ended::Panicked, _) => self.fail("panic"),
        });
    }
}

/// Writes the line of what failed. What fails a step is told of again by the workflow, unless that can go on.
fn failed(part: Part, duration_ms: f64, name: &str, error: &impl fmt::Display) {
    match part {
        Part::Execution => tracing::error!(
            target: TARGET,
            duration_ms,
            error.name = name,
            error.message = %error,
            "workflow failed"
        ),
        Part::Step => tracing::warn!(
            target: TARGET,
            duration_ms,
            error.name = name,
            error.message = %error,
            "step failed"
        ),
    }
}
