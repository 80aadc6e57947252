//! Tests of the paths that show operations in flight and change log levels.

use obs_tracing::{InFlightConfig, InFlightTime, LogConfig, LogOutput, TracingHandle};
use tracing::Dispatch;

use super::*;

/// A listener over a pipeline whose open spans are watched by the listener's clock.
fn admin() -> (Admin, Dispatch, TracingHandle) {
    let admin = Admin::new();
    let mut watched = InFlightConfig::default();
    watched.time = InFlightTime::Clock(Arc::clone(&admin.clock) as _);
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::Writer(Box::new(std::io::sink()));
    config.in_flight = Some(watched);
    let (dispatch, handle) = obs_tracing::build(config).unwrap();
    let admin = admin.with(|state| state.with_tracing(handle.clone()));
    (admin, dispatch, handle)
}

const LEVEL: &str = "/api/obskit/v1/loglevel";

#[tokio::test]
async fn operations_are_told_as_a_tree_and_by_what_is_asked_for() {
    let (admin, dispatch, _handle) = admin();
    let _default = tracing::dispatcher::set_default(&dispatch);
    let request = tracing::info_span!("http.request", correlation_id = "req-7", path = "/pay");
    request.in_scope(|| admin.clock.advance(Duration::from_millis(250)));
    let query = tracing::info_span!(parent: &request, "query", rows = 3, password = "hunter2");
    admin.clock.advance(Duration::from_secs(31));
    let _job = tracing::info_span!(parent: None, "job");

    let json = admin.get("/api/obskit/v1/spans").await.json();
    assert_eq!(
        (&json["open"], &json["matched"], &json["leftOut"]),
        (&json!(3), &json!(3), &json!(0))
    );
    let [first, second, third] = &json["operations"].as_array().unwrap()[..] else {
        panic!("{json}")
    };
    assert_eq!(first["name"], "http.request");
    assert_eq!(first["fields"], json!({"correlationId": "req-7", "path": "/pay"}));
    assert_eq!((&first["ageSeconds"], &first["busySeconds"]), (&json!(31.25), &json!(0.25)));
    assert_eq!((&first["sincePollSeconds"], &first["polls"]), (&json!(31.0), &json!(1)));
    assert_eq!((&first["stuck"], &first["running"]), (&json!(true), &Value::Null));
    assert_eq!((&second["name"], &second["depth"]), (&json!("query"), &json!(1)));
    assert_eq!(second["parentSpanId"], first["spanId"]);
    assert_eq!(
        (&second["traceId"], &second["correlationId"]),
        (&first["traceId"], &json!("req-7"))
    );
    assert!(!json.to_string().contains("hunter2"), "{json}");
    assert_eq!(
        (&third["name"], &third["stuck"], &third["depth"]),
        (&json!("job"), &json!(false), &json!(0))
    );

    let trace = first["traceId"].as_str().unwrap();
    for (query, expected) in [
        (format!("trace={trace}"), &["http.request", "query"][..]),
        ("name=query".to_owned(), &["query"]),
        ("min_age=31100ms".to_owned(), &["http.request"]),
        ("stuck=true&limit=1".to_owned(), &["http.request"]),
        ("name=nothing".to_owned(), &[]),
    ] {
        let json = admin.get(&format!("/api/obskit/v1/spans?{query}")).await.json();
        let names: Vec<&str> = json["operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{query}");
    }
    drop(query);
}

