//! What the service does for its users: recorded one by one, counted as metrics, and summed up for any window.
//!
//! A [`BusinessRecorder`] takes analyses, charts, queries, sessions and conversations. Each is counted in the families
//! of [`BusinessMetrics`], and kept in rollups that [`BusinessRecorder::summary`] adds
//! up: totals, the organizations that did most, the chart types that are liked most.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use obs_metrics::Registry;
//! use obs_metrics::business::{Analysis, AnalysisKind, BusinessConfig, BusinessRecorder, Chart};
//! use obs_model::ManualClock;
//!
//! let registry = Registry::default();
//! let clock = Arc::new(ManualClock::default());
//! let business = BusinessRecorder::new(&registry, BusinessConfig::default(), clock.clone());
//! business.record_analysis(&Analysis {
//!     organization_id: "o-1",
//!     user_id: "u-1",
//!     data_source_type: "postgresql",
//!     kind: AnalysisKind::ChartCreation,
//!     success: true,
//!     duration: Duration::from_secs(4),
//!     tokens: 1_200,
//!     queries: 2,
//!     charts: 1,
//! });
//! business.record_chart(&Chart {
//!     chart_type: "bar",
//!     organization_id: "o-1",
//!     points: 40,
//!     duration: Duration::from_millis(300),
//!     success: true,
//! });
//!
//! let summary = business.summary_of_last(Duration::from_secs(3_600));
//! assert_eq!((summary.analyses.total, summary.charts.total), (1, 1));
//! assert_eq!(summary.top_organizations(10)[0].name.as_ref(), "o-1");
//! assert_eq!(summary.popular_chart_types(10)[0].name.as_ref(), "bar");
//! let labels = [("organization_id", "o-1"), ("data_source_type", "postgresql")];
//! assert_eq!(registry.value("successful_analyses_total", &labels), Some(1.0));
//! ```
//!
//! # What a summary says, and how exactly
//!
//! Records are added to a bucket of their minute and to one of their hour. Minutes are kept for a day and hours for 31
//! days, unless [`BusinessConfig`] says otherwise. A summary covers whole minutes where they are still kept, and whole
//! hours before that; [`BusinessSummary::from`] and [`BusinessSummary::to`] say what it covers. Over that time its
//! totals are exact.
//!
//! Rankings are exact too, as long as names fit: a bucket keeps at most
//! [`BusinessConfig::max_names_per_bucket`] names of a dimension and all buckets together
//! [`BusinessConfig::max_names`], which bounds the memory to about 15 MB with the defaults. What comes beyond is counted
//! under [`BusinessSummary::other`] and in `obskit_business_folded_total{dimension}`. All of it is in memory: a restart
//! begins anew, while the metrics go to the series store and whatever scrapes it.
//!
//! The registry's [label rules](crate::LabelRules) hold here too: where `organization_id` has pseudonyms, a summary
//! shows the pseudonyms.

mod records;
mod rollup;
mod summary;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram};
use obs_model::{Clock, Timestamp};
use parking_lot::Mutex;

pub use self::records::{Analysis, AnalysisKind, Chart, Query};
use self::rollup::{Dimension, Rollups, Totals};
pub use self::summary::{BusinessSummary, Ended, KindSummary, Named, NamedCounts, OtherCounts};
use crate::catalog::{BusinessMetrics, Labelled};
use crate::registry::Registry;
use crate::track::Outcome;

const SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

const FOLDED: &str = "obskit_business_folded_total";

/// How much a [`BusinessRecorder`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessConfig {
    /// How long minutes are kept: at least one, at most a week; a day by default.
    pub minutes: Duration,
    /// How long hours are kept: at least as long as minutes, at most a year; 31 days by default.
    pub hours: Duration,
    /// The names of one dimension that one bucket keeps; 1,000 by default.
    pub max_names_per_bucket: usize,
    /// The names that all buckets keep together; 100,000 by default. Users take at most half of it.
    pub max_names: usize,
}

impl Default for BusinessConfig {
    fn default() -> Self {
        Self {
            minutes: Duration::from_hours(24),
            hours: Duration::from_hours(31 * 24),
            max_names_per_bucket: 1_000,
            max_names: 100_000,
        }
    }
}

