//! Tests of what is told of the things that happened in finished spans.

use obs_model::Context;
use obs_tracing::{LogConfig, LogOutput};

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A listener that shows a request of a caller's trace, in which lines were written and which is linked to other spans.
fn admin() -> Admin {
    let admin = Admin::new();
    let mut config = LogConfig::new(Resource::new("checkout"));
    config.output = LogOutput::None;
    config.clock = Arc::clone(&admin.clock) as _;
    config.span_memory = Some(1 << 20);
    config.line_memory = Some(1 << 20);
    let (dispatch, handle) = obs_tracing::build(config).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        let causes: Vec<_> = (0..130).map(|_| tracing::info_span!("cause")).collect();
        let _entered = Context::new().with_trace(TRACE.parse().unwrap()).enter();
        let request = tracing::info_span!(
            "http.request",
            method = "GET",
            path = "/orders/{id}?<i>",
            cents = 950
        );
        for cause in &causes {
            request.follows_from(cause);
        }
        request.in_scope(|| {
            admin.clock.advance(Duration::from_millis(250));
            tracing::warn!(
                note = "<script>alert(1)</script>",
                password = "hunter2",
                "<img src=x onerror=alert(2)>"
            );
            let charge = tracing::info_span!("charge", method = "POST", path = "/charges");
            charge.in_scope(|| {
                let error = std::io::Error::other("card <b>expired</b>");
                tracing::error!(error = &error as &dyn std::error::Error, "refused");
            });
        });
    });
    handle.flush_blocking(Duration::from_secs(10)).unwrap();
    admin.with(|state| state.with_tracing(handle))
}

#[tokio::test]
async fn a_trace_is_told_with_the_events_and_links_of_its_spans_and_what_is_not_kept_is_counted() {
    let admin = admin();
    let trace = admin.get(&format!("/api/obskit/v1/traces/{TRACE}")).await.json();
    let request = &trace["spans"][0];
    let expected = json!([{
        "time": "2026-01-05T10:00:00.250Z",
        "name": "<img src=x onerror=alert(2)>",
        "attributes": {
            "level": "WARN",
            "target": "obs_server::router::tests::told",
            "note": "<script>alert(1)</script>",
            "password": "[redacted]",
        },
    }]);
    assert_eq!(request["events"], expected);
    assert_eq!(
        (&request["droppedEventsCount"], &request["droppedLinksCount"]),
        (&json!(0), &json!(2))
    );
    let links = request["links"].as_array().unwrap();
    assert_eq!(links.len(), 128);
    let exception = &trace["spans"][1]["events"][0];
    assert_eq!(exception["name"], "refused");
    assert_eq!(exception["attributes"]["exception.message"], "card <b>expired</b>");
    assert_eq!(exception["attributes"]["exception.type"], "io::Error");

    // A search tells what is kept with the spans themselves.
    let path = "/api/obskit/v1/spans/finished?limit=1000";
    let found = admin.get(path).await.json();
    let found = found["spans"].as_array().unwrap();
    let named = |name: &str| found.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(
        (&named("http.request")["links"], &named("charge")["links"]),
        (&request["links"], &json!([]))
    );
    assert_eq!(named("http.request")["events"], json!([]));
    let causes: Vec<_> = found.iter().filter(|span| span["name"] == "cause").collect();
    let is_cause = |link: &Value| {
        causes
            .iter()
            .any(|span| span["spanId"] == link["spanId"] && span["traceId"] == link["traceId"])
    };
    assert!(links.iter().all(|link| is_cause(link) && link["attributes"] == json!({})));
}

#[tokio::test]
async fn the_page_of_a_trace_shows_what_happened_in_each_span_with_everything_escaped() {
    let admin = admin();
    let page = admin.get(&format!("/traces/{TRACE}")).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    let table = text.split("</table>").next().unwrap();
    for part in [
        "GET /orders/{id}?&lt;i&gt;",
        "1 event, 128 links, 2 not kept",
        "+250 ms",
        "&lt;img src=x onerror=alert(2)&gt;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "[redacted]",
        "1 event<",
        "refused",
        "card &lt;b&gt;expired&lt;/b&gt;",
        "Linked to ",
        "78 more are not shown.",
    ] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    for part in ["<script>alert", "<img", "<b>expired", "<i>", "hunter2"] {
        assert!(!text.contains(part), "{part} is in {text}");
    }
    // What a link leads to is a page of the console, too.
    let link = table.split("Linked to ").nth(1).unwrap();
    let link = link.split("href=\"").nth(1).unwrap().split(['"', '#']).next().unwrap();
    assert!(admin.get(link).await.text().contains(">cause<"), "{link}");
}

#[tokio::test]
async fn the_list_of_traces_says_the_method_and_the_route_of_what_began_them() {
    let page = admin().get("/traces?trace=0af7651916cd43dd8448eb211c80319c").await;
    let text = page.text();
    assert!(text.contains("GET /orders/{id}?&lt;i&gt;"), "{text}");
    // The call within is a part of it.
    assert!(text.contains(">charge<") && !text.contains("POST /charges"), "{text}");
}
