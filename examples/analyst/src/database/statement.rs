//! Runs one statement on one connection, which can only read, for a limited time, and up to limited rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};

use super::DatabaseConfig;
use crate::error::AnalystError;
use crate::table::{Table, Value};

/// After how many of SQLite's own instructions the clock is read: about every 0.1 ms.
const INSTRUCTIONS_PER_CHECK: i32 = 4_000;

/// A statement with its parameters.
#[derive(Clone, Debug)]
pub struct Query {
    sql: String,
    parameters: Vec<(&'static str, Value)>,
    is_rule: bool,
}

impl Query {
    /// A statement that somebody wrote.
    #[must_use]
    pub fn statement(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new(), is_rule: false }
    }

    /// A rule's statement, which is kept prepared, with named parameters, of which it may use some.
    #[must_use]
    pub const fn rule(sql: String, parameters: Vec<(&'static str, Value)>) -> Self {
        Self { sql, parameters, is_rule: true }
    }
}

/// What a statement returned.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The rows.
    pub table: Table,
    /// The statement with its parameters filled in.
    pub sql: String,
    /// How long it ran.
    pub elapsed: Duration,
}

/// Opens a connection that can only read.
pub(super) fn open(config: &DatabaseConfig) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&config.path, flags)?;
    connection.busy_timeout(config.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "query_only", true)?;
    // The negative size is in KiB: the whole database fits.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 64 << 10)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 100)?;
    connection.set_limit(Limit::SQLITE_LIMIT_COLUMN, 200)?;
    // From here on the connection's own settings cannot be changed either.
    connection.authorizer(Some(reads_only))?;
    Ok(connection)
}

/// Allows what a query needs: reading, functions and recursion.
fn reads_only(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Runs the statement until it ends, exceeds a limit or is abandoned.
pub(super) fn run(
    connection: &mut Connection,
    query: &Query,
    config: &DatabaseConfig,
    abandoned: Arc<AtomicBool>,
) -> Result<Executed, AnalystError> {
    let started = Instant::now();
    let deadline = started + config.statement_timeout;
    let overdue = move || abandoned.load(Ordering::Relaxed) || Instant::now() >= deadline;
    let watched = connection.progress_handler(INSTRUCTIONS_PER_CHECK, Some(overdue));
    let failed = |error| explain(error, config);
    watched.map_err(failed)?;
    let (table, sql) = if query.is_rule {
        let mut statement = connection.prepare_cached(&query.sql).map_err(failed)?;
        read(&mut statement, query, config)?
    } else {
        let mut statement = connection.prepare(&query.sql).map_err(failed)?;
        read(&mut statement, query, config)?
    };
    Ok(Executed { table, sql, elapsed: started.elapsed() })
}

fn read(
    statement: &mut Statement<'_>,
    query: &Query,
    config: &DatabaseConfig,
) -> Result<(Table, String), AnalystError> {
    let failed = |error| explain(error, config);
    if statement.column_count() == 0 {
        let message = "it is empty or returns no rows".to_owned();
        return Err(AnalystError::BadSql { message, offset: None });
    }
    for (name, value) in &query.parameters {
        if let Some(place) = statement.parameter_index(name).map_err(failed)? {
            statement.raw_bind_parameter(place, value).map_err(failed)?;
        }
    }
    let mut table =
        Table { columns: statement.column_names().map(str::to_owned).collect(), rows: Vec::new() };
    let sql = if query.parameters.is_empty() { None } else { statement.expanded_sql() };
    let mut size_bytes = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        if table.rows.len() == config.row_limit {
            return Err(AnalystError::RowLimit { limit: config.row_limit });
        }
        let mut values = Vec::with_capacity(table.columns.len());
        for column in 0..table.columns.len() {
            let value = owned(row.get_ref(column).map_err(failed)?);
            size_bytes += value.size_bytes();
            values.push(value);
        }
        if size_bytes > config.result_limit_bytes {
            return Err(AnalystError::ResultLimit { limit_bytes: config.result_limit_bytes });
        }
        table.rows.push(values);
    }
    Ok((table, sql.unwrap_or_else(|| query.sql.clone())))
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::Text(format!("x'{digits}'"))
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Says whose fault an error of SQLite is.
pub(super) fn explain(error: rusqlite::Error, config: &DatabaseConfig) -> AnalystError {
    use rusqlite::Error as E;
    let (code, message, offset) = match &error {
        E::SqlInputError { error, msg, offset, .. } => {
            (error.code, msg.clone(), usize::try_from(*offset).ok())
        }
        E::SqliteFailure(failure, Some(message)) => (failure.code, message.clone(), None),
        E::SqliteFailure(failure, None) => (failure.code, failure.to_string(), None),
        E::MultipleStatement => {
            let message = "only one statement is accepted".to_owned();
            return AnalystError::BadSql { message, offset: None };
        }
        _ => return AnalystError::Database { source: error },
    };
    match code {
        // A function that the authorizer denies comes as a plain error.
        ErrorCode::Unknown if message.starts_with("not authorized") => {
            AnalystError::ReadOnly { message }
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            AnalystError::DatabaseLocked { source: error }
        }
        ErrorCode::OperationInterrupted => {
            AnalystError::StatementTimeout { limit: config.statement_timeout }
        }
        ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => {
            AnalystError::ReadOnly { message }
        }
        ErrorCode::TooBig => AnalystError::ResultLimit { limit_bytes: config.result_limit_bytes },
        // SQLite's plain "error" is about the statement: its syntax, its names or its arithmetic.
        ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange => {
            AnalystError::BadSql { message, offset }
        }
        _ => AnalystError::Database { source: error },
    }
}