/// Records what the service does for its users; a clone is another handle on the same recorder.
///
/// Beside the families of [`BusinessMetrics`] it has:
///
/// | metric | |
/// |---|---|
/// | `business_analysis_duration_seconds{kind,status}` | how long analyses took; `_count` says how many succeeded and failed |
/// | `business_chart_duration_seconds{chart_type,status}` | how long charts took |
/// | `business_query_duration_seconds{complexity,data_source_type,status}` | how long queries took |
/// | `business_tokens_total{organization_id}` | tokens that analyses used |
///
/// Of the families of [`BusinessMetrics`], `successful_analyses_total` and `charts_created_total` count what
/// succeeded, and `sql_queries_executed_total` every query.
#[derive(Clone)]
pub struct BusinessRecorder(Arc<Inner>);

struct Inner {
    registry: Registry,
    metrics: BusinessMetrics,
    analysis_duration: Labelled<Histogram, 2>,
    chart_duration: Labelled<Histogram, 2>,
    query_duration: Labelled<Histogram, 3>,
    tokens: Labelled<Counter, 1>,
    folded: Labelled<Counter, 1>,
    clock: Arc<dyn Clock>,
    rollups: Mutex<Rollups>,
}

/// The place of a name that a record does not have.
const NO_NAME: (Dimension, &str, NamedCounts) = (
    Dimension::User,
    "",
    NamedCounts { analyses: 0, charts: 0, queries: 0, sessions: 0, tokens: 0 },
);

