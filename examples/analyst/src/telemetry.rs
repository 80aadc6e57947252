//! Everything that the service records about itself, in one place: metrics by obskit's catalogs, context and log
//! lines.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obskit::metrics::catalog::{
    BusinessMetrics, DatabaseMetrics, LlmMetrics, LlmRun, ResourceMetrics, ToolMetrics,
    WorkflowMetrics, WorkflowOwner,
};
use obskit::metrics::{ActiveGuard, Registry};
use obskit::model::{Context, WithContext};

use crate::error::AnalystError;

/// What the workflow's and the tools' metrics are called after.
const NAMESPACE: &str = "analyst";

/// The value of the label `data_source_type`.
const DATA_SOURCE: &str = "sqlite";

/// The value of the label `agent`.
const PLANNER: &str = "planner";

/// The value of a label when a request does not say.
const NONE: &str = "none";

/// Counts a database connection as active while it lives.
pub type ActiveConnection = ActiveGuard;

/// Takes an analysis that failed, with the question or statement that it was for.
pub type OnFailure = dyn Fn(&AnalystError, &str) + Send + Sync;

/// For whom an analysis is made.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// The user.
    pub user: Option<String>,
    /// The user's organization.
    pub organization: Option<String>,
    /// The conversation that the analysis belongs to.
    pub session: Option<String>,
}

impl Who {
    fn organization(&self) -> &str {
        self.organization.as_deref().unwrap_or(NONE)
    }

    fn context(&self) -> Context {
        let mut context = Context::current();
        if let Some(user) = &self.user {
            context = context.with_user(user.as_str());
        }
        if let Some(organization) = &self.organization {
            context = context.with_organization(organization.as_str());
        }
        if let Some(session) = &self.session {
            context = context.with_session(session.as_str());
        }
        context
    }
}

/// Records what the service does. Clones record to the same place.
#[derive(Clone)]
pub struct Telemetry {
    workflows: WorkflowMetrics,
    tools: ToolMetrics,
    database: DatabaseMetrics,
    models: LlmMetrics,
    business: BusinessMetrics,
    resources: ResourceMetrics,
    connections_limit: metrics::Gauge,
    sessions_evicted: metrics::Counter,
    on_failure: Option<Arc<OnFailure>>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Default for Telemetry {
    /// Records to a registry that nobody reads.
    fn default() -> Self {
        Self::new(&Registry::default())
    }
}

impl Telemetry {
    /// Records to this registry.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        registry.describe("database_connections_limit", "Database connections that the pool has.");
        registry.describe(
            "analyst_sessions_evicted_total",
            "Conversations that were forgotten to make room for another.",
        );
        Self {
            workflows: WorkflowMetrics::new(registry, NAMESPACE),
            tools: ToolMetrics::new(registry, NAMESPACE),
            database: DatabaseMetrics::new(registry),
            models: LlmMetrics::new(registry),
            business: BusinessMetrics::new(registry),
            resources: ResourceMetrics::new(registry),
            connections_limit: registry.gauge("database_connections_limit", &[]),
            sessions_evicted: registry.counter("analyst_sessions_evicted_total", &[]),
            on_failure: None,
        }
    }

    /// Records the business metrics there instead, which may be where nobody reads them.
    #[must_use]
    pub fn with_business_metrics(mut self, business: BusinessMetrics) -> Self {
        self.business = business;
        self
    }

    /// Hands every analysis that fails to `take`, in the context of its workflow, instead of logging it.
    #[must_use]
    pub fn on_failure(mut self, take: Arc<OnFailure>) -> Self {
        self.on_failure = Some(take);
        self
    }

    /// Runs an analysis as a workflow: counts it, times it, and reports its failure.
    pub(crate) async fn workflow<T>(
        &self,
        who: &Who,
        id: &str,
        input: &str,
        work: impl Future<Output = Result<T, AnalystError>>,
    ) -> Result<T, AnalystError> {
        let owner = WorkflowOwner::new(who.user.as_deref().unwrap_or(NONE), who.organization());
        let context = who.context().with_workflow(id);
        let tracked = self.workflows.track(owner, work);
        let reported = async {
            let result = tracked.await;
            if let Err(error) = &result {
                self.failed(error, input);
            }
            result
        };
        reported.in_context(context).await
    }

