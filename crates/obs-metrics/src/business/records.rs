//! What is recorded.

use std::fmt;
use std::time::Duration;

/// What an analysis was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnalysisKind {
    /// A question that was answered by a query: `sql_query`.
    SqlQuery,
    /// A chart: `chart_creation`.
    ChartCreation,
    /// A dashboard: `dashboard_creation`.
    DashboardCreation,
}

impl AnalysisKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::SqlQuery, Self::ChartCreation, Self::DashboardCreation];

    /// The value of the label `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SqlQuery => "sql_query",
            Self::ChartCreation => "chart_creation",
            Self::DashboardCreation => "dashboard_creation",
        }
    }
}

impl fmt::Display for AnalysisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An analysis that a user asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis<'a> {
    /// The user's organization.
    pub organization_id: &'a str,
    /// The user.
    pub user_id: &'a str,
    /// The type of the data source, such as `postgresql`.
    pub data_source_type: &'a str,
    /// What it was about.
    pub kind: AnalysisKind,
    /// Whether it succeeded.
    pub success: bool,
    /// How long it took.
    pub duration: Duration,
    /// Tokens that language models used for it.
    pub tokens: u64,
    /// Queries that it ran; each is recorded as a [`Query`] too, where its details are known.
    pub queries: u64,
    /// Charts that it made; each is recorded as a [`Chart`] too, where its details are known.
    pub charts: u64,
}

/// A chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chart<'a> {
    /// Its type, such as `bar`.
    pub chart_type: &'a str,
    /// The organization that it is for.
    pub organization_id: &'a str,
    /// Points that it shows.
    pub points: u64,
    /// How long it took to make.
    pub duration: Duration,
    /// Whether it was made.
    pub success: bool,
}

/// A query to a data source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query<'a> {
    /// The organization that it is for.
    pub organization_id: &'a str,
    /// The type of the data source, such as `postgresql`.
    pub data_source_type: &'a str,
    /// How complex it is: one of a small set of names, such as `simple`, `medium` and `complex`.
    pub complexity: &'a str,
    /// Rows that it returned.
    pub rows: u64,
    /// How long it took.
    pub duration: Duration,
    /// Whether it succeeded.
    pub success: bool,
}