/// What one record adds: totals, and counts to names. An empty name is none.
struct Entry<'a> {
    totals: Totals,
    names: [(Dimension, &'a str, NamedCounts); 3],
}

impl BusinessRecorder {
    /// A recorder that begins now, with metrics in `registry`. Settings outside of their ranges are taken as the
    /// nearest that is within.
    #[must_use]
    pub fn new(registry: &Registry, config: BusinessConfig, clock: Arc<dyn Clock>) -> Self {
        let histogram = |name, labels, help| {
            Labelled::<Histogram, 2>::new(registry, name, labels, help, Some(SECONDS))
        };
        Self(Arc::new(Inner {
            metrics: BusinessMetrics::new(registry),
            analysis_duration: histogram(
                "business_analysis_duration_seconds",
                ["kind", "status"],
                "Duration of analyses, by kind and by how they ended.",
            ),
            chart_duration: histogram(
                "business_chart_duration_seconds",
                ["chart_type", "status"],
                "Duration of making charts, by type and by how it ended.",
            ),
            query_duration: Labelled::new(
                registry,
                "business_query_duration_seconds",
                ["complexity", "data_source_type", "status"],
                "Duration of queries, by complexity, type of data source and by how they ended.",
                Some(SECONDS),
            ),
            tokens: Labelled::new(
                registry,
                "business_tokens_total",
                ["organization_id"],
                "Tokens that analyses used, by organization.",
                None,
            ),
            folded: Labelled::new(
                registry,
                FOLDED,
                ["dimension"],
                "Names that a business summary counts as others because a cap was reached.",
                None,
            ),
            rollups: Mutex::new(Rollups::new(&config, clock.now())),
            registry: registry.clone(),
            clock,
        }))
    }

    /// Records an analysis that ended now.
    pub fn record_analysis(&self, analysis: &Analysis<'_>) {
        let inner = &*self.0;
        let status = status(analysis.success);
        inner
            .analysis_duration
            .with([analysis.kind.as_str(), status])
            .record(analysis.duration.as_secs_f64());
        inner.tokens.with([analysis.organization_id]).increment(analysis.tokens);
        if analysis.success {
            inner.metrics.record_analysis(analysis.organization_id, analysis.data_source_type);
        }
        let counts = NamedCounts { analyses: 1, tokens: analysis.tokens, ..NamedCounts::default() };
        self.keep(
            "successful_analyses_total",
            Entry {
                totals: Totals::of_analysis(analysis),
                names: [
                    (Dimension::Organization, analysis.organization_id, counts),
                    (Dimension::User, analysis.user_id, counts),
                    (Dimension::DataSource, analysis.data_source_type, counts),
                ],
            },
        );
    }

    /// Records a chart that was made now, or failed to be.
    pub fn record_chart(&self, chart: &Chart<'_>) {
        let inner = &*self.0;
        let labels = [chart.chart_type, status(chart.success)];
        inner.chart_duration.with(labels).record(chart.duration.as_secs_f64());
        if chart.success {
            inner.metrics.record_chart(chart.chart_type, chart.organization_id);
        }
        let counts = NamedCounts { charts: 1, ..NamedCounts::default() };
        self.keep(
            "charts_created_total",
            Entry {
                totals: Totals::of_chart(chart),
                names: [
                    (Dimension::Organization, chart.organization_id, counts),
                    (Dimension::ChartType, chart.chart_type, counts),
                    NO_NAME,
                ],
            },
        );
    }

    /// Records a query that ended now.
    pub fn record_query(&self, query: &Query<'_>) {
        let inner = &*self.0;
        let labels = [query.complexity, query.data_source_type, status(query.success)];
        inner.query_duration.with(labels).record(query.duration.as_secs_f64());
        inner.metrics.record_query(query.data_source_type, query.organization_id);
        let counts = NamedCounts { queries: 1, ..NamedCounts::default() };
        self.keep(
            "sql_queries_executed_total",
            Entry {
                totals: Totals::of_query(query),
                names: [
                    (Dimension::Organization, query.organization_id, counts),
                    (Dimension::DataSource, query.data_source_type, counts),
                    (Dimension::Complexity, query.complexity, counts),
                ],
            },
        );
    }

    /// Records a session that begins now.
    pub fn record_session(&self, organization_id: &str, user_id: &str) {
        self.0.metrics.record_session(organization_id);
        let counts = NamedCounts { sessions: 1, ..NamedCounts::default() };
        self.keep(
            "user_sessions_total",
            Entry {
                totals: Totals { sessions: 1, ..Totals::default() },
                names: [
                    (Dimension::Organization, organization_id, counts),
                    (Dimension::User, user_id, counts),
                    NO_NAME,
                ],
            },
        );
    }

    /// Records how many messages a conversation has.
    pub fn record_conversation(&self, messages: u64) {
        self.0.metrics.record_conversation(messages);
        let totals = Totals { conversations: 1, messages, ..Totals::default() };
        self.keep("conversation_message_count", Entry { totals, names: [NO_NAME; 3] });
    }

    /// What was recorded from `from` to before `to`, and at least in the whole minutes or hours that these are in.
    #[must_use]
    pub fn summary(&self, from: Timestamp, to: Timestamp) -> BusinessSummary {
        self.0.rollups.lock().summary(from, to, self.0.clock.now())
    }

    /// What was recorded in the `window` that ends now.
    #[must_use]
    pub fn summary_of_last(&self, window: Duration) -> BusinessSummary {
        let now = self.0.clock.now();
        // The instant of now belongs to it.
        self.summary(now.minus(window), now.plus(Duration::from_millis(1)))
    }

    /// Adds a record of a metric to the buckets of now.
    fn keep(&self, metric: &str, entry: Entry<'_>) {
        let rules = &self.0.registry.config().label_rules;
        let names = entry.names.map(|(dimension, name, counts)| {
            let shown = rules.apply(metric, dimension.label(), name);
            (dimension, shown.unwrap_or(Cow::Borrowed("")), counts)
        });
        let mut folded = [false; 3];
        {
            let mut rollups = self.0.rollups.lock();
            // The time is read under the lock, so that buckets begin in their order.
            rollups.add(self.0.clock.now(), &entry.totals, &names, &mut folded);
        }
        for ((dimension, ..), _) in names.iter().zip(folded).filter(|(_, folded)| *folded) {
            self.0.folded.with([dimension.as_str()]).increment(1);
        }
    }
}

fn status(success: bool) -> &'static str {
    if success { Outcome::Success.as_str() } else { Outcome::Error.as_str() }
}

impl fmt::Debug for BusinessRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusinessRecorder").finish_non_exhaustive()
    }
}
