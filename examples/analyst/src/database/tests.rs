//! Every limit and every failure of a statement, made for real.

use tempfile::TempDir;

use super::*;
use crate::table::Value;

fn open(change: impl FnOnce(&mut DatabaseConfig)) -> (Database, TempDir) {
    open_recorded(Telemetry::default(), change)
}

fn open_recorded(
    telemetry: Telemetry,
    change: impl FnOnce(&mut DatabaseConfig),
) -> (Database, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = DatabaseConfig::new(directory.path().join("analyst.db"));
    change(&mut config);
    let database = Database::open(config, telemetry).expect("the embedded data loads");
    (database, directory)
}

async fn fails(database: &Database, sql: &str) -> AnalystError {
    database.run(Query::statement(sql)).await.expect_err("the statement is to fail")
}

#[tokio::test]
async fn the_tables_hold_every_row_of_the_embedded_files() {
    let (database, _directory) = open(|_| {});
    let sql = "SELECT (SELECT count(*) FROM flights), (SELECT count(*) FROM airports), \
               (SELECT count(*) FROM birdstrikes), (SELECT sum(delay) FROM flights), \
               (SELECT sum(cost_total) FROM birdstrikes), (SELECT count(*) FROM birdstrikes WHERE speed IS NULL), \
               (SELECT count(*) FROM airports WHERE latitude = 0 OR longitude = 0)";
    let table = database.run(Query::statement(sql)).await.expect("the tables are there").table;
    // Sums that were taken of the files themselves.
    let expected = [20_000, 3_376, 10_000, DELAY_SUM, COST_SUM, 2_836, 0].map(Value::Integer);
    assert_eq!(table.rows, [expected.to_vec()]);
    assert_eq!(database.places().await.expect("the airports can be read").len(), 224);
}

const DELAY_SUM: i64 = 154_078;
const COST_SUM: i64 = 40_545_276;

