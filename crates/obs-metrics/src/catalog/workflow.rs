//! Workflows and their steps.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram};
use obs_model::Context;
use parking_lot::Mutex;

use super::labelled::Labelled;
use super::{NONE, in_namespace};
use crate::registry::Registry;
use crate::track::{self, ActiveGuard, Outcome, Run};

const WORKFLOW_BUCKETS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const STEP_BUCKETS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Metrics of workflows and their steps, in a namespace:
///
/// | metric | |
/// |---|---|
/// | `{ns}_workflow_executions_total{status,user_id,organization_id}` | workflows that ended |
/// | `{ns}_workflow_duration_seconds{status,step}` | how long a whole workflow took, with the status it ended with and the last step it reached (`none` before the first) |
/// | `{ns}_workflow_active_executions` | workflows that run now |
/// | `{ns}_workflow_step_executions_total{step_name,status}` | steps that ended |
/// | `{ns}_workflow_step_duration_seconds{step_name}` | how long a step took |
///
/// `step` of a workflow's duration is the last one reached, because that is what a slow or failed workflow is
/// asked about first; how long each step took is in the step's own histogram.
///
/// ```
/// use obs_metrics::{Registry, catalog::{WorkflowMetrics, WorkflowOwner}};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::default();
/// let workflows = WorkflowMetrics::new(&registry, "analyst");
/// let result: Result<u32, std::fmt::Error> = workflows
///     .track(WorkflowOwner::new("u-1", "o-1"), async {
///         workflows.track_step("plan", async { Ok::<_, std::fmt::Error>(()) }).await?;
///         workflows.track_step("query", async { Ok(42) }).await
///     })
///     .await;
/// assert_eq!(result, Ok(42));
/// let labels = [("status", "success"), ("step", "query")];
/// assert_eq!(registry.value("analyst_workflow_duration_seconds_count", &labels), Some(1.0));
/// # });
/// ```
#[derive(Clone)]
pub struct WorkflowMetrics(Arc<Handles>);

struct Handles {
    executions: Labelled<Counter, 3>,
    duration: Labelled<Histogram, 2>,
    active: Gauge,
    step_executions: Labelled<Counter, 2>,
    step_duration: Labelled<Histogram, 1>,
}

/// For whom a workflow runs; what is unknown is shown as `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowOwner {
    user_id: Option<Arc<str>>,
    organization_id: Option<Arc<str>>,
}

impl WorkflowOwner {
    /// A user of an organization.
    #[must_use]
    pub fn new(user_id: impl Into<Arc<str>>, organization_id: impl Into<Arc<str>>) -> Self {
        Self { user_id: Some(user_id.into()), organization_id: Some(organization_id.into()) }
    }

    /// The user and the organization of the current [`Context`].
    #[must_use]
    pub fn current() -> Self {
        Context::with_current(|context| Self {
            user_id: context.user().map(Arc::from),
            organization_id: context.organization().map(Arc::from),
        })
    }
}

impl WorkflowMetrics {
    /// The workflow metrics of `registry`, in `namespace` (`analyst` gives `analyst_workflow_…`).
    #[must_use]
    pub fn new(registry: &Registry, namespace: &str) -> Self {
        let name = |name| in_namespace(namespace, name);
        let active = name("workflow_active_executions");
        registry.declare(&active, "Workflows that run now.", None);
        Self(Arc::new(Handles {
            executions: Labelled::new(
                registry,
                name("workflow_executions_total"),
                ["status", "user_id", "organization_id"],
                "Workflows that ended, by how they ended and for whom they ran.",
                None,
            ),
            duration: Labelled::new(
                registry,
                name("workflow_duration_seconds"),
                ["status", "step"],
                "Duration of whole workflows, by how they ended and the last step they reached.",
                Some(WORKFLOW_BUCKETS),
            ),
            active: registry.gauge(&active, &[]),
            step_executions: Labelled::new(
                registry,
                name("workflow_step_executions_total"),
                ["step_name", "status"],
                "Workflow steps that ended, by how they ended.",
                None,
            ),
            step_duration: Labelled::new(
                registry,
                name("workflow_step_duration_seconds"),
                ["step_name"],
                "Duration of workflow steps.",
                Some(STEP_BUCKETS),
            ),
        }))
    }

    /// Runs `future` as a workflow from its first poll to its end. Its output is passed through untouched.
    ///
    /// Steps that are tracked or started within it, and not in another task, are its steps.
    pub fn track<F, T, E>(
        &self,
        owner: WorkflowOwner,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let metrics = self.clone();
        track::tracked(future, move || metrics.start(owner), |_: &E| NONE.into())
    }

