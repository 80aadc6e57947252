//! Tests of the paths that read log lines.

use obs_model::Context;
use obs_tracing::{LogConfig, LogOutput};

use super::*;

/// A listener over a pipeline that wrote some lines.
fn admin() -> Admin {
    let admin = Admin::new();
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::None;
    config.clock = Arc::clone(&admin.clock) as _;
    config.line_memory = Some(1 << 20);
    let (dispatch, handle) = obs_tracing::build(config).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        let _entered = Context::new().with_user("<u-1>").enter();
        tracing::info!(cents = 950, "paid <b>9.50</b>");
        tracing::warn!(duration_ms = 1_200, "paid late");
        admin.clock.advance(Duration::from_secs(120));
        tracing::error!(cents = 950, error = "card refused", "not paid");
    });
    handle.flush_blocking(Duration::from_secs(10)).unwrap();
    admin.with(|state| state.with_tracing(handle))
}

async fn messages(admin: &Admin, query: &str) -> Vec<String> {
    let found = admin.get(&format!("/api/obskit/v1/logs?{query}")).await.json();
    let lines = found["lines"].as_array().unwrap_or_else(|| panic!("{query}: {found}"));
    lines.iter().map(|line| line["line"]["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lines_are_searched_by_every_parameter() {
    let admin = admin();
    let all = ["not paid", "paid late", "paid <b>9.50</b>"];
    for (query, expected) in [
        ("", &all[..]),
        ("level=warn", &all[..2]),
        ("level=&text=&trace=", &all[..]),
        ("text=LATE", &all[1..2]),
        ("user=%3Cu-1%3E&field=cents:950", &[all[0], all[2]]),
        ("field=cents:950&field=level:ERROR", &all[..1]),
        ("min=duration_ms:1200", &all[1..2]),
        ("min=duration_ms:1201", &[]),
        ("minutes=1", &all[..1]),
        ("until=2026-01-05T10:01:00Z", &all[1..]),
        ("since=2026-01-05T10:01:00Z", &all[..1]),
        ("before=2&limit=1", &all[1..2]),
        ("after=1", &all[..1]),
        ("target=obs_server", &all[..]),
    ] {
        assert_eq!(messages(&admin, query).await, expected, "{query}");
    }
    let found = admin.get("/api/obskit/v1/logs?limit=2").await.json();
    assert_eq!((&found["more"], &found["lines"][0]["number"]), (&json!(true), &json!(2)));
    let counted = admin.get("/api/obskit/v1/logs?count_by=cents").await.json();
    let expected = json!([{"value": "950", "lines": 2}, {"value": null, "lines": 1}]);
    assert_eq!(counted, json!({"field": "cents", "counts": expected}));
}

#[tokio::test]
async fn a_trace_is_shown_with_its_spans_its_errors_and_its_lines_and_led_to_from_each() {
    let admin = Admin::new();
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::None;
    config.clock = Arc::clone(&admin.clock) as _;
    config.line_memory = Some(1 << 20);
    config.span_memory = Some(1 << 20);
    let (dispatch, handle) = obs_tracing::build(config).unwrap();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let context = Context::new().with_trace(trace.parse().unwrap());
    tracing::dispatcher::with_default(&dispatch, || {
        let _entered = context.clone().enter();
        let order = tracing::info_span!("order", cents = 950).entered();
        admin.clock.advance(Duration::from_secs(1));
        tracing::info_span!("charge").in_scope(|| tracing::error!("card <refused>"));
        drop(order);
    });
    handle.flush_blocking(Duration::from_secs(10)).unwrap();
    let admin = admin.with(|state| state.with_tracing(handle));
    #[cfg(feature = "errors")]
    let (admin, fingerprint) = {
        let config = obs_errors::ErrorConfig::default();
        let tracker = obs_errors::ErrorTracker::new(config, Arc::clone(&admin.clock) as _);
        let _entered = context.enter();
        let event = tracker.capture(&std::io::Error::other("disk is full"));
        (admin.with(|state| state.with_errors(tracker)), event.fingerprint.to_string())
    };

    let page = admin.get(&format!("/traces/{trace}")).await;
    let text = page.text();
    for part in ["order", "charge", "Failed", "card &lt;refused&gt;"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let link = format!("/traces/{trace}");
    assert!(admin.get("/logs").await.text().contains(&link));
    #[cfg(feature = "errors")]
    {
        assert!(text.contains(&format!("/errors/{fingerprint}")), "{text}");
        assert!(admin.get(&format!("/errors/{fingerprint}")).await.text().contains(&link));
    }
    let other = admin.get("/traces/00000000000000000000000000000001").await;
    assert!(other.text().contains("None of its spans"), "{}", other.text());
    assert_eq!(admin.get("/traces/xyz").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_search_is_said_at_once() {
    let query = "level=loud&trace=x&since=now&limit=0&field=x&min=a:b&before=-1";
    let (status, _, message) = admin().get(&format!("/api/obskit/v1/logs?{query}")).await.refusal();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for part in ["level is", "trace is", "since is", "limit is", "field is", "min is", "before is"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let (status, code, _) = Admin::new().get("/api/obskit/v1/logs").await.refusal();
    assert_eq!((status, &*code), (StatusCode::NOT_FOUND, "not_enabled"));
}

#[tokio::test]
async fn the_console_shows_lines_escaped_with_links_to_what_belongs_to_them() {
    let admin = admin();
    let page = admin.get("/logs?level=info&limit=2").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    for part in ["not paid", "card refused", "/logs?user=%3Cu-1%3E", "Older lines", "before=1"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("9.50") && !text.contains("<u-1>"), "{text}");
    let older = admin.get("/logs?before=1").await;
    assert!(older.text().contains("paid &lt;b&gt;9.50&lt;/b&gt;"), "{}", older.text());
    let wrong = admin.get("/logs?level=loud").await;
    assert!(
        wrong.status == StatusCode::OK && wrong.text().contains("level is"),
        "{}",
        wrong.text()
    );
    assert!(Admin::new().get("/logs").await.text().contains("No lines are kept"));
}
