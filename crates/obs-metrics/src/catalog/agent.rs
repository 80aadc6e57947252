//! Agents of a platform, and the workflows that they run in.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};

use super::NONE;
use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::{self, Outcome, Run};

const DURATION: &str = "agent_execution_duration_seconds";
const BUCKETS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Metrics of agents' executions, in one of two shapes. Which one is decided when the group is made:
///
/// | [`AgentMetrics::new`] | |
/// |---|---|
/// | `agent_executions_total{agent,status}` | executions that ended |
/// | `agent_errors_total{agent}` | executions that failed or panicked |
/// | `agent_execution_duration_seconds{agent}` | how long they took |
///
/// | [`AgentMetrics::by_type`] | |
/// |---|---|
/// | `agent_execution_duration_seconds{agentType,status}` | how long executions took; its `_count` says how many ended, and how |
///
/// Both have `workflow_execution_duration_seconds`, how long a workflow of agents took.
///
/// The shapes share a name but not its labels, because the dashboards of two kinds of platform ask for it so. A
/// service uses one of them: with both in one registry, a sum over the metric would count executions twice.
///
/// ```
/// use obs_metrics::{Outcome, Registry, catalog::AgentMetrics};
/// use std::time::Duration;
///
/// let registry = Registry::default();
/// AgentMetrics::new(&registry).record("planner", Duration::from_secs(3), Outcome::Success);
/// let labels = [("agent", "planner"), ("status", "success")];
/// assert_eq!(registry.value("agent_executions_total", &labels), Some(1.0));
///
/// let registry = Registry::default();
/// AgentMetrics::by_type(&registry).record("planner", Duration::from_secs(3), Outcome::Success);
/// let labels = [("agentType", "planner"), ("status", "success")];
/// assert_eq!(registry.value("agent_execution_duration_seconds_count", &labels), Some(1.0));
/// ```
#[derive(Clone)]
pub struct AgentMetrics(Arc<Handles>);

struct Handles {
    shape: Shape,
    workflows: Labelled<Histogram, 0>,
}

enum Shape {
    ByAgent {
        executions: Labelled<Counter, 2>,
        errors: Labelled<Counter, 1>,
        duration: Labelled<Histogram, 1>,
    },
    ByType {
        duration: Labelled<Histogram, 2>,
    },
}

impl AgentMetrics {
    /// The agent metrics of `registry`, by agent: executions, errors and durations.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let shape = Shape::ByAgent {
            executions: Labelled::new(
                registry,
                "agent_executions_total",
                ["agent", "status"],
                "Agent executions that ended, by how they ended.",
                None,
            ),
            errors: Labelled::new(
                registry,
                "agent_errors_total",
                ["agent"],
                "Agent executions that failed or panicked.",
                None,
            ),
            duration: Labelled::new(
                registry,
                DURATION,
                ["agent"],
                "Duration of agent executions.",
                Some(BUCKETS),
            ),
        };
        Self::with_shape(registry, shape)
    }

    /// The agent metrics of `registry`, by type of agent and by how executions ended: durations.
    #[must_use]
    pub fn by_type(registry: &Registry) -> Self {
        let shape = Shape::ByType {
            duration: Labelled::new(
                registry,
                DURATION,
                ["agentType", "status"],
                "Duration of agent executions, by type of agent and by how they ended.",
                Some(BUCKETS),
            ),
        };
        Self::with_shape(registry, shape)
    }

    fn with_shape(registry: &Registry, shape: Shape) -> Self {
        let workflows = Labelled::new(
            registry,
            "workflow_execution_duration_seconds",
            [],
            "Duration of workflows of agents.",
            Some(BUCKETS),
        );
        Self(Arc::new(Handles { shape, workflows }))
    }

    /// Records a whole execution. `agent` is the agent's name, or its type in a group made by
    /// [`AgentMetrics::by_type`].
    pub fn record(&self, agent: &str, duration: Duration, outcome: Outcome) {
        match &self.0.shape {
            Shape::ByAgent { executions, errors, duration: durations } => {
                executions.with([agent, outcome.as_str()]).increment(1);
                durations.with([agent]).record(duration);
                if matches!(outcome, Outcome::Error | Outcome::Panicked) {
                    errors.with([agent]).increment(1);
                }
            }
            Shape::ByType { duration: durations } => {
                durations.with([agent, outcome.as_str()]).record(duration);
            }
        }
    }

    /// Observes how long a workflow took.
    pub fn record_workflow(&self, duration: Duration) {
        self.0.workflows.with([]).record(duration);
    }

    /// Runs `future` as an execution from its first poll to its end. Its output is passed through untouched.
    pub fn track<F, T, E>(
        &self,
        agent: &str,
        future: F,
    ) -> impl Future<Output = Result<T, E>> + use<F, T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let (metrics, agent) = (self.clone(), Arc::<str>::from(agent));
        let begin = move || AgentRun { metrics: Some(metrics), agent, started: Instant::now() };
        track::tracked(future, begin, |_: &E| NONE.into())
    }

    /// Begins an execution that is not a future. Dropping the guard counts it as cancelled, or as panicked.
    pub fn start(&self, agent: &str) -> AgentRun {
        AgentRun { metrics: Some(self.clone()), agent: Arc::from(agent), started: Instant::now() }
    }
}

/// An execution that runs; see [`AgentMetrics::start`].
#[must_use = "dropping the run counts the execution as cancelled"]
pub struct AgentRun {
    /// Present until the end is counted.
    metrics: Option<AgentMetrics>,
    agent: Arc<str>,
    started: Instant,
}

impl AgentRun {
    /// Ends the execution as `outcome` says.
    pub fn finish(mut self, outcome: Outcome) {
        self.count(outcome);
    }

    fn count(&mut self, outcome: Outcome) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.record(&self.agent, self.started.elapsed(), outcome);
    }
}

impl Run for AgentRun {
    fn end(mut self, outcome: Outcome, _error_type: &str) {
        self.count(outcome);
    }
}

impl Drop for AgentRun {
    fn drop(&mut self) {
        self.count(Outcome::of_dropped());
    }
}

impl fmt::Debug for AgentMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentRun").field("agent", &self.agent).finish_non_exhaustive()
    }
}