#[tokio::test]
async fn statements_that_sqlite_rejects_are_bad_sql_with_its_message() {
    let (database, _directory) = open(|_| {});
    let cases = [
        ("SELEC 1", "near \"SELEC\": syntax error"),
        ("SELECT wingspan FROM flights", "no such column: wingspan"),
        ("SELECT * FROM planes", "no such table: planes"),
        ("SELECT 1; SELECT 2", "only one statement"),
        ("-- nothing", "empty"),
        ("SELECT nope(1)", "no such function: nope"),
        ("SELECT abs(-9223372036854775808)", "integer overflow"),
        ("SELECT 'a\0b'", "unrecognized token"),
    ];
    for (sql, says) in cases {
        let error = fails(&database, sql).await;
        assert_eq!((error.error_type(), error.status()), ("bad_sql", 400), "{sql}: {error:?}");
        assert!(error.to_string().contains(says), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_statement_cannot_write_attach_or_change_settings() {
    let (database, directory) = open(|_| {});
    let other = directory.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    for sql in [
        "DELETE FROM flights",
        "INSERT INTO flights (day) VALUES ('x')",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "DROP TABLE flights",
        "PRAGMA query_only = 0",
        "PRAGMA user_version",
        "BEGIN EXCLUSIVE",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "SELECT * FROM pragma_table_info('flights')",
        attach.as_str(),
    ] {
        let error = fails(&database, sql).await;
        assert!(["read_only", "bad_sql"].contains(&error.error_type()), "{sql}: {error:?}");
    }
    assert!(!other.exists());
    let count = database.run(Query::statement("SELECT count(*) FROM flights")).await;
    assert_eq!(count.expect("the table is still there").table.rows, [[Value::Integer(20_000)]]);
}

#[tokio::test]
async fn too_many_rows_or_bytes_are_refused() {
    let (database, _directory) = open(|config| config.result_limit_bytes = 100_000);
    let exact = database.run(Query::statement("SELECT 1 FROM flights LIMIT 10000")).await;
    assert_eq!(exact.expect("as many rows as allowed").table.rows.len(), 10_000);
    assert_eq!(
        fails(&database, "SELECT 1 FROM flights LIMIT 10001").await.error_type(),
        "row_limit"
    );
    let wide = "SELECT hex(zeroblob(60000)) FROM flights LIMIT 2";
    assert_eq!(fails(&database, wide).await.error_type(), "result_limit");
    let huge = "SELECT length(zeroblob(100000000))";
    assert_eq!(fails(&database, huge).await.error_type(), "result_limit");
}

#[tokio::test]
async fn a_statement_that_runs_too_long_is_interrupted_and_its_connection_is_usable() {
    let (database, _directory) = open(|config| {
        config.connections = 1;
        config.statement_timeout = Duration::from_millis(50);
    });
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let error = fails(&database, endless).await;
    assert_eq!((error.error_type(), error.status()), ("statement_timeout", 422));
    assert!(database.run(Query::statement("SELECT 1")).await.is_ok());
}

#[tokio::test]
async fn a_locked_file_fails_statements_and_the_health_check_until_it_is_released() {
    let (database, directory) = open(|config| config.busy_timeout = Duration::from_millis(20));
    assert!(check_database(&database).await.is_ok());
    let path = directory.path().join("analyst.db");
    let held = ExclusiveLock::take(&path, Duration::from_secs(5)).expect("nobody else holds it");
    let error = fails(&database, "SELECT count(*) FROM flights").await;
    assert_eq!((error.error_type(), error.status()), ("database_locked", 503));
    assert_eq!(error.retry_after_seconds(), Some(1));
    let unhealthy = check_database(&database).await.expect_err("the file is locked");
    assert!(unhealthy.with_causes().contains("locked"), "{}", unhealthy.with_causes());
    held.release().expect("the lock is ours");
    assert!(database.run(Query::statement("SELECT count(*) FROM flights")).await.is_ok());
    assert!(check_database(&database).await.is_ok());
}

#[tokio::test]
async fn a_request_waits_for_a_connection_no_longer_than_agreed() {
    let registry = obskit::metrics::Registry::default();
    let (database, _directory) = open_recorded(Telemetry::new(&registry), |config| {
        config.connections = 1;
        config.acquire_timeout = Duration::from_millis(10);
        config.statement_timeout = Duration::from_secs(600);
    });
    let active = || registry.value("database_connections_active", &[]);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let busy = {
        let database = database.clone();
        tokio::spawn(async move { database.run(Query::statement(endless)).await })
    };
    while active() != Some(1.0) {
        tokio::task::yield_now().await;
    }
    let error = fails(&database, "SELECT 1").await;
    assert_eq!((error.error_type(), error.status()), ("pool_exhausted", 503));
    // Dropping the future interrupts its statement, long before the ten minutes are over.
    busy.abort();
    let deadline = Instant::now() + Duration::from_secs(60);
    while database.run(Query::statement("SELECT 1")).await.is_err() {
        assert!(Instant::now() < deadline, "the abandoned statement still runs");
    }
    assert_eq!(active(), Some(0.0));
}

#[test]
fn a_file_of_somebody_else_is_left_alone_and_ours_is_used_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign)
        .and_then(|c| c.execute_batch("CREATE TABLE t (a)"))
        .expect("a database");
    let error = Database::open(DatabaseConfig::new(&foreign), Telemetry::default());
    assert!(matches!(error, Err(OpenError::Foreign { .. })), "{error:?}");
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "x".repeat(5000)).expect("a text file");
    let error = Database::open(DatabaseConfig::new(&text), Telemetry::default());
    assert!(matches!(error, Err(OpenError::Sqlite { .. })), "{error:?}");

    let ours = directory.path().join("ours.db");
    for _ in 0..2 {
        drop(
            Database::open(DatabaseConfig::new(&ours), Telemetry::default()).expect("our own file"),
        );
    }
}
