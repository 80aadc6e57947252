//! What sqlx does at a real PostgreSQL becomes metrics and spans.

use std::io::Write;
use std::sync::{Arc, Mutex};

use interop::Postgres;
use obs_tracing::db;
use obskit::logs::LogOutput;
use obskit::metrics::Registry;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, Row};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The value of the series that is written so in an exposition, 0 where there is none.
fn value(registry: &Registry, series: &str) -> f64 {
    let text = registry.render_text();
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_of_sqlx_at_postgresql_become_metrics_without_being_wrapped() {
    let server = Postgres::start();
    let lines = Lines::default();
    let obs = obskit::init("orders")
        .without_environment()
        .settings(|settings| {
            settings.admin.enabled = false;
            settings.metrics.sqlx = true;
            // sqlx tells of queries at DEBUG; the metrics do not depend on its lines being written.
            settings.log.level = String::from("info,obskit::db=debug");
        })
        .log_output(LogOutput::Writer(Box::new(lines.clone())))
        .start()
        .await
        .unwrap();
    let registry = obs.registry().clone();
    let timed = |operation: &str, part: &str| {
        let name = "database_query_duration_seconds";
        value(&registry, &format!("{name}_{part}{{operation=\"{operation}\"}}"))
    };
    let pool = PgPoolOptions::new().max_connections(1).connect(&server.url()).await.unwrap();
    // OK to begin with what is there: connecting asks the server for things, too.
    let selects = timed("select", "count");

    let create = "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer TEXT NOT NULL)";
    sqlx::query(create).execute(&pool).await.unwrap();
    for (id, customer) in [(1_i64, "ada"), (2, "grace"), (3, "ada")] {
        let insert = sqlx::query("INSERT INTO orders (id, customer) VALUES ($1, $2)");
        insert.bind(id).bind(customer).execute(&pool).await.unwrap();
    }
    let returned = value(&registry, "database_query_result_rows_sum");
    let of_ada = "SELECT id FROM orders WHERE customer = $1 ORDER BY id";
    let rows = sqlx::query(of_ada).bind("ada").fetch_all(&pool).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>(), [1, 3]);
    pool.execute("SELECT pg_sleep(0.05)").await.unwrap();

    assert_eq!((timed("create", "count"), timed("insert", "count")), (1.0, 3.0));
    assert_eq!(timed("select", "count") - selects, 2.0);
    let seconds = timed("select", "sum");
    assert!(seconds >= 0.05, "the server slept for 50 ms, and selects took {seconds} s");
    let rows = value(&registry, "database_query_result_rows_sum") - returned;
    assert_eq!(rows, 3.0, "two orders, and what pg_sleep answers");

    // A query that is wrapped counts once, has a span, and tells why it failed.
    let wrapped = |sql: &'static str| db::Query::new("select").system("postgresql").statement(sql);
    let sql = "SELECT * FROM orders WHERE customer = 'ada'";
    wrapped(sql).run(sqlx::query(sql).fetch_all(&pool)).await.unwrap();
    assert_eq!(timed("select", "count") - selects, 3.0);
    let sql = "SELECT * FROM nothing";
    wrapped(sql).run(sqlx::query(sql).fetch_all(&pool)).await.unwrap_err();
    assert_eq!(timed("select", "count") - selects, 4.0);
    assert_eq!(value(&registry, "database_errors_total{error_type=\"sqlx_core::Error\"}"), 1.0);

    let connection = pool.acquire().await.unwrap();
    let most = pool.options().get_max_connections() as usize;
    db::record_pool(pool.size() as usize - pool.num_idle(), Some(most));
    for name in ["database_connections_active", "database_connections_limit"] {
        assert_eq!(value(&registry, name), 1.0, "{name}");
    }
    drop(connection);
    pool.close().await;
    obs.shutdown().await.unwrap();

    let bytes = lines.0.lock().unwrap().clone();
    let lines: Vec<Value> = String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |level: &str| {
        let found = lines
            .iter()
            .find(|line| line["level"] == level && line["metadata"]["db.system"] == "postgresql");
        found.unwrap_or_else(|| panic!("no line at {level}: {lines:#?}"))
    };
    assert_eq!(of("DEBUG")["metadata"]["db.statement"], "SELECT * FROM orders WHERE customer = ?");
    let error = of("WARN").to_string();
    assert!(error.contains("nothing") && error.contains("does not exist"), "{error}");
}
