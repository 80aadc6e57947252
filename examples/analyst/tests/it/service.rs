//! The service over real HTTP: what it answers, how it fails, and what it counts.

use std::time::Duration;

use crate::support::Service;
use analyst::database::ExclusiveLock;
use obskit::metrics::Registry;
use serde_json::{Value, json};

type Labels<'a> = &'a [(&'a str, &'a str)];

async fn start() -> Service {
    Service::start(Registry::default(), None, |router| router).await
}

#[tokio::test]
async fn a_question_is_answered_with_rows_a_chart_and_a_sentence_and_can_be_recalled() {
    let service = start().await;
    let asked = json!({
        "question": "What are the 5 busiest airports?",
        "user_id": "u-1", "organization_id": "acme", "session_id": "s-1",
    });
    let answer = service.post(asked.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/json");
    let body = answer.body;
    assert_eq!(body["planner"], "busiest_airports");
    assert_eq!(body["columns"], json!(["airport", "flights", "place"]));
    assert_eq!(body["rows"][0], json!(["DFW", 1103, "Dallas-Fort Worth, TX"]));
    assert_eq!((&body["row_count"], &body["rows_truncated"]), (&json!(5), &json!(false)));
    assert_eq!(
        body["answer"],
        "DFW leads with 1,103 departures, ahead of ORD (1,095) and ATL (846)."
    );
    assert_eq!((&body["chart"]["type"], &body["chart"]["points"]), (&json!("bar"), &json!(5)));
    assert!(body["chart"]["svg"].as_str().is_some_and(|svg| svg.contains("1,103")));
    for step in ["plan", "query", "chart", "answer", "total"] {
        assert!(body["timings_ms"][step].is_number(), "{step}");
    }
    let id = body["id"].as_str().expect("it has a name");
    assert_eq!(service.get(&format!("/api/v2/analyses/{id}")).await.body, body);

    let success = [("status", "success"), ("user_id", "u-1"), ("organization_id", "acme")];
    let counts: [(&str, Labels<'_>, f64); 12] = [
        ("analyst_workflow_executions_total", &success, 1.0),
        ("analyst_workflow_active_executions", &[], 0.0),
        (
            "analyst_workflow_duration_seconds_count",
            &[("status", "success"), ("step", "answer")],
            1.0,
        ),
        (
            "analyst_workflow_step_executions_total",
            &[("step_name", "chart"), ("status", "success")],
            1.0,
        ),
        (
            "analyst_tool_executions_total",
            &[("tool_name", "execute_sql"), ("status", "success")],
            1.0,
        ),
        (
            "analyst_tool_executions_total",
            &[("tool_name", "create_chart"), ("status", "success")],
            1.0,
        ),
        ("charts_created_total", &[("chart_type", "bar"), ("organization_id", "acme")], 1.0),
        (
            "sql_queries_executed_total",
            &[("data_source_type", "sqlite"), ("organization_id", "acme")],
            1.0,
        ),
        (
            "successful_analyses_total",
            &[("organization_id", "acme"), ("data_source_type", "sqlite")],
            1.0,
        ),
        ("user_sessions_total", &[("organization_id", "acme")], 1.0),
        ("streaming_accumulator_size_bytes_count", &[], 1.0),
        ("conversation_message_count_sum", &[], 2.0),
    ];
    for (name, labels, expected) in counts {
        assert_eq!(service.count(name, labels), expected, "{name} {labels:?}");
    }
    assert!(!service.registry.render_text().contains("llm_"), "no model is asked");
}

#[tokio::test]
async fn a_statement_is_run_as_it_is_with_the_chart_that_is_asked_for() {
    let service = start().await;
    let sql = "SELECT origin, count(*) AS flights FROM flights GROUP BY origin";
    let answer = service.post(json!({ "sql": sql, "chart": "pie" }).to_string()).await;
    assert_eq!((answer.status, &answer.body["chart"]["type"]), (200, &json!("pie")));
    assert_eq!((&answer.body["sql"], &answer.body["row_count"]), (&json!(sql), &json!(220)));
    assert_eq!(answer.body["rows"].as_array().map(Vec::len), Some(200));
    assert_eq!(answer.body["rows_truncated"], true);
    let plain = service.post(json!({ "sql": "SELECT 1 AS one" }).to_string()).await;
    assert_eq!((plain.status, &plain.body["chart"]), (200, &Value::Null));
    let none = json!({ "question": "Bird strikes by year", "chart": "none" });
    assert_eq!(service.post(none.to_string()).await.body["chart"], Value::Null);
}

#[tokio::test]
async fn every_failure_has_its_status_and_its_name() {
    let service = start().await;
    let oversized = json!({ "sql": "x".repeat(100_000) });
    let cases = [
        (json!({ "sql": "SELEC 1" }), 400, "bad_sql"),
        (json!({ "sql": "SELECT nope FROM flights" }), 400, "bad_sql"),
        (json!({ "sql": "DELETE FROM flights" }), 400, "read_only"),
        (json!({ "sql": "SELECT * FROM flights" }), 422, "row_limit"),
        (
            json!({ "sql": "SELECT count(*) FROM flights a, flights b WHERE a.delay + b.delay > 9" }),
            422,
            "statement_timeout",
        ),
        (json!({ "sql": "SELECT 'x' AS x", "chart": "bar" }), 422, "chart_impossible"),
        (json!({ "question": "Why do birds sing?" }), 422, "unknown_question"),
        (json!({ "question": "Where is Narnia?" }), 422, "unknown_question"),
        (json!({ "question": "What is the average delay at Narnia?" }), 422, "unknown_airport"),
        (json!({}), 400, "invalid_request"),
        (json!({ "question": "a", "sql": "b" }), 400, "invalid_request"),
        (json!({ "sql": "SELECT 1", "chart": "cake" }), 400, "invalid_request"),
        (json!({ "sql": "SELECT 1", "user_id": "a b" }), 400, "invalid_request"),
        (json!({ "sql": "SELECT 1", "colour": "red" }), 400, "invalid_json"),
        (json!({ "sql": 1 }), 400, "invalid_json"),
        (oversized, 413, "body_too_large"),
    ];
    for (body, status, name) in cases {
        let answer = service.post(body.to_string()).await;
        let shown: String = body.to_string().chars().take(80).collect();
        assert_eq!(
            (answer.status, &answer.body["error"]["type"]),
            (status, &json!(name)),
            "{shown}"
        );
        assert!(answer.body["error"]["message"].is_string(), "{shown}");
    }
    let failed = [("tool_name", "execute_sql"), ("error_type", "bad_sql")];
    assert_eq!(service.count("analyst_tool_errors_total", &failed), 2.0);
    assert_eq!(service.count("database_errors_total", &[("error_type", "row_limit")]), 1.0);
    let errors = [("status", "error"), ("user_id", "none"), ("organization_id", "none")];
    assert_eq!(service.count("analyst_workflow_executions_total", &errors), 9.0);
    assert_eq!(service.count("database_connections_active", &[]), 0.0);
}

#[tokio::test]
async fn a_failure_says_where_and_what_would_do() {
    let service = start().await;
    let broken = service.post("{\"question\":\n  \"What\"").await;
    assert_eq!((broken.status, &broken.body["error"]["line"]), (400, &json!(2)));
    let unknown =
        service.post(json!({ "question": "How severe are strikes by ducks?" }).to_string()).await;
    let suggestions = unknown.body["error"]["suggestions"].as_array().cloned().unwrap_or_default();
    assert_eq!(suggestions.len(), 3, "{}", unknown.body);
    for suggestion in suggestions {
        assert_eq!(service.post(json!({ "question": suggestion }).to_string()).await.status, 200);
    }
    let syntax = service.post(json!({ "sql": "SELECT 1 FRM flights x" }).to_string()).await;
    assert!(syntax.body["error"]["message"].as_str().is_some_and(|m| m.contains("syntax error")));
    assert!(syntax.body["error"]["offset"].is_number(), "{}", syntax.body);
}

#[tokio::test]
async fn a_locked_database_asks_to_come_back() {
    let service = start().await;
    let held =
        ExclusiveLock::take(&service.database, Duration::from_secs(5)).expect("nobody holds it");
    let question = json!({ "question": "What are the 5 busiest airports?" }).to_string();
    let answer = service.post(question.clone()).await;
    assert_eq!((answer.status, &answer.body["error"]["type"]), (503, &json!("database_locked")));
    assert_eq!(answer.headers["retry-after"], "1");
    held.release().expect("it is held");
    assert_eq!(service.post(question).await.status, 200);
    let failed = [("tool_name", "execute_sql"), ("error_type", "database_locked")];
    assert_eq!(service.count("analyst_tool_errors_total", &failed), 1.0);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_json() {
    let service = start().await;
    assert_eq!(service.get("/").await.body["service"], "analyst");
    let questions = service.get("/api/v2/questions").await.body;
    assert!(questions["questions"].as_array().is_some_and(|list| list.len() >= 30));
    for (path, status, name) in [
        ("/nowhere", 404, "not_found"),
        ("/api/v2/analyses/none-such", 404, "not_found"),
        ("/api/v2/analyses", 405, "method_not_allowed"),
    ] {
        let answer = service.get(path).await;
        assert_eq!(
            (answer.status, &answer.body["error"]["type"]),
            (status, &json!(name)),
            "{path}"
        );
    }
}