    /// Runs a step of a workflow.
    pub(crate) async fn step<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, AnalystError>>,
    ) -> Result<T, AnalystError> {
        let context = Context::current().with_step(name);
        self.workflows.track_step(name, work).in_context(context).await
    }

    /// Runs a tool.
    pub(crate) async fn tool<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, AnalystError>>,
    ) -> Result<T, AnalystError> {
        let context = Context::current().with_tool(name);
        let classify = |error: &AnalystError| Cow::Borrowed(error.error_type());
        self.tools.track_classified(name, work, classify).in_context(context).await
    }

    fn failed(&self, error: &AnalystError, input: &str) {
        if let Some(take) = &self.on_failure {
            take(error, input);
            return;
        }
        let (error_type, message) = (error.error_type(), error.with_causes());
        if error.is_server_fault() {
            tracing::error!(error_type, input, "analysis failed: {message}");
        } else {
            tracing::warn!(error_type, input, "analysis refused: {message}");
        }
    }

    /// An analysis was answered.
    pub(crate) fn analysis_succeeded(
        &self,
        who: &Who,
        planner: &str,
        rows: usize,
        elapsed: Duration,
    ) {
        tracing::info!(
            planner,
            rows,
            elapsed_ms = elapsed.as_secs_f64() * 1e3,
            "analysis answered"
        );
        self.business.record_analysis(who.organization(), DATA_SOURCE);
    }

    /// A statement was executed for a workflow.
    pub(crate) fn statement_executed(&self, who: &Who) {
        self.business.record_query(DATA_SOURCE, who.organization());
    }

    /// A chart was drawn.
    pub(crate) fn chart_created(&self, who: &Who, kind: &str) {
        self.business.record_chart(kind, who.organization());
    }

    /// A conversation began.
    pub(crate) fn session_began(&self, who: &Who) {
        self.business.record_session(who.organization());
    }

    /// A conversation was forgotten to make room for another.
    pub(crate) fn session_evicted(&self) {
        self.sessions_evicted.increment(1);
    }

    /// A conversation grew.
    pub(crate) fn conversation(&self, messages: usize, bytes: usize) {
        self.business.record_conversation(messages as u64);
        self.resources.record_conversation_history(bytes as u64);
    }

    /// The body of an answer was put together.
    pub(crate) fn answer_accumulated(&self, bytes: usize) {
        self.resources.record_streaming_accumulator(bytes as u64);
    }

    /// How many connections the pool has.
    #[expect(clippy::cast_precision_loss, reason = "no pool has 2^53 connections")]
    pub(crate) fn connections_limit(&self, size: usize) {
        self.connections_limit.set(size as f64);
    }

    /// Counts a connection as active while the guard lives.
    pub(crate) fn connection(&self) -> ActiveConnection {
        self.database.connection()
    }

    /// A statement returned its rows.
    pub(crate) fn query_succeeded(&self, elapsed: Duration, rows: usize) {
        self.database.record_query("select", elapsed);
        self.database.record_rows(rows as u64);
    }

    /// A statement failed; its time counts, too, because failing can take the longest.
    pub(crate) fn query_failed(&self, elapsed: Duration, error: &AnalystError) {
        self.database.record_query("select", elapsed);
        self.database.record_error(error.error_type());
    }

    /// A request to a model begins.
    pub(crate) fn model_request(&self, model: &str) -> LlmRun {
        self.models.start(model, PLANNER)
    }

    /// A model's answer says how many tokens it took, though it is of no use.
    pub(crate) fn model_tokens(&self, model: &str, input: Option<u64>, output: Option<u64>) {
        self.models.record_tokens(model, input, output);
    }
}
