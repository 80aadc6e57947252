//! What the service does for its users.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;

const MESSAGE_BUCKETS: &[f64] = &[1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Metrics of what the service does for its users:
///
/// | metric | |
/// |---|---|
/// | `successful_analyses_total{organization_id,data_source_type}` | analyses that succeeded |
/// | `charts_created_total{chart_type,organization_id}` | charts |
/// | `sql_queries_executed_total{data_source_type,organization_id}` | queries |
/// | `conversation_message_count` | messages in a conversation |
/// | `user_sessions_total{organization_id}` | sessions that began |
///
/// ```
/// use obs_metrics::{Registry, catalog::BusinessMetrics};
///
/// let registry = Registry::default();
/// BusinessMetrics::new(&registry).record_chart("bar", "o-1");
/// let labels = [("chart_type", "bar"), ("organization_id", "o-1")];
/// assert_eq!(registry.value("charts_created_total", &labels), Some(1.0));
/// ```
#[derive(Clone)]
pub struct BusinessMetrics(Arc<Handles>);

struct Handles {
    analyses: Labelled<Counter, 2>,
    charts: Labelled<Counter, 2>,
    queries: Labelled<Counter, 2>,
    messages: Labelled<Histogram, 0>,
    sessions: Labelled<Counter, 1>,
}

impl BusinessMetrics {
    /// The business metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            analyses: Labelled::new(
                registry,
                "successful_analyses_total",
                ["organization_id", "data_source_type"],
                "Analyses that succeeded, by organization and type of data source.",
                None,
            ),
            charts: Labelled::new(
                registry,
                "charts_created_total",
                ["chart_type", "organization_id"],
                "Charts created, by type and organization.",
                None,
            ),
            queries: Labelled::new(
                registry,
                "sql_queries_executed_total",
                ["data_source_type", "organization_id"],
                "SQL queries executed, by type of data source and organization.",
                None,
            ),
            messages: Labelled::new(
                registry,
                "conversation_message_count",
                [],
                "Messages in one conversation.",
                Some(MESSAGE_BUCKETS),
            ),
            sessions: Labelled::new(
                registry,
                "user_sessions_total",
                ["organization_id"],
                "User sessions that began, by organization.",
                None,
            ),
        }))
    }

    /// Counts an analysis that succeeded.
    pub fn record_analysis(&self, organization_id: &str, data_source_type: &str) {
        self.0.analyses.with([organization_id, data_source_type]).increment(1);
    }

    /// Counts a chart.
    pub fn record_chart(&self, chart_type: &str, organization_id: &str) {
        self.0.charts.with([chart_type, organization_id]).increment(1);
    }

    /// Counts a query.
    pub fn record_query(&self, data_source_type: &str, organization_id: &str) {
        self.0.queries.with([data_source_type, organization_id]).increment(1);
    }

    /// Observes how many messages a conversation has.
    pub fn record_conversation(&self, messages: u64) {
        self.0.messages.with([]).record(messages as f64);
    }

    /// Counts a session that begins.
    pub fn record_session(&self, organization_id: &str) {
        self.0.sessions.with([organization_id]).increment(1);
    }
}

impl fmt::Debug for BusinessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusinessMetrics").finish_non_exhaustive()
    }
}