    /// Runs `future` as a step from its first poll to its end. Its output is passed through untouched.
    pub fn track_step<F, T, E>(
        &self,
        step_name: &str,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let (metrics, step_name) = (self.clone(), Arc::<str>::from(step_name));
        track::tracked(future, move || metrics.begin_step(step_name), |_: &E| NONE.into())
    }

    /// Begins a workflow that is not a future. Dropping the guard counts it as cancelled, or as panicked.
    pub fn start(&self, owner: WorkflowOwner) -> WorkflowRun {
        WorkflowRun {
            active: Some(ActiveGuard::new(&self.0.active)),
            metrics: self.clone(),
            owner,
            reached: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Begins a step that is not a future. Dropping the guard counts it as cancelled, or as panicked.
    pub fn start_step(&self, step_name: &str) -> StepRun {
        self.begin_step(Arc::from(step_name))
    }

    fn begin_step(&self, step_name: Arc<str>) -> StepRun {
        if let Some(reached) = current() {
            *reached.lock() = Some(Arc::clone(&step_name));
        }
        StepRun { metrics: Some(self.clone()), step_name, started: Instant::now() }
    }
}

/// The last step that a workflow reached.
type Reached = Arc<Mutex<Option<Arc<str>>>>;

thread_local! {
    /// The workflow that this thread is polling, innermost.
    static CURRENT: RefCell<Option<Reached>> = const { RefCell::new(None) };
}

fn current() -> Option<Reached> {
    // OK because a thread whose locals are gone, as in a destructor at its end, polls no workflow.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

fn replace_current(with: Option<Reached>) -> Option<Reached> {
    CURRENT.try_with(|current| current.replace(with)).ok().flatten()
}

/// Puts back the workflow that was current before.
struct Restore(Option<Reached>);

impl Drop for Restore {
    fn drop(&mut self) {
        replace_current(self.0.take());
    }
}

/// A workflow that runs; see [`WorkflowMetrics::start`].
#[must_use = "dropping the run counts the workflow as cancelled"]
pub struct WorkflowRun {
    /// Present until the end is counted.
    active: Option<ActiveGuard>,
    metrics: WorkflowMetrics,
    owner: WorkflowOwner,
    reached: Reached,
    started: Instant,
}

impl WorkflowRun {
    /// Says which step the workflow has reached. Steps that [`WorkflowRun::within`] starts say it themselves.
    pub fn reach(&self, step_name: &str) {
        *self.reached.lock() = Some(Arc::from(step_name));
    }

    /// Does part of the workflow: steps that begin in it on this thread are this workflow's.
    pub fn within<R>(&self, part: impl FnOnce() -> R) -> R {
        let _restore = Restore(replace_current(Some(Arc::clone(&self.reached))));
        part()
    }

    /// Ends the workflow.
    pub fn finish(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        if self.active.take().is_none() {
            return;
        }
        let status = outcome.as_str();
        let user = self.owner.user_id.as_deref().unwrap_or(NONE);
        let organization = self.owner.organization_id.as_deref().unwrap_or(NONE);
        let handles = &*self.metrics.0;
        handles.executions.with([status, user, organization]).increment(1);
        let reached = self.reached.lock().clone();
        let duration = handles.duration.with([status, reached.as_deref().unwrap_or(NONE)]);
        duration.record(self.started.elapsed());
    }
}

impl Run for WorkflowRun {
    fn within<R>(&self, step: impl FnOnce() -> R) -> R {
        Self::within(self, step)
    }

    fn end(self, outcome: Outcome, _: &str) {
        self.finish(outcome);
    }
}

impl Drop for WorkflowRun {
    fn drop(&mut self) {
        self.count(Outcome::of_dropped());
    }
}

/// A step that runs; see [`WorkflowMetrics::start_step`].
#[must_use = "dropping the run counts the step as cancelled"]
pub struct StepRun {
    /// Present until the end is counted.
    metrics: Option<WorkflowMetrics>,
    step_name: Arc<str>,
    started: Instant,
}

impl StepRun {
    /// Ends the step.
    pub fn finish(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        if let Some(metrics) = self.metrics.take() {
            metrics.0.step_executions.with([&self.step_name, outcome.as_str()]).increment(1);
            metrics.0.step_duration.with([&self.step_name]).record(self.started.elapsed());
        }
    }
}

impl Run for StepRun {
    fn end(self, outcome: Outcome, _: &str) {
        self.finish(outcome);
    }
}

impl Drop for StepRun {
    fn drop(&mut self) {
        self.count(Outcome::of_dropped());
    }
}

impl fmt::Debug for WorkflowMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkflowRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowRun").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl fmt::Debug for StepRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepRun").field("step_name", &self.step_name).finish_non_exhaustive()
    }
}