#[tokio::test]
async fn everything_wrong_with_what_is_asked_for_is_named_at_once() {
    let (admin, ..) = admin();
    let bad = "min_age=soon&trace=xyz&stuck=perhaps&limit=0";
    let (status, _, message) = admin.get(&format!("/api/obskit/v1/spans?{bad}")).await.refusal();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for part in ["soon", "trace", "perhaps", "limit"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(admin.get(&format!("/operations?{bad}")).await.status, StatusCode::BAD_REQUEST);
    for path in ["/api/obskit/v1/spans", LEVEL] {
        let (status, code, _) = Admin::new().get(path).await.refusal();
        assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"), "{path}");
    }
    let page = Admin::new().get("/operations").await;
    assert!(
        page.status == StatusCode::OK && page.text().contains("not watched"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn the_page_shows_operations_with_everything_escaped() {
    let (admin, dispatch, _handle) = admin();
    let empty = admin.get("/operations").await;
    assert!(empty.text().contains("Nothing is in flight"), "{}", empty.text());
    let _default = tracing::dispatcher::set_default(&dispatch);
    let outer = tracing::info_span!("<import>", file = "<b>a.csv</b>").entered();
    let _inner = tracing::info_span!("parse", text = "é".repeat(500));
    admin.clock.advance(Duration::from_secs(200));
    let page = admin.get("/operations?name=&min_age=1s&stuck=").await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK, "{text}");
    for part in [
        "&lt;import&gt;",
        "&lt;b&gt;a.csv",
        "3 min 20 s",
        "Blocks its thread",
        "depth-1",
        "value=\"1s\"",
        "2 open",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("<b>a.csv") && !text.contains("<import>"), "{text}");
    assert!(!text.contains("style=") && text.len() < 20_000, "{text}");
    let none = admin.get("/operations?name=nothing").await;
    assert!(none.text().contains("None of the operations"), "{}", none.text());
    drop(outer);
}

#[tokio::test]
async fn a_level_is_set_shown_and_taken_back() {
    let (admin, _, handle) = admin();
    let router = admin.router();
    let call = async |method: Method, path: &str, body: &str| {
        send(router.clone(), method, path, &[("content-type", "application/json")], body).await
    };
    let body = r#"{"target":"checkout::db","level":"debug","for":"10m"}"#;
    let set = call(Method::PUT, LEVEL, body).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    let json = set.json();
    assert_eq!(
        (&json["filter"], &json["effective"]),
        (&json!("info"), &json!("info,checkout::db=DEBUG"))
    );
    assert_eq!(
        (&json["levels"][0]["target"], &json["levels"][0]["level"]),
        (&json!("checkout::db"), &json!("DEBUG"))
    );
    let left = json["levels"][0]["secondsLeft"].as_f64().unwrap();
    assert!((590.0..=600.0).contains(&left), "{left}");

    call(Method::PUT, LEVEL, r#"{"level":"warn"}"#).await;
    let json = call(Method::PUT, LEVEL, r#"{"filter":"error"}"#).await.json();
    assert_eq!(json["effective"], "error,checkout::db=DEBUG,WARN");
    assert_eq!(
        (&json["levels"][1]["target"], &json["levels"][1]["secondsLeft"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(handle.filter(), "error");

    let json = call(Method::DELETE, &format!("{LEVEL}?target="), "").await.json();
    assert_eq!(json["effective"], "error,checkout::db=DEBUG");
    let gone = call(Method::DELETE, &format!("{LEVEL}?target=other"), "").await.refusal();
    assert_eq!((gone.0, &*gone.2), (StatusCode::NOT_FOUND, "no level is set for \"other\""));
    let json = call(Method::DELETE, LEVEL, "").await.json();
    assert_eq!((&json["effective"], &json["levels"]), (&json!("error"), &json!([])));
    assert_eq!(call(Method::GET, LEVEL, "").await.json(), json);
}

#[tokio::test]
async fn a_level_is_changed_by_nobody_else_and_by_no_mistake() {
    let (admin, _, handle) = admin();
    let body = r#"{"level":"debug"}"#;
    let foreign = [("origin", "http://evil.example")];
    for method in [Method::PUT, Method::DELETE] {
        let refused = send(admin.router(), method.clone(), LEVEL, &foreign, body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    for (body, parts) in [
        (r#"{"level":"loud","for":"ever","colour":1}"#, &["colour", "loud", "ever"][..]),
        (r#"{"level":"info","target":"a b"}"#, &["a b"]),
        (r#"{"filter":"=,"}"#, &["="]),
    ] {
        let (status, _, message) =
            send(admin.router(), Method::PUT, LEVEL, &[], body).await.refusal();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let guarded = admin.with_token();
    for method in [Method::PUT, Method::DELETE] {
        let refused = send(guarded.router(), method, LEVEL, &[], body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(handle.control().effective_filter(), "info");
}
