//! What is recorded about queries to databases.

use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;

use crate::support::{Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_tracing::db::{self, Query};

const TARGET: &str = "sqlx::query";

#[tokio::test]
async fn a_query_has_a_span_without_its_values_and_is_counted_however_it_ends() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);

    let query = Query::new("SELECT")
        .system("postgresql")
        .namespace("shop")
        .collection("orders")
        .statement("SELECT id FROM orders WHERE name = 'hunter2'")
        .rows(|rows: &Vec<u8>| rows.len() as u64);
    let rows = query.run(async { Ok::<_, io::Error>(vec![1, 2, 3]) }).await.unwrap();
    assert_eq!(rows, [1, 2, 3]);
    let refused = query.run(async { Err::<Vec<u8>, _>(io::Error::other("it is locked")) });
    assert_eq!(refused.await.unwrap_err().to_string(), "it is locked");
    db::query("insert", async { Ok::<_, io::Error>(()) }).await.unwrap();
    let mut dropped = Box::pin(db::query("delete", pending::<Result<(), io::Error>>()));
    let is_pending = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_pending())).await;
    assert!(is_pending);
    drop(dropped);
    let panics = db::query("update", async {
        tokio::task::yield_now().await;
        if true { panic!("on purpose") } else { Ok::<(), io::Error>(()) }
    });
    assert!(tokio::spawn(panics).await.unwrap_err().is_panic());

    let expected = [
        ("database_errors_total{error_type=io::Error}", 1),
        ("database_errors_total{error_type=panic}", 1),
        ("database_query_duration_seconds{operation=delete}", 1),
        ("database_query_duration_seconds{operation=insert}", 1),
        ("database_query_duration_seconds{operation=select}", 2),
        ("database_query_duration_seconds{operation=update}", 1),
        ("database_query_result_rows{}", 1),
    ];
    let mut seen = series(&recorder.snapshotter());
    seen.retain(|(name, _)| name.starts_with("database_"));
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));

    let lines = pipeline.written();
    let said: Vec<_> = lines
        .iter()
        .map(|l| (l["message"].as_str().unwrap(), l["level"].as_str().unwrap()))
        .collect();
    let finished = ("query finished", "DEBUG");
    assert_eq!(said, [finished, ("query failed", "WARN"), finished]);
    let fingerprint = db::fingerprint("select id from orders where name = 'x'", "postgresql");
    let metadata = &lines[0]["metadata"];
    for (name, value) in [
        ("db.system", "postgresql"),
        ("db.namespace", "shop"),
        ("db.operation", "SELECT"),
        ("db.collection.name", "orders"),
        ("db.statement", "SELECT id FROM orders WHERE name = ?"),
        ("db.statement.fingerprint", &*fingerprint),
    ] {
        assert_eq!(metadata[name], value, "{metadata}");
    }
    assert_eq!(metadata["db.response.returned_rows"], 3);
    assert_eq!(lines[1]["error"]["name"], "io::Error");
    assert_eq!(lines[1]["metadata"]["error.type"], "io::Error");
    assert!(!pipeline.lines.text().contains("hunter2"));
}

#[test]
fn a_pool_shows_its_connections_and_its_limit_where_it_has_one() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        db::record_pool(3, Some(10));
        db::record_pool(4, None);
    });
    let expected = [("database_connections_active{}", 4), ("database_connections_limit{}", 10)];
    let seen = series(&recorder.snapshotter());
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
}

/// What sqlx writes about a query.
macro_rules! sqlx_event {
    ($summary:expr, $statement:expr, $returned:expr, $seconds:expr) => {
        tracing::debug!(
            target: TARGET,
            summary = $summary,
            db.statement = $statement,
            rows_affected = 0_u64,
            rows_returned = $returned,
            elapsed = ?std::time::Duration::from_secs_f64($seconds),
            elapsed_secs = $seconds,
        )
    };
}

fn queries() {
    sqlx_event!("SELECT 1", "", 1_u64, 0.25);
    sqlx_event!("/* why */ INSERT INTO …", "\n\n/* why */ INSERT INTO t VALUES (1)\n", 0_u64, 0.5);
    tracing::debug!(target: TARGET, "something else");
    tracing::info_span!("work").in_scope(|| sqlx_event!("COMMIT", "", 0_u64, 0.125));
}

#[test]
fn the_events_of_sqlx_become_metrics_whether_they_are_written_or_not() {
    for (filter, lines) in [("info", 0), ("info,sqlx=debug", 4)] {
        let pipeline = Pipeline::new(|config| {
            config.filter = filter.into();
            config.sqlx_metrics = true;
        });
        let recorder = DebuggingRecorder::new();
        let seen = metrics::with_local_recorder(&recorder, || {
            pipeline.text_of(queries);
            series(&recorder.snapshotter())
        });
        assert_eq!(pipeline.lines.json().len(), lines, "{filter}");
        let seen: Vec<_> =
            seen.into_iter().filter(|(name, _)| name.starts_with("database")).collect();
        let expected = [
            ("database_query_duration_seconds{operation=commit}", 1),
            ("database_query_duration_seconds{operation=insert}", 1),
            ("database_query_duration_seconds{operation=select}", 1),
            ("database_query_result_rows{}", 1),
        ];
        assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)), "{filter}");
    }
}

#[tokio::test]
async fn a_query_of_sqlx_inside_of_a_wrapper_counts_once_and_without_the_setting_not_at_all() {
    for (enabled, expected) in [(true, 1), (false, 0)] {
        let pipeline = Pipeline::new(|config| config.sqlx_metrics = enabled);
        let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
        let recorder = DebuggingRecorder::new();
        let _recorder = metrics::set_default_local_recorder(&recorder);
        db::query("wrapped", async {
            let _inner = tracing::info_span!("inner").entered();
            sqlx_event!("SELECT 1", "", 1_u64, 0.25);
            Ok::<_, io::Error>(())
        })
        .await
        .unwrap();
        sqlx_event!("SELECT 1", "", 1_u64, 0.25);
        let seen = series(&recorder.snapshotter());
        let count = |operation: &str| {
            let name = format!("database_query_duration_seconds{{operation={operation}}}");
            seen.iter().find(|(seen, _)| *seen == name).map_or(0, |(_, count)| *count)
        };
        assert_eq!((count("wrapped"), count("select")), (1, expected));
    }
}
