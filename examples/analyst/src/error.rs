//! What can go wrong with an analysis, and the name under which each failure is counted.

use std::time::Duration;

/// Why a request was not answered with an analysis.
///
/// Every kind has a stable [name](AnalystError::error_type) for metrics and for clients, and an
/// [HTTP status](AnalystError::status).
#[derive(Debug, thiserror::Error)]
pub enum AnalystError {
    /// The body is larger than the service takes.
    #[error("the body is larger than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The largest body that is read, in bytes.
        limit_bytes: usize,
    },
    /// The body could not be read from the connection.
    #[error("the body could not be read: {0}")]
    BodyUnreadable(String),
    /// The body is not the JSON of an analysis request.
    #[error("the body is not a valid request: {message}, at line {line}, column {column}")]
    InvalidJson {
        /// What the JSON parser says.
        message: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 stands for the end of the previous line.
        column: usize,
    },
    /// The request is valid JSON, but asks for nothing or for too much.
    #[error("{0}")]
    InvalidRequest(String),
    /// No path or no recent analysis of that name.
    #[error("no {what} {name:?} here")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Under which name.
        name: String,
    },
    /// The path exists, the method does not.
    #[error("{path} does not take {method}")]
    MethodNotAllowed {
        /// The method that was used.
        method: String,
        /// The path that was asked for.
        path: String,
    },
    /// No rule reads the question.
    #[error("no rule reads the question {question:?}")]
    UnknownQuestion {
        /// The question as it was asked.
        question: String,
        /// Questions like it that are understood.
        suggestions: Vec<String>,
    },
    /// A rule reads the question, but a name in it is not in the data.
    #[error(
        "no airport {given:?} in the data: give an IATA code such as ORD or a city such as Chicago"
    )]
    UnknownAirport {
        /// The words that should have named an airport.
        given: String,
    },
    /// SQLite does not accept the statement.
    #[error("SQLite rejects the statement: {message}")]
    BadSql {
        /// SQLite's message.
        message: String,
        /// Where in the statement, as a byte offset, when SQLite says.
        offset: Option<usize>,
    },
    /// The statement would do more than read the three tables.
    #[error("only a single reading statement is accepted: {message}")]
    ReadOnly {
        /// What was refused.
        message: String,
    },
    /// The statement returns more rows than the service takes.
    #[error("the statement returns more than {limit} rows: add a LIMIT or aggregate")]
    RowLimit {
        /// The most rows that are taken.
        limit: usize,
    },
    /// The rows hold more bytes than the service takes.
    #[error("the statement returns more than {limit_bytes} bytes: select fewer columns or rows")]
    ResultLimit {
        /// The most bytes of values that are taken.
        limit_bytes: usize,
    },
    /// The statement ran for too long and was interrupted.
    #[error("the statement was interrupted after {} ms: narrow it down", limit.as_millis())]
    StatementTimeout {
        /// How long a statement may run.
        limit: Duration,
    },
    /// Another connection holds the database.
    #[error("the database is locked by another connection")]
    DatabaseLocked {
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// No connection became free in time.
    #[error("none of the {size} database connections became free within {} ms", waited.as_millis())]
    PoolExhausted {
        /// How many connections the pool has.
        size: usize,
        /// How long the request waited.
        waited: Duration,
    },
    /// The database failed in another way.
    #[error("the database failed")]
    Database {
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The rows cannot be drawn as the chart that was asked for.
    #[error("no {kind} chart can be drawn: {reason}")]
    ChartImpossible {
        /// The kind of chart.
        kind: &'static str,
        /// What the rows lack.
        reason: String,
    },
    /// The model's server did not answer, or refused.
    #[error("the model server failed: {message}")]
    ModelUnavailable {
        /// The kind of failure, for the metric's `error_type` label.
        kind: &'static str,
        /// What it said.
        message: String,
    },
    /// The model answered with something that is no plan.
    #[error("the model's answer holds no usable SQL: {message}")]
    ModelAnswer {
        /// What is wrong with it.
        message: String,
    },
    /// Work that was running in the background stopped without an answer.
    #[error("the {work} was stopped before it was done")]
    Stopped {
        /// Which work.
        work: &'static str,
    },
}

impl AnalystError {
    /// The failure's name for metrics and clients: lower case, stable.
    #[must_use]
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyUnreadable(_) => "body_unreadable",
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidRequest(_) => "invalid_request",
            Self::NotFound { .. } => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnknownQuestion { .. } => "unknown_question",
            Self::UnknownAirport { .. } => "unknown_airport",
            Self::BadSql { .. } => "bad_sql",
            Self::ReadOnly { .. } => "read_only",
            Self::RowLimit { .. } => "row_limit",
            Self::ResultLimit { .. } => "result_limit",
            Self::StatementTimeout { .. } => "statement_timeout",
            Self::DatabaseLocked { .. } => "database_locked",
            Self::PoolExhausted { .. } => "pool_exhausted",
            Self::Database { .. } => "database_error",
            Self::ChartImpossible { .. } => "chart_impossible",
            Self::ModelUnavailable { kind, .. } => kind,
            Self::ModelAnswer { .. } => "model_answer",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// The HTTP status that answers the request.
    ///
    /// A statement that exceeds the row, byte or time limit is the caller's to change, hence 422.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::BodyUnreadable(_)
            | Self::InvalidJson { .. }
            | Self::InvalidRequest(_)
            | Self::BadSql { .. }
            | Self::ReadOnly { .. } => 400,
            Self::NotFound { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::BodyTooLarge { .. } => 413,
            Self::UnknownQuestion { .. }
            | Self::UnknownAirport { .. }
            | Self::RowLimit { .. }
            | Self::ResultLimit { .. }
            | Self::StatementTimeout { .. }
            | Self::ChartImpossible { .. } => 422,
            Self::Database { .. } | Self::Stopped { .. } => 500,
            Self::ModelUnavailable { .. } | Self::ModelAnswer { .. } => 502,
            Self::DatabaseLocked { .. } | Self::PoolExhausted { .. } => 503,
        }
    }

    /// After how many seconds the same request may well succeed; `None` when trying again is no use.
    #[must_use]
    pub const fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::DatabaseLocked { .. } | Self::PoolExhausted { .. } => Some(1),
            _ => None,
        }
    }

    /// Whether the service or something that it needs is at fault, and not the request.
    #[must_use]
    pub const fn is_server_fault(&self) -> bool {
        self.status() >= 500
    }

    /// The message with those of its causes.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
